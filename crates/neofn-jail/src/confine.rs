//! The order in which a process gives up its rights.

use crate::error::JailError;
use crate::filter::Processes;
use crate::namespaces::Plan;
use crate::shim::{self, Side};
use crate::{LockedMemory, Policy, Tier, filter, limits, paths, sys};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A confined process.
#[derive(Debug)]
pub struct Confined {
    /// What holds.
    pub tier: Tier,
    /// `/proc/self/pagemap`, where the policy allows the scan. Opened inside the jail: before the fork it would be
    /// another process's.
    pub pagemap: Option<OwnedFd>,
    /// The memory for secrets that the policy asks for.
    pub locked: Option<LockedMemory>,
}

/// Confines the calling process, for good. To be called first in `main`, while there is one thread.
///
/// Where namespaces work, the caller goes on in a child of a shim: the pid that the node knows is the shim's, which
/// ends as the child ends, and whose end kills the child. The death signal of both follows the parent's *thread*
/// that started the role: start it from one that lasts as long as the node. The environment stays readable to the
/// role: start it with an empty one.
pub fn confine(policy: &Policy) -> Result<Confined, JailError> {
    confine_with(policy, Layers::ALL)
}

/// The layers to apply; tests leave some out, to see each hold by itself.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Layers {
    /// Own namespaces and an empty root.
    pub namespaces: bool,
    /// Landlock.
    pub landlock: bool,
    /// The filter.
    pub seccomp: bool,
}

impl Layers {
    /// What every role gets.
    pub const ALL: Self = Self {
        namespaces: true,
        landlock: true,
        seccomp: true,
    };
}

/// `confine` with some layers left out.
#[doc(hidden)]
pub fn confine_with(policy: &Policy, layers: Layers) -> Result<Confined, JailError> {
    single_threaded()?;
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } < 0 {
        return Err(JailError::last("set no_new_privs"));
    }
    // SAFETY: cannot fail.
    let parent = unsafe { libc::getppid() };
    limits::blank_standard_descriptors(&policy.keep_fds)?;
    let plan = Plan::new();
    let now = Plan::leave_root().map_err(|errno| failed("become nobody", errno))?;

    let mut missing = None;
    let unshared = layers.namespaces && note(&mut missing, plan.unshare(now));
    // After the last change of credentials, which would clear it.
    step("set the death signal", sys::die_with_parent())?;
    // SAFETY: cannot fail. A parent that died before the signal was set leaves us to another one.
    if unsafe { libc::getppid() } != parent {
        return Err(JailError::Step {
            step: "find the parent alive",
            source: io::Error::from(io::ErrorKind::NotFound),
        });
    }
    if unshared {
        let Side::Child = shim::fork_into_namespace()?;
    }
    // In the process that stays, before its file system goes.
    let pagemap = open_pagemap(policy)?;
    // In the process that stays, before its limit of locked memory becomes zero.
    let locked = match policy.locked_bytes {
        0 => None,
        bytes => Some(LockedMemory::new(bytes)?),
    };
    let rooted = unshared && note(&mut missing, Plan::empty_root());
    if !rooted {
        // SAFETY: a C literal.
        let left = unsafe { libc::chdir(c"/".as_ptr()) };
        step("leave the working directory", sys::check(left))?;
    }
    step("drop capabilities", sys::drop_capabilities())?;
    limits::apply(policy, unshared)?;
    let filters = filter::role(policy, if unshared { Processes::Own } else { Processes::All })?;
    close_others(policy, pagemap.as_ref())?;
    step("become undumpable", sys::become_undumpable())?;

    let landlocked = layers.landlock && deny_paths(&mut missing);
    let filtered = layers.seccomp && install(&filters, &mut missing);
    let tier = match (filtered, landlocked, rooted) {
        (true, true, true) => Tier::Namespaces,
        (true, true, false) => Tier::Landlock,
        (true, false, _) => Tier::Seccomp,
        (false, _, _) => Tier::None,
    };
    if tier < policy.require && !policy.insecure {
        return Err(JailError::TooWeak {
            have: tier,
            need: policy.require,
            why: missing.unwrap_or_default(),
        });
    }
    Ok(Confined {
        tier,
        pagemap,
        locked,
    })
}

fn step<T>(step: &'static str, result: Result<T, i32>) -> Result<(), JailError> {
    match result {
        Ok(_) => Ok(()),
        Err(errno) => Err(failed(step, errno)),
    }
}

fn failed(step: &'static str, errno: i32) -> JailError {
    JailError::Step {
        step,
        source: io::Error::from_raw_os_error(errno),
    }
}

/// Keeps the first thing that is missing, for the message.
fn note(missing: &mut Option<String>, result: Result<(), crate::namespaces::Failed>) -> bool {
    match result {
        Ok(()) => true,
        Err(failed) => {
            missing.get_or_insert_with(|| {
                let why = io::Error::from_raw_os_error(failed.errno);
                format!("{}: {why}", failed.step.what())
            });
            false
        }
    }
}

fn single_threaded() -> Result<(), JailError> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|source| JailError::Step {
        step: "count threads in /proc/self/task",
        source,
    })?;
    match tasks.count() {
        1 => Ok(()),
        more => Err(JailError::Threads(more)),
    }
}

fn open_pagemap(policy: &Policy) -> Result<Option<OwnedFd>, JailError> {
    if !policy.allow_pagemap_scan {
        return Ok(None);
    }
    // SAFETY: the path is a C literal; a descriptor that was just opened has no other owner.
    unsafe {
        let fd = libc::open(c"/proc/self/pagemap".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(JailError::last("open /proc/self/pagemap"));
        }
        Ok(Some(OwnedFd::from_raw_fd(fd)))
    }
}

fn close_others(policy: &Policy, pagemap: Option<&OwnedFd>) -> Result<(), JailError> {
    let mut keep = vec![0, 1, 2];
    keep.extend(&policy.keep_fds);
    keep.extend(pagemap.map(AsRawFd::as_raw_fd));
    keep.sort_unstable();
    keep.dedup();
    step("close descriptors", sys::close_all_but(&keep))
}

fn deny_paths(missing: &mut Option<String>) -> bool {
    match paths::deny_all() {
        Ok(true) => true,
        Ok(false) => {
            missing.get_or_insert_with(|| "the kernel has no Landlock".to_owned());
            false
        }
        Err(error) => {
            missing.get_or_insert_with(|| format!("Landlock: {error}"));
            false
        }
    }
}

fn install(filters: &[seccompiler::BpfProgram], missing: &mut Option<String>) -> bool {
    filters
        .iter()
        .all(|filter| match seccompiler::apply_filter(filter) {
            Ok(()) => true,
            Err(error) => {
                missing.get_or_insert_with(|| format!("seccomp: {error}"));
                false
            }
        })
}
