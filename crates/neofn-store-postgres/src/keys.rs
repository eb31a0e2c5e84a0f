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

    /// Whether nobody has said yet which key of this name they work with; refused as above otherwise.
    pub async fn key_is_free(&self, name: &str) -> Result<(), Error> {
        let free = read!(self.pool, |conn| is_free(conn, name))?;
        if free {
            return Ok(());
        }
        Err(refused(name, "is missing, which"))
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

async fn is_free(conn: &mut PgConnection, name: &str) -> Result<bool, Fault> {
    let free = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM node_key WHERE name = $1)");
    Ok(free.bind(name).fetch_one(conn).await?)
}

async fn agree(conn: &mut PgConnection, name: &str, fingerprint: &Digest) -> Result<bool, Fault> {
    sqlx::query("INSERT INTO node_key VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(name)
        .bind(fingerprint.0.as_slice())
        .execute(&mut *conn)
        .await?;
    let there: Vec<u8> = sqlx::query_scalar("SELECT fingerprint FROM node_key WHERE name = $1")
        .bind(name)
        .fetch_one(conn)
        .await?;
    Ok(there == fingerprint.0)
}
