//! What one run holds beside the module's memory: streams, clock, chance, and the bill so far.

use super::limiter::Gauge;
use super::lines::Lines;
use crate::sandbox::{CallInput, Interrupt};
use bytes::Bytes;
use neofn_gas::{HostCharge, Meter, SCHEDULE_V1};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fmt;
use wasmtime::{Caller, Memory};

/// Why a host function ended the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// `proc_exit`.
    Exit(u32),
    /// A charge was not covered.
    Units,
    /// Standard output passed the limit.
    ResultTooLarge,
    /// The interrupt was due.
    Interrupted,
    /// The process has no memory left, and this run holds the most.
    Memory,
}
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
impl std::error::Error for Stop {}

/// Before its own sleeps: not zero, which Go's runtime takes for a broken clock.
const MONOTONIC_START_NS: u64 = 1_000_000_000;

/// The state of one run.
pub(super) struct State {
    pub(super) stdin: Bytes,
    pub(super) stdin_at: usize,
    pub(super) stdout: Vec<u8>,
    pub(super) stdout_max: usize,
    pub(super) stderr: Lines,
    pub(super) name: String,
    pub(super) rng: ChaCha20Rng,
    pub(super) gauge: Gauge,
    pub(super) memory: Option<Memory>,
    meter: Meter,
    /// Wall clock of the run, which stands still.
    now_ns: u64,
    /// How long it slept. Costs no time: the clock is moved instead.
    slept_ns: u64,
    pub(super) host_units: u64,
    pub(super) memory_units: u64,
}

impl State {
    pub(super) fn new(input: CallInput, meter: Meter, memory_bytes: u64, interrupt: Interrupt) -> Self {
        Self {
            stdin: input.event,
            stdin_at: 0,
            stdout: Vec::new(),
            stdout_max: usize::try_from(input.limits.result_bytes).unwrap_or(usize::MAX),
            stderr: Lines::new(input.limits.logs_bytes),
            name: input.context.function,
            rng: ChaCha20Rng::from_seed(input.seed),
            gauge: Gauge::new(memory_bytes, interrupt),
            memory: None,
            meter,
            now_ns: u64::try_from(input.now.0).unwrap_or(0).saturating_mul(1_000_000),
            slept_ns: 0,
            host_units: 0,
            memory_units: 0,
        }
    }
    pub(super) fn realtime_ns(&self) -> u64 {
        self.now_ns.saturating_add(self.slept_ns)
    }
    pub(super) fn monotonic_ns(&self) -> u64 {
        MONOTONIC_START_NS.saturating_add(self.slept_ns)
    }
    pub(super) fn sleep_ns(&mut self, ns: u64) {
        self.slept_ns = self.slept_ns.saturating_add(ns);
    }
    /// Fuel for a charge of `host` units and for memory that has grown since the last one; None when `left` does not
    /// cover it. The limiter cannot reach the fuel, hence here: each host call, and the end, settle the growth.
    pub(super) fn settle(&mut self, left: u64, host: u64) -> Option<u64> {
        let memory = SCHEDULE_V1.memory_units(self.gauge.grown_bytes());
        let new = memory.saturating_sub(self.memory_units);
        let left = left.checked_sub(self.meter.fuel_of(host.saturating_add(new)))?;
        self.memory_units = memory;
        self.host_units = self.host_units.saturating_add(host);
        Some(left)
    }
}

/// Charges a host call of `kind` over `bytes`, `count` times.
pub(super) fn charge(
    caller: &mut Caller<'_, State>,
    kind: HostCharge,
    count: u64,
    bytes: u64,
) -> wasmtime::Result<()> {
    let price = SCHEDULE_V1.price(kind);
    let units = price
        .units
        .saturating_mul(count)
        .saturating_add(price.per_kib.saturating_mul(bytes.div_ceil(1024)));
    settle(caller, units)
}

/// What the host's own work costs, in fuel: about what the module could have done in that time, of which a call of
/// the host alone is some 50 ns.
pub(super) enum Work {
    /// Any call out of the module.
    Call,
    /// One buffer of a read or write.
    Buffer,
    /// One subscription of a poll.
    Subscription,
    /// One started KiB that is copied.
    Kib,
    /// One started KiB of chance.
    RandomKib,
}

impl Work {
    const fn fuel(self) -> u64 {
        match self {
            Self::Call => 1_000,
            Self::Buffer => 200,
            Self::Subscription => 1_000,
            Self::Kib => 1_000,
            Self::RandomKib => 10_000,
        }
    }
}

/// Takes the fuel of `count` pieces of work before they are done, and settles grown memory.
pub(super) fn work(caller: &mut Caller<'_, State>, work: Work, count: u64) -> wasmtime::Result<()> {
    let left = caller.get_fuel()?.checked_sub(work.fuel().saturating_mul(count));
    match left.and_then(|left| caller.data_mut().settle(left, 0)) {
        Some(left) => caller.set_fuel(left),
        None => Err(Stop::Units.into()),
    }
}

/// Takes the fuel of copying `bytes`.
pub(super) fn copying(caller: &mut Caller<'_, State>, bytes: usize) -> wasmtime::Result<()> {
    let kib = u64::try_from(bytes.div_ceil(1024)).unwrap_or(u64::MAX);
    work(caller, Work::Kib, kib)
}

fn settle(caller: &mut Caller<'_, State>, units: u64) -> wasmtime::Result<()> {
    let left = caller.get_fuel()?;
    match caller.data_mut().settle(left, units) {
        Some(left) => caller.set_fuel(left),
        None => Err(Stop::Units.into()),
    }
}
