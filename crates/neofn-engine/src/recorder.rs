//! Writes history rows of plain calls behind their answers: bounded, counted, and visible to later reads.
//!
//! A plain synchronous call has no effect but its history row, so its caller need not wait for the disk.

use crate::port::{InvocationStore, Record, StoreError};
use crate::stats::count;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

pub(crate) struct Recorder {
    store: Arc<dyn InvocationStore>,
    tasks: TaskTracker,
    room: Arc<Semaphore>,
    pending: Arc<Pending>,
}

#[derive(Default)]
struct Pending {
    tickets: Mutex<Tickets>,
    ended: Notify,
    lost: AtomicU64,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    open: BTreeSet<u64>,
}

/// An open ticket; closes when dropped, so that a task that ends early blocks no reader.
struct Ticket(Arc<Pending>, u64);

impl Pending {
    fn open(self: &Arc<Self>) -> Ticket {
        let mut tickets = self.tickets.lock();
        let ticket = tickets.next;
        tickets.next += 1;
        tickets.open.insert(ticket);
        Ticket(self.clone(), ticket)
    }
}
impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.tickets.lock().open.remove(&self.1);
        self.0.ended.notify_waiters();
    }
}

impl Recorder {
    pub(crate) fn new(store: Arc<dyn InvocationStore>, tasks: TaskTracker, pending_max: u32) -> Self {
        let room = usize::try_from(pending_max.max(1)).unwrap_or(usize::MAX);
        Self {
            store,
            tasks,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            pending: Arc::default(),
        }
    }
    /// Hands a row over; waits only while too many are on their way.
    pub(crate) async fn record(&self, record: Record) {
        let ticket = self.pending.open();
        // the semaphore is never closed, so the permit is always had
        let permit = self.room.clone().acquire_owned().await.ok();
        let store = self.store.clone();
        self.tasks.spawn(async move {
            let id = record.new.id;
            match store.record(record).await {
                // the function was deleted meanwhile, and its history with it
                Ok(()) | Err(StoreError::NotFound) => {}
                Err(error) => {
                    count(&ticket.0.lost);
                    tracing::error!(%id, %error, source = ?std::error::Error::source(&error), "history row lost");
                }
            }
            drop((ticket, permit));
        });
    }
    /// Waits until every row that was handed over before is on disk.
    pub(crate) async fn flushed(&self) {
        let before = self.pending.tickets.lock().next;
        loop {
            let ended = self.pending.ended.notified();
            tokio::pin!(ended);
            // registered before the check, so that no end falls between the two
            ended.as_mut().enable();
            if self
                .pending
                .tickets
                .lock()
                .open
                .first()
                .is_none_or(|oldest| *oldest >= before)
            {
                return;
            }
            ended.await;
        }
    }
    pub(crate) fn pending(&self) -> u64 {
        u64::try_from(self.pending.tickets.lock().open.len()).unwrap_or(u64::MAX)
    }
    pub(crate) fn lost(&self) -> u64 {
        self.pending.lost.load(std::sync::atomic::Ordering::Relaxed)
    }
}
