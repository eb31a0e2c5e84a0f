//! Dead letters: queued again, or laid to rest.

use crate::admit::Answer;
use crate::batch::Counts;
use crate::error::Fault;
use crate::rows::{Place, with_bytes};
use crate::time;
use neofn_engine::port::StoreError;
use neofn_engine::triggers::port::Redo;
use neofn_rows::{DEAD, FAILED, LIVE, SUCCEEDED};
use neofn_types::{InvocationId, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

/// `again`: an earlier try may have been committed without an answer.
pub(crate) async fn redo(
    conn: &mut PgConnection,
    id: InvocationId,
    redo: Redo,
    at: UnixMillis,
    again: bool,
) -> Answer<()> {
    let found = sqlx::query(with_bytes!(
        "SELECT i.pid, i.fid, i.fence, ",
        " FROM invocation i JOIN function f ON f.pid = i.pid AND f.fid = i.fid \
         WHERE i.id = $1 AND i.status = $2 FOR UPDATE OF i FOR KEY SHARE OF f"
    ))
    .bind(id.as_bytes().as_slice())
    .bind(DEAD)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = found else {
        return Ok(if again && is_redone(conn, id, redo).await? {
            Ok(())
        } else {
            Err(StoreError::NotFound)
        });
    };
    let place = Place::at(&row, 0)?;
    match redo {
        Redo::Drop => set_failed(conn, place, id).await?,
        Redo::Retry => {
            let at = time::of(conn, at).await?;
            // the newest code: the reason for trying again is that it was mended; and it has not waited since its first time
            sqlx::query(
                "UPDATE invocation SET status = $4, attempt = 0, run_at = $5, created_at = $5, finished_at = NULL, result = NULL, \
                 version = (SELECT live FROM function WHERE pid = $1 AND fid = $2) \
                 WHERE pid = $1 AND fid = $2 AND id = $3",
            )
            .bind(place.pid)
            .bind(place.fid)
            .bind(id.as_bytes().as_slice())
            .bind(LIVE)
            .bind(at.0)
            .execute(&mut *conn)
            .await?;
            sqlx::query("INSERT INTO queue VALUES ($1, $2, $4, $3, 0, 0, $5, false, NULL)")
                .bind(place.pid)
                .bind(place.fid)
                .bind(id.as_bytes().as_slice())
                .bind(at.0)
                .bind(row.try_get::<i64, _>(2)?)
                .execute(&mut *conn)
                .await?;
            let mut counts = Counts::default();
            counts.resumed(place, row.try_get(3)?);
            counts.write(conn).await?;
        }
    }
    Ok(Ok(()))
}

/// Whether a letter is no longer dead because of that.
async fn is_redone(conn: &mut PgConnection, id: InvocationId, redo: Redo) -> Result<bool, Fault> {
    let status: Option<i64> = sqlx::query_scalar("SELECT status FROM invocation WHERE id = $1")
        .bind(id.as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
    Ok(match redo {
        Redo::Drop => status == Some(FAILED),
        Redo::Retry => status.is_some_and(|status| status == LIVE || status == SUCCEEDED),
    })
}

async fn set_failed(conn: &mut PgConnection, place: Place, id: InvocationId) -> Result<(), Fault> {
    sqlx::query("UPDATE invocation SET status = $4 WHERE pid = $1 AND fid = $2 AND id = $3")
        .bind(place.pid)
        .bind(place.fid)
        .bind(id.as_bytes().as_slice())
        .bind(FAILED)
        .execute(conn)
        .await?;
    Ok(())
}
