//! Asks the kernel which pages of a private mapping were written: those present and neither file-backed nor the zero page.
//!
//! PAGEMAP_SCAN, Linux 6.7. `/proc/self/pagemap` must have been opened by this very process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Page size of the machines that this runs on.
pub const PAGE: usize = 4096;

const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const PFNZERO: u64 = 1 << 5;

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` of linux/fs.h: addresses.
#[repr(C)]
#[derive(Default, Clone, Copy, Debug)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    categories: u64,
}

/// Fills `found` with written ranges of `start..end`; answers how many, and where the walk ended.
pub fn written(
    pagemap: BorrowedFd<'_>,
    start: usize,
    end: usize,
    found: &mut [Region],
) -> io::Result<(usize, usize)> {
    let mut arg = ScanArg {
        size: size_of::<ScanArg>() as u64,
        start: start as u64,
        end: end as u64,
        vec: found.as_mut_ptr() as u64,
        vec_len: found.len() as u64,
        category_inverted: FILE | PFNZERO,
        category_mask: FILE | PFNZERO,
        category_anyof_mask: PRESENT | SWAPPED,
        ..ScanArg::default()
    };
    // SAFETY: `arg` is laid out as the kernel wants it and `vec` points to `vec_len` regions that outlive the call.
    let n = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    let walked = usize::try_from(arg.walk_end).map_err(io::Error::other)?;
    Ok((n, walked))
}
