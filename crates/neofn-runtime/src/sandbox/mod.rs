//! The sandbox, in process: runs JavaScript in WebAssembly and gives every call a fresh memory image.
//!
//! A call is a chain of [`Step`]s: it runs until it is done or waits for host calls. Between two steps it is plain
//! data that may move to another thread; to cancel it is to drop it. The shape is the same for users' own modules.
//! Knows nothing of processes, sockets and jails: those are the child's that this code runs in.

pub mod artefact;
mod budget;
mod call;
mod config;
mod engine;
mod failure;
mod host;
pub mod image;
mod instance;
mod interrupt;
mod live;
mod logs;
mod nesting;
mod pagemap;
mod services;
mod surrogates;
#[cfg(test)]
mod tests;
pub mod wasm_module;

pub use budget::Budget;
pub use config::{MEMORY_MAX, MEMORY_MIN};
pub use engine::{Engine, EngineOptions, LoadError, Version};
pub(crate) use failure::evicted;
pub use interrupt::Interrupt;

use crate::port::{Failure, HostCall, HostReply, JobContext, JobLimits, Layout};
use bytes::Bytes;
use neofn_types::{UnitsBill, UnixMillis};
use std::time::Duration;

/// Threads that run sandboxes need at least this much stack: wasmtime aborts the process otherwise.
pub const THREAD_STACK_BYTES: usize = 8 << 20;

/// Everything that decides what a run does.
#[derive(Debug, Clone)]
pub struct CallInput {
    /// JSON of the event.
    pub event: Bytes,
    /// What `ctx` says.
    pub context: JobContext,
    /// Seeds all randomness.
    pub seed: [u8; 32],
    /// What Date.now answers until the first reply.
    pub now: UnixMillis,
    /// Wall clock left, parked time included. Enforced while code runs; while parked it is the holder's business.
    pub deadline: Duration,
    /// Most units, base included.
    pub units: u64,
    /// Sizes and counts.
    pub limits: JobLimits,
}

/// Where a run stands after a slice.
pub enum Step {
    /// It has ended.
    Done(Finished),
    /// It waits for host calls.
    Parked(Parked),
}

/// A run that has ended. Its answer can be sent before the instance is cleaned.
pub struct Finished {
    /// The answer.
    pub completed: CompletedCore,
    cleanup: Option<Box<dyn Cleanup>>,
}

impl Finished {
    /// A finished run, and what is to be cleaned after it.
    #[must_use]
    pub fn new(completed: CompletedCore, cleanup: Option<Box<dyn Cleanup>>) -> Self {
        Self { completed, cleanup }
    }
    /// Cleans the instance for the next run. Call it after the answer was sent; dropping throws the instance away.
    pub fn recycle(self) {
        if let Some(cleanup) = self.cleanup {
            cleanup.recycle();
        }
    }
    /// The answer, and the rest to be recycled later.
    #[must_use]
    pub fn split(self) -> (CompletedCore, Recycle) {
        (self.completed, Recycle(self.cleanup))
    }
}

/// What is left of a finished run once its answer was taken.
pub struct Recycle(Option<Box<dyn Cleanup>>);

impl Recycle {
    /// Cleans the instance for the next run.
    pub fn run(self) {
        if let Some(cleanup) = self.0 {
            cleanup.recycle();
        }
    }
}

/// How a run ended: [`crate::port::Completed`] without the time it took.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletedCore {
    /// JSON of the result, or why there is none.
    pub outcome: Result<Bytes, Failure>,
    /// One string per console call.
    pub logs: Vec<String>,
    /// The bill.
    pub units: UnitsBill,
    /// Fuel that instructions used.
    pub fuel: u64,
    /// High-water mark of memory above the snapshot's.
    pub memory_bytes: u64,
    /// Which memory layout served it.
    pub layout: Layout,
}

/// A run that waits for host calls. Dropping it cancels the run.
pub struct Parked(Box<dyn Suspended>);

impl Parked {
    /// Wraps a waiting run.
    #[must_use]
    pub fn new(run: Box<dyn Suspended>) -> Self {
        Self(run)
    }
    /// The host calls asked for since the last time, in order.
    pub fn take_calls(&mut self) -> Vec<HostCall> {
        self.0.take_calls()
    }
    /// Delivers one reply and runs on. A reply that nobody waits for changes nothing.
    #[must_use]
    pub fn resume(self, seq: u32, reply: HostReply) -> Step {
        self.0.resume(seq, reply)
    }
    /// Ends the run with this failure, keeping logs and bill: a time-out while it waited.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Finished {
        self.0.fail(failure)
    }
}

/// What a layout does for a waiting run.
pub trait Suspended: Send {
    /// See [`Parked::take_calls`].
    fn take_calls(&mut self) -> Vec<HostCall>;
    /// See [`Parked::resume`].
    fn resume(self: Box<Self>, seq: u32, reply: HostReply) -> Step;
    /// See [`Parked::fail`].
    fn fail(self: Box<Self>, failure: Failure) -> Finished;
}

/// What a layout does after a run.
pub trait Cleanup: Send {
    /// Makes the instance ready for another run of the same version.
    fn recycle(self: Box<Self>);
    /// Pages of its memory that differ from the image of its version.
    #[cfg(test)]
    fn wrong_pages(&self) -> usize;
}
