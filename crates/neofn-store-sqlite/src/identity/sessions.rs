//! Challenges, sessions, refresh tokens and signing keys: the rows. A challenge is used up by removing its row, a
//! refresh token by moving its session's generation on: of two that try, one finds nothing left to do.

use super::{account, audit, text};
use crate::codec::{fixed, nat32};
use crate::error::Fault;
use neofn_identity::audit::AuditEntry;
use neofn_identity::challenge::{ChallengeRecord, Nonce};
use neofn_identity::port::{Put, Rotate, Rotated, SessionRecord, SignIn};
use neofn_identity::token::SigningKeyRecord;
use neofn_identity::{Membership, SessionId};
use neofn_types::{ProjectName, ScriptHash, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// Most rows that one command clears away besides its own work.
const SWEEP: i64 = 256;
/// So many exchanged tokens of a session are remembered as such; an older one is just unknown.
const REMEMBERED: i64 = 1_000;
/// Most roles of an account that count: the oldest, so that nobody can push out what it has by adding more.
const ROLES_MAX: i64 = 10_000;

pub(crate) fn put_challenge(
    conn: &Connection,
    challenge: &ChallengeRecord,
    open_max: u32,
) -> Result<Put, Fault> {
    let ended = conn
        .prepare_cached(
            "DELETE FROM challenge WHERE nonce IN \
             (SELECT nonce FROM challenge WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute(params![challenge.issued_at.0, SWEEP])?;
    count(conn, -i64::try_from(ended).unwrap_or(0))?;
    let open: i64 = conn
        .prepare_cached("SELECT open FROM challenges")?
        .query_row([], |row| row.get(0))?;
    if open >= i64::from(open_max) {
        return Ok(Put::Full);
    }
    let stored = conn
        .prepare_cached("INSERT INTO challenge VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING")?
        .execute(params![
            number(challenge.nonce)?,
            challenge.account.0,
            challenge.domain.stored(),
            challenge.network,
            challenge.issued_at.0,
            challenge.expires_at.0
        ])?;
    count(conn, i64::try_from(stored).unwrap_or(0))?;
    Ok(if stored > 0 { Put::Stored } else { Put::Taken })
}

fn number(nonce: Nonce) -> Result<i64, Fault> {
    i64::try_from(nonce.number()).map_err(|_| Fault::Misuse("a nonce beyond its range"))
}

fn count(conn: &Connection, by: i64) -> Result<(), Fault> {
    if by != 0 {
        conn.prepare_cached("UPDATE challenges SET open = open + ?1")?
            .execute([by])?;
    }
    Ok(())
}

pub(crate) fn challenge(conn: &Connection, nonce: Nonce) -> Result<Option<ChallengeRecord>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT account, domain, network, issued_at, expires_at FROM challenge WHERE nonce = ?1",
    )?;
    let mut rows = statement.query([number(nonce)?])?;
    rows.next()?
        .map(|row| {
            Ok(ChallengeRecord {
                nonce,
                account: account(row, 0)?,
                domain: text(row, 1, "domain")?,
                network: row.get(2)?,
                issued_at: UnixMillis(row.get(3)?),
                expires_at: UnixMillis(row.get(4)?),
            })
        })
        .transpose()
}

pub(crate) fn sign_in(conn: &Connection, sign_in: &SignIn) -> Result<bool, Fault> {
    let session = &sign_in.session;
    let used = conn
        .prepare_cached("DELETE FROM challenge WHERE nonce = ?1 AND account = ?2 AND expires_at > ?3")?
        .execute(params![number(sign_in.nonce)?, session.account.0, sign_in.at.0])?;
    if used == 0 {
        return Ok(false);
    }
    count(conn, -1)?;
    sweep(conn, sign_in.at)?;
    conn.prepare_cached("INSERT INTO account VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![session.account.0, sign_in.at.0])?;
    conn.prepare_cached("INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, NULL, 0)")?
        .execute(params![
            session.id.0,
            session.account.0,
            session.format,
            session.created_at.0,
            session.expires_at.0
        ])?;
    add_token(conn, session.id, &sign_in.refresh, 0)?;
    audit::append(conn, &sign_in.audit)?;
    Ok(true)
}

/// Clears away some sessions whose time is over; their tokens go first.
fn sweep(conn: &Connection, at: UnixMillis) -> Result<(), Fault> {
    let over = "SELECT id FROM session WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
    conn.prepare_cached(&format!("DELETE FROM refresh WHERE session IN ({over})"))?
        .execute(params![at.0, SWEEP])?;
    conn.prepare_cached(&format!("DELETE FROM session WHERE id IN ({over})"))?
        .execute(params![at.0, SWEEP])?;
    Ok(())
}

fn add_token(conn: &Connection, id: SessionId, hash: &[u8; 32], generation: i64) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO refresh VALUES (?1, ?2, ?3)")?
        .execute(params![id.0, hash, generation])?;
    Ok(())
}

pub(crate) fn rotate(conn: &Connection, rotate: &Rotate) -> Result<Rotated, Fault> {
    let Some((session, current)) = live(conn, rotate.id, rotate.at)? else {
        return Ok(Rotated::Gone);
    };
    let generation: Option<i64> = conn
        .prepare_cached("SELECT generation FROM refresh WHERE session = ?1 AND hash = ?2")?
        .query_row(params![rotate.id.0, rotate.presented], |row| row.get(0))
        .optional()?;
    match generation {
        None => Ok(Rotated::Gone),
        Some(generation) if generation == current => {
            add_token(conn, rotate.id, &rotate.next, current + 1)?;
            conn.prepare_cached("UPDATE session SET generation = ?2 WHERE id = ?1")?
                .execute(params![rotate.id.0, current + 1])?;
            conn.prepare_cached("DELETE FROM refresh WHERE session = ?1 AND generation < ?2")?
                .execute(params![rotate.id.0, current - REMEMBERED])?;
            Ok(Rotated::Done(session))
        }
        Some(_) => {
            end(conn, rotate.id, rotate.at)?;
            audit::append(conn, &rotate.reused)?;
            Ok(Rotated::Reused)
        }
    }
}

fn end(conn: &Connection, id: SessionId, at: UnixMillis) -> Result<bool, Fault> {
    let ended = conn
        .prepare_cached(
            "UPDATE session SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2",
        )?
        .execute(params![id.0, at.0])?;
    Ok(ended > 0)
}

pub(crate) fn end_session(
    conn: &Connection,
    id: SessionId,
    at: UnixMillis,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let ended = end(conn, id, at)?;
    if ended {
        audit::append(conn, entry)?;
    }
    Ok(ended)
}

/// A session that has not ended, and its generation.
fn live(conn: &Connection, id: SessionId, at: UnixMillis) -> Result<Option<(SessionRecord, i64)>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT account, format, created_at, expires_at, generation FROM session \
         WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2",
    )?;
    let mut rows = statement.query(params![id.0, at.0])?;
    rows.next()?
        .map(|row| {
            let session = SessionRecord {
                id,
                account: account(row, 0)?,
                format: row.get(1)?,
                created_at: UnixMillis(row.get(2)?),
                expires_at: UnixMillis(row.get(3)?),
            };
            Ok((session, row.get(4)?))
        })
        .transpose()
}

pub(crate) fn session(
    conn: &Connection,
    id: SessionId,
    at: UnixMillis,
) -> Result<Option<(SessionRecord, Vec<Membership>)>, Fault> {
    let Some((session, _)) = live(conn, id, at)? else {
        return Ok(None);
    };
    let memberships = roles(conn, session.account, None)?;
    Ok(Some((session, memberships)))
}

/// What an account is: everywhere, or in one project.
pub(crate) fn roles(
    conn: &Connection,
    of: ScriptHash,
    project: Option<&ProjectName>,
) -> Result<Vec<Membership>, Fault> {
    // a role for a function that is gone is no role
    let mut statement = conn.prepare_cached(
        "SELECT p.name, f.name, m.role FROM member m JOIN project p ON p.pid = m.pid \
         LEFT JOIN function f ON f.pid = m.pid AND f.fid = m.fid \
         WHERE m.account = ?1 AND (m.fid = 0 OR f.fid IS NOT NULL) AND (?3 IS NULL OR p.name = ?3) \
         ORDER BY m.added_at, p.name LIMIT ?2",
    )?;
    let mut rows = statement.query(params![of.0, ROLES_MAX, project.map(ProjectName::as_ref)])?;
    let mut memberships = Vec::new();
    while let Some(row) = rows.next()? {
        memberships.push(Membership {
            project: text(row, 0, "name")?,
            function: optional(row, 1)?,
            role: text(row, 2, "role")?,
        });
    }
    Ok(memberships)
}

pub(super) fn optional<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> Result<Option<T>, Fault> {
    let text: Option<String> = row.get(column)?;
    text.map(|t| t.parse().map_err(|_| Fault::Damaged("name")))
        .transpose()
}

pub(crate) fn signing_keys(conn: &Connection) -> Result<Vec<SigningKeyRecord>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT seq, kid, public, sealed, active_from FROM signing_key ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(SigningKeyRecord {
            seq: nat32(row.get(0)?),
            kid: row.get(1)?,
            public: fixed(row, 2, "public key")?,
            sealed: row.get(3)?,
            active_from: UnixMillis(row.get(4)?),
        });
    }
    Ok(found)
}

pub(crate) fn add_signing_key(conn: &Connection, key: &SigningKeyRecord) -> Result<bool, Fault> {
    let added = conn
        .prepare_cached("INSERT INTO signing_key VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(seq) DO NOTHING")?
        .execute(params![
            key.seq,
            key.kid,
            key.public,
            key.sealed,
            key.active_from.0
        ])?;
    Ok(added > 0)
}

pub(crate) fn drop_signing_keys(conn: &Connection, below: u32) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM signing_key WHERE seq < ?1")?
        .execute([below])?;
    Ok(())
}
