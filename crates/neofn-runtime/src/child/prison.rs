//! Which confinement each role takes.

use neofn_jail::{Class, Policy};
use std::os::fd::{OwnedFd, RawFd};

/// Compiling the engine takes seconds, and more where nothing is optimised.
const BUILD_CPU_SECONDS: u64 = 300;
const BUILD_DATA_BYTES: u64 = 2 << 30;
/// A hostile module took 5 s and a large one needs some hundred megabytes.
const COMPILE_CPU_SECONDS: u64 = 20;
const COMPILE_DATA_BYTES: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Sandbox,
    EngineBuild,
    WasmCompile,
}

pub(crate) struct Confined {
    pub(crate) tier: String,
    pub(crate) pagemap: Option<OwnedFd>,
}

/// Confines this process for good. The error is for the operator.
pub(crate) fn enter(role: Role, keep: &[RawFd], insecure: bool) -> Result<Confined, String> {
    let mut policy = Policy::strict(match role {
        Role::Sandbox => Class::Sandbox,
        Role::EngineBuild | Role::WasmCompile => Class::Compiler,
    });
    policy.keep_fds = keep.to_vec();
    policy.insecure = insecure;
    match role {
        // its memory is bounded by the engine's own limits and by the node's watchdog: private mappings of images
        // would count in full against a limit on data
        Role::Sandbox => {
            policy.allow_pagemap_scan = true;
            policy.exec_memory = true;
        }
        Role::EngineBuild => {
            policy.exec_memory = true;
            policy.cpu_seconds_max = Some(BUILD_CPU_SECONDS);
            policy.data_bytes_max = Some(BUILD_DATA_BYTES);
        }
        Role::WasmCompile => {
            policy.exec_memory = true;
            policy.cpu_seconds_max = Some(COMPILE_CPU_SECONDS);
            policy.data_bytes_max = Some(COMPILE_DATA_BYTES);
        }
    }
    let confined = neofn_jail::confine(&policy).map_err(|e| {
        let cause = std::error::Error::source(&e)
            .map(|s| format!(": {s}"))
            .unwrap_or_default();
        format!("{e}{cause}")
    })?;
    Ok(Confined {
        tier: confined.tier.to_string(),
        pagemap: confined.pagemap,
    })
}
