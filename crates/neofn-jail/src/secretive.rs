//! Keeps the memory of a process that holds secrets from being written to a disk when it dies, and from other processes of
//! its own user. What it starts is not touched: an exec begins anew.

use crate::error::JailError;
use crate::{limits, sys};

/// No core of this process, whatever the shell or the system say; nobody without privileges traces it.
pub fn keep_memory_private() -> Result<(), JailError> {
    // where cores are given to a program, the limit is that program's to heed: hence both
    limits::set(libc::RLIMIT_CORE, 0)?;
    sys::become_undumpable().map_err(|_| JailError::last("become undumpable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_holds_secrets_leaves_no_core() {
        let core = || {
            let mut now = libc::rlimit {
                rlim_cur: 1,
                rlim_max: 1,
            };
            // SAFETY: `now` is writable.
            assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut now) }, 0);
            (now.rlim_cur, now.rlim_max)
        };
        keep_memory_private().unwrap();
        assert_eq!(core(), (0, 0));
        // SAFETY: takes numbers alone.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
        // what it starts is itself again: it may look at its own files of /proc
        let child = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                "ulimit -c; cat /proc/self/limits > /dev/null && ls /proc/self/fd > /dev/null",
            ])
            .output()
            .unwrap();
        assert!(child.status.success());
        assert_eq!(child.stdout, b"0\n");
    }
}
