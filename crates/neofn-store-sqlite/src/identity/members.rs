//! Projects and who is what in them: the rows.

use super::sessions::optional;
use super::{account, audit, keys, project_id, text};
use crate::error::Fault;
use neofn_identity::Role;
use neofn_identity::port::{
    Ceiling, Changed, CreateProject, Created, EndProject, Ended, MemberRecord, ProjectRecord, RemoveMember,
    SetMember,
};
use neofn_types::{FunctionName, ProjectName, ScriptHash, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The "function" of a role in the whole project.
const WHOLE: i64 = 0;

pub(crate) fn create_project(conn: &Connection, create: &CreateProject) -> Result<Created, Fault> {
    // one that ended keeps its name, too
    let taken = conn
        .prepare_cached("SELECT 1 FROM project WHERE name = ?1")?
        .exists([create.name.as_ref()])?;
    if taken {
        return Ok(Created::Exists);
    }
    if let Some(owner) = create.owner {
        // not what it owns: others can make it an owner, and it can give away what it made
        let made: i64 = conn
            .prepare_cached("SELECT count(*) FROM project WHERE created_by = ?1")?
            .query_row([owner.0.as_slice()], |row| row.get(0))?;
        if made >= i64::from(create.made_max) {
            return Ok(Created::TooMany);
        }
    }
    conn.prepare_cached("INSERT INTO project(name, created_at, created_by) VALUES (?1, ?2, ?3)")?
        .execute(params![
            create.name.as_ref(),
            create.at.0,
            create.owner.map(|owner| owner.0)
        ])?;
    let pid = conn.last_insert_rowid();
    if let Some(owner) = create.owner {
        let member = Member {
            place: (pid, WHOLE),
            who: owner,
            role: Role::Owner,
            accepted: true,
            at: create.at,
            by: &create.audit.actor,
        };
        put(conn, &member)?;
    }
    audit::append(conn, &create.audit)?;
    Ok(Created::Done)
}

pub(crate) fn end_project(conn: &Connection, end: &EndProject) -> Result<Ended, Fault> {
    let Some(pid) = project_id(conn, &end.name)? else {
        return Ok(Ended::Missing);
    };
    let functions = conn
        .prepare_cached("SELECT 1 FROM function WHERE pid = ?1")?
        .exists([pid])?;
    if functions {
        return Ok(Ended::NotEmpty);
    }
    for sql in [
        "DELETE FROM member WHERE pid = ?1",
        "DELETE FROM kv WHERE pid = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([pid])?;
    }
    conn.prepare_cached("UPDATE project SET ended_at = ?2, kv_keys = 0, kv_bytes = 0 WHERE pid = ?1")?
        .execute([pid, end.at.0])?;
    let secrets = crate::secrets::remove_project(conn, &end.name)?;
    let keys_revoked = keys::revoke_all(conn, &end.name, None, end.at)?;
    audit::append(conn, &end.audit)?;
    Ok(Ended::Done {
        secrets,
        keys_revoked,
    })
}

struct Member<'a> {
    place: (i64, i64),
    who: ScriptHash,
    role: Role,
    accepted: bool,
    at: UnixMillis,
    by: &'a str,
}

fn put(conn: &Connection, member: &Member<'_>) -> Result<(), Fault> {
    // an owner who took it on is not asked again
    conn.prepare_cached(
        "INSERT INTO member(pid, fid, account, role, added_at, added_by, accepted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT DO UPDATE SET role = excluded.role, added_by = excluded.added_by, \
         accepted = max(excluded.accepted, member.role = excluded.role AND member.accepted)",
    )?
    .execute(params![
        member.place.0,
        member.place.1,
        member.who.0,
        member.role.as_str(),
        member.at.0,
        member.by,
        member.accepted
    ])?;
    Ok(())
}

/// Whoever acts as an owner is one.
fn accept(conn: &Connection, pid: i64, who: ScriptHash) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE member SET accepted = 1 WHERE pid = ?1 AND fid = 0 AND account = ?2")?
        .execute(params![pid, who.0])?;
    Ok(())
}

/// Who made a project.
pub(crate) fn maker(conn: &Connection, project: &ProjectName) -> Result<Option<ScriptHash>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT created_by FROM project WHERE name = ?1 AND created_by IS NOT NULL")?;
    let mut rows = statement.query([project.as_ref()])?;
    rows.next()?.map(|row| account(row, 0)).transpose()
}

pub(crate) fn projects(
    conn: &Connection,
    of: Option<ScriptHash>,
    after: Option<&ProjectName>,
    limit: u32,
) -> Result<Vec<ProjectRecord>, Fault> {
    // without an account every project, and nobody's role
    let mut statement = conn.prepare_cached(
        "SELECT p.name, p.created_at, m.role FROM project p \
         LEFT JOIN member m ON m.pid = p.pid AND m.fid = 0 AND m.account = ?1 \
         WHERE (?1 IS NULL OR m.role IS NOT NULL) AND p.name > ?2 AND p.ended_at IS NULL ORDER BY p.name LIMIT ?3",
    )?;
    let after = after.map_or("", AsRef::as_ref);
    let mut rows = statement.query(params![of.map(|a| a.0), after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let role: Option<String> = row.get(2)?;
        found.push(ProjectRecord {
            name: text(row, 0, "name")?,
            created_at: UnixMillis(row.get(1)?),
            role: role
                .map(|r| r.parse().map_err(|_| Fault::Damaged("role")))
                .transpose()?,
        });
    }
    Ok(found)
}

/// The rows that a role is kept in; none when the project or the function is not there.
fn place(
    conn: &Connection,
    project: &ProjectName,
    function: Option<&FunctionName>,
) -> Result<Option<(i64, i64)>, Fault> {
    let Some(pid) = project_id(conn, project)? else {
        return Ok(None);
    };
    let Some(function) = function else {
        return Ok(Some((pid, WHOLE)));
    };
    let fid: Option<i64> = conn
        .prepare_cached("SELECT fid FROM function WHERE pid = ?1 AND name = ?2")?
        .query_row(params![pid, function.as_ref()], |row| row.get(0))
        .optional()?;
    Ok(fid.map(|fid| (pid, fid)))
}

fn role(conn: &Connection, (pid, fid): (i64, i64), who: ScriptHash) -> Result<Option<Role>, Fault> {
    let role: Option<String> = conn
        .prepare_cached("SELECT role FROM member WHERE pid = ?1 AND fid = ?2 AND account = ?3")?
        .query_row(params![pid, fid, who.0], |row| row.get(0))
        .optional()?;
    role.map(|r| r.parse().map_err(|_| Fault::Damaged("role")))
        .transpose()
}

/// Whether `who` is the one owner of the whole project who took it on.
fn is_last_owner(conn: &Connection, pid: i64, who: ScriptHash) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT 1 FROM member WHERE pid = ?1 AND fid = 0 AND role = 'owner' AND accepted = 1 AND account = ?2 \
             AND NOT EXISTS (SELECT 1 FROM member \
             WHERE pid = ?1 AND fid = 0 AND role = 'owner' AND accepted = 1 AND account <> ?2)",
        )?
        .exists(params![pid, who.0])?)
}

pub(crate) fn set(conn: &Connection, set: &SetMember) -> Result<Changed, Fault> {
    let Some(place) = place(conn, &set.project, set.function.as_ref())? else {
        return Ok(Changed::Missing);
    };
    let was = role(conn, place, set.account)?;
    let touches_owner = set.role == Role::Owner || was == Some(Role::Owner);
    if touches_owner && set.ceiling == Ceiling::BelowOwners {
        return Ok(Changed::AboveCeiling);
    }
    if let Some(by) = set.by.filter(|by| *by != set.account) {
        accept(conn, place.0, by)?;
    }
    let steps_down = was == Some(Role::Owner) && set.role != Role::Owner && place.1 == WHOLE;
    if steps_down && is_last_owner(conn, place.0, set.account)? {
        return Ok(Changed::LastOwner);
    }
    if was.is_none() {
        let members: i64 = conn
            .prepare_cached("SELECT count(*) FROM member WHERE pid = ?1")?
            .query_row([place.0], |row| row.get(0))?;
        if members >= i64::from(set.members_max) {
            return Ok(Changed::TooMany);
        }
    }
    let member = Member {
        place,
        who: set.account,
        role: set.role,
        accepted: set.role != Role::Owner || place.1 != WHOLE || set.by == Some(set.account),
        at: set.at,
        by: &set.audit.actor,
    };
    put(conn, &member)?;
    audit::append(conn, &set.audit)?;
    Ok(Changed::Done { keys_revoked: 0 })
}

pub(crate) fn remove(conn: &Connection, remove: &RemoveMember) -> Result<Changed, Fault> {
    let Some(place) = place(conn, &remove.project, remove.function.as_ref())? else {
        return Ok(Changed::Missing);
    };
    let whole = place.1 == WHOLE;
    let was = role(conn, place, remove.account)?;
    if was.is_none() && !(whole && has_any(conn, place.0, remove.account)?) {
        return Ok(Changed::Missing);
    }
    if let Some(by) = remove.by.filter(|by| *by != remove.account) {
        accept(conn, place.0, by)?;
    }
    if was == Some(Role::Owner) {
        if remove.ceiling == Ceiling::BelowOwners {
            return Ok(Changed::AboveCeiling);
        }
        if whole && is_last_owner(conn, place.0, remove.account)? {
            return Ok(Changed::LastOwner);
        }
    }
    let mut keys_revoked = 0;
    if whole {
        // whoever leaves a project leaves its functions, too
        conn.prepare_cached("DELETE FROM member WHERE pid = ?1 AND account = ?2")?
            .execute(params![place.0, remove.account.0])?;
        keys_revoked = keys::revoke_all(conn, &remove.project, Some(remove.account), remove.at)?;
    } else {
        conn.prepare_cached("DELETE FROM member WHERE pid = ?1 AND fid = ?2 AND account = ?3")?
            .execute(params![place.0, place.1, remove.account.0])?;
    }
    audit::append(conn, &remove.audit)?;
    Ok(Changed::Done { keys_revoked })
}

fn has_any(conn: &Connection, pid: i64, who: ScriptHash) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM member WHERE pid = ?1 AND account = ?2")?
        .exists(params![pid, who.0])?)
}

pub(crate) fn members(conn: &Connection, project: &ProjectName) -> Result<Vec<MemberRecord>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT m.account, f.name, m.role, m.added_at, m.added_by, m.accepted FROM member m \
         JOIN project p ON p.pid = m.pid LEFT JOIN function f ON f.pid = m.pid AND f.fid = m.fid \
         WHERE p.name = ?1 AND (m.fid = 0 OR f.fid IS NOT NULL) ORDER BY m.fid, m.added_at, m.account",
    )?;
    let mut rows = statement.query([project.as_ref()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(MemberRecord {
            account: account(row, 0)?,
            function: optional(row, 1)?,
            role: text(row, 2, "role")?,
            added_at: UnixMillis(row.get(3)?),
            added_by: row.get(4)?,
            accepted: row.get(5)?,
        });
    }
    Ok(found)
}

/// What was granted for a function goes with it.
pub(crate) fn forget_function(conn: &Connection, pid: i64, fid: i64) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM member WHERE pid = ?1 AND fid = ?2")?
        .execute([pid, fid])?;
    Ok(())
}
