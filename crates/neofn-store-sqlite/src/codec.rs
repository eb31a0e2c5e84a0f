//! How SQLite's columns are read. What the values look like is common to all stores.

use crate::error::Fault;
pub(crate) use neofn_rows::{
    DEAD, Encoded, FAILED, LIVE, SUCCEEDED, effect_key, int, interrupted, is_rearmed, nat, nat32, origin,
    origin_number, result, status, status_of, unpack_detail, unpack_recording,
};
use neofn_types::{Caller, FunctionKey, InvocationId};
use rusqlite::Row;

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
/// Who had something done; none: nobody, or a row from before it was written down.
pub(crate) fn caller(row: &Row<'_>, column: usize) -> Result<Option<Caller>, Fault> {
    let text = row.get_ref(column)?.as_str_or_null();
    Ok(text.map_err(|_| Fault::Damaged("caller"))?.map(Caller::new))
}
/// A function's name: its project's in the column `first`, its own in the next.
pub(crate) fn key(row: &Row<'_>, first: usize) -> Result<FunctionKey, Fault> {
    let name = |column| -> Result<String, Fault> { Ok(row.get(column)?) };
    Ok(FunctionKey::new(
        name(first)?.parse().map_err(|_| Fault::Damaged("name"))?,
        name(first + 1)?.parse().map_err(|_| Fault::Damaged("name"))?,
    ))
}
pub(crate) fn id(row: &Row<'_>, column: usize) -> Result<InvocationId, Fault> {
    fixed(row, column, "invocation id").map(InvocationId::from_bytes)
}
