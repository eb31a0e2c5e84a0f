//! What runs in the child processes: one role each, confined before it reads its first byte.
//!
//! A child holds no key, no network and no file beyond the descriptors it was given. It trusts the node and nobody else.

mod calls;
mod clock;
mod control;
mod crew;
mod job;
pub(crate) use job::CODE_BYTES_MAX;
mod prison;
mod ticker;
mod worker;

use crate::proto::control::Hello;
use crate::proto::fds;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

/// Roles, as their first argument.
pub(crate) const ROLE_SANDBOX: &str = "sandbox";
pub(crate) const ROLE_ENGINE_BUILD: &str = "engine-build";
pub(crate) const ROLE_WASM_COMPILE: &str = "wasm-compile";
/// Given instead of a confinement.
pub(crate) const INSECURE: &str = "--insecure-no-jail";

/// Runs a child role: `ROLE CONTROL_FD [DATA_FD] [--insecure-no-jail]`. Must be called before the process has
/// opened anything or started a thread.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    // a thread that panicked would leave its call unanswered and its instance in an unknown state
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    let args: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
    let insecure = args.contains(&INSECURE);
    let (role, control, data) = match args.as_slice() {
        [role, control, rest @ ..] => (
            *role,
            descriptor(control),
            rest.first().and_then(|d| descriptor(d)),
        ),
        _ => return ExitCode::from(2),
    };
    let Some(control) = control else {
        return ExitCode::from(2);
    };
    match (role, data) {
        (ROLE_SANDBOX, Some(data)) => sandbox(control, data, insecure),
        (ROLE_ENGINE_BUILD, _) => one_job(prison::Role::EngineBuild, &control, insecure),
        (ROLE_WASM_COMPILE, _) => one_job(prison::Role::WasmCompile, &control, insecure),
        _ => ExitCode::from(2),
    }
}

fn sandbox(control: OwnedFd, data: OwnedFd, insecure: bool) -> ExitCode {
    let Some(pagemap) = confine(prison::Role::Sandbox, &control, &[&data], insecure) else {
        return ExitCode::FAILURE;
    };
    control::serve(&control, data, pagemap)
}

fn one_job(role: prison::Role, control: &OwnedFd, insecure: bool) -> ExitCode {
    match confine(role, control, &[], insecure) {
        Some(_) => job::run(control),
        None => ExitCode::FAILURE,
    }
}

/// Confines the process and tells the node. `None`: it may not go on.
fn confine(
    role: prison::Role,
    control: &OwnedFd,
    kept: &[&OwnedFd],
    insecure: bool,
) -> Option<Option<OwnedFd>> {
    let mut keep = vec![control.as_raw_fd()];
    keep.extend(kept.iter().map(|fd| fd.as_raw_fd()));
    let (hello, answer) = match prison::enter(role, &keep, insecure) {
        Ok(confined) => (Hello::Ready { tier: confined.tier }, Some(confined.pagemap)),
        Err(reason) => (Hello::Refused { reason }, None),
    };
    let bytes = postcard::to_stdvec(&hello).ok()?;
    fds::send(control.as_raw_fd(), &bytes, &[]).ok()?;
    answer
}

fn descriptor(text: &str) -> Option<OwnedFd> {
    let n: RawFd = text.parse().ok().filter(|n| *n > 2)?;
    // SAFETY: fcntl only asks whether the descriptor is open. The node opened it for this process alone and named it
    // once, so nothing else here owns it.
    unsafe {
        if libc::fcntl(n, libc::F_SETFD, libc::FD_CLOEXEC) != 0 {
            return None;
        }
        Some(OwnedFd::from_raw_fd(n))
    }
}
