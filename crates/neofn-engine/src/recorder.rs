//! Writes history rows of plain calls behind their answers: bounded, counted, and visible to later reads.
//!
//! A plain synchronous call has no effect but its history row, so its caller need not wait for the disk, and the disk
//! need not be asked for each: rows of a few milliseconds go in one transaction.

use crate::port::{InvocationStore, Outcome, Record, StoreError};
use crate::stats::count;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::task::TaskTracker;

/// How long the first row of a batch waits for others while nobody reads.
const LINGER: Duration = Duration::from_millis(5);
/// Rows in one transaction: bounds how long other writes wait for it.
const BATCH_MAX: usize = 512;
/// A row takes one place, and one more for each so many bytes: what waits is bounded in memory too.
const BYTES_A_PLACE: usize = 16 << 10;
/// Before a batch that failed is tried again, row by row.
const RETRY_AFTER: Duration = Duration::from_millis(200);

pub(crate) struct Recorder {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    places: u32,
}

struct Shared {
    store: Arc<dyn InvocationStore>,
    room: Semaphore,
    waiting: Mutex<Waiting>,
    /// A reader waits, or a batch is full.
    hurry: Notify,
    /// How many of the rows that were ever handed over are settled.
    settled: watch::Sender<u64>,
    lost: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    rows: Vec<(Record, u32)>,
    /// Ever handed over.
    handed: u64,
    /// A task writes, or is about to.
    writing: bool,
}

impl Recorder {
    pub(crate) fn new(store: Arc<dyn InvocationStore>, tasks: TaskTracker, pending_max: u32) -> Self {
        let places = pending_max.max(1);
        Self {
            shared: Arc::new(Shared {
                store,
                room: Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS)),
                waiting: Mutex::default(),
                hurry: Notify::new(),
                settled: watch::Sender::new(0),
                lost: AtomicU64::new(0),
            }),
            tasks,
            places,
        }
    }
    /// Hands a row over; waits only while too many are on their way.
    pub(crate) async fn record(&self, record: Record) {
        let weight = weight(&record).min(self.places);
        match self.shared.room.acquire_many(weight).await {
            Ok(permit) => permit.forget(), // given back when the row is settled
            Err(_closed) => return,        // the semaphore is never closed
        }
        let (first, full) = {
            let mut waiting = self.shared.waiting.lock();
            waiting.rows.push((record, weight));
            waiting.handed += 1;
            let first = !std::mem::replace(&mut waiting.writing, true);
            (first, waiting.rows.len() == BATCH_MAX)
        };
        if first {
            let writing = Writing(Arc::clone(&self.shared));
            self.tasks.spawn(async move { writing.write().await });
        } else if full {
            self.shared.hurry.notify_one();
        }
    }
    /// Waits until every row that was handed over before is on disk.
    pub(crate) async fn flushed(&self) {
        let before = self.shared.waiting.lock().handed;
        let mut settled = self.shared.settled.subscribe();
        if *settled.borrow() >= before {
            return;
        }
        self.shared.hurry.notify_one();
        // the sender lives as long as we do
        let _ = settled.wait_for(|n| *n >= before).await;
    }
    pub(crate) fn pending(&self) -> u64 {
        let handed = self.shared.waiting.lock().handed;
        handed.saturating_sub(*self.shared.settled.borrow())
    }
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

fn weight(record: &Record) -> u32 {
    let result = match &record.finish.outcome {
        Outcome::Succeeded(json) => json.len(),
        _ => 0,
    };
    let logs: usize = record.finish.logs.iter().map(String::len).sum();
    let bytes = record.new.event.len() + result + logs;
    u32::try_from(1 + bytes / BYTES_A_PLACE).unwrap_or(u32::MAX)
}

/// The task that writes. It clears `writing` itself when nothing waits; after a panic its drop does, so that the next row
/// starts another.
struct Writing(Arc<Shared>);

impl Writing {
    async fn write(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LINGER) => {}
                () = self.0.hurry.notified() => {}
            }
            let batch = {
                let mut waiting = self.0.waiting.lock();
                let n = waiting.rows.len().min(BATCH_MAX);
                if waiting.rows.len() > n {
                    self.0.hurry.notify_one();
                }
                waiting.rows.drain(..n).collect::<Vec<_>>()
            };
            let batch = Batch::new(&self.0, batch);
            batch.write().await;
            drop(batch);
            let mut waiting = self.0.waiting.lock();
            if waiting.rows.is_empty() {
                waiting.writing = false;
                return;
            }
        }
    }
}
impl Drop for Writing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.waiting.lock().writing = false;
        }
    }
}

/// Rows on their way; settled when dropped, so that a task that ends early blocks no reader.
struct Batch<'a> {
    shared: &'a Shared,
    rows: Arc<[Record]>,
    places: usize,
}

impl<'a> Batch<'a> {
    fn new(shared: &'a Shared, rows: Vec<(Record, u32)>) -> Self {
        let places: u64 = rows.iter().map(|(_, weight)| u64::from(*weight)).sum();
        Self {
            shared,
            rows: rows.into_iter().map(|(record, _)| record).collect(),
            places: usize::try_from(places).unwrap_or(usize::MAX),
        }
    }
    async fn write(&self) {
        if self.rows.is_empty() {
            return;
        }
        match self.shared.store.record_all(Arc::clone(&self.rows)).await {
            Ok(answers) => {
                for (record, answer) in self.rows.iter().zip(answers) {
                    self.settled(record, answer);
                }
            }
            Err(error) => {
                tracing::warn!(%error, rows = self.rows.len(), "history rows not written, trying each again");
                tokio::time::sleep(RETRY_AFTER).await;
                for record in &*self.rows {
                    let answer = self.shared.store.record(record.clone()).await;
                    self.settled(record, answer);
                }
            }
        }
    }
    fn settled(&self, record: &Record, answer: Result<(), StoreError>) {
        match answer {
            // the function was deleted meanwhile, and its history with it; or the row was written by the first try
            Ok(()) | Err(StoreError::NotFound | StoreError::Fenced) => {}
            Err(error) => {
                count(&self.shared.lost);
                let id = record.new.id;
                tracing::error!(%id, %error, source = ?std::error::Error::source(&error), "history row lost");
            }
        }
    }
}
impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.shared.room.add_permits(self.places);
        let count = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        self.shared.settled.send_modify(|n| *n += count);
    }
}
