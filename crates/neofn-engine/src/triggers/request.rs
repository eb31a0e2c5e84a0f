//! What the use cases ask about triggers, and what is answered.

use super::port::{Delivered, TriggerState};
use neofn_event::{TriggerId, TriggerSpec};
use neofn_types::{Datoshi, Hash256, Version};
use serde_json::Value;

/// A trigger as listings show it.
#[derive(Debug, Clone)]
pub struct TriggerInfo {
    /// What it is.
    pub spec: TriggerSpec,
    /// The version that it belongs to.
    pub version: Version,
    /// Where it stands.
    pub state: TriggerState,
    /// Blocks behind the newest one; none for kinds that wait for no block.
    pub lag: Option<u64>,
}

/// What a trigger is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOn {
    /// A transaction in a block.
    Transaction(Hash256),
    /// A block.
    Block(u64),
}

/// What would have fired.
#[derive(Debug, Clone)]
pub struct Backtest {
    /// Whose.
    pub trigger: TriggerId,
    /// The first block.
    pub from: u64,
    /// The last block that was read.
    pub to: u64,
    /// How often it would have fired.
    pub matched: u64,
    /// The first events.
    pub samples: Vec<Value>,
    /// Units of an invocation, measured on the first samples; none when nothing matched or all of them failed.
    pub units_each: Option<u64>,
    /// Fees of the transactions of an invocation, tried out on the same samples.
    pub fees_each: Option<Datoshi>,
    /// Why the first sample that failed did.
    pub failure: Option<String>,
    /// How many samples were run to measure it.
    pub measured: u32,
}

/// A switch of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Stops it where it is.
    Pause,
    /// Goes on where it stopped.
    Resume,
    /// Goes on with the next block.
    ResumeLatest,
}

/// What became of a published event.
#[derive(Debug, Clone)]
pub struct Published {
    /// The event's id.
    pub id: String,
    /// One for each trigger that it reached.
    pub deliveries: Vec<Delivered>,
}
