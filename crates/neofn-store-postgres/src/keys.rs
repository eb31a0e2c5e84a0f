//! Which key files the nodes of a database work with: of each a digest, set by the first node.

use crate::conn::{read, transact};
use crate::error::Fault;
use crate::open::PostgresStore;
use neofn_types::{Code, Digest, Error};
use sqlx::postgres::PgConnection;

impl PostgresStore {
    /// Says that this node works with a key of this name and fingerprint. Refused (NF0601) when nodes before it have
    /// worked with another one: what either writes the others could not read.
    pub async fn agree_on_key(&self, name: &str, fingerprint: Digest) -> Result<(), Error> {
        let agreed = transact!(self.pool, |conn| agree(conn, name, &fingerprint))?;
        if agreed {
            return Ok(());
        }
        Err(refused(name, "is not the one that"))
    }

    /// As [`Self::agree_on_key`], by a node that has looked before ([`Self::check_key`]) and found nobody's: of nodes that
    /// start on an empty database at the same time, all but the first are told so here, before they seal or open anything.
    /// Says nothing where rows were sealed before anybody agreed, as after a migration: opening them proves the key.
    pub async fn claim_key(&self, name: &str, fingerprint: Digest) -> Result<(), Error> {
        let known = transact!(self.pool, |conn| claim(conn, name, &fingerprint))?;
        if known.is_none_or(|known| known == fingerprint.0) {
            return Ok(());
        }
        let message = "another node has started on this empty database at the same time and was first: its keys are the database's";
        Err(Error::new(Code::ConfigInvalid, message).hint(format!(
            "Copy {name}, audit.key and secrets.key from the data directory of that node over those that this one has just \
             made, then start this one again.",
        )))
    }

    /// Refuses as [`Self::agree_on_key`] does, also a node that has no such key when others have one, and says nothing.
    pub async fn check_key(&self, name: &str, fingerprint: Option<Digest>) -> Result<(), Error> {
        let known = read!(self.pool, |conn| known(conn, name))?;
        match (known, fingerprint) {
            // nobody has said which, and yet rows were sealed: they came from a data directory, which has the key
            (None, None) if read!(self.pool, |conn| sealed(conn))? => Err(left_behind(name)),
            (None, _) => Ok(()),
            (Some(_), None) => Err(refused(name, "is missing, which")),
            (Some(known), Some(mine)) if known == mine.0 => Ok(()),
            (Some(_), Some(_)) => Err(refused(name, "is not the one that")),
        }
    }
}

fn refused(name: &str, what: &str) -> Error {
    Error::new(
        Code::ConfigInvalid,
        format!("{name} in the data directory of this node {what} the other nodes of its database have"),
    )
    .hint(format!(
        "Nodes that share a database share their keys: copy {name} from the data directory of a node that is there \
         already, then start this one again."
    ))
}

fn left_behind(name: &str) -> Error {
    let message = format!(
        "{name} is missing in the data directory of this node, and what its database holds was made with one"
    );
    Error::new(Code::ConfigInvalid, message).hint(format!(
        "Copy identity.key, audit.key and secrets.key from the data directory that `neofn migrate` read, or of a node that has \
         worked on this database, then start this one again. Without {name} a new one would be made, which opens nothing.",
    ))
}

async fn sealed(conn: &mut PgConnection) -> Result<bool, Fault> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM signing_key)")
        .fetch_one(conn)
        .await?)
}

async fn known(conn: &mut PgConnection, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let known = sqlx::query_scalar("SELECT fingerprint FROM node_key WHERE name = $1");
    Ok(known.bind(name).fetch_optional(conn).await?)
}

async fn claim(conn: &mut PgConnection, name: &str, fingerprint: &Digest) -> Result<Option<Vec<u8>>, Fault> {
    // waits for another one that is at it
    sqlx::query(
        "INSERT INTO node_key SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM signing_key) ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(fingerprint.0.as_slice())
    .execute(&mut *conn)
    .await?;
    known(conn, name).await
}

async fn agree(conn: &mut PgConnection, name: &str, fingerprint: &Digest) -> Result<bool, Fault> {
    sqlx::query("INSERT INTO node_key VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(name)
        .bind(fingerprint.0.as_slice())
        .execute(&mut *conn)
        .await?;
    Ok(known(conn, name)
        .await?
        .is_some_and(|there| there == fingerprint.0))
}
