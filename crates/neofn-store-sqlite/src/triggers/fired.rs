//! Which event an invocation is of, and listings by it.

use crate::codec::{int, nat, nat32};
use crate::error::Fault;
use crate::history;
use crate::memory::Place;
use neofn_engine::triggers::port::{Fired, FiredFilter};
use neofn_types::{InvocationId, ProjectName};
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn insert(
    conn: &Connection,
    place: Place,
    id: InvocationId,
    name: &str,
    event_id: &str,
    height: Option<u64>,
    depth: u32,
) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO fired VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            place.pid,
            place.fid,
            id.as_bytes(),
            name,
            event_id,
            height.map(int),
            depth
        ])?;
    Ok(())
}

/// How many functions caused each other to get to an invocation; 0 when no event caused it.
pub(crate) fn depth_of(conn: &Connection, place: Place, id: InvocationId) -> Result<u32, Fault> {
    let depth: Option<i64> = conn
        .prepare_cached("SELECT depth FROM fired WHERE pid = ?1 AND fid = ?2 AND id = ?3")?
        .query_row(params![place.pid, place.fid, id.as_bytes()], |r| r.get(0))
        .optional()?;
    Ok(depth.map_or(0, nat32))
}

/// Goes with its invocation.
pub(crate) fn forget(conn: &Connection, place: Place, id: &[u8]) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM fired WHERE pid = ?1 AND fid = ?2 AND id = ?3")?
        .execute(params![place.pid, place.fid, id])?;
    Ok(())
}

macro_rules! page {
    ($from:literal, $where:literal) => {
        concat!(
            "SELECT x.id, x.name, x.event_id, x.height, i.event FROM ",
            $from,
            " WHERE x.pid = (SELECT pid FROM project WHERE name = ?1) AND x.id > ?2 AND x.id < ?3 \
             AND (?4 IS NULL OR f.name = ?4) AND (?5 IS NULL OR x.name = ?5) \
             AND (?6 IS NULL OR x.height >= ?6) AND (?7 IS NULL OR x.height <= ?7)",
            $where,
            " ORDER BY x.id DESC LIMIT ?8"
        )
    };
}

const FIRED: &str = page!(
    "fired x INDEXED BY fired_id JOIN invocation i ON i.pid = x.pid AND i.fid = x.fid AND i.id = x.id \
     JOIN function f ON f.fid = x.fid",
    ""
);
/// Also those that no trigger caused; the subquery is flattened, so the index on dead rows leads.
const DEAD: &str = page!(
    "(SELECT d.pid, d.fid, d.id, t.name, t.event_id, t.height FROM invocation d \
     LEFT JOIN fired t ON t.pid = d.pid AND t.fid = d.fid AND t.id = d.id WHERE d.status = 4) x \
     JOIN invocation i ON i.pid = x.pid AND i.fid = x.fid AND i.id = x.id JOIN function f ON f.fid = x.fid",
    ""
);

pub(crate) fn fired(
    conn: &Connection,
    project: &ProjectName,
    filter: &FiredFilter,
) -> Result<Vec<Fired>, Fault> {
    let after = filter.after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let before = filter.before.as_ref().map_or(&[0xff; 17][..], |id| id.as_bytes());
    let mut statement = conn.prepare_cached(if filter.dead { DEAD } else { FIRED })?;
    let mut rows = statement.query(params![
        project.as_ref(),
        after,
        before,
        filter.function.as_ref().map(AsRef::<str>::as_ref),
        filter.trigger,
        filter.from.map(int),
        filter.to.map(int),
        filter.limit
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = crate::codec::id(row, 0)?;
        // one that was pruned between the two reads is left out
        if let Some(record) = history::by_id(conn, id)? {
            found.push(Fired {
                record,
                trigger: row.get(1)?,
                event_id: row.get(2)?,
                height: row.get::<_, Option<i64>>(3)?.map(nat),
                event: row.get::<_, Vec<u8>>(4)?.into(),
            });
        }
    }
    Ok(found)
}
