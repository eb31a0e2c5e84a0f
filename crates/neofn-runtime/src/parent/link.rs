//! The node's end of one child: its two sockets, the calls and requests under way in it.

use super::slot::{Event, Raw, Slot};
use super::watched::Watched;
use crate::child::ROLE_SANDBOX;
use crate::parent::PoolOptions;
use crate::parent::process::{Process, Spawner};
use crate::proto::control::{Envelope, FILE_BYTES_MAX, FILES, Hello, Numbered, Reply, Request};
use crate::proto::frame::PACKET_BYTES_MAX;
use crate::proto::socket::{self, Outgoing};
use crate::proto::{Frame, Kind, Message, Reassembly, fds};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};

/// Starting, confining, and saying so takes milliseconds; a loaded machine makes it more.
const HELLO_WITHIN: Duration = Duration::from_secs(20);
/// Messages of several packets that are sent at the same time: a child keeps the pieces of each, and not without end.
const LARGE_AT_ONCE: usize = 16;
/// Packets read in a row before other tasks of the thread get their turn.
const BATCH: u32 = 128;

/// An answer with the files that came before it.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) files: [Vec<u8>; FILES],
}

impl Answer {
    /// Takes a file out; empty when none came.
    pub(super) fn take(&mut self, file: u8) -> Vec<u8> {
        self.files
            .get_mut(usize::from(file))
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

struct Pending {
    tell: oneshot::Sender<Answer>,
    files: [Vec<u8>; FILES],
}

/// Why a child cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// It refuses to run without its confinement.
    #[error("confinement refused: {0}")]
    Refused(String),
    /// Its process or a socket failed.
    #[error("child process: {0}")]
    Io(#[from] io::Error),
    /// It says that it could not do what it was asked.
    #[error("{0}")]
    Failed(String),
}

/// One child.
pub(super) struct Link {
    /// Tells one child from its successor.
    pub(super) generation: u64,
    pub(super) process: Process,
    /// The confinement that holds.
    pub(super) tier: String,
    data: Watched,
    control: Watched,
    calls: Mutex<HashMap<u64, Arc<Slot>>>,
    requests: Mutex<HashMap<u32, Pending>>,
    next_request: AtomicU32,
    /// Calls that run, not those that wait for host calls.
    pub(super) running: AtomicU32,
    /// No new calls: it will be replaced.
    pub(super) retiring: AtomicBool,
    closed: AtomicBool,
    kill: Notify,
    /// One permit for each call that may run; taken before `register`, given back when the call stops running.
    permits: Arc<Semaphore>,
    /// One for each message of several packets under way to the child.
    large: Semaphore,
}

impl Link {
    /// Starts a role and waits until it is confined.
    pub(super) async fn open(
        options: &PoolOptions,
        spawner: &Spawner,
        role: &str,
        generation: u64,
        permits: Arc<Semaphore>,
    ) -> Result<Arc<Self>, LinkError> {
        let (data, child_data) = socket::pair()?;
        let (control, child_control) = socket::pair()?;
        socket::set_nonblocking(&data)?;
        socket::set_nonblocking(&control)?;
        let given = if role == ROLE_SANDBOX {
            vec![child_control, child_data]
        } else {
            vec![child_control]
        };
        let process = spawner.spawn(options, role, given).await?;
        let control = Watched::new(control)?;
        let tier = match tokio::time::timeout(HELLO_WITHIN, hello(&control)).await {
            Ok(Ok(Hello::Ready { tier })) => tier,
            Ok(Ok(Hello::Refused { reason })) => return Err(LinkError::Refused(reason)),
            Ok(Err(e)) => return Err(e.into()),
            Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        };
        Ok(Arc::new(Self {
            generation,
            process,
            tier,
            data: Watched::new(data)?,
            control,
            calls: Mutex::default(),
            requests: Mutex::default(),
            next_request: AtomicU32::new(0),
            running: AtomicU32::new(0),
            retiring: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            kill: Notify::new(),
            permits,
            large: Semaphore::new(LARGE_AT_ONCE),
        }))
    }
    /// Reads both sockets until the child is gone or was killed. Everything under way has failed afterwards.
    pub(super) async fn serve(&self) {
        let ended = tokio::select! {
            r = self.read_data() => r,
            r = self.read_control() => r,
            () = self.kill.notified() => Ok(()),
        };
        if let Err(e) = ended {
            tracing::warn!(pid = self.process.pid, error = %e, "sandbox child gone");
        }
        self.close();
    }
    /// The one request of a role that has no calls and ends with its answer.
    pub(super) async fn job(&self, body: Request, fds: &[&OwnedFd]) -> Result<Answer, LinkError> {
        let read = async {
            let ended = self.read_control().await;
            self.close();
            ended
        };
        // the answer may come together with the end of the process: the reader's end alone says nothing
        let (answer, _) = tokio::join!(self.request(body, fds), read);
        answer
    }
    /// Gives the child up: `serve` returns, all that is under way fails.
    pub(super) fn kill(&self) {
        self.retiring.store(true, Ordering::Release);
        self.kill.notify_one();
    }
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // a child that reads nothing would be waited for, by calls that keep it alive
        self.process.kill();
        self.data.close();
        self.control.close();
        self.large.close();
        let calls = std::mem::take(&mut *self.calls.lock());
        for slot in calls.values() {
            self.stop_counting(slot);
            slot.end(Event::Lost);
        }
        self.requests.lock().clear();
    }
    pub(super) fn is_usable(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && !self.retiring.load(Ordering::Acquire)
    }
    pub(super) fn in_flight(&self) -> usize {
        self.calls.lock().len()
    }
    /// Calls under way, for the sweep.
    pub(super) fn slots(&self) -> Vec<(u64, Arc<Slot>)> {
        self.calls
            .lock()
            .iter()
            .map(|(id, s)| (*id, Arc::clone(s)))
            .collect()
    }
    /// Enters a call before it is sent. It stays until its end arrives, even when nobody waits any more.
    /// False: the child is gone.
    pub(super) fn register(&self, id: u64, slot: &Arc<Slot>) -> bool {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.calls.lock().insert(id, Arc::clone(slot));
        // `close` sets the mark before it empties the map, so one of the two sees the other
        if self.closed.load(Ordering::SeqCst) {
            self.calls.lock().remove(&id);
            self.stop_counting(slot);
            return false;
        }
        true
    }
    fn stop_counting(&self, slot: &Slot) {
        if slot.stop_counting() {
            self.running.fetch_sub(1, Ordering::Relaxed);
            self.permits.add_permits(1);
        }
    }
    pub(super) async fn send(
        &self,
        id: u64,
        kind: Kind,
        index: u32,
        head: &[u8],
        body: &[u8],
    ) -> io::Result<()> {
        let out = Outgoing::new(id, kind, index, head, body)?;
        self.send_all(out, &AtomicBool::new(false)).await
    }
    /// Sends a call, and notes when its child has seen something of it.
    pub(super) async fn send_call(&self, id: u64, slot: &Slot, head: &[u8], body: &[u8]) -> io::Result<()> {
        let out = Outgoing::new(id, Kind::Call, 0, head, body)?;
        self.send_all(out, &slot.begun).await
    }
    async fn send_all(&self, mut out: Outgoing<'_>, begun: &AtomicBool) -> io::Result<()> {
        let _turn = match out.is_large() {
            true => Some(self.large.acquire().await.map_err(io::Error::other)?),
            false => None,
        };
        let fd = self.data.raw();
        let send = || {
            let sent = out.send(fd);
            begun.store(out.is_begun(), Ordering::Relaxed);
            sent
        };
        self.data.send(send).await
    }
    /// Takes back a call of which nothing was sent.
    pub(super) fn withdraw(&self, id: u64) {
        let slot = self.calls.lock().remove(&id);
        if let Some(slot) = slot {
            self.stop_counting(&slot);
        }
    }
    /// Nobody waits for a call any more.
    pub(super) fn abandon(&self, id: u64) {
        let slot = self.calls.lock().get(&id).map(Arc::clone);
        match slot {
            Some(slot) if slot.begun.load(Ordering::Relaxed) => {
                self.give_up(id, &slot);
            }
            // the child knows nothing of it and would not answer
            Some(_) => self.withdraw(id),
            None => {}
        }
    }
    /// A call is to end. The sweep asks again: the socket may be full, or the child just about to begin it.
    pub(super) fn give_up(&self, id: u64, slot: &Slot) {
        slot.given_up.store(true, Ordering::Relaxed);
        self.cancel(id);
    }
    /// Asks for the end of a call, without waiting: the sweep asks again when the socket is full.
    pub(super) fn cancel(&self, id: u64) {
        if let Ok(mut out) = Outgoing::new(id, Kind::Cancel, 0, &[], &[]) {
            let _ = out.send(self.data.raw());
        }
    }
    /// Asks for something on the control socket and waits for the answer.
    pub(super) async fn request(&self, body: Request, fds: &[&OwnedFd]) -> Result<Answer, LinkError> {
        let number = self.next_request.fetch_add(1, Ordering::Relaxed);
        let bytes = postcard::to_stdvec(&Numbered { number, body }).map_err(io::Error::other)?;
        let (tell, told) = oneshot::channel();
        let files = <[Vec<u8>; FILES]>::default();
        self.requests.lock().insert(number, Pending { tell, files });
        if self.closed.load(Ordering::SeqCst) {
            self.requests.lock().remove(&number);
        }
        if let Err(e) = self.send_request(&bytes, fds).await {
            self.requests.lock().remove(&number);
            return Err(e.into());
        }
        let gone = |_| io::Error::from(io::ErrorKind::ConnectionReset);
        let answer = told.await.map_err(gone)?;
        match answer.reply {
            Reply::Failed { reason } => Err(LinkError::Failed(reason)),
            _ => Ok(answer),
        }
    }
    async fn send_request(&self, bytes: &[u8], fds: &[&OwnedFd]) -> io::Result<()> {
        let send = || {
            let fds: Vec<_> = fds.iter().map(|f| f.as_fd()).collect();
            fds::send(self.control.raw(), bytes, &fds)
        };
        self.control.send(send).await
    }
    async fn read_control(&self) -> io::Result<()> {
        let mut packet = vec![0u8; PACKET_BYTES_MAX];
        loop {
            let n = self.control.receive(&mut packet).await?;
            if n == 0 {
                return Ok(());
            }
            let message: Numbered<Envelope<'_>> =
                postcard::from_bytes(packet.get(..n).unwrap_or_default()).map_err(io::Error::other)?;
            let mut requests = self.requests.lock();
            match message.body {
                Envelope::Piece { file, bytes } => {
                    let pending = requests.get_mut(&message.number);
                    let into = pending.and_then(|p| p.files.get_mut(usize::from(file)));
                    let Some(into) = into else { continue };
                    if into.len() + bytes.len() > FILE_BYTES_MAX {
                        return Err(io::Error::other("a file above its bound"));
                    }
                    into.extend_from_slice(bytes);
                }
                Envelope::End(reply) => {
                    if let Some(p) = requests.remove(&message.number) {
                        // nobody waits any more: its future was dropped
                        let _ = p.tell.send(Answer {
                            reply,
                            files: p.files,
                        });
                    }
                }
            }
        }
    }
    async fn read_data(&self) -> io::Result<()> {
        let mut packet = vec![0u8; PACKET_BYTES_MAX];
        let mut partial = Reassembly::default();
        let fd = self.data.raw();
        loop {
            let mut ready = self.data.readable().await?;
            for _ in 0..BATCH {
                match socket::receive(fd, &mut packet) {
                    Ok(0) => return Ok(()),
                    Ok(n) => self.packet(packet.get(..n).unwrap_or_default(), &mut partial)?,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        ready.clear_ready();
                        break;
                    }
                    Err(e) => return Err(e),
                }
            }
        }
    }
    fn packet(&self, packet: &[u8], partial: &mut Reassembly) -> io::Result<()> {
        let frame = Frame::parse(packet).map_err(io::Error::other)?;
        if frame.is_whole() {
            let m = frame.message().map_err(io::Error::other)?;
            return self.message(&m, Bytes::copy_from_slice(frame.payload), partial);
        }
        if !self.calls.lock().contains_key(&frame.header.id) {
            return Ok(());
        }
        if let Some(whole) = partial.add(&frame).map_err(io::Error::other)? {
            let m = whole.message().map_err(io::Error::other)?;
            let bytes = [m.head, m.body].concat();
            return self.message(&m, bytes.into(), partial);
        }
        Ok(())
    }
    fn message(&self, m: &Message<'_>, bytes: Bytes, partial: &mut Reassembly) -> io::Result<()> {
        let raw = Raw::new(bytes, m.head.len());
        match m.kind {
            Kind::Done => {
                let slot = self.calls.lock().remove(&m.id);
                if let Some(slot) = slot {
                    partial.forget(m.id);
                    self.stop_counting(&slot);
                    slot.end(Event::Done(raw));
                }
            }
            Kind::HostCalls => {
                let slot = self.calls.lock().get(&m.id).map(Arc::clone);
                if let Some(slot) = slot {
                    self.stop_counting(&slot);
                    if !slot.ask(raw) {
                        return Err(io::Error::other("host calls above their bound"));
                    }
                }
            }
            Kind::Call | Kind::HostResult | Kind::Cancel => {
                return Err(io::Error::other("message of the node sent to the node"));
            }
        }
        Ok(())
    }
}

async fn hello(control: &Watched) -> io::Result<Hello> {
    let mut packet = vec![0u8; PACKET_BYTES_MAX];
    let n = control.receive(&mut packet).await?;
    if n == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the child ended before it was ready",
        ));
    }
    postcard::from_bytes(packet.get(..n).unwrap_or_default()).map_err(io::Error::other)
}
