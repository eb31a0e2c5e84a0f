//! Resource limits, and what the standard descriptors become.

use crate::error::JailError;
use crate::{Class, Policy};
use std::os::fd::RawFd;

/// Threads of one jailed process, where its namespace counts them apart.
const THREADS_MAX: u64 = 128;

/// Lowers the limits. `own_user` says that the user namespace counts this process apart from others.
pub(crate) fn apply(policy: &Policy, own_user: bool) -> Result<(), JailError> {
    // SAFETY: ignoring the signal turns a write past RLIMIT_FSIZE into an error.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let files = match policy.class {
        // one image descriptor for each loaded version
        Class::Sandbox => 4096,
        Class::Compiler | Class::Signer => 64,
    };
    let highest = policy.keep_fds.iter().copied().max().unwrap_or(2);
    let files = files.max(u64::try_from(highest).unwrap_or(0) + 16);
    set(libc::RLIMIT_CORE, 0)?;
    set(libc::RLIMIT_NOFILE, files)?;
    set(libc::RLIMIT_FSIZE, policy.file_bytes_max)?;
    set(libc::RLIMIT_MEMLOCK, 0)?;
    set(libc::RLIMIT_MSGQUEUE, 0)?;
    set(libc::RLIMIT_SIGPENDING, 64)?;
    if own_user {
        set(libc::RLIMIT_NPROC, THREADS_MAX)?;
    }
    if let Some(bytes) = policy.data_bytes_max {
        set(libc::RLIMIT_DATA, bytes)?;
    }
    if let Some(seconds) = policy.cpu_seconds_max {
        // Soft and hard alike: the first process of a namespace ignores the soft limit's SIGXCPU.
        set(libc::RLIMIT_CPU, seconds)?;
    }
    Ok(())
}

#[cfg(target_env = "musl")]
type Resource = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Resource = libc::__rlimit_resource_t;

pub(crate) fn set(resource: Resource, most: u64) -> Result<(), JailError> {
    let mut now = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `now` is writable, then readable, for the length of the calls.
    unsafe {
        if libc::getrlimit(resource, &raw mut now) < 0 {
            return Err(JailError::last("read a resource limit"));
        }
        let most = most.min(now.rlim_max);
        let lowered = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        if libc::setrlimit(resource, &raw const lowered) < 0 {
            return Err(JailError::last("lower a resource limit"));
        }
    }
    Ok(())
}

/// The standard descriptors that are not kept become `/dev/null`: a closed one would be given to the next socket,
/// and a panic message would be written into it.
pub(crate) fn blank_standard_descriptors(keep: &[RawFd]) -> Result<(), JailError> {
    for fd in 0..3 {
        if keep.contains(&fd) {
            continue;
        }
        // SAFETY: the path is a C literal; dup2 replaces a descriptor that nobody keeps.
        unsafe {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if null < 0 {
                return Err(JailError::last("open /dev/null"));
            }
            if null != fd {
                if libc::dup2(null, fd) < 0 {
                    return Err(JailError::last("replace a standard descriptor"));
                }
                libc::close(null);
            }
        }
    }
    Ok(())
}
