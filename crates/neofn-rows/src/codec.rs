//! How values become columns. Blobs of our own shapes begin with a format byte, so that a later layout can
//! still read them.

use crate::error::RowError;
use neofn_engine::port::{Origin, Recording, Status, StoredFailure};
use neofn_types::UnitsBill;
use serde::{Deserialize, Serialize};

/// Postcard, fields in declaration order.
const FORMAT: u8 = 1;

/// What is known of the last ended attempt, beside its result and its recording.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Why it failed.
    pub failure: Option<StoredFailure>,
    /// Its logs.
    pub logs: Vec<String>,
    /// What it was charged.
    pub units: UnitsBill,
    /// Microseconds.
    pub duration_us: u64,
}

/// As [`Detail`], without owning its parts.
#[derive(Debug, Serialize)]
pub struct DetailRef<'a> {
    /// Why it failed.
    pub failure: Option<&'a StoredFailure>,
    /// Its logs.
    pub logs: &'a [String],
    /// What it was charged.
    pub units: UnitsBill,
    /// Microseconds.
    pub duration_us: u64,
}

/// A value as the bytes of a column.
pub fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, RowError> {
    postcard::to_extend(value, vec![FORMAT]).map_err(|_| RowError::Misuse("a value that cannot be encoded"))
}
/// What [`pack`] wrote; `what` names it in the error.
pub fn unpack<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &'static str) -> Result<T, RowError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| RowError::Damaged(what)),
        _ => Err(RowError::Damaged(what)),
    }
}
/// The column `detail`; empty before the first attempt has ended.
pub fn unpack_detail(bytes: Option<&[u8]>) -> Result<Detail, RowError> {
    bytes.map_or_else(|| Ok(Detail::default()), |b| unpack(b, "invocation detail"))
}
/// The column `recording`.
pub fn unpack_recording(bytes: &[u8]) -> Result<Recording, RowError> {
    unpack(bytes, "recording")
}

/// Integers of databases are signed; what counts from zero never reaches the sign.
#[must_use]
pub fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
/// Back from [`int`].
#[must_use]
pub fn nat(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
/// As [`nat`], of what is small.
#[must_use]
pub fn nat32(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// `invocation.status` of what has not ended.
pub const LIVE: i64 = 0;
/// `invocation.status` of what has a result.
pub const SUCCEEDED: i64 = 2;
/// `invocation.status` of what failed for good.
pub const FAILED: i64 = 3;
/// `invocation.status` of what failed for good after its last try.
pub const DEAD: i64 = 4;

/// The status of an invocation from `invocation.status` and, if it is in the queue, `queue.state`.
pub fn status(ended: i64, state: Option<i64>) -> Result<Status, RowError> {
    match (ended, state) {
        (LIVE, Some(1)) => Ok(Status::Running),
        (LIVE, Some(0)) => Ok(Status::Queued),
        (SUCCEEDED, _) => Ok(Status::Succeeded),
        (FAILED, _) => Ok(Status::Failed),
        (DEAD, _) => Ok(Status::Dead),
        _ => Err(RowError::Damaged("invocation status")),
    }
}

/// The number of an origin.
#[must_use]
pub fn origin_number(origin: Origin) -> i64 {
    match origin {
        Origin::Sync => 0,
        Origin::Async => 1,
        Origin::Chain => 2,
        Origin::Http => 3,
        Origin::Replay => 4,
        Origin::Block => 5,
        Origin::Cron => 6,
        Origin::Event => 7,
    }
}
/// Back from [`origin_number`].
pub fn origin(number: i64) -> Result<Origin, RowError> {
    match number {
        0 => Ok(Origin::Sync),
        1 => Ok(Origin::Async),
        2 => Ok(Origin::Chain),
        3 => Ok(Origin::Http),
        4 => Ok(Origin::Replay),
        5 => Ok(Origin::Block),
        6 => Ok(Origin::Cron),
        7 => Ok(Origin::Event),
        _ => Err(RowError::Damaged("invocation origin")),
    }
}
