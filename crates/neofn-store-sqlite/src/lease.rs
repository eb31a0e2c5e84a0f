//! Who does what only one node does at a time. A directory has one process, so a lease of another holder is one of an
//! earlier process, and free.

use crate::codec::{int, nat};
use crate::error::Fault;
use neofn_engine::port::Lease;
use neofn_types::{Fence, UnixMillis};
use rusqlite::{Connection, params};

pub(crate) fn take(
    conn: &Connection,
    name: &str,
    holder: &str,
    now: UnixMillis,
    until: UnixMillis,
) -> Result<Lease, Fault> {
    conn.prepare_cached(
        "INSERT INTO lease VALUES (?1, ?2, ?5, ?4) ON CONFLICT DO UPDATE SET holder = excluded.holder, \
         fence = fence + (holder <> excluded.holder OR until <= ?3), until = excluded.until \
         WHERE holder = excluded.holder OR until <= ?3",
    )?
    .execute(params![name, holder, now.0, until.0, int(1)])?;
    let lease = conn
        .prepare_cached("SELECT holder, fence, until FROM lease WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Lease {
                holder: row.get(0)?,
                fence: Fence(nat(row.get(1)?)),
                until: UnixMillis(row.get(2)?),
            })
        })?;
    Ok(lease)
}

pub(crate) fn give(conn: &Connection, name: &str, holder: &str) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE lease SET until = 0 WHERE name = ?1 AND holder = ?2")?
        .execute([name, holder])?;
    Ok(())
}

/// Those that hold, by name.
pub(crate) fn all(conn: &Connection, now: UnixMillis) -> Result<Vec<(String, Lease)>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT name, holder, fence, until FROM lease WHERE until > ?1 ORDER BY name")?;
    let rows = statement.query_map([now.0], |row| {
        let lease = Lease {
            holder: row.get(1)?,
            fence: Fence(nat(row.get(2)?)),
            until: UnixMillis(row.get(3)?),
        };
        Ok((row.get(0)?, lease))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn forget(conn: &Connection, prefix: &str, before: UnixMillis) -> Result<u64, Fault> {
    let gone = conn
        .prepare_cached("DELETE FROM lease WHERE substr(name, 1, length(?1)) = ?1 AND until < ?2")?
        .execute(params![prefix, before.0])?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

/// Forgets the leases of an earlier process; their fences go on growing.
pub(crate) fn end_all(conn: &Connection) -> Result<(), Fault> {
    conn.execute("UPDATE lease SET until = 0", [])?;
    Ok(())
}
