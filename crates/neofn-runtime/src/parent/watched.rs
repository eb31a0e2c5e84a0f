//! A socket to a child, watched by the runtime of the node.

use crate::proto::fds;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::Mutex;

/// A socket, watched for what can be read alone. One that is watched for room as well wakes a thread of the node with every
/// packet that the child takes out of it: once a call, for nothing.
pub(super) struct Watched {
    fd: AsyncFd<OwnedFd>,
    /// Who waits for room, and those behind him.
    full: Mutex<()>,
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
        let _turn = self.full.lock().await;
        let room = watch(self.fd.get_ref().try_clone()?, Interest::WRITABLE)?;
        loop {
            let mut ready = room.writable().await?;
            if let Ok(done) = ready.try_io(|_| send()) {
                return done;
            }
        }
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
