//! Schedule v1. Every invocation records the version that billed it, so that a bill can be recomputed.

use serde::{Deserialize, Serialize};

/// Fuel per compute unit.
pub const FUEL_PER_UNIT: u64 = 1_000;
/// Memory is charged by pages of this size, at the high-water mark.
pub const MEMORY_PAGE_BYTES: u64 = 64 << 10;

/// Price of one kind of host call: `units + per_kib * ceil(bytes / 1024)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// For the call.
    pub units: u64,
    /// For each started KiB of input (for reads: of output).
    pub per_kib: u64,
}

/// What a host call is charged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostCharge {
    /// One console call.
    Log,
    /// ctx.kv.get
    KvGet,
    /// ctx.kv.put
    KvPut,
    /// ctx.kv.delete
    KvDelete,
    /// ctx.kv.list
    KvList,
    /// ctx.kv counters
    KvCounter,
    /// ctx.invoke; the callee's own units come on top.
    Invoke,
    /// Hashing and encoding.
    Digest,
    /// A signature check.
    Verify,
    /// Random bytes.
    Random,
    /// A question to the chain.
    ChainRead,
    /// A transaction.
    ChainWrite,
    /// ctx.emit
    Emit,
    /// A request to another host.
    Fetch,
    /// ctx.secrets
    Secret,
}

impl HostCharge {
    /// Every kind, in the order of the tables.
    pub const ALL: [Self; 15] = [
        Self::Log,
        Self::KvGet,
        Self::KvPut,
        Self::KvDelete,
        Self::KvList,
        Self::KvCounter,
        Self::Invoke,
        Self::Digest,
        Self::Verify,
        Self::Random,
        Self::ChainRead,
        Self::ChainWrite,
        Self::Emit,
        Self::Fetch,
        Self::Secret,
    ];
}

/// A version of the price list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Its number.
    pub version: u32,
    /// For being run at all.
    pub base: u64,
    /// Fuel per compute unit.
    pub fuel_per_unit: u64,
    /// Units per page of memory.
    pub memory_per_page: u64,
}

/// The schedule in force.
pub const SCHEDULE_V1: Schedule = Schedule {
    version: 1,
    base: 10_000,
    fuel_per_unit: FUEL_PER_UNIT,
    memory_per_page: 10,
};

impl Schedule {
    /// The price of a kind of host call.
    #[must_use]
    pub const fn price(&self, kind: HostCharge) -> Price {
        let (units, per_kib) = match kind {
            HostCharge::Log => (10, 1),
            HostCharge::KvGet => (2_000, 0),
            HostCharge::KvPut => (5_000, 10),
            HostCharge::KvDelete | HostCharge::KvList | HostCharge::KvCounter => (2_000, 10),
            HostCharge::Invoke => (10_000, 0),
            HostCharge::Digest => (50, 20),
            HostCharge::Verify => (20_000, 0),
            HostCharge::Random => (10, 1),
            HostCharge::ChainRead => (20_000, 0),
            HostCharge::ChainWrite => (100_000, 0),
            HostCharge::Emit => (10_000, 0),
            HostCharge::Fetch => (50_000, 10),
            HostCharge::Secret => (5_000, 0),
        };
        Price { units, per_kib }
    }
    /// Units of one host call over `bytes`.
    #[must_use]
    pub const fn host_units(&self, kind: HostCharge, bytes: u64) -> u64 {
        let price = self.price(kind);
        price
            .units
            .saturating_add(price.per_kib.saturating_mul(bytes.div_ceil(1024)))
    }
    /// Units of a memory high-water mark of `bytes` above the snapshot's.
    #[must_use]
    pub const fn memory_units(&self, bytes: u64) -> u64 {
        self.memory_per_page
            .saturating_mul(bytes.div_ceil(MEMORY_PAGE_BYTES))
    }
}
