//! What a role asks for: its class, the descriptors it keeps, its bounds, and the least it will run under.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::RawFd;

/// A trust level; one process serves one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Runs tenants' code in the engine: many threads, many images.
    Sandbox,
    /// Parses and compiles tenants' code: one job, then it ends.
    Compiler,
    /// Holds keys and signs; runs nothing of tenants. It may append to the one file that it was given.
    Signer,
}

/// How much of the jail holds. Ordered: each tier includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing that can be relied on.
    None,
    /// The system call filter.
    Seccomp,
    /// Landlock and the filter: no files, no network, no exec. Enough for JavaScript and WebAssembly.
    Landlock,
    /// All of it: also an empty root, and own user, process, network and IPC namespaces.
    Namespaces,
}

impl Tier {
    /// `namespaces`, as /health shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Namespaces => "namespaces",
        }
    }
}
impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The jail of one role.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Trust level.
    pub class: Class,
    /// Descriptors that stay open. The standard three, unless listed, become `/dev/null`; all others are closed.
    pub keep_fds: Vec<RawFd>,
    /// Private writable memory, code and stacks of threads included (RLIMIT_DATA).
    pub data_bytes_max: Option<u64>,
    /// CPU time of the whole process; one more second and the kernel kills it (RLIMIT_CPU).
    pub cpu_seconds_max: Option<u64>,
    /// Below this tier `confine` fails.
    pub require: Tier,
    /// Run below `require` nevertheless, with whatever holds. Set by `--insecure-no-jail` alone.
    pub insecure: bool,
    /// Open `/proc/self/pagemap` and allow the one ioctl that lists dirtied pages.
    pub allow_pagemap_scan: bool,
    /// Allow memory that holds machine code: the engine maps its compiled modules.
    pub exec_memory: bool,
    /// Memory for secrets, locked inside the jail; 0: none.
    pub locked_bytes: usize,
    /// How large a file may become by writing (RLIMIT_FSIZE); 0: nothing is written.
    pub file_bytes_max: u64,
}

impl Policy {
    /// The strictest policy of a class at the least tier that tenants' code may run under.
    #[must_use]
    pub fn strict(class: Class) -> Self {
        Self {
            class,
            keep_fds: Vec::new(),
            data_bytes_max: None,
            cpu_seconds_max: None,
            require: Tier::Landlock,
            insecure: false,
            allow_pagemap_scan: false,
            exec_memory: false,
            locked_bytes: 0,
            file_bytes_max: 0,
        }
    }
}
