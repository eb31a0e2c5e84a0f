//! How commands reach the writer: a queue that is bounded by count and by bytes, and the barrier that lets a
//! read see every write that was sent before it.

use crate::error::Fault;
use crate::writer::{Board, Command, Message, Work};
use neofn_types::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// A command costs one permit and one for each 4 KiB it carries: at most 16 384 commands or 64 MiB wait.
const PERMITS: usize = 16_384;
const BYTES_A_PERMIT: usize = 4096;

struct Call<F, T> {
    work: F,
    out: Option<T>,
    reply: oneshot::Sender<Result<T, Fault>>,
    _permit: OwnedSemaphorePermit,
}

impl<F, T> Command for Call<F, T>
where
    F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send,
    T: Send,
{
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        self.out = Some((self.work)(work)?);
        Ok(())
    }
    fn answer(self: Box<Self>, verdict: Result<(), Fault>) {
        let out = self.out.ok_or(Fault::Panicked);
        // nobody listening is fine: the work is done either way
        let _ = self.reply.send(verdict.and(out));
    }
}

/// The way to the writer.
pub(crate) struct Queue {
    sender: Sender<Message>,
    sent: AtomicU64,
    done: watch::Receiver<u64>,
    board: Arc<Mutex<Board>>,
    closed: AtomicBool,
    room: Arc<Semaphore>,
    /// More room, for writes that nobody waits for: they cannot be slowed down, only refused.
    overflow: Arc<Semaphore>,
}

impl Queue {
    pub(crate) fn new(sender: Sender<Message>, done: watch::Receiver<u64>, board: Arc<Mutex<Board>>) -> Self {
        Self {
            sender,
            sent: AtomicU64::new(0),
            done,
            board,
            closed: AtomicBool::new(false),
            room: Arc::new(Semaphore::new(PERMITS)),
            overflow: Arc::new(Semaphore::new(PERMITS)),
        }
    }

    /// Has `work` done, waiting for room in the queue first. `bytes` is about what it carries.
    pub(crate) async fn call<T, F>(&self, bytes: usize, work: F) -> Result<T, Fault>
    where
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let permit = match Arc::clone(&self.room).try_acquire_many_owned(weight(bytes)) {
            Ok(permit) => permit,
            Err(_) => Arc::clone(&self.room)
                .acquire_many_owned(weight(bytes))
                .await
                .map_err(|_| Fault::Closed)?,
        };
        self.send(permit, work)?.await.map_err(|_| Fault::Closed)?
    }

    /// As `call`, but hands `work` over at once or refuses it: whoever drops the answer still gets it done.
    pub(crate) fn post<T, F>(
        &self,
        bytes: usize,
        work: F,
    ) -> Result<oneshot::Receiver<Result<T, Fault>>, Fault>
    where
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let permit = Arc::clone(&self.room)
            .try_acquire_many_owned(weight(bytes))
            .or_else(|_| Arc::clone(&self.overflow).try_acquire_many_owned(weight(bytes)))
            .map_err(|_| Fault::Overrun)?;
        self.send(permit, work)
    }

    fn send<T, F>(
        &self,
        permit: OwnedSemaphorePermit,
        work: F,
    ) -> Result<oneshot::Receiver<Result<T, Fault>>, Fault>
    where
        F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        self.check_open()?;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            work,
            out: None,
            reply,
            _permit: permit,
        };
        // counted before it is sent: a reader that sees the count waits at least for what was sent before it
        self.sent.fetch_add(1, Ordering::SeqCst);
        self.sender
            .send(Message::Run(Box::new(call)))
            .map_err(|_| Fault::Closed)?;
        Ok(answer)
    }

    /// Refuses when the store was closed: another process may own the directory by now.
    pub(crate) fn check_open(&self) -> Result<(), Fault> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Fault::Closed);
        }
        Ok(())
    }

    /// Waits until everything that was sent before is committed. Costs nothing when nothing waits.
    pub(crate) async fn barrier(&self) -> Result<(), Fault> {
        self.check_open()?;
        let target = self.sent.load(Ordering::SeqCst);
        if *self.done.borrow() >= target {
            return Ok(());
        }
        let mut done = self.done.clone();
        done.wait_for(|n| *n >= target)
            .await
            .map(drop)
            .map_err(|_| Fault::Closed)
    }

    /// What the writer last told.
    pub(crate) fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T {
        read(&self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses further commands, finishes the waiting ones and closes the database.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.sender
            .send(Message::Stop(reply))
            .map_err(|_| Fault::Closed)?;
        answer.await.map_err(|_| Fault::Closed)?
    }
}

fn weight(bytes: usize) -> u32 {
    let permits = (1 + bytes / BYTES_A_PERMIT).min(PERMITS / 4);
    u32::try_from(permits).unwrap_or(u32::MAX)
}
