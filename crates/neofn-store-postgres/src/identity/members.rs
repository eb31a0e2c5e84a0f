//! Projects and who is what in them: the rows. Whoever changes members holds the project's row meanwhile, so that a
//! project never loses its last owner to two changes at once.

use super::{account, audit, hold_project, keys, optional, parsed};
use crate::error::Fault;
use neofn_identity::Role;
use neofn_identity::port::{
    Ceiling, Changed, CreateProject, Created, EndProject, Ended, MemberRecord, ProjectRecord, RemoveMember,
    SetMember,
};
use neofn_types::{FunctionName, ProjectName, ScriptHash, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

/// The "function" of a role in the whole project.
const WHOLE: i64 = 0;

pub(super) async fn create_project(
    conn: &mut PgConnection,
    create: &CreateProject,
) -> Result<Created, Fault> {
    if let Some(owner) = create.owner {
        // one account's new projects come one after another, so that they can be counted
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 1))")
            .bind(owner.0.as_slice())
            .execute(&mut *conn)
            .await?;
    }
    if hold_project(conn, &create.name).await?.is_some() {
        return Ok(Created::Exists);
    }
    if let Some(owner) = create.owner {
        // not what it owns: others can make it an owner, and it can give away what it made
        let made: i64 = sqlx::query_scalar("SELECT count(*) FROM project WHERE created_by = $1")
            .bind(owner.0.as_slice())
            .fetch_one(&mut *conn)
            .await?;
        if made >= i64::from(create.made_max) {
            return Ok(Created::TooMany);
        }
    }
    let pid: Option<i64> = sqlx::query_scalar(
        "INSERT INTO project(name, created_at, created_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING pid",
    )
    .bind(create.name.as_ref())
    .bind(create.at.0)
    .bind(create.owner.map(|owner| owner.0.to_vec()))
    .fetch_optional(&mut *conn)
    .await?;
    let Some(pid) = pid else {
        return Ok(Created::Exists);
    };
    if let Some(owner) = create.owner {
        let member = Member {
            place: (pid, WHOLE),
            who: owner,
            role: Role::Owner,
            accepted: true,
            at: create.at,
            by: &create.audit.actor,
        };
        put(conn, member).await?;
    }
    audit::append(conn, &create.audit).await?;
    Ok(Created::Done)
}

struct Member<'a> {
    place: (i64, i64),
    who: ScriptHash,
    role: Role,
    accepted: bool,
    at: UnixMillis,
    by: &'a str,
}

pub(super) async fn end_project(conn: &mut PgConnection, end: &EndProject) -> Result<Ended, Fault> {
    // a function that is being made holds the row, too: whoever is second sees what the first has done
    let pid: Option<i64> =
        sqlx::query_scalar("SELECT pid FROM project WHERE name = $1 AND ended_at IS NULL FOR UPDATE")
            .bind(end.name.as_ref())
            .fetch_optional(&mut *conn)
            .await?;
    let Some(pid) = pid else {
        return Ok(Ended::Missing);
    };
    let functions: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM function WHERE pid = $1)")
        .bind(pid)
        .fetch_one(&mut *conn)
        .await?;
    if functions {
        return Ok(Ended::NotEmpty);
    }
    for sql in [
        "DELETE FROM member WHERE pid = $1",
        "DELETE FROM kv WHERE pid = $1",
    ] {
        sqlx::query(sql).bind(pid).execute(&mut *conn).await?;
    }
    sqlx::query("UPDATE project SET ended_at = $2, kv_keys = 0, kv_bytes = 0 WHERE pid = $1")
        .bind(pid)
        .bind(end.at.0)
        .execute(&mut *conn)
        .await?;
    let secrets = crate::secrets::remove_project(conn, &end.name).await?;
    let keys_revoked = keys::revoke_all(conn, &end.name, None, end.at).await?;
    audit::append(conn, &end.audit).await?;
    Ok(Ended::Done {
        secrets,
        keys_revoked,
    })
}

async fn put(conn: &mut PgConnection, member: Member<'_>) -> Result<(), Fault> {
    // an owner who took it on is not asked again
    sqlx::query(
        "INSERT INTO member(pid, fid, account, role, added_at, added_by, accepted) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (pid, fid, account) DO UPDATE SET role = excluded.role, added_by = excluded.added_by, \
         accepted = CASE WHEN member.role = excluded.role THEN greatest(excluded.accepted, member.accepted) \
         ELSE excluded.accepted END",
    )
    .bind(member.place.0)
    .bind(member.place.1)
    .bind(member.who.0.as_slice())
    .bind(member.role.as_str())
    .bind(member.at.0)
    .bind(super::sent(member.by))
    .bind(i64::from(member.accepted))
    .execute(conn)
    .await?;
    Ok(())
}

/// Whoever acts as an owner is one.
async fn accept(conn: &mut PgConnection, pid: i64, who: ScriptHash) -> Result<(), Fault> {
    sqlx::query("UPDATE member SET accepted = 1 WHERE pid = $1 AND fid = 0 AND account = $2")
        .bind(pid)
        .bind(who.0.as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// Who made a project.
pub(super) async fn maker(
    conn: &mut PgConnection,
    project: &ProjectName,
) -> Result<Option<ScriptHash>, Fault> {
    let row = sqlx::query("SELECT created_by FROM project WHERE name = $1 AND created_by IS NOT NULL")
        .bind(project.as_ref())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| account(row, 0)).transpose()
}

pub(super) async fn projects(
    conn: &mut PgConnection,
    of: Option<ScriptHash>,
    after: Option<&ProjectName>,
    limit: u32,
) -> Result<Vec<ProjectRecord>, Fault> {
    // without an account every project, and nobody's role
    let rows = sqlx::query(
        "SELECT p.name, p.created_at, m.role FROM project p \
         LEFT JOIN member m ON m.pid = p.pid AND m.fid = 0 AND m.account = $1 \
         WHERE ($1::bytea IS NULL OR m.role IS NOT NULL) AND p.name > $2 AND p.ended_at IS NULL ORDER BY p.name LIMIT $3",
    )
    .bind(of.map(|a| a.0.to_vec()))
    .bind(after.map_or("", AsRef::as_ref))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ProjectRecord {
                name: parsed(row, 0, "name")?,
                created_at: UnixMillis(row.try_get(1)?),
                role: optional(row, 2, "role")?,
            })
        })
        .collect()
}

/// The rows that a role is kept in, held; none when the project or the function is not there.
async fn place(
    conn: &mut PgConnection,
    project: &ProjectName,
    function: Option<&FunctionName>,
) -> Result<Option<(i64, i64)>, Fault> {
    let Some(pid) = hold_project(conn, project).await? else {
        return Ok(None);
    };
    let Some(function) = function else {
        return Ok(Some((pid, WHOLE)));
    };
    let fid: Option<i64> =
        sqlx::query_scalar("SELECT fid FROM function WHERE pid = $1 AND name = $2 FOR KEY SHARE")
            .bind(pid)
            .bind(function.as_ref())
            .fetch_optional(conn)
            .await?;
    Ok(fid.map(|fid| (pid, fid)))
}

async fn role(
    conn: &mut PgConnection,
    (pid, fid): (i64, i64),
    who: ScriptHash,
) -> Result<Option<Role>, Fault> {
    let row = sqlx::query("SELECT role FROM member WHERE pid = $1 AND fid = $2 AND account = $3")
        .bind(pid)
        .bind(fid)
        .bind(who.0.as_slice())
        .fetch_optional(conn)
        .await?;
    row.map(|row| parsed(&row, 0, "role")).transpose()
}

/// Whether `who` is the one owner of the whole project who took it on.
async fn is_last_owner(conn: &mut PgConnection, pid: i64, who: ScriptHash) -> Result<bool, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM member \
         WHERE pid = $1 AND fid = 0 AND role = 'owner' AND accepted = 1 AND account = $2) \
         AND NOT EXISTS (SELECT 1 FROM member \
         WHERE pid = $1 AND fid = 0 AND role = 'owner' AND accepted = 1 AND account <> $2)",
    )
    .bind(pid)
    .bind(who.0.as_slice())
    .fetch_one(conn)
    .await?)
}

pub(super) async fn set(conn: &mut PgConnection, set: &SetMember) -> Result<Changed, Fault> {
    let Some(place) = place(conn, &set.project, set.function.as_ref()).await? else {
        return Ok(Changed::Missing);
    };
    let was = role(conn, place, set.account).await?;
    let touches_owner = set.role == Role::Owner || was == Some(Role::Owner);
    if touches_owner && set.ceiling == Ceiling::BelowOwners {
        return Ok(Changed::AboveCeiling);
    }
    if let Some(by) = set.by.filter(|by| *by != set.account) {
        accept(conn, place.0, by).await?;
    }
    let steps_down = was == Some(Role::Owner) && set.role != Role::Owner && place.1 == WHOLE;
    if steps_down && is_last_owner(conn, place.0, set.account).await? {
        return Ok(Changed::LastOwner);
    }
    if was.is_none() {
        let members: i64 = sqlx::query_scalar("SELECT count(*) FROM member WHERE pid = $1")
            .bind(place.0)
            .fetch_one(&mut *conn)
            .await?;
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
    put(conn, member).await?;
    audit::append(conn, &set.audit).await?;
    Ok(Changed::Done { keys_revoked: 0 })
}

pub(super) async fn remove(conn: &mut PgConnection, remove: &RemoveMember) -> Result<Changed, Fault> {
    let Some(place) = place(conn, &remove.project, remove.function.as_ref()).await? else {
        return Ok(Changed::Missing);
    };
    let whole = place.1 == WHOLE;
    let was = role(conn, place, remove.account).await?;
    if was.is_none() && !(whole && has_any(conn, place.0, remove.account).await?) {
        return Ok(Changed::Missing);
    }
    if let Some(by) = remove.by.filter(|by| *by != remove.account) {
        accept(conn, place.0, by).await?;
    }
    if was == Some(Role::Owner) {
        if remove.ceiling == Ceiling::BelowOwners {
            return Ok(Changed::AboveCeiling);
        }
        if whole && is_last_owner(conn, place.0, remove.account).await? {
            return Ok(Changed::LastOwner);
        }
    }
    // whoever leaves a project leaves its functions, too
    sqlx::query("DELETE FROM member WHERE pid = $1 AND account = $2 AND ($4 OR fid = $3)")
        .bind(place.0)
        .bind(remove.account.0.as_slice())
        .bind(place.1)
        .bind(whole)
        .execute(&mut *conn)
        .await?;
    let keys_revoked = if whole {
        keys::revoke_all(conn, &remove.project, Some(remove.account), remove.at).await?
    } else {
        0
    };
    audit::append(conn, &remove.audit).await?;
    Ok(Changed::Done { keys_revoked })
}

async fn has_any(conn: &mut PgConnection, pid: i64, who: ScriptHash) -> Result<bool, Fault> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM member WHERE pid = $1 AND account = $2)")
            .bind(pid)
            .bind(who.0.as_slice())
            .fetch_one(conn)
            .await?,
    )
}

pub(super) async fn members(
    conn: &mut PgConnection,
    project: &ProjectName,
) -> Result<Vec<MemberRecord>, Fault> {
    let rows = sqlx::query(
        "SELECT m.account, f.name, m.role, m.added_at, m.added_by, m.accepted FROM member m \
         JOIN project p ON p.pid = m.pid LEFT JOIN function f ON f.pid = m.pid AND f.fid = m.fid \
         WHERE p.name = $1 AND (m.fid = 0 OR f.fid IS NOT NULL) ORDER BY m.fid, m.added_at, m.account",
    )
    .bind(project.as_ref())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(MemberRecord {
                account: account(row, 0)?,
                function: optional(row, 1, "name")?,
                role: parsed(row, 2, "role")?,
                added_at: UnixMillis(row.try_get(3)?),
                added_by: row.try_get(4)?,
                accepted: row.try_get::<i64, _>(5)? != 0,
            })
        })
        .collect()
}
