//! Packets that carry descriptors, and memory files.
//!
//! The jail forbids a child to make memory files, so the node makes them: read-only ones to give bytes to a child, and
//! writable ones to get bytes back.

use super::frame::PACKET_BYTES_MAX;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

/// Most descriptors in one packet.
pub const FDS_MAX: usize = 8;
// room for FDS_MAX descriptors and the header, aligned by u64
const ANCILLARY_WORDS: usize = 8;

/// Sends a packet with descriptors.
pub fn send(fd: RawFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > FDS_MAX || bytes.len() > PACKET_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "packet too large"));
    }
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let payload = u32::try_from(size_of_val(raw.as_slice())).map_err(io::Error::other)?;
    let mut ancillary = [0u64; ANCILLARY_WORDS];
    loop {
        // SAFETY: msghdr points at buffers that outlive the call; `ancillary` holds CMSG_SPACE of FDS_MAX descriptors
        // (16 + 8 * 4 = 48 bytes of 64) and is aligned for cmsghdr.
        let r = unsafe {
            let mut iov = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let mut msg: libc::msghdr = std::mem::zeroed();
            msg.msg_iov = &raw mut iov;
            msg.msg_iovlen = 1;
            if !raw.is_empty() {
                msg.msg_control = ancillary.as_mut_ptr().cast();
                msg.msg_controllen = libc::CMSG_SPACE(payload) as usize;
                let c = libc::CMSG_FIRSTHDR(&raw const msg);
                (*c).cmsg_level = libc::SOL_SOCKET;
                (*c).cmsg_type = libc::SCM_RIGHTS;
                (*c).cmsg_len = libc::CMSG_LEN(payload) as usize;
                std::ptr::copy_nonoverlapping(
                    raw.as_ptr().cast::<u8>(),
                    libc::CMSG_DATA(c),
                    payload as usize,
                );
            }
            libc::sendmsg(fd, &raw const msg, libc::MSG_NOSIGNAL)
        };
        if r >= 0 {
            return Ok(());
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}

/// Receives a packet and its descriptors; no bytes mean that the peer is gone.
pub fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut ancillary = [0u64; ANCILLARY_WORDS];
    loop {
        // SAFETY: msghdr points at buffers that outlive the call and states their true sizes; the kernel bounds what it
        // writes by them. Descriptors in SCM_RIGHTS are new and owned by nobody else.
        let (r, fds, flags) = unsafe {
            let mut iov = libc::iovec {
                iov_base: buf.as_mut_ptr().cast(),
                iov_len: buf.len(),
            };
            let mut msg: libc::msghdr = std::mem::zeroed();
            msg.msg_iov = &raw mut iov;
            msg.msg_iovlen = 1;
            msg.msg_control = ancillary.as_mut_ptr().cast();
            msg.msg_controllen = size_of_val(&ancillary);
            let r = libc::recvmsg(fd, &raw mut msg, libc::MSG_CMSG_CLOEXEC);
            let mut fds = Vec::new();
            if r >= 0 {
                let mut c = libc::CMSG_FIRSTHDR(&raw const msg);
                while !c.is_null() {
                    if (*c).cmsg_level == libc::SOL_SOCKET && (*c).cmsg_type == libc::SCM_RIGHTS {
                        let n = ((*c).cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                        let at = libc::CMSG_DATA(c).cast::<RawFd>();
                        for i in 0..n {
                            fds.push(OwnedFd::from_raw_fd(at.add(i).read_unaligned()));
                        }
                    }
                    c = libc::CMSG_NXTHDR(&raw const msg, c);
                }
            }
            (r, fds, msg.msg_flags)
        };
        if let Ok(n) = usize::try_from(r) {
            if flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "packet cut short"));
            }
            return Ok((n, fds));
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}

/// An empty memory file.
pub fn memory_file(name: &std::ffi::CStr) -> io::Result<File> {
    // SAFETY: `name` is a C string; the descriptor is new.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(fd))
    }
}

/// A memory file that holds `bytes` and that nobody can change any more.
pub fn sealed(name: &std::ffi::CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = memory_file(name)?;
    file.write_all(bytes)?;
    seal(&file)?;
    Ok(file.into())
}

/// Forbids every later change of a memory file's bytes and size.
pub fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: fcntl on an open descriptor with an int.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Another descriptor of the same memory file with a position of its own: a position is shared with whoever was sent
/// the first one.
pub fn reopen(file: &OwnedFd) -> io::Result<OwnedFd> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map(OwnedFd::from)
}

/// Reads all of a memory file, at most `most` bytes. Leaves its position alone, which other processes share.
pub fn read_all(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    if len > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{len} bytes where at most {most} may be"),
        ));
    }
    let mut out = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut out, 0)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::socket;
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_cross_and_sealed_files_stay_as_they_are() {
        let (a, b) = socket::pair().unwrap();
        let file = sealed(c"t", b"hello").unwrap();
        send(a.as_raw_fd(), b"two", &[file.as_fd(), file.as_fd()]).unwrap();
        let mut buf = [0; 100];
        let (n, fds) = receive(b.as_raw_fd(), &mut buf).unwrap();
        assert_eq!(&buf[..n], b"two");
        assert_eq!(fds.len(), 2);
        let mut got = File::from(fds.into_iter().next().unwrap());
        assert_eq!(read_all(&got, 10).unwrap(), b"hello");
        assert!(got.write_all(b"x").is_err());
        assert!(read_all(&got, 4).is_err());
    }
}
