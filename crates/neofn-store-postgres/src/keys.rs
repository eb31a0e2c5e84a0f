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

    /// Refuses as [`Self::agree_on_key`] does, also a node that has no such key when others have one, and says nothing.
    pub async fn check_key(&self, name: &str, fingerprint: Option<Digest>) -> Result<(), Error> {
        let known = read!(self.pool, |conn| known(conn, name))?;
        match (known, fingerprint) {
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

async fn known(conn: &mut PgConnection, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let known = sqlx::query_scalar("SELECT fingerprint FROM node_key WHERE name = $1");
    Ok(known.bind(name).fetch_optional(conn).await?)
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
