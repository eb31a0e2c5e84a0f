//! Counters and histograms of the engine as plain data. Knows no metrics format.

use neofn_types::Code;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the duration histogram, microseconds.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];
/// Upper bounds of the units histogram.
pub const UNITS_BOUNDS: [u64; 10] = [
    10_000,
    12_500,
    20_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    100_000_000,
];

/// A histogram: how many observations were at most each bound, not cumulative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramData {
    /// Upper bounds, ascending.
    pub bounds: &'static [u64],
    /// One count per bound, and one more for what is above the last.
    pub counts: Vec<u64>,
    /// Of all observations.
    pub sum: u64,
}

/// A reading of the engine's counters.
#[derive(Debug, Clone)]
pub struct EngineStats {
    /// Ended runs by outcome; `None` is success.
    pub outcomes: BTreeMap<Option<Code>, u64>,
    /// Requests that were not taken, by code.
    pub refusals: BTreeMap<Code, u64>,
    /// Microseconds from admission to the end.
    pub duration_us: HistogramData,
    /// Units charged.
    pub units: HistogramData,
    /// Units charged since the start.
    pub units_total: u64,
    /// Runs going on.
    pub in_flight: u64,
    /// Functions whose queued work is held back because they fail.
    pub paused: u64,
    /// Versions in memory.
    pub cache_entries: u64,
    /// Calls that found their version in memory.
    pub cache_hits: u64,
    /// Calls that had to load it.
    pub cache_misses: u64,
    /// Retries scheduled.
    pub retries: u64,
    /// Deployments that went live.
    pub deploys: u64,
    /// Deployments that were refused.
    pub deploys_refused: u64,
    /// Ended calls whose history row is on its way to the disk.
    pub records_pending: u64,
    /// History rows that could not be written.
    pub records_lost: u64,
    /// Whether no new work is taken.
    pub draining: bool,
}

struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    counts: [AtomicU64; N],
    over: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            over: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }
    fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts
            .get(at)
            .unwrap_or(&self.over)
            .fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }
    fn read(&self) -> HistogramData {
        let mut counts: Vec<u64> = self.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        counts.push(self.over.load(Ordering::Relaxed));
        HistogramData {
            bounds: self.bounds,
            counts,
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// The live counters.
pub(crate) struct Counters {
    outcomes: Mutex<BTreeMap<Option<Code>, u64>>,
    refusals: Mutex<BTreeMap<Code, u64>>,
    duration_us: Histogram<14>,
    units: Histogram<10>,
    pub(crate) cache_hits: AtomicU64,
    pub(crate) cache_misses: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) deploys: AtomicU64,
    pub(crate) deploys_refused: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            outcomes: Mutex::default(),
            refusals: Mutex::default(),
            duration_us: Histogram::new(&DURATION_BOUNDS_US),
            units: Histogram::new(&UNITS_BOUNDS),
            cache_hits: AtomicU64::new(0),
            cache_misses: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            deploys: AtomicU64::new(0),
            deploys_refused: AtomicU64::new(0),
        }
    }
    pub(crate) fn ended(&self, failure: Option<Code>, duration: Duration, units: u64) {
        *self.outcomes.lock().entry(failure).or_default() += 1;
        self.duration_us
            .observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.units.observe(units);
    }
    pub(crate) fn refused(&self, code: Code) {
        *self.refusals.lock().entry(code).or_default() += 1;
    }
    /// Everything but the gauges, which their owners know.
    pub(crate) fn read(&self) -> EngineStats {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let units = self.units.read();
        EngineStats {
            outcomes: self.outcomes.lock().clone(),
            refusals: self.refusals.lock().clone(),
            duration_us: self.duration_us.read(),
            units_total: units.sum,
            units,
            in_flight: 0,
            paused: 0,
            cache_entries: 0,
            cache_hits: get(&self.cache_hits),
            cache_misses: get(&self.cache_misses),
            retries: get(&self.retries),
            deploys: get(&self.deploys),
            deploys_refused: get(&self.deploys_refused),
            records_pending: 0,
            records_lost: 0,
            draining: false,
        }
    }
}

/// Counts one up.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
