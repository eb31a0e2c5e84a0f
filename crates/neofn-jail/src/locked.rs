//! Memory for secrets: never swapped out, never in a core file, wiped when it is given up.
//!
//! Locks do not pass through a fork, so a role that needs such memory asks for it in its policy and gets it from
//! [`crate::confine`], inside the jail.

use crate::error::JailError;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, compiler_fence};

/// Some pages of locked memory.
#[derive(Debug)]
pub struct LockedMemory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the pages belong to this value alone; sharing it shares reads only.
unsafe impl Send for LockedMemory {}
// SAFETY: as above: `&self` gives `&[u8]` and nothing else.
unsafe impl Sync for LockedMemory {}

impl LockedMemory {
    /// At least so many bytes, zeroed. Fails when the machine does not let this process lock them (RLIMIT_MEMLOCK).
    pub fn new(bytes: usize) -> Result<Self, JailError> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let bytes = bytes.max(1).next_multiple_of(page);
        // SAFETY: a fresh private mapping; nobody else knows it.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let start = match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
            _ => return Err(JailError::last("map memory for secrets")),
        };
        let memory = Self { start, bytes };
        // SAFETY: the range is the mapping that was just made. A core file would hold it but for the advice.
        unsafe {
            if libc::mlock(start.as_ptr().cast(), bytes) < 0 {
                return Err(JailError::last("lock memory for secrets"));
            }
            if libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTDUMP) < 0 {
                return Err(JailError::last("keep secrets out of core files"));
            }
        }
        Ok(memory)
    }
    /// What is there.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for its length and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
    /// What is there, to be changed.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is writable for its length, and `&mut self` excludes other references.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
    /// How many kilobytes of this process the kernel keeps locked; from `/proc/self/status`.
    #[doc(hidden)]
    pub fn locked_kib() -> io::Result<u64> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmLck:"));
        let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other("no VmLck in /proc/self/status"))
    }
}

impl Drop for LockedMemory {
    fn drop(&mut self) {
        for byte in self.bytes_mut() {
            // SAFETY: a byte of our own mapping; volatile, so that the last writes are not left out.
            unsafe { std::ptr::write_volatile(byte, 0) };
        }
        compiler_fence(Ordering::SeqCst);
        // SAFETY: our own mapping, which nobody uses after this.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_locked_zeroed_and_writable() {
        let before = LockedMemory::locked_kib().unwrap();
        let mut memory = LockedMemory::new(5_000).unwrap();
        assert!(LockedMemory::locked_kib().unwrap() >= before + 8);
        assert!(memory.bytes().iter().all(|b| *b == 0) && memory.bytes().len() >= 5_000);
        memory.bytes_mut().fill(7);
        assert_eq!(memory.bytes().last(), Some(&7));
    }
}
