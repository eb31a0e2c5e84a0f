//! Invocations: how they are admitted, claimed and ended, and what history keeps of them. Knows no database.

use super::{KvQuota, KvWrite, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_gas::ledger::{Charge, Hold, OpenHold};
use neofn_runtime::port::{HostOp, HostReply};
use neofn_sched::{Candidate, Round, Standing, Turns};
use neofn_types::{
    Attempt, Caller, Code, Digest, Fence, FunctionKey, FunctionName, InvocationId, ProjectName, UnitsBill,
    UnixMillis, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What brought an invocation about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A waiting caller.
    Sync,
    /// `?mode=async`.
    Async,
    /// Another function, by ctx.invoke.
    Chain,
    /// A request under /f/.
    Http,
    /// `neofn replay`.
    Replay,
    /// Something on chain that a trigger waited for.
    Block,
    /// Time.
    Cron,
    /// A CloudEvent.
    Event,
}

impl Origin {
    /// Whether a trigger brought it about, so that nobody waits for its answer.
    #[must_use]
    pub fn is_trigger(self) -> bool {
        matches!(self, Self::Block | Self::Cron | Self::Event)
    }
    /// The caller of what a trigger of this name brought about.
    #[must_use]
    pub fn trigger(self, name: &str) -> Caller {
        let kind = match self {
            Self::Block => "block",
            Self::Cron => "cron",
            _ => "event",
        };
        Caller::new(&format!("{kind}:{name}"))
    }
}

/// An idempotency key with the hash of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// As sent.
    pub key: String,
    /// Over the body and the mode.
    pub request: Digest,
}

/// An invocation to be written down before it runs.
#[derive(Debug, Clone)]
pub struct NewInvocation {
    /// Its id.
    pub id: InvocationId,
    /// Of which function.
    pub key: FunctionKey,
    /// The version to run; a retry runs the same one.
    pub version: Version,
    /// What brought it about.
    pub origin: Origin,
    /// Who.
    pub caller: Option<Caller>,
    /// JSON of the event.
    pub event: Bytes,
    /// Its idempotency key, if it has one.
    pub idempotency: Option<Idempotency>,
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// Now.
    pub at: UnixMillis,
    /// `Queued` for asynchronous ones; `Running` with a lease for a keyed synchronous one.
    pub start: Start,
    /// Most waiting invocations of the function.
    pub queue_max: u32,
    /// What its first attempt may cost, set aside in the transaction that accepts it; none: nothing is, or each attempt
    /// sees to itself.
    pub hold: Option<Hold>,
}

/// How an admitted invocation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Waits to be claimed.
    Queued,
    /// Is claimed by this caller, fence 1, until the lease ends.
    Claimed {
        /// How long the claim holds without renewal.
        lease: Duration,
    },
}

/// What admission did.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// It is new.
    Fresh {
        /// Set when `Start::Claimed`.
        fence: Option<Fence>,
    },
    /// The same key and request came before: here is that invocation. (A keyed synchronous one whose
    /// process died before its end, or that ended as [`Outcome::Lost`], is re-armed instead: `Fresh` with a greater fence, under
    /// `id`.)
    Replay {
        /// The first invocation.
        record: Box<InvocationRecord>,
    },
    /// As `Fresh`, but under the id of an earlier, interrupted invocation with the same key.
    Rearmed {
        /// The earlier id.
        id: InvocationId,
        /// The new fence.
        fence: Fence,
        /// Attempts so far, this one included.
        attempt: Attempt,
    },
}

/// A claimed invocation.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub id: InvocationId,
    /// Of which function.
    pub key: FunctionKey,
    /// The version to run.
    pub version: Version,
    /// JSON of the event.
    pub event: Bytes,
    /// What `finish` must carry.
    pub fence: Fence,
    /// From 1.
    pub attempt: Attempt,
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// When it was admitted.
    pub created_at: UnixMillis,
    /// What brought it about.
    pub origin: Origin,
    /// Who brought it about.
    pub caller: Option<Caller>,
    /// How many functions caused each other, by events, to get here.
    pub depth: u32,
    /// What it was accepted with, while nothing was charged.
    pub hold: Option<OpenHold>,
}

/// How many more of each function may be claimed: what cannot run soon is better left in the queue, where a crash
/// costs it no attempt. And whose turn it is when not everything may.
#[derive(Debug, Clone, Default)]
pub struct Rooms {
    /// Most claims of a function at once, where it is known.
    pub limits: Arc<HashMap<FunctionKey, u32>>,
    /// Of all other functions; none: as many as there are.
    pub other: Option<u32>,
    /// Claimed or running already.
    pub taken: HashMap<FunctionKey, u32>,
    /// Of these, what came from the queue.
    pub queued: HashMap<FunctionKey, u32>,
    /// When the asker claimed of whom last.
    pub turns: Arc<Turns<ProjectName, FunctionName>>,
}

impl Rooms {
    /// Of one function.
    #[must_use]
    pub fn of(&self, key: &FunctionKey) -> u32 {
        let most = self.limits.get(key).copied().or(self.other).unwrap_or(u32::MAX);
        most.saturating_sub(self.taken.get(key).copied().unwrap_or(0))
    }
    /// Whose turn it is, of functions that are named in the order in which their work is due, with as much of it as is known to
    /// wait.
    #[must_use]
    pub fn round<'a>(&self, waiting: impl Iterator<Item = (&'a FunctionKey, u32)>) -> Round {
        let mut of_projects: HashMap<&ProjectName, u32> = HashMap::new();
        for (key, running) in &self.queued {
            *of_projects.entry(&key.project).or_default() += running;
        }
        let candidates = waiting.map(|(key, waiting)| Candidate {
            project: &key.project,
            standing: Standing {
                running: self.queued.get(key).copied().unwrap_or(0),
                turn: self.turns.of_function(&key.project, &key.function),
            },
            room: self.of(key).min(waiting),
        });
        Round::new(candidates, |project| Standing {
            running: of_projects.get(project).copied().unwrap_or(0),
            turn: self.turns.of_project(project),
        })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// JSON of the result.
    Succeeded(Bytes),
    /// For good.
    Failed(StoredFailure),
    /// For good, after the last try of a retryable failure.
    Dead(StoredFailure),
    /// By no doing of the function: the same request under the same idempotency key runs it again.
    Lost(StoredFailure),
    /// Try again at this time. Only queued invocations.
    Retry {
        /// Not before.
        at: UnixMillis,
        /// Why.
        failure: StoredFailure,
    },
}

/// A failure as history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFailure {
    /// From the catalogue.
    pub code: Code,
    /// Public.
    pub message: String,
    /// Stack lines in the user's own source: `at handler (index.ts:3:10)`.
    pub stack: Vec<String>,
    /// The source around the place that threw; empty for none.
    pub frame: String,
}

/// The inputs that make a run repeatable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Seeds randomness.
    pub seed: [u8; 32],
    /// The clock at the start.
    pub started_at: UnixMillis,
    /// Attempt number that `ctx` showed.
    pub attempt: u32,
    /// Most units the run could be charged: a callee's limit depends on its caller.
    pub units_max: u64,
    /// Milliseconds that it had; a callee's too.
    pub time_max_ms: u64,
    /// Host calls and their replies, in the order of delivery.
    pub replies: Vec<RecordedCall>,
    /// What callees used whose answers the run did not wait for.
    pub callees_units: u64,
}

/// A host call that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// Its sequence number within the run.
    pub seq: u32,
    /// What was asked for.
    pub op: HostOp,
    /// Over its input: a replay must ask for the same.
    pub input: Digest,
    /// What it was answered.
    pub reply: HostReply,
}

/// The end of an attempt: result, charge, logs and writes, committed together.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Which invocation.
    pub id: InvocationId,
    /// From the claim.
    pub fence: Fence,
    /// The end.
    pub outcome: Outcome,
    /// What the attempt is charged.
    pub units: UnitsBill,
    /// Its logs.
    pub logs: Vec<String>,
    /// Microseconds.
    pub duration_us: u64,
    /// Its recorded inputs.
    pub recording: Recording,
    /// Writes of ctx.kv; must be empty unless the outcome is `Succeeded`.
    pub kv: Vec<KvWrite>,
    /// Events that it emitted, as triggers take them; must be empty unless the outcome is `Succeeded`.
    pub emitted: Vec<crate::triggers::port::Delivery>,
    /// The quota that the writes are checked against.
    pub kv_quota: KvQuota,
    /// Most waiting invocations of a function that its events reach.
    pub queue_max: u32,
    /// What the attempt costs.
    pub charge: Option<Charge>,
    /// Now.
    pub at: UnixMillis,
}

/// An invocation that was never queued, written down at its end in one go.
#[derive(Debug, Clone)]
pub struct Record {
    /// What `admit` would have carried.
    pub new: NewInvocation,
    /// What `finish` would have carried; its fence is ignored.
    pub finish: Finish,
}

/// Where an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits, also between tries.
    Queued,
    /// Is claimed.
    Running,
    /// Has a result.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Failed for good after the last try.
    Dead,
}

/// An invocation as history keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct InvocationRecord {
    /// Its id.
    pub id: InvocationId,
    /// Of which function.
    pub key: FunctionKey,
    /// The version that ran.
    pub version: Version,
    /// What brought it about.
    pub origin: Origin,
    /// Who; only where one invocation is asked for, because lists leave it unread.
    pub caller: Option<Caller>,
    /// Where it is.
    pub status: Status,
    /// Tries so far.
    pub attempt: Attempt,
    /// Set when `Succeeded`.
    pub result: Option<Bytes>,
    /// Set when it failed; while `Queued`, why the last try failed.
    pub failure: Option<StoredFailure>,
    /// Of the last ended attempt.
    pub logs: Vec<String>,
    /// Of the last ended attempt.
    pub units: UnitsBill,
    /// Of the last ended attempt, microseconds.
    pub duration_us: u64,
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// When it was admitted.
    pub created_at: UnixMillis,
    /// When it ended.
    pub finished_at: Option<UnixMillis>,
    /// While `Queued`: not before.
    pub run_at: Option<UnixMillis>,
}

/// All that is needed to run an ended invocation again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayable {
    /// The record.
    pub record: InvocationRecord,
    /// JSON of the event.
    pub event: Bytes,
    /// The recorded inputs of the last attempt.
    pub recording: Recording,
}

/// Which invocations to list: newest first, but those after a given one oldest first, so that a reader who goes on
/// from there misses none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InvocationFilter {
    /// Only in this state.
    pub status: Option<Status>,
    /// Only older than this one (the cursor).
    pub before: Option<InvocationId>,
    /// Only newer than this one.
    pub after: Option<InvocationId>,
    /// Rows at the most.
    pub limit: u32,
}

/// How long history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Ended invocations older than this go.
    pub age: Duration,
    /// Newest ended invocations kept of one function.
    pub per_function: u32,
    /// Idempotency keys older than this go.
    pub idempotency: Duration,
    /// When all that is stored takes more, the oldest ended invocations go, whosever they are.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(7 * 86_400),
            per_function: 10_000,
            idempotency: Duration::from_secs(86_400),
            bytes: 16 << 30,
        }
    }
}

/// Counts that survive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Ended invocations ever.
    pub total: u64,
    /// With a result.
    pub succeeded: u64,
    /// Without.
    pub failed: u64,
    /// Waiting now.
    pub queued: u64,
    /// Claimed now.
    pub running: u64,
}

/// What a function has in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Whose.
    pub key: FunctionKey,
    /// Due, and not claimed.
    pub waiting: u64,
    /// To be tried again at a time that has not come.
    pub later: u64,
    /// Claimed, by whichever node.
    pub running: u64,
    /// Since when the one waits that has waited longest; none: none does.
    pub oldest: Option<UnixMillis>,
}

/// Invocations: queue, history, and what they wrote. Times come and go by the asker's clock; a store that several nodes share
/// keeps claims and what is due by its own, so that no node's clock decides over another's work.
#[async_trait]
pub trait InvocationStore: Send + Sync + 'static {
    /// Writes down an invocation before it runs; durable when it returns.
    async fn admit(&self, new: NewInvocation) -> Result<Admitted, StoreError>;
    /// Claims due invocations, at most `limit`, and of each function no more than there is room for: those of a function oldest
    /// `run_at` first, those of several by turns, as [`Rooms::round`] says. Each claim grows the fence and the attempt. Claims of a process that ended are given up when the
    /// store is opened again: they cost no attempt.
    async fn claim(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
        rooms: &Rooms,
    ) -> Result<Vec<Claimed>, StoreError>;
    /// Puts back claims that never ran: their attempt does not count. Those that are lost are passed over.
    async fn release(&self, held: &[(InvocationId, Fence)]) -> Result<(), StoreError>;
    /// Keeps claims alive for so long from now; answers those that are lost.
    async fn renew(
        &self,
        held: &[(InvocationId, Fence)],
        now: UnixMillis,
        lease: Duration,
    ) -> Result<Vec<InvocationId>, StoreError>;
    /// Ends an attempt; durable when it returns. `Fenced` when another attempt owns it: nothing is written. `NotFound` when its
    /// function was deleted meanwhile: of it only the charge is written, for it ran.
    async fn finish(&self, finish: Finish) -> Result<(), StoreError>;
    /// Writes down an invocation that ran without being admitted; durable when it returns. A caller that need
    /// not wait may drop the future after its first poll: the command is then still carried out. `NotFound` as with `finish`.
    async fn record(&self, record: Record) -> Result<(), StoreError>;
    /// As `record` for many in one transaction, an answer each. The outer error: none of them was written.
    async fn record_all(&self, records: Arc<[Record]>) -> Result<Vec<Result<(), StoreError>>, StoreError>;
    /// Puts claims whose lease ended back to `Queued` (async) or `Failed` with `SandboxLost` (keyed sync);
    /// answers how many.
    async fn requeue_expired(&self, now: UnixMillis) -> Result<u32, StoreError>;
    /// Functions with anything in the queue, at most `limit`: first those whose work has waited longest, then by name. Reads
    /// the whole queue: for people who look, and not for every run.
    async fn backlog(&self, now: UnixMillis, limit: u32) -> Result<Vec<Backlog>, StoreError>;
    /// When the next queued invocation is due, if there is one, by the clock that says `now`.
    async fn next_due(&self, now: UnixMillis) -> Result<Option<UnixMillis>, StoreError>;
    /// One invocation.
    async fn invocation(&self, id: InvocationId) -> Result<Option<InvocationRecord>, StoreError>;
    /// The invocations of a function, newest first.
    async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, StoreError>;
    /// An ended invocation with its recorded inputs.
    async fn replayable(&self, id: InvocationId) -> Result<Option<Replayable>, StoreError>;
    /// Removes up to `limit` rows that are past the retention; answers how many.
    async fn prune(&self, retention: Retention, now: UnixMillis, limit: u32) -> Result<u32, StoreError>;
    /// Counts.
    async fn totals(&self) -> Result<Totals, StoreError>;
}
