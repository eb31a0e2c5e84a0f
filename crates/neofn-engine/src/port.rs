//! What the engine needs from storage and from a compiler. Each method of a store is one transaction: all of it
//! or nothing.
//!
//! The store is the truth: an accepted asynchronous invocation is on disk when `admit` returns, and whatever an
//! invocation did is on disk when `finish` returns, guarded by its fence.

use async_trait::async_trait;
use bytes::Bytes;
use neofn_chain::stack::StackItem;
use neofn_gas::ledger::{Charge, Hold, OpenHold, Refused};
use neofn_runtime::port::{HostOp, HostReply};
use neofn_types::{
    Attempt, Caller, Code, Datoshi, Diagnostic, Digest, Error, Fence, FunctionKey, Grants, Hash256,
    InvocationId, ProjectName, ScriptHash, UnitsBill, UnixMillis, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another attempt owns the invocation, or it has ended.
    #[error("stale fence")]
    Fenced,
    /// No such row.
    #[error("not found")]
    NotFound,
    /// The same idempotency key came with another request.
    #[error("idempotency key used for another request")]
    IdempotencyMismatch,
    /// The function's queue is full.
    #[error("queue full")]
    QueueFull,
    /// A compare-and-set was no longer true at the commit; nothing was written.
    #[error("key {0:?} changed meanwhile")]
    KvConflict(String),
    /// A counter's key holds something else, or its sum would leave ±[`COUNTER_MAX`]; nothing was written.
    #[error("key {0:?} is not a counter, or would leave ±2^53")]
    KvNotCounter(String),
    /// The project's quota; nothing was written.
    #[error("key-value quota exceeded")]
    KvQuota,
    /// The ledger set nothing aside; nothing was written.
    #[error(transparent)]
    Unpaid(Refused),
    /// The database or the disk.
    #[error("store failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An act of a function, or of the node itself, that matters to security.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Whose; none: of the node as a whole.
    pub project: Option<ProjectName>,
    /// `function hello`, or `node`.
    pub actor: String,
    /// `secret.set`
    pub action: &'static str,
    /// On what.
    pub target: String,
    /// More of it.
    pub detail: String,
}

/// Where such acts are written down, before they are done.
#[async_trait]
pub trait ActLog: Send + Sync + 'static {
    /// Writes one down; it is on disk when this returns.
    async fn write(&self, act: Act) -> Result<(), Error>;
}

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
    /// process died before its end is re-armed instead: `Fresh` with a greater fence, under `id`.)
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
/// costs it no attempt.
#[derive(Debug, Clone, Default)]
pub struct Rooms {
    /// Most claims of a function at once, where it is known.
    pub limits: Arc<HashMap<FunctionKey, u32>>,
    /// Of all other functions; none: as many as there are.
    pub other: Option<u32>,
    /// Claimed or running already.
    pub taken: HashMap<FunctionKey, u32>,
}

impl Rooms {
    /// Of one function.
    #[must_use]
    pub fn of(&self, key: &FunctionKey) -> u32 {
        let most = self.limits.get(key).copied().or(self.other).unwrap_or(u32::MAX);
        most.saturating_sub(self.taken.get(key).copied().unwrap_or(0))
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

/// One write of ctx.kv, in the order it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvWrite {
    /// Puts a value.
    Put {
        /// The key.
        key: String,
        /// JSON.
        value: Bytes,
        /// What must hold at the commit.
        expect: KvExpect,
        /// When it goes away.
        expires_at: Option<UnixMillis>,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: String,
        /// What must hold at the commit.
        expect: KvExpect,
    },
    /// Adds to a counter; never conflicts.
    Add {
        /// The key.
        key: String,
        /// Signed.
        by: i64,
    },
}

/// What must hold of a key at the commit. Later writes to the same key within one invocation carry `Any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvExpect {
    /// Nothing.
    Any,
    /// It does not exist.
    Absent,
    /// It has this revision.
    Revision(u64),
}

/// Counters stay exact in JavaScript's numbers: at the most this far from zero.
pub const COUNTER_MAX: i64 = 1 << 53;

/// Quotas of a project's key-value namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvQuota {
    /// Most keys.
    pub keys_max: u64,
    /// Most bytes of keys and values.
    pub bytes_max: u64,
}

impl Default for KvQuota {
    fn default() -> Self {
        Self {
            keys_max: 100_000,
            bytes_max: 256 << 20,
        }
    }
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
    /// Claims due invocations, oldest `run_at` first, at most `limit`, and of each function no more than there is
    /// room for. Each claim grows the fence and the attempt. Claims of a process that ended are given up when the
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
    /// Ends an attempt; durable when it returns. `Fenced` when another attempt owns it: nothing is written.
    async fn finish(&self, finish: Finish) -> Result<(), StoreError>;
    /// Writes down an invocation that ran without being admitted; durable when it returns. A caller that need
    /// not wait may drop the future after its first poll: the command is then still carried out.
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

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// JSON.
    pub value: Bytes,
    /// Grows with every write of the namespace.
    pub revision: u64,
    /// When it goes away.
    pub expires_at: Option<UnixMillis>,
}

/// Reads of ctx.kv. Writes travel in [`Finish`]. Expired entries are not there.
#[async_trait]
pub trait KvStore: Send + Sync + 'static {
    /// One key.
    async fn get(
        &self,
        project: &ProjectName,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<KvEntry>, StoreError>;
    /// Keys that begin with `prefix`, in byte order, after `after`.
    async fn list(
        &self,
        project: &ProjectName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        now: UnixMillis,
    ) -> Result<Vec<KvEntry>, StoreError>;
    /// Removes up to `limit` expired entries; answers how many.
    async fn sweep(&self, now: UnixMillis, limit: u32) -> Result<u32, StoreError>;
}

/// Who does what only one node may do at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub holder: String,
    /// Grows each time that it goes to another holder, or back to one who had let it end.
    pub fence: Fence,
    /// Until when, unless it is renewed.
    pub until: UnixMillis,
}

/// Leases: reading a chain, making runs of time and following transactions is done by one node at a time, and another
/// one goes on within seconds when that one is gone. A lease saves work and keeps nodes out of each other's way; that
/// nothing is done twice is seen to where it is written down.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Takes a lease that is free or has ended, or renews the holder's own; answers whose it is now.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: UnixMillis,
        until: UnixMillis,
    ) -> Result<Lease, StoreError>;
    /// Gives a lease back; nothing happens when it is another's by now.
    async fn give_lease(&self, name: &str, holder: &str) -> Result<(), StoreError>;
    /// The leases that hold, by name.
    async fn leases(&self, now: UnixMillis) -> Result<Vec<(String, Lease)>, StoreError>;
    /// Forgets the leases whose names begin so and that ended before `before`; answers how many. The next fence of such a
    /// name is the first one again, so it must be one whose fences nobody compares.
    async fn forget_leases(&self, prefix: &str, before: UnixMillis) -> Result<u64, StoreError>;
}

/// The answer to a request that changed something, kept for when the request comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's.
    pub status: u16,
    /// Its body.
    pub body: Bytes,
}

/// What is known of a request that names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing, or its first try died: it is to be done, and then [`ReplyStore::end_reply`] called.
    Fresh,
    /// It was done.
    Done(Reply),
    /// It is being done.
    Running,
    /// Another request used this name.
    Other,
}

/// A request that names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedRequest {
    /// Of its caller and of the name that he gave it.
    pub name: Digest,
    /// Of all that makes it this request.
    pub request: Digest,
}

/// Remembers requests by the names that their callers gave them.
#[async_trait]
pub trait ReplyStore: Send + Sync + 'static {
    /// Notes that a request is being done, until `until` at the most; forgets those from before `kept_since`.
    async fn begin_reply(
        &self,
        named: NamedRequest,
        now: UnixMillis,
        until: UnixMillis,
        kept_since: UnixMillis,
    ) -> Result<Begun, StoreError>;
    /// Keeps the answer; without one the request is forgotten, and may be done again.
    async fn end_reply(&self, name: Digest, reply: Option<Reply>) -> Result<(), StoreError>;
}

/// Remembers who is to be told how an invocation ended. A promise outlives the node that gave it: whoever opens the store
/// next finds what is still to be told.
#[async_trait]
pub trait PromiseStore: Send + Sync + 'static {
    /// Notes that whoever named his request `token` is to be told the end of an invocation; durable when it returns. Noted
    /// again it is the same promise. `NotFound` when there is no such function.
    async fn promise(&self, key: &FunctionKey, id: InvocationId, token: &str) -> Result<(), StoreError>;
    /// Claims up to `limit` promises whose invocation has ended or is gone: nobody else is given them until the lease, counted
    /// from `now`, has ended. So of several nodes one tells, and what a node that died had claimed is told by another.
    async fn due_promises(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Promise>, StoreError>;
    /// They were kept, and are forgotten.
    async fn kept(&self, promises: &[Promise]) -> Result<(), StoreError>;
    /// They could not be kept yet, and are due again at once.
    async fn not_kept(&self, promises: &[Promise]) -> Result<(), StoreError>;
}

/// Somebody who is to be told how an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promise {
    /// Which invocation.
    pub id: InvocationId,
    /// How its sender named the request.
    pub token: String,
}

/// Something that another node did, as far as this one must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A function's live version moved, or it was switched on or off.
    Live(FunctionKey),
    /// A function is gone; its version numbers begin anew if it comes back.
    Gone(FunctionKey),
    /// States of triggers changed.
    Triggers,
    /// Invocations wait.
    Queue,
    /// Nobody knows what was missed.
    Anything,
}

/// The other nodes of a shared store. A wake-up and no more: whatever is due is found without it, only later.
#[async_trait]
pub trait Neighbours: Send + Sync + 'static {
    /// The next news.
    async fn news(&self) -> News;
}

/// A transaction that a function asks for: one call of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRequest {
    /// Who asks.
    pub key: FunctionKey,
    /// In which invocation.
    pub invocation: InvocationId,
    /// The name of this very call: however often it is asked for, it is one transaction.
    pub idempotency: Digest,
    /// Which contract; the function's grant names it.
    pub contract: ScriptHash,
    /// Which method; the contract's manifest has it, with so many parameters.
    pub method: String,
    /// In the machine's form.
    pub arguments: Vec<StackItem>,
    /// Whether an answer of false is a failure.
    pub must_be_true: bool,
    /// The most that system and network fee may be together. Does not matter when the name is known already.
    pub fee_max: Datoshi,
}

/// A transaction as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReceipt {
    /// What `neofn tx` takes; none for one that was only tried out.
    pub id: Option<String>,
    /// Its name on chain; none before it is signed.
    pub hash: Option<Hash256>,
    /// Where it is: `broadcast`, `halt`, `fault`, `expired`, `dry-run`, ...
    pub state: String,
    /// System and network fee.
    pub fee: Datoshi,
    /// The last height at which it can be taken into a block.
    pub valid_until: Option<u64>,
    /// The block that it is in.
    pub height: Option<u64>,
}

/// Builds, signs, sends and follows transactions in the name of projects.
#[async_trait]
pub trait ChainWriter: Send + Sync + 'static {
    /// The account that pays and signs for a project; none when it has none.
    async fn account(&self, project: &ProjectName) -> Option<ScriptHash>;
    /// What would come of it. Signs and sends nothing.
    async fn dry_run(&self, request: ChainRequest) -> Result<ChainReceipt, Error>;
    /// Sees to it that there is one transaction for the request's name. When this returns it is on disk, and was
    /// sent or will be: dropping the future, or dying, loses nothing and doubles nothing.
    async fn submit(&self, request: ChainRequest) -> Result<ChainReceipt, Error>;
    /// Waits until a transaction has come to an end.
    async fn confirm(&self, id: &str) -> Result<ChainReceipt, Error>;
}

/// JavaScript or TypeScript to be compiled.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// Files by path, the closure of `main`'s imports.
    pub files: &'a BTreeMap<String, String>,
    /// The file with the handler.
    pub main: &'a str,
    /// What it may reach: some rules depend on it.
    pub grants: &'a Grants,
}

/// What compiling gave.
#[derive(Debug, Clone)]
pub struct CompiledSource {
    /// One ES module.
    pub code: Bytes,
    /// Its source map, JSON of revision 3.
    pub source_map: Bytes,
    /// Findings that did not stop it.
    pub warnings: Vec<Diagnostic>,
    /// Functions of the project that it names in `ctx.invoke`, as text, sorted.
    pub calls: Vec<String>,
    /// How much of the time went into parsing and rules; the rest is bundling.
    pub validate: Duration,
    /// Transforming, bundling, minifying.
    pub compile: Duration,
}

/// Why there is no code.
#[derive(Debug)]
pub enum CompileRefusal {
    /// The rules: the user's to mend.
    Rejected {
        /// Whether the bundler stopped it; otherwise parser or rules did.
        bundling: bool,
        /// Errors first; never empty.
        diagnostics: Vec<Diagnostic>,
    },
    /// Ours: the compiler process could not be had, or died. Trying again can help.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// Ours: the compiler cannot do this source, though nothing is wrong with it.
    Defect(Box<dyn std::error::Error + Send + Sync>),
}

/// A place in a user's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Relative to the project.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The name that the minifier took away, if the map has it.
    pub name: Option<String>,
}

/// A parsed source map.
pub trait Positions: Send + Sync {
    /// Where a place of the generated code came from; line and column from 1.
    fn lookup(&self, line: u32, column: u32) -> Option<Position>;
}

/// Turns source into code, and places in code back into places in source.
#[async_trait]
pub trait Compile: Send + Sync + 'static {
    /// Parses, checks, transforms, bundles, minifies.
    async fn compile(&self, source: Source<'_>) -> Result<CompiledSource, CompileRefusal>;
    /// Reads a source map that `compile` made; `None` when it is not one.
    fn positions(&self, source_map: &[u8]) -> Option<Box<dyn Positions>>;
    /// The lines around a place with a marker, plain text.
    fn code_frame(&self, text: &str, line: u32, column: u32) -> String;
}
