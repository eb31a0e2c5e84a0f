//! Artifacts by their SHA-256, read back with the digest checked.

use crate::error::Fault;
use neofn_registry::ArtifactRef;
use neofn_registry::port::RegistryStoreError;
use neofn_types::{Digest, UnixMillis};
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

/// Stores bytes under their digest; those that are there are about to be named again, so they are as good as new.
pub(crate) async fn put(conn: &mut PgConnection, bytes: &[u8], now: UnixMillis) -> Result<Digest, Fault> {
    let digest = Digest::of(bytes);
    let there = sqlx::query("UPDATE blob SET stored_at = $2 WHERE digest = $1 AND bytes = $3")
        .bind(digest.0.as_slice())
        .bind(now.0)
        .bind(bytes)
        .execute(&mut *conn)
        .await?;
    if there.rows_affected() == 0 {
        // what is there but damaged is replaced
        sqlx::query(
            "INSERT INTO blob VALUES ($1, $2, $3) ON CONFLICT (digest) DO UPDATE SET stored_at = excluded.stored_at, \
             bytes = excluded.bytes",
        )
        .bind(digest.0.as_slice())
        .bind(now.0)
        .bind(bytes)
        .execute(conn)
        .await?;
    }
    Ok(digest)
}

pub(crate) async fn get(
    conn: &mut PgConnection,
    digest: Digest,
) -> Result<Result<Vec<u8>, RegistryStoreError>, Fault> {
    let bytes: Option<Vec<u8>> = sqlx::query_scalar("SELECT bytes FROM blob WHERE digest = $1")
        .bind(digest.0.as_slice())
        .fetch_optional(conn)
        .await?;
    Ok(bytes
        .filter(|bytes| Digest::of(bytes) == digest)
        .ok_or(RegistryStoreError::ArtifactDamaged(digest)))
}

/// Removes what no version names and what was last stored before `before`; answers how many.
pub(crate) async fn sweep(conn: &mut PgConnection, before: UnixMillis) -> Result<u32, Fault> {
    let named = named(conn).await?;
    let named: Vec<Vec<u8>> = named.iter().map(|digest| digest.0.to_vec()).collect();
    // what is named later than it was read was stored later than `before`; a row that is stored anew meanwhile is
    // looked at again before it goes
    let gone = sqlx::query(
        "DELETE FROM blob b WHERE b.stored_at < $1 \
         AND NOT EXISTS (SELECT 1 FROM unnest($2::bytea[]) AS n(digest) WHERE n.digest = b.digest)",
    )
    .bind(before.0)
    .bind(named)
    .execute(conn)
    .await?;
    Ok(u32::try_from(gone.rows_affected()).unwrap_or(u32::MAX))
}

/// The digests of all stored bytes that some version names.
async fn named(conn: &mut PgConnection) -> Result<BTreeSet<Digest>, Fault> {
    let artifacts: Vec<String> = sqlx::query_scalar("SELECT artifact FROM version")
        .fetch_all(conn)
        .await?;
    let mut named = BTreeSet::new();
    for json in &artifacts {
        let a: ArtifactRef = serde_json::from_str(json).map_err(|_| Fault::Damaged("artifact reference"))?;
        named.extend(
            [a.artifact, a.code]
                .into_iter()
                .chain(a.source_map)
                .chain(a.files),
        );
    }
    Ok(named)
}
