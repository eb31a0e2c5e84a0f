//! Memory: bounded by the version's limit, and counted for the bill.

use super::config::TABLE_ELEMENTS_MAX;
use super::state::Stop;
use crate::sandbox::Interrupt;
use wasmtime::ResourceLimiter;

/// The memory of one run.
pub(super) struct Gauge {
    limit_bytes: usize,
    initial_bytes: Option<usize>,
    peak_bytes: usize,
    denied: bool,
    interrupt: Interrupt,
}

impl Gauge {
    pub(super) fn new(limit_bytes: u64, interrupt: Interrupt) -> Self {
        Self {
            interrupt,
            limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            initial_bytes: None,
            peak_bytes: 0,
            denied: false,
        }
    }
    /// Bytes above what the module starts with. A memory never shrinks, so this is the high-water mark.
    pub(super) fn grown_bytes(&self) -> u64 {
        let grown = self.peak_bytes.saturating_sub(self.initial_bytes.unwrap_or(0));
        u64::try_from(grown).unwrap_or(u64::MAX)
    }
    /// Whether the limit refused a growth.
    pub(super) fn denied(&self) -> bool {
        self.denied
    }
}

impl ResourceLimiter for Gauge {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.limit_bytes {
            self.denied = true;
            return Ok(false);
        }
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        if self.interrupt.grow(more).is_err() {
            return Err(Stop::Memory.into());
        }
        // the first growth is the instantiation's own
        self.initial_bytes.get_or_insert(desired);
        self.peak_bytes = self.peak_bytes.max(desired);
        Ok(true)
    }
    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}
