//! A socket to a child, watched by the runtime of the node.

use crate::proto::fds;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Before it is looked again whether there is room, where it cannot be watched for.
const NO_DESCRIPTOR: Duration = Duration::from_millis(2);

/// A socket, watched for what can be read alone. One that is watched for room as well wakes a thread of the node with every
/// packet that the child takes out of it: once a call, for nothing.
pub(super) struct Watched {
    fd: AsyncFd<OwnedFd>,
    /// Who waits for room, and those behind him.
    full: Mutex<()>,
    /// Nobody waits for room any more.
    closed: CancellationToken,
}

fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` answers the same descriptor for as long as it lives, and lives as long as the registration.
    unsafe { AsyncFd::register_with_interest(fd, interest).map_err(io::Error::from) }
}

impl Watched {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            fd: watch(fd, Interest::READABLE)?,
            full: Mutex::new(()),
            closed: CancellationToken::new(),
        })
    }
    pub(super) fn raw(&self) -> RawFd {
        self.fd.get_ref().as_raw_fd()
    }
    /// Sends at once when there is room, else when there is.
    pub(super) async fn send(&self, mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        match send() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(io::ErrorKind::ConnectionReset.into()),
            sent = self.send_later(send) => sent,
        }
    }
    /// The other side was given up: it may never make room.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
    async fn send_later(&self, mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let _turn = self.full.lock().await;
        let room = loop {
            match self.room() {
                Ok(room) => break room,
                // the node has no descriptor left, which says nothing of the child
                Err(_) => tokio::time::sleep(NO_DESCRIPTOR).await,
            }
            match send() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        };
        loop {
            let mut ready = room.writable().await?;
            if let Ok(done) = ready.try_io(|_| send()) {
                return done;
            }
        }
    }
    /// The same socket, watched for room.
    fn room(&self) -> io::Result<AsyncFd<OwnedFd>> {
        watch(self.fd.get_ref().try_clone()?, Interest::WRITABLE)
    }
    /// Waits until there is something to read.
    pub(super) async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.fd.readable().await
    }
    /// One packet. A child has no reason to send descriptors: they are closed unseen.
    pub(super) async fn receive(&self, packet: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.readable().await?;
            if let Ok(got) = ready.try_io(|fd| fds::receive(fd.as_raw_fd(), packet)) {
                return got.map(|(n, _)| n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::socket;
    use std::io::ErrorKind::WouldBlock;

    fn packet(fd: RawFd) -> io::Result<()> {
        // SAFETY: the buffer is there for the call and as long as it is said to be.
        let sent = unsafe { libc::send(fd, [7_u8; 4_096].as_ptr().cast(), 4_096, libc::MSG_NOSIGNAL) };
        (sent >= 0).then_some(()).ok_or_else(io::Error::last_os_error)
    }

    #[tokio::test]
    async fn who_finds_no_room_sends_when_there_is() {
        let (ours, theirs) = socket::pair().unwrap();
        socket::set_nonblocking(&ours).unwrap();
        let ours = Watched::new(ours).unwrap();
        let mut there = 0;
        while packet(ours.raw()).is_ok() {
            there += 1;
        }
        assert_eq!(packet(ours.raw()).unwrap_err().kind(), WouldBlock);
        let all = there + 3;
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            for _ in 0..all {
                std::thread::sleep(Duration::from_micros(200));
                assert_eq!(socket::receive(theirs.as_raw_fd(), &mut buffer).unwrap(), 4_096);
            }
        });
        let raw = ours.raw();
        let one = ours.send(|| packet(raw));
        let two = ours.send(|| packet(raw));
        let three = ours.send(|| packet(raw));
        let (one, two, three) = tokio::join!(one, two, three);
        one.and(two).and(three).unwrap();
        reader.join().unwrap();
    }
}
