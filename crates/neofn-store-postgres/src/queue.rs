//! How results and history reach the writers: bounded by count and by bytes; and the barrier that lets a read see
//! every write that was handed over before it.

use crate::error::Fault;
use neofn_engine::port::{Admitted, Finish, NewInvocation, Record, StoreError};
use neofn_rows::Encoded;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// A command costs one permit and one for each 4 KiB it carries: at most 16 384 commands or 64 MiB wait.
const PERMITS: usize = 16_384;
const BYTES_A_PERMIT: usize = 4096;

/// A command that may share a transaction with others.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// An unkeyed invocation that waits.
    Admit(Arc<NewInvocation>),
    /// One with a key, or that its caller runs, for which money is set aside: all of these wait for the one lock of the ledger,
    /// so that one that takes it takes them along.
    AdmitPaid(Arc<NewInvocation>),
    Finish(Arc<(Finish, Encoded)>),
    Record(RecordOp),
}

/// One of several records.
#[derive(Debug, Clone)]
pub(crate) struct RecordOp {
    pub all: Arc<[Record]>,
    pub at: usize,
    pub encoded: Arc<Encoded>,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) enum Done {
    Admitted(Admitted),
    Written,
}

pub(crate) type Verdict = Result<Done, StoreError>;

/// A command on its way.
pub(crate) struct Sent {
    pub op: Op,
    pub reply: oneshot::Sender<Verdict>,
    _permit: OwnedSemaphorePermit,
    _ticket: Ticket,
}

/// Commands that have been handed over and not answered.
#[derive(Debug)]
struct Flight {
    state: Mutex<(u64, BTreeSet<u64>)>,
    /// Every command below this number has been answered.
    low: watch::Sender<u64>,
}

struct Ticket {
    flight: Arc<Flight>,
    number: u64,
}

impl Flight {
    fn enter(self: &Arc<Self>) -> Ticket {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.0;
        state.0 += 1;
        state.1.insert(number);
        Ticket {
            flight: Arc::clone(self),
            number,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.flight.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.remove(&self.number);
        let low = state.1.first().copied().unwrap_or(state.0);
        self.flight.low.send_replace(low);
    }
}

/// How many invocations of a function wait, as far as this node knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub counted: u64,
    pub since: u64,
    pub at: Duration,
}

/// By function.
pub(crate) type Loads = Arc<Mutex<HashMap<i64, Load>>>;

/// The way to the writers.
pub(crate) struct Queue {
    sender: Mutex<Option<UnboundedSender<Sent>>>,
    flight: Arc<Flight>,
    closed: AtomicBool,
    room: Arc<Semaphore>,
    /// More room, for writes that nobody waits for: they cannot be slowed down, only refused.
    overflow: Arc<Semaphore>,
    loads: Loads,
}

impl Queue {
    pub(crate) fn new() -> (Self, UnboundedReceiver<Sent>) {
        let (sender, inbox) = unbounded_channel();
        let queue = Self {
            sender: Mutex::new(Some(sender)),
            flight: Arc::new(Flight {
                state: Mutex::default(),
                low: watch::channel(0).0,
            }),
            closed: AtomicBool::new(false),
            room: Arc::new(Semaphore::new(PERMITS)),
            overflow: Arc::new(Semaphore::new(PERMITS)),
            loads: Loads::default(),
        };
        (queue, inbox)
    }
    pub(crate) fn loads(&self) -> Loads {
        self.loads.clone()
    }

    /// Has a command done, waiting for room first. `bytes` is about what it carries.
    pub(crate) async fn call(&self, bytes: usize, op: Op) -> Verdict {
        let permit = Arc::clone(&self.room)
            .acquire_many_owned(weight(bytes))
            .await
            .map_err(|_| Fault::Closed)?;
        self.send(permit, op)?.await.map_err(|_| Fault::Closed)?
    }
    /// As `call`, but hands the command over at once or refuses it: whoever drops the answer still gets it done.
    pub(crate) fn post(&self, bytes: usize, op: Op) -> Result<oneshot::Receiver<Verdict>, Fault> {
        let permit = Arc::clone(&self.room)
            .try_acquire_many_owned(weight(bytes))
            .or_else(|_| Arc::clone(&self.overflow).try_acquire_many_owned(weight(bytes)))
            .map_err(|_| Fault::Overrun)?;
        self.send(permit, op)
    }
    fn send(&self, permit: OwnedSemaphorePermit, op: Op) -> Result<oneshot::Receiver<Verdict>, Fault> {
        let (reply, answer) = oneshot::channel();
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = Sent {
            op,
            reply,
            _permit: permit,
            _ticket: self.flight.enter(),
        };
        sender
            .as_ref()
            .ok_or(Fault::Closed)?
            .send(sent)
            .map_err(|_| Fault::Closed)?;
        Ok(answer)
    }

    /// Refuses when the store was closed.
    pub(crate) fn check_open(&self) -> Result<(), Fault> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Fault::Closed);
        }
        Ok(())
    }
    /// Waits until everything that was handed over before is written. Costs nothing when nothing waits.
    pub(crate) async fn barrier(&self) -> Result<(), Fault> {
        self.check_open()?;
        self.written().await;
        Ok(())
    }
    async fn written(&self) {
        let target = {
            let state = self.flight.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.1.is_empty() {
                return;
            }
            state.0
        };
        // the sender lives as long as we do
        let _ = self.flight.low.subscribe().wait_for(|low| *low >= target).await;
    }
    /// Refuses further commands and finishes the waiting ones.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.written().await;
    }
}

fn weight(bytes: usize) -> u32 {
    let permits = (1 + bytes / BYTES_A_PERMIT).min(PERMITS / 4);
    u32::try_from(permits).unwrap_or(u32::MAX)
}
