//! How values become columns. Blobs of our own shapes begin with a format byte, so that a later layout can
//! still read them.

use crate::error::Fault;
use neofn_engine::port::{Origin, Outcome, Recording, Status, StoredFailure};
use neofn_types::{InvocationId, UnitsBill};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

/// Postcard, fields in declaration order.
const FORMAT: u8 = 1;

/// What is known of the last ended attempt, beside its result and its recording.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub failure: Option<StoredFailure>,
    pub logs: Vec<String>,
    pub units: UnitsBill,
    pub duration_us: u64,
}

/// As [`Detail`], without owning its parts.
#[derive(Serialize)]
pub(crate) struct DetailRef<'a> {
    pub failure: Option<&'a StoredFailure>,
    pub logs: &'a [String],
    pub units: UnitsBill,
    pub duration_us: u64,
}

pub(crate) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    postcard::to_extend(value, vec![FORMAT]).map_err(|_| Fault::Misuse("a value that cannot be encoded"))
}
pub(crate) fn unpack<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &'static str) -> Result<T, Fault> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| Fault::Damaged(what)),
        _ => Err(Fault::Damaged(what)),
    }
}
pub(crate) fn unpack_detail(bytes: Option<&[u8]>) -> Result<Detail, Fault> {
    bytes.map_or_else(|| Ok(Detail::default()), |b| unpack(b, "invocation detail"))
}
pub(crate) fn unpack_recording(bytes: &[u8]) -> Result<Recording, Fault> {
    unpack(bytes, "recording")
}

/// SQLite's integers are signed; what counts from zero never reaches the sign.
pub(crate) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
pub(crate) fn nat(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
pub(crate) fn nat32(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// A column of exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<[u8; N], Fault> {
    let value = row.get_ref(column)?;
    let bytes = value.as_blob().map_err(|_| Fault::Damaged(what))?;
    bytes.try_into().map_err(|_| Fault::Damaged(what))
}
pub(crate) fn id(row: &Row<'_>, column: usize) -> Result<InvocationId, Fault> {
    fixed(row, column, "invocation id").map(InvocationId::from_bytes)
}

/// The numbers of `invocation.status`; 0 is "not ended".
pub(crate) const LIVE: i64 = 0;
pub(crate) const SUCCEEDED: i64 = 2;
pub(crate) const FAILED: i64 = 3;
pub(crate) const DEAD: i64 = 4;

pub(crate) fn status(ended: i64, state: Option<i64>) -> Result<Status, Fault> {
    match (ended, state) {
        (LIVE, Some(1)) => Ok(Status::Running),
        (LIVE, Some(0)) => Ok(Status::Queued),
        (SUCCEEDED, _) => Ok(Status::Succeeded),
        (FAILED, _) => Ok(Status::Failed),
        (DEAD, _) => Ok(Status::Dead),
        _ => Err(Fault::Damaged("invocation status")),
    }
}

pub(crate) fn origin_number(origin: Origin) -> i64 {
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
pub(crate) fn origin(number: i64) -> Result<Origin, Fault> {
    match number {
        0 => Ok(Origin::Sync),
        1 => Ok(Origin::Async),
        2 => Ok(Origin::Chain),
        3 => Ok(Origin::Http),
        4 => Ok(Origin::Replay),
        5 => Ok(Origin::Block),
        6 => Ok(Origin::Cron),
        7 => Ok(Origin::Event),
        _ => Err(Fault::Damaged("invocation origin")),
    }
}

/// The failure that an outcome carries.
pub(crate) fn failure(outcome: &Outcome) -> Option<&StoredFailure> {
    match outcome {
        Outcome::Succeeded(_) => None,
        Outcome::Failed(f) | Outcome::Dead(f) | Outcome::Retry { failure: f, .. } => Some(f),
    }
}
