//! A queue inside a process.

use crate::port::{Delivery, Depth, JobQueue, Pushed};
use crate::{BusError, Message};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Clone)]
struct Kept {
    subject: String,
    message: Message,
    id: String,
    attempt: u64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Kept>,
    seen: HashMap<String, u64>,
    sequence: u64,
    taken: u64,
    /// How many of these each subject has.
    by_subject: HashMap<String, usize>,
}

struct Shared {
    state: Mutex<State>,
    came: Notify,
    messages_max: usize,
    share_max: usize,
}

/// See [`JobQueue`].
pub struct MemoryQueue(Arc<Shared>);

impl MemoryQueue {
    /// One that holds so many messages, and so many of them on one subject.
    #[must_use]
    pub fn new(messages_max: usize, share_max: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            came: Notify::new(),
            messages_max,
            share_max,
        }))
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn push(&self, subject: &str, id: &str, message: Message) -> Result<Pushed, BusError> {
        let mut state = self.0.state.lock();
        if let Some(sequence) = state.seen.get(id) {
            return Ok(Pushed {
                sequence: *sequence,
                duplicate: true,
            });
        }
        let held = state.waiting.len() as u64 + state.taken;
        let share = state.by_subject.get(subject).copied().unwrap_or(0);
        if held >= self.0.messages_max as u64 || share >= self.0.share_max {
            return Err(BusError::Full(subject.to_owned()));
        }
        state.by_subject.insert(subject.to_owned(), share + 1);
        state.sequence += 1;
        let sequence = state.sequence;
        state.seen.insert(id.to_owned(), sequence);
        state.waiting.push_back(Kept {
            subject: subject.to_owned(),
            message,
            id: id.to_owned(),
            attempt: 0,
        });
        self.0.came.notify_one();
        Ok(Pushed {
            sequence,
            duplicate: false,
        })
    }
    async fn pull(&self, most: usize, within: Duration) -> Result<Vec<Box<dyn Delivery>>, BusError> {
        let take = || {
            let mut state = self.0.state.lock();
            let n = most.min(state.waiting.len());
            state.taken += n as u64;
            state.waiting.drain(..n).collect::<Vec<_>>()
        };
        let mut kept = take();
        if kept.is_empty() {
            // a time-out is an empty batch
            let _ = tokio::time::timeout(within, self.0.came.notified()).await;
            kept = take();
        }
        let deliver = |mut kept: Kept| {
            kept.attempt += 1;
            Box::new(Taken {
                shared: self.0.clone(),
                kept: Some(kept.clone()),
                shown: kept,
            }) as Box<dyn Delivery>
        };
        Ok(kept.into_iter().map(deliver).collect())
    }
    async fn depth(&self) -> Result<Depth, BusError> {
        let state = self.0.state.lock();
        Ok(Depth {
            waiting: state.waiting.len() as u64,
            taken: state.taken,
            // nothing here knows the time
            oldest: None,
        })
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

struct Taken {
    shared: Arc<Shared>,
    shown: Kept,
    /// None once it is settled.
    kept: Option<Kept>,
}

impl Shared {
    fn put_back(&self, kept: Kept) {
        let mut state = self.state.lock();
        state.taken -= 1;
        state.waiting.push_back(kept);
        self.came.notify_one();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.shared.put_back(kept);
        }
    }
}

#[async_trait]
impl Delivery for Taken {
    fn subject(&self) -> &str {
        &self.shown.subject
    }
    fn message(&self) -> &Message {
        &self.shown.message
    }
    fn id(&self) -> &str {
        &self.shown.id
    }
    fn attempt(&self) -> u64 {
        self.shown.attempt
    }
    async fn done(mut self: Box<Self>) -> Result<(), BusError> {
        if let Some(kept) = self.kept.take() {
            let mut state = self.shared.state.lock();
            state.taken -= 1;
            if let Some(share) = state.by_subject.get_mut(&kept.subject) {
                *share -= 1;
            }
        }
        Ok(())
    }
    async fn later(mut self: Box<Self>, delay: Duration) -> Result<(), BusError> {
        if let Some(kept) = self.kept.take() {
            let shared = self.shared.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                shared.put_back(kept);
            });
        }
        Ok(())
    }
    async fn working(&self) -> Result<(), BusError> {
        Ok(())
    }
    async fn give_up(self: Box<Self>, _: &str) -> Result<(), BusError> {
        self.done().await
    }
}
