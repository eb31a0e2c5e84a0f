//! How matching events become invocations.

use crate::filter::Expression;

/// Everything about delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Where a new trigger begins; chain kinds only.
    pub start: Start,
    /// What runs at the same time.
    pub order: Order,
    /// Wait until no event came for this long, then deliver the last one.
    pub debounce_ms: Option<u64>,
    /// Deliver several events as one array.
    pub batch: Option<Batch>,
    /// What to do when the trigger falls behind; chain kinds only.
    pub max_lag: Option<MaxLag>,
}

/// The first block that a new trigger sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// The block after the one that is the newest when it is deployed.
    #[default]
    Latest,
    /// The first block.
    Genesis,
    /// This height.
    Height(u32),
}

/// What runs at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Order {
    /// Everything that the function's concurrency allows.
    #[default]
    Parallel,
    /// One after the other, in the order of the chain.
    Sequential,
    /// Events of one key one after the other, different keys at the same time.
    ByKey(Expression),
}

/// Several events in one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Most events of one invocation.
    pub size: u32,
    /// The oldest event waits no longer than this.
    pub wait_ms: u64,
}

/// A bound on falling behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxLag {
    /// Blocks behind the head.
    pub blocks: u32,
    /// What then.
    pub action: LagAction,
}

/// What happens when a trigger is further behind than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LagAction {
    /// Go on at the head; what lies between is left out, and counted.
    Skip,
    /// Stop the trigger until somebody resumes it.
    Pause,
}
impl LagAction {
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Pause => "pause",
        }
    }
}
