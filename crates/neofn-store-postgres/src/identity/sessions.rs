//! Challenges, sessions, refresh tokens and signing keys: the rows. A challenge is used up by removing its row, a
//! refresh token by moving its session's generation on: of two that try, one finds nothing left to do.

use super::{account, audit, optional, parsed};
use crate::error::Fault;
use crate::rows::fixed;
use neofn_identity::audit::AuditEntry;
use neofn_identity::challenge::{ChallengeRecord, Nonce};
use neofn_identity::port::{Put, Rotate, Rotated, SessionRecord, SignIn};
use neofn_identity::token::SigningKeyRecord;
use neofn_identity::{Membership, SessionId};
use neofn_rows::nat32;
use neofn_types::{ProjectName, ScriptHash, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

/// Most rows that one command clears away besides its own work.
const SWEEP: i64 = 256;
/// So many exchanged tokens of a session are remembered as such; an older one is just unknown.
const REMEMBERED: i64 = 1_000;
/// Most roles of an account that count: the oldest, so that nobody can push out what it has by adding more.
const ROLES_MAX: i64 = 10_000;

pub(super) async fn put_challenge(
    conn: &mut PgConnection,
    challenge: &ChallengeRecord,
    open_max: u32,
) -> Result<Put, Fault> {
    sqlx::query(
        "DELETE FROM challenge c USING (SELECT nonce FROM challenge WHERE expires_at <= $1 ORDER BY expires_at \
         LIMIT $2 FOR UPDATE SKIP LOCKED) AS old WHERE c.nonce = old.nonce",
    )
    .bind(challenge.issued_at.0)
    .bind(SWEEP)
    .execute(&mut *conn)
    .await?;
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM challenge LIMIT $1) c")
        .bind(i64::from(open_max))
        .fetch_one(&mut *conn)
        .await?;
    if open >= i64::from(open_max) {
        return Ok(Put::Full);
    }
    let stored = sqlx::query("INSERT INTO challenge VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(number(challenge.nonce)?)
        .bind(challenge.account.0.as_slice())
        .bind(challenge.domain.stored())
        .bind(i64::from(challenge.network))
        .bind(challenge.issued_at.0)
        .bind(challenge.expires_at.0)
        .execute(conn)
        .await?
        .rows_affected();
    Ok(if stored > 0 { Put::Stored } else { Put::Taken })
}

fn number(nonce: Nonce) -> Result<i64, Fault> {
    i64::try_from(nonce.number()).map_err(|_| Fault::Misuse("a nonce beyond its range"))
}

pub(super) async fn challenge(
    conn: &mut PgConnection,
    nonce: Nonce,
) -> Result<Option<ChallengeRecord>, Fault> {
    let row =
        sqlx::query("SELECT account, domain, network, issued_at, expires_at FROM challenge WHERE nonce = $1")
            .bind(number(nonce)?)
            .fetch_optional(conn)
            .await?;
    row.map(|row| {
        Ok(ChallengeRecord {
            nonce,
            account: account(&row, 0)?,
            domain: parsed(&row, 1, "domain")?,
            network: nat32(row.try_get(2)?),
            issued_at: UnixMillis(row.try_get(3)?),
            expires_at: UnixMillis(row.try_get(4)?),
        })
    })
    .transpose()
}

macro_rules! live {
    ($lock:literal) => {
        concat!(
            "SELECT account, format, created_at, expires_at, generation FROM session \
             WHERE id = $1 AND ended_at IS NULL AND expires_at > $2",
            $lock
        )
    };
}

/// `again`: an earlier try may have been committed without an answer.
pub(super) async fn sign_in(conn: &mut PgConnection, sign_in: &SignIn, again: bool) -> Result<bool, Fault> {
    let session = &sign_in.session;
    let used = sqlx::query("DELETE FROM challenge WHERE nonce = $1 AND account = $2 AND expires_at > $3")
        .bind(number(sign_in.nonce)?)
        .bind(session.account.0.as_slice())
        .bind(sign_in.at.0)
        .execute(&mut *conn)
        .await?
        .rows_affected();
    if used == 0 {
        return Ok(again && look(conn, live!(""), session.id, sign_in.at).await?.is_some());
    }
    sweep(conn, sign_in.at).await?;
    sqlx::query("INSERT INTO account VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(session.account.0.as_slice())
        .bind(sign_in.at.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO session VALUES ($1, $2, $3, $4, $5, NULL, 0)")
        .bind(session.id.0.as_slice())
        .bind(session.account.0.as_slice())
        .bind(&session.format)
        .bind(session.created_at.0)
        .bind(session.expires_at.0)
        .execute(&mut *conn)
        .await?;
    add_token(conn, session.id, &sign_in.refresh, 0).await?;
    audit::append(conn, &sign_in.audit).await?;
    Ok(true)
}

/// Clears away some sessions whose time is over, with their tokens.
async fn sweep(conn: &mut PgConnection, at: UnixMillis) -> Result<(), Fault> {
    sqlx::query(
        "WITH over AS (SELECT id FROM session WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 \
         FOR UPDATE SKIP LOCKED), tokens AS (DELETE FROM refresh r USING over WHERE r.session = over.id) \
         DELETE FROM session s USING over WHERE s.id = over.id",
    )
    .bind(at.0)
    .bind(SWEEP)
    .execute(conn)
    .await?;
    Ok(())
}

async fn add_token(
    conn: &mut PgConnection,
    id: SessionId,
    hash: &[u8; 32],
    generation: i64,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO refresh VALUES ($1, $2, $3)")
        .bind(id.0.as_slice())
        .bind(hash.as_slice())
        .bind(generation)
        .execute(conn)
        .await?;
    Ok(())
}

/// The generation of a token.
async fn token(conn: &mut PgConnection, id: SessionId, hash: &[u8; 32]) -> Result<Option<i64>, Fault> {
    Ok(
        sqlx::query_scalar("SELECT generation FROM refresh WHERE session = $1 AND hash = $2")
            .bind(id.0.as_slice())
            .bind(hash.as_slice())
            .fetch_optional(conn)
            .await?,
    )
}

/// `again`: an earlier try may have been committed without an answer, which is no second use of the token.
pub(super) async fn rotate(conn: &mut PgConnection, rotate: &Rotate, again: bool) -> Result<Rotated, Fault> {
    let Some((session, current)) = live(conn, rotate.id, rotate.at).await? else {
        return Ok(Rotated::Gone);
    };
    match token(conn, rotate.id, &rotate.presented).await? {
        None => Ok(Rotated::Gone),
        Some(generation) if generation == current => {
            add_token(conn, rotate.id, &rotate.next, current + 1).await?;
            sqlx::query("UPDATE session SET generation = $2 WHERE id = $1")
                .bind(rotate.id.0.as_slice())
                .bind(current + 1)
                .execute(&mut *conn)
                .await?;
            sqlx::query("DELETE FROM refresh WHERE session = $1 AND generation < $2")
                .bind(rotate.id.0.as_slice())
                .bind(current - REMEMBERED)
                .execute(conn)
                .await?;
            Ok(Rotated::Done(session))
        }
        Some(_) if again && token(conn, rotate.id, &rotate.next).await? == Some(current) => {
            Ok(Rotated::Done(session))
        }
        Some(_) => {
            end(conn, rotate.id, rotate.at).await?;
            audit::append(conn, &rotate.reused).await?;
            Ok(Rotated::Reused)
        }
    }
}

async fn end(conn: &mut PgConnection, id: SessionId, at: UnixMillis) -> Result<bool, Fault> {
    let ended = sqlx::query(
        "UPDATE session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL AND expires_at > $2",
    )
    .bind(id.0.as_slice())
    .bind(at.0)
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() > 0)
}

pub(super) async fn end_session(
    conn: &mut PgConnection,
    id: SessionId,
    at: UnixMillis,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let ended = end(conn, id, at).await?;
    if ended {
        audit::append(conn, entry).await?;
    }
    Ok(ended)
}

/// A session that has not ended, and its generation; held until this transaction ends.
async fn live(
    conn: &mut PgConnection,
    id: SessionId,
    at: UnixMillis,
) -> Result<Option<(SessionRecord, i64)>, Fault> {
    look(conn, live!(" FOR UPDATE"), id, at).await
}

async fn look(
    conn: &mut PgConnection,
    sql: &'static str,
    id: SessionId,
    at: UnixMillis,
) -> Result<Option<(SessionRecord, i64)>, Fault> {
    let row = sqlx::query(sql)
        .bind(id.0.as_slice())
        .bind(at.0)
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        let session = SessionRecord {
            id,
            account: account(&row, 0)?,
            format: row.try_get(1)?,
            created_at: UnixMillis(row.try_get(2)?),
            expires_at: UnixMillis(row.try_get(3)?),
        };
        Ok((session, row.try_get(4)?))
    })
    .transpose()
}

pub(super) async fn session(
    conn: &mut PgConnection,
    id: SessionId,
    at: UnixMillis,
) -> Result<Option<(SessionRecord, Vec<Membership>)>, Fault> {
    let Some((session, _)) = look(conn, live!(""), id, at).await? else {
        return Ok(None);
    };
    let memberships = roles(conn, session.account, None).await?;
    Ok(Some((session, memberships)))
}

/// What an account is: everywhere, or in one project.
pub(super) async fn roles(
    conn: &mut PgConnection,
    of: ScriptHash,
    project: Option<&ProjectName>,
) -> Result<Vec<Membership>, Fault> {
    // a role for a function that is gone is no role
    let rows = sqlx::query(
        "SELECT p.name, f.name, m.role FROM member m JOIN project p ON p.pid = m.pid \
         LEFT JOIN function f ON f.pid = m.pid AND f.fid = m.fid \
         WHERE m.account = $1 AND (m.fid = 0 OR f.fid IS NOT NULL) AND ($3::text IS NULL OR p.name = $3) \
         ORDER BY m.added_at, p.name LIMIT $2",
    )
    .bind(of.0.as_slice())
    .bind(ROLES_MAX)
    .bind(project.map(ProjectName::as_ref))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Membership {
                project: parsed(row, 0, "name")?,
                function: optional(row, 1, "name")?,
                role: parsed(row, 2, "role")?,
            })
        })
        .collect()
}

pub(super) async fn signing_keys(conn: &mut PgConnection) -> Result<Vec<SigningKeyRecord>, Fault> {
    let rows = sqlx::query("SELECT seq, kid, public, sealed, active_from FROM signing_key ORDER BY seq")
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SigningKeyRecord {
                seq: nat32(row.try_get(0)?),
                kid: row.try_get(1)?,
                public: fixed(row, 2, "public key")?,
                sealed: row.try_get(3)?,
                active_from: UnixMillis(row.try_get(4)?),
            })
        })
        .collect()
}

pub(super) async fn add_signing_key(
    conn: &mut PgConnection,
    key: &SigningKeyRecord,
    again: bool,
) -> Result<bool, Fault> {
    let added =
        sqlx::query("INSERT INTO signing_key VALUES ($1, $2, $3, $4, $5) ON CONFLICT (seq) DO NOTHING")
            .bind(i64::from(key.seq))
            .bind(&key.kid)
            .bind(key.public.as_slice())
            .bind(key.sealed.as_slice())
            .bind(key.active_from.0)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    if added == 0 && again {
        let kid: Option<String> = sqlx::query_scalar("SELECT kid FROM signing_key WHERE seq = $1")
            .bind(i64::from(key.seq))
            .fetch_optional(conn)
            .await?;
        return Ok(kid.as_ref() == Some(&key.kid));
    }
    Ok(added > 0)
}

pub(super) async fn drop_signing_keys(conn: &mut PgConnection, below: u32) -> Result<(), Fault> {
    sqlx::query("DELETE FROM signing_key WHERE seq < $1")
        .bind(i64::from(below))
        .execute(conn)
        .await?;
    Ok(())
}
