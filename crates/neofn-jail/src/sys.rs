//! The few system calls that need a wrapper. Nothing here allocates: it is also called between fork and exit.

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

/// `errno` of the last call.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Turns the C convention into a result.
pub(crate) fn check(returned: impl Into<i64>) -> Result<i64, i32> {
    let returned = returned.into();
    if returned < 0 { Err(errno()) } else { Ok(returned) }
}

/// Overwrites a file of /proc in one write.
pub(crate) fn write_file(path: &CStr, text: &[u8]) -> Result<(), i32> {
    // SAFETY: `path` is a C string; `text` is readable for its length.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(fd)?;
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let result = check(written as i64).map(|_| ());
        libc::close(fd);
        result
    }
}

/// No core of this process, and nobody without privileges traces it.
pub(crate) fn become_undumpable() -> Result<(), i32> {
    // SAFETY: plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// Drops every capability for good.
pub(crate) fn drop_capabilities() -> Result<(), i32> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let none = [Data {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: plain numbers; capset reads one header and two data records. Without CAP_SETPCAP the bounding set cannot
    // be emptied, but then there is nothing in the permitted set that it would bound.
    unsafe {
        for capability in 0..64 {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        check(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()))?;
    }
    Ok(())
}

/// Dies with the parent's thread that forked us.
pub(crate) fn die_with_parent() -> Result<(), i32> {
    // SAFETY: plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }).map(|_| ())
}

/// Closes all descriptors but `keep`, which is sorted.
pub(crate) fn close_all_but(keep: &[RawFd]) -> Result<(), i32> {
    let mut from: u32 = 0;
    for fd in keep {
        let Ok(fd) = u32::try_from(*fd) else { continue };
        if fd > from {
            close_range(from, fd - 1)?;
        }
        from = fd.saturating_add(1).max(from);
    }
    close_range(from, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), i32> {
    // SAFETY: descriptors that are not kept belong to nobody who will use them: the process has one thread, and the
    // caller listed what it keeps.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0u32) }).map(|_| ())
}
