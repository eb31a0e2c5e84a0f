//! Sends and receives packets on a `SOCK_SEQPACKET` socket.
//!
//! Knows nothing of who reads. The descriptor's own mode decides whether a call blocks.

use super::frame::{FrameHeader, HEADER_BYTES, Kind, MESSAGE_BYTES_MAX, PACKET_BYTES_MAX};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Room for several packets of the largest size, so that a writer seldom waits for the reader to wake up.
const SEND_BUFFER_BYTES: libc::c_int = 2 << 20;

/// A connected pair of sockets that keep packet borders, closed at exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0 as RawFd; 2];
    // SAFETY: `fds` has room for the two descriptors that socketpair writes.
    let r = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        )
    };
    if r != 0 {
        return Err(io::Error::last_os_error());
    }
    let room = SEND_BUFFER_BYTES;
    for fd in fds {
        // SAFETY: reads an int that outlives the call. A refusal leaves the default size, which works too.
        unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_SNDBUF,
                (&raw const room).cast(),
                libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4),
            );
        }
    }
    // SAFETY: both were just made and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Makes a socket answer "would block" instead of waiting.
pub fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: fcntl on a descriptor that is open for the length of the borrow.
    let r = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK)
    };
    if r < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A message on its way out. Sending can stop between packets and go on later.
pub struct Outgoing<'a> {
    header: FrameHeader,
    head: &'a [u8],
    body: &'a [u8],
    sent: usize,
    started: bool,
}

impl<'a> Outgoing<'a> {
    /// Refuses a message above the bound, so that the reader never has to.
    pub fn new(id: u64, kind: Kind, index: u32, head: &'a [u8], body: &'a [u8]) -> io::Result<Self> {
        let total = head.len() + body.len();
        if total > MESSAGE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "message above the bound of the protocol",
            ));
        }
        let narrow = |n: usize| u32::try_from(n).map_err(io::Error::other);
        Ok(Self {
            header: FrameHeader {
                id,
                index,
                total: narrow(total)?,
                offset: 0,
                head: narrow(head.len())?,
                kind,
            },
            head,
            body,
            sent: 0,
            started: false,
        })
    }
    /// Whether it takes several packets.
    pub fn is_large(&self) -> bool {
        self.head.len() + self.body.len() > PACKET_BYTES_MAX - HEADER_BYTES
    }
    /// Whether a packet of it was sent.
    pub fn is_begun(&self) -> bool {
        self.started
    }
    /// Sends what is left. `WouldBlock` says to call again when the socket is writable.
    pub fn send(&mut self, fd: RawFd) -> io::Result<()> {
        let total = self.head.len() + self.body.len();
        while !self.started || self.sent < total {
            let n = (total - self.sent).min(PACKET_BYTES_MAX - HEADER_BYTES);
            let header = FrameHeader {
                offset: u32::try_from(self.sent).map_err(io::Error::other)?,
                ..self.header
            }
            .encode();
            let (head, body) = self.piece(n);
            send_packet(
                fd,
                &[IoSlice::new(&header), IoSlice::new(head), IoSlice::new(body)],
            )?;
            self.sent += n;
            self.started = true;
        }
        Ok(())
    }
    fn piece(&self, n: usize) -> (&'a [u8], &'a [u8]) {
        let end = self.sent + n;
        let cut = |b: &'a [u8], from: usize, to: usize| {
            b.get(from.min(b.len())..to.min(b.len())).unwrap_or_default()
        };
        let h = self.head.len();
        (
            cut(self.head, self.sent, end),
            cut(self.body, self.sent.saturating_sub(h), end.saturating_sub(h)),
        )
    }
}

fn send_packet(fd: RawFd, parts: &[IoSlice<'_>]) -> io::Result<()> {
    loop {
        // SAFETY: IoSlice has the layout of iovec; all of it outlives the call.
        let r = unsafe {
            let mut msg: libc::msghdr = std::mem::zeroed();
            msg.msg_iov = parts.as_ptr().cast_mut().cast();
            msg.msg_iovlen = parts.len();
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

/// Receives one packet into `buf`; 0 bytes mean that the peer is gone.
pub fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the kernel writes at most `buf.len()` bytes into `buf`.
        let r = unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), 0) };
        if let Ok(n) = usize::try_from(r) {
            return Ok(n);
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Reassembly};
    use super::*;

    #[test]
    fn a_large_message_crosses_in_pieces() {
        let (a, b) = pair().unwrap();
        let body: Vec<u8> = (0..1_048_576u32).map(|i| i.to_le_bytes()[1]).collect();
        let expected = body.clone();
        let writer = std::thread::spawn(move || {
            Outgoing::new(1, Kind::Call, 0, b"head", &body)
                .unwrap()
                .send(a.as_raw_fd())
                .unwrap();
        });
        let mut buf = vec![0; PACKET_BYTES_MAX];
        let mut all = Reassembly::default();
        let whole = loop {
            let n = receive(b.as_raw_fd(), &mut buf).unwrap();
            assert!(n > 0);
            if let Some(m) = all.add(&Frame::parse(&buf[..n]).unwrap()).unwrap() {
                break m;
            }
        };
        let m = whole.message().unwrap();
        assert_eq!(m.head, b"head");
        assert!(m.body == expected);
        writer.join().unwrap();
    }
    #[test]
    fn a_full_socket_says_so_and_sending_goes_on_later() {
        let (a, b) = pair().unwrap();
        set_nonblocking(&a).unwrap();
        set_nonblocking(&b).unwrap();
        let body = vec![1u8; MESSAGE_BYTES_MAX - 10];
        let mut out = Outgoing::new(1, Kind::Call, 0, &[], &body).unwrap();
        let mut buf = vec![0; PACKET_BYTES_MAX];
        let (mut all, mut blocked, mut whole) = (Reassembly::default(), 0, None);
        while whole.is_none() {
            match out.send(a.as_raw_fd()) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => blocked += 1,
                Err(e) => panic!("{e}"),
            }
            while let Ok(n) = receive(b.as_raw_fd(), &mut buf) {
                if let Some(m) = all.add(&Frame::parse(&buf[..n]).unwrap()).unwrap() {
                    whole = Some(m);
                }
            }
        }
        assert!(blocked > 0, "the socket took 4 MiB at once");
        assert!(whole.unwrap().message().unwrap().body == body);
    }
}
