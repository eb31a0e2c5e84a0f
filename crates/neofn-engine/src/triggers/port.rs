//! What triggers need from storage. Each method is one transaction: all of it or nothing.
//!
//! A delivery is a queued invocation: retries, fences and dead ends are those of [`crate::port::InvocationStore`].
//! What is matched and how far the chain was read change together, so that a crash neither loses nor doubles an event.

use crate::port::{InvocationRecord, Origin, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_event::{TriggerId, TriggerKind, Triggers};
use neofn_types::{Digest, FunctionKey, Hash256, InvocationId, ProjectName, UnixMillis, Version};
use std::time::Duration;

/// A function that has triggers, or had some.
#[derive(Debug, Clone)]
pub struct TriggeredFunction {
    /// Which.
    pub key: FunctionKey,
    /// Whether it is switched on.
    pub active: bool,
    /// Its live version, which deliveries run.
    pub live: Version,
    /// The triggers of that version.
    pub on: Triggers,
}

/// Where a trigger stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerState {
    /// Which.
    pub id: TriggerId,
    /// Its kind when it was registered.
    pub kind: TriggerKind,
    /// Whether it delivers.
    pub status: TriggerStatus,
    /// Why it is paused, when nobody asked for that.
    pub reason: Option<String>,
    /// The next block that it needs; none: it goes with everybody.
    pub position: Option<u64>,
    /// Cron: runs up to this time are handled.
    pub cron_at: UnixMillis,
    /// Cron: of this schedule.
    pub schedule: Option<String>,
    /// Events that matched, ever.
    pub matched: u64,
    /// Blocks that were left out because it lagged.
    pub skipped: u64,
    /// When the last event matched.
    pub matched_at: Option<UnixMillis>,
}

/// Whether a trigger delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TriggerStatus {
    /// It does.
    Running,
    /// Until somebody resumes it.
    Paused,
    /// Its function is switched off, or its live version has no such trigger.
    Off,
}

/// A change of a trigger's state. Absent triggers are made by `Register` alone. `Register`, `Reschedule` and `Off` follow from
/// the live version, which another node may have replaced since it was read: where they no longer do, they change nothing.
#[derive(Debug, Clone)]
pub struct TriggerChange {
    /// Which.
    pub id: TriggerId,
    /// What.
    pub change: Change,
}

/// What changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// Makes it unless it exists; one that was off goes on, from `resume`.
    Register {
        /// Its kind.
        kind: TriggerKind,
        /// The next block of a new one; none for kinds that wait for no block.
        position: Option<u64>,
        /// The next block of one that was off.
        resume: Option<u64>,
        /// Cron: when.
        schedule: Option<String>,
    },
    /// Another schedule, which begins now: its runs of earlier never were. One that nobody has written down yet stays where it is.
    Reschedule {
        /// When.
        schedule: String,
    },
    /// It stays, but delivers nothing: its function is switched off, or its live version has no such trigger.
    Off,
    /// Stops it where it is.
    Pause {
        /// Why, when nobody asked for it.
        reason: Option<String>,
    },
    /// Goes on: where it stopped, or at `from`.
    Resume {
        /// The next block.
        from: Option<u64>,
    },
    /// Leaves blocks out, because it lags.
    Skip {
        /// The next block.
        to: u64,
    },
}

/// How far a chain was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainCursor {
    /// The next block.
    pub next: u64,
    /// Name of the block before, when it was read.
    pub previous: Option<Hash256>,
    /// Grows when a development chain begins anew, so that equal event ids are not taken for the same events.
    pub epoch: u32,
}

/// The cursor's way to a place up to which no block was read.
#[derive(Debug, Clone, Copy)]
pub struct Placing {
    /// The chain.
    pub network: u32,
    /// Where the cursor stands; none: there is none yet.
    pub from: Option<ChainCursor>,
    /// The next block.
    pub next: u64,
    /// Name of the block before, if it is known.
    pub previous: Option<Hash256>,
    /// The epoch grows, and every trigger begins there, too.
    pub anew: bool,
}

/// Bytes of the events of a batch, at the most; an event that is larger goes alone.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// For how long a lane whose deliveries cannot be released is left alone.
pub const LANE_PAUSE: Duration = Duration::from_secs(60);

/// An event for one trigger, on its way to be an invocation.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose.
    pub trigger: TriggerId,
    /// The invocation that it becomes. Of a batch, the first one's.
    pub id: InvocationId,
    /// The version to run.
    pub version: Version,
    /// What brought it about.
    pub origin: Origin,
    /// Unique for the trigger.
    pub event_id: String,
    /// The same event has its effect once: [`TriggerId::effect_key`].
    pub effect: Digest,
    /// JSON of the event.
    pub event: Bytes,
    /// The block that it is of.
    pub height: Option<u64>,
    /// How many functions caused each other to get here.
    pub depth: u32,
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// Waits for others; none: runs as soon as the function may.
    pub hold: Option<Hold>,
}

/// What a delivery waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Deliveries of one lane keep their order.
    pub lane: String,
    /// Not before the one before has ended.
    pub ordered: bool,
    /// Not before nothing came for so long; later ones replace it.
    pub debounce: Option<Duration>,
    /// Together with others.
    pub batch: Option<HoldBatch>,
}

/// A batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldBatch {
    /// Full at so many. What is more than [`BATCH_BYTES_MAX`] goes with the next one, at once.
    pub size: u32,
    /// Goes even if it is not full.
    pub wait: Duration,
}

/// Blocks that were matched.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The chain.
    pub network: u32,
    /// Whose blocks.
    pub stream: Stream,
    /// The first block.
    pub from: u64,
    /// The block after the last.
    pub to: u64,
    /// Name of the last block.
    pub last: Option<Hash256>,
    /// In the order of the chain.
    pub deliveries: Vec<Delivery>,
    /// A function with so many waiting invocations takes no further block.
    pub queue_max: u32,
    /// Now.
    pub at: UnixMillis,
}

/// Who reads blocks.
#[derive(Debug, Clone)]
pub enum Stream {
    /// Everybody; moves the cursor.
    Main {
        /// Triggers that had a position of their own and go with everybody from here on.
        joining: Vec<TriggerId>,
    },
    /// These triggers, each of which stands at `from`.
    Behind(Vec<TriggerId>),
}

/// What an advance did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Deliveries that are on disk now.
    pub delivered: u64,
    /// Deliveries that were there already.
    pub known: u64,
    /// Triggers whose function took no more: they stand at that block and catch up by themselves.
    pub held: Vec<(TriggerId, u64)>,
}

/// Deliveries that come from elsewhere than a chain.
#[derive(Debug, Clone)]
pub struct Deliver {
    /// For a cron trigger: runs up to the first time were handled, and now they are up to the second one.
    pub cron: Option<(TriggerId, UnixMillis, UnixMillis)>,
    /// All or none.
    pub deliveries: Vec<Delivery>,
    /// Most waiting invocations of a function.
    pub queue_max: u32,
    /// Now.
    pub at: UnixMillis,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Whose.
    pub trigger: TriggerId,
    /// The key of the event for the trigger.
    pub effect: Digest,
    /// The invocation that it is or will be.
    pub id: InvocationId,
    /// Whether the event had come before.
    pub known: bool,
}

/// What releasing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Released {
    /// Invocations made of waiting deliveries.
    pub released: u32,
    /// When the next one is due.
    pub next: Option<UnixMillis>,
}

/// An invocation and the event that caused it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// The invocation.
    pub record: InvocationRecord,
    /// The trigger's name; none for dead letters that no trigger caused.
    pub trigger: Option<String>,
    /// The event's id.
    pub event_id: Option<String>,
    /// The block that it is of.
    pub height: Option<u64>,
    /// JSON of the event.
    pub event: Bytes,
}

/// Which of them to list. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FiredFilter {
    /// Of one function.
    pub function: Option<neofn_types::FunctionName>,
    /// Of one trigger.
    pub trigger: Option<String>,
    /// Only dead letters; those that no trigger caused, too.
    pub dead: bool,
    /// Only of this block or later ones.
    pub from: Option<u64>,
    /// Only of this block or earlier ones.
    pub to: Option<u64>,
    /// Only older than this one (the cursor).
    pub before: Option<InvocationId>,
    /// Only newer than this one.
    pub after: Option<InvocationId>,
    /// Rows at the most.
    pub limit: u32,
}

/// What becomes of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redo {
    /// It is queued again, with all its attempts, on the live version.
    Retry,
    /// It stays failed and is no dead letter any more.
    Drop,
}

/// Triggers: where they stand, what they delivered, what died.
#[async_trait]
pub trait TriggerStore: Send + Sync + 'static {
    /// Functions whose live version has triggers.
    async fn triggered(&self) -> Result<Vec<TriggeredFunction>, StoreError>;
    /// All states, also of triggers that are off.
    async fn trigger_states(&self) -> Result<Vec<TriggerState>, StoreError>;
    /// Changes states; those of functions that are gone are left out, as is what no longer follows from a live version.
    async fn change_triggers(
        &self,
        changes: Vec<TriggerChange>,
        network: Option<u32>,
        at: UnixMillis,
    ) -> Result<(), StoreError>;
    /// The networks whose blocks were read.
    async fn chain_networks(&self) -> Result<Vec<u32>, StoreError>;
    /// How far a chain was read.
    async fn chain_cursor(&self, network: u32) -> Result<Option<ChainCursor>, StoreError>;
    /// Places the cursor; `Fenced` when it stands elsewhere.
    async fn place_chain_cursor(&self, placing: Placing) -> Result<ChainCursor, StoreError>;
    /// Writes down what blocks brought and moves on. `Fenced` when the cursor or a trigger stands elsewhere.
    async fn advance(&self, advance: Advance) -> Result<Advanced, StoreError>;
    /// Writes down what came from elsewhere. `Fenced` when the cron trigger stands elsewhere; `QueueFull`.
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Delivered>, StoreError>;
    /// Makes invocations of waiting deliveries that may go, `limit` at the most. A lane that cannot go holds up no other:
    /// it is tried again after [`LANE_PAUSE`].
    async fn release_due(&self, now: UnixMillis, limit: u32) -> Result<Released, StoreError>;
    /// Invocations that events caused, or dead letters.
    async fn fired(&self, project: &ProjectName, filter: FiredFilter) -> Result<Vec<Fired>, StoreError>;
    /// Does it to a dead letter; `NotFound` when it is none.
    async fn redo(&self, id: InvocationId, redo: Redo, at: UnixMillis) -> Result<(), StoreError>;
}
