//! Which event an invocation is of, and listings by it.

use crate::error::Fault;
use crate::history;
use crate::rows::{Place, id};
use neofn_engine::triggers::port::{Fired, FiredFilter};
use neofn_rows::{int, nat};
use neofn_types::{InvocationId, ProjectName};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

/// What caused an invocation.
pub(super) struct Cause<'a> {
    pub(super) name: &'a str,
    pub(super) event_id: &'a [u8],
    pub(super) height: Option<i64>,
    pub(super) depth: i64,
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    place: Place,
    id: InvocationId,
    cause: Cause<'_>,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO fired VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(place.pid)
        .bind(place.fid)
        .bind(id.as_bytes().as_slice())
        .bind(cause.name)
        .bind(cause.event_id)
        .bind(cause.height)
        .bind(cause.depth)
        .execute(conn)
        .await?;
    Ok(())
}

macro_rules! page {
    ($from:literal) => {
        concat!(
            "SELECT x.id, x.name, x.event_id, x.height, i.event FROM ",
            $from,
            " JOIN invocation i ON i.pid = x.pid AND i.fid = x.fid AND i.id = x.id \
             JOIN function f ON f.pid = x.pid AND f.fid = x.fid \
             WHERE x.pid = (SELECT pid FROM project WHERE name = $1) AND x.id > $2 AND x.id < $3 \
             AND ($4::text IS NULL OR f.name = $4) AND ($5::text IS NULL OR x.name = $5) \
             AND ($6::bigint IS NULL OR x.height >= $6) AND ($7::bigint IS NULL OR x.height <= $7) \
             ORDER BY x.id DESC LIMIT $8"
        )
    };
}

const FIRED: &str = page!("fired x");
/// Also those that no trigger caused.
const DEAD: &str = page!(
    "(SELECT d.pid, d.fid, d.id, t.name, t.event_id, t.height FROM invocation d \
     LEFT JOIN fired t ON t.pid = d.pid AND t.fid = d.fid AND t.id = d.id WHERE d.status = 4) AS x"
);

pub(crate) async fn fired(
    conn: &mut PgConnection,
    project: &ProjectName,
    filter: &FiredFilter,
) -> Result<Vec<Fired>, Fault> {
    let after = filter.after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let before = filter.before.as_ref().map_or(&[0xff; 17][..], |id| id.as_bytes());
    let rows = sqlx::query(if filter.dead { DEAD } else { FIRED })
        .bind(project.as_ref())
        .bind(after)
        .bind(before)
        .bind(filter.function.as_ref().map(AsRef::<str>::as_ref))
        .bind(filter.trigger.as_deref())
        .bind(filter.from.map(int))
        .bind(filter.to.map(int))
        .bind(i64::from(filter.limit))
        .fetch_all(&mut *conn)
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        // one that was pruned between the two reads is left out
        if let Some(record) = history::by_id(conn, id(row, 0)?).await? {
            let event_id: Option<Vec<u8>> = row.try_get(2)?;
            found.push(Fired {
                record,
                trigger: row.try_get(1)?,
                event_id: event_id
                    .map(|bytes| String::from_utf8(bytes).map_err(|_| Fault::Damaged("event id")))
                    .transpose()?,
                height: row.try_get::<Option<i64>, _>(3)?.map(nat),
                event: row.try_get::<Vec<u8>, _>(4)?.into(),
            });
        }
    }
    Ok(found)
}
