//! Which port a program listens on. neo-go takes a free one when it is told 0, but never says which; the kernel knows.

use std::collections::BTreeSet;
use std::fs;

/// `127.0.0.1` as /proc writes it.
const LOOPBACK: &str = "0100007F";
/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// The port on 127.0.0.1 that the process listens on; none as long as there is none.
pub(super) fn of(pid: u32) -> Option<u16> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    let own = sockets(pid);
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let (address, port) = columns.nth(1)?.split_once(':')?;
        let state = columns.nth(1)?;
        let inode = columns.nth(5)?;
        let ours = address == LOOPBACK && state == LISTEN && own.contains(inode);
        ours.then(|| u16::from_str_radix(port, 16).ok())?
    })
}

/// Inodes of the process's sockets.
fn sockets(pid: u32) -> BTreeSet<String> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?;
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_our_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let table = super::sockets(std::process::id());
        assert!(!table.is_empty());
        // other tests of this process may listen too
        assert!(super::of(std::process::id()).is_some_and(|p| p > 0), "{port}");
    }
}
