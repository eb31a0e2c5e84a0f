//! The process outside the process namespace: it waits for the one inside, and ends as that one ended.
//!
//! The node knows the shim's pid alone. Killing the shim kills the child (PDEATHSIG); the child's death ends the shim.

use crate::error::JailError;
use crate::filter;
use crate::sys;
use std::os::fd::RawFd;

/// Waits for a child, whatever interrupts.
pub(crate) fn wait_for(child: i32) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: `status` is writable.
        let got = unsafe { libc::waitpid(child, &raw mut status, 0) };
        if got == child {
            return status;
        }
        if got < 0 && sys::errno() != libc::EINTR {
            // Not our child any more: nothing to forward but failure.
            return 255 << 8;
        }
    }
}

/// What becomes of the process that called fork.
pub(crate) enum Side {
    /// In the namespace; goes on.
    Child,
}

/// Forks; the parent stays behind as the shim and never returns.
pub(crate) fn fork_into_namespace() -> Result<Side, JailError> {
    let mut pipe: [RawFd; 2] = [-1; 2];
    // SAFETY: `pipe` has room for two descriptors.
    if unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(JailError::last("open a pipe"));
    }
    let [read_end, write_end] = pipe;
    let own_filter = filter::shim()?;
    // SAFETY: the process has one thread, so the child may go on as usual.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(JailError::last("fork into the process namespace")),
        0 => {
            // SAFETY: `write_end` is ours; the poll record lives on this stack.
            unsafe {
                libc::close(write_end);
                sys::die_with_parent().map_err(|_| JailError::last("set the death signal"))?;
                // The shim may have died before the death signal was set; then its end of the pipe is closed.
                let mut poll = libc::pollfd {
                    fd: read_end,
                    events: libc::POLLIN,
                    revents: 0,
                };
                if libc::poll(&raw mut poll, 1, 0) != 0 {
                    libc::_exit(125);
                }
                libc::close(read_end);
            }
            Ok(Side::Child)
        }
        child => watch(child, write_end, &own_filter),
    }
}

fn watch(child: i32, write_end: RawFd, own_filter: &seccompiler::BpfProgram) -> ! {
    // A shim that cannot shed its rights must not stay: ending it ends the child.
    let shed = sys::close_all_but(&[write_end])
        .and_then(|()| sys::drop_capabilities())
        .and_then(|()| sys::become_undumpable());
    if shed.is_err() || seccompiler::apply_filter(own_filter).is_err() {
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(125) }
    }
    let status = wait_for(child);
    // SAFETY: plain numbers; ends this process the way the child ended, so that the node sees SIGSEGV as SIGSEGV.
    unsafe {
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(libc::getpid(), signal);
            libc::_exit(128 + signal);
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}
