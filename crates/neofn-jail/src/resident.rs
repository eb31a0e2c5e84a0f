//! How much memory a jailed process holds, seen from the node: the kernel's own count, by the shim's pid.

use std::fs;

/// Resident bytes of a role, by the pid that the node knows: the shim and the process behind it.
/// None once it is gone.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let mut pages = resident_pages(pid)?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_ascii_whitespace() {
        pages += child.parse().ok().and_then(resident_pages).unwrap_or(0);
    }
    // SAFETY: a plain number.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    Some(pages * page)
}

fn resident_pages(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}
