//! From a data directory to PostgreSQL: every row and every artifact, checked before any of it counts.

use crate::options::PostgresOptions;
use crate::storage::store_options;
use crate::{OsEntropy, SystemClock, audit, outside, sign_in};
use neofn_identity::port::SessionStore as _;
use neofn_rows::tables::{Sum, TABLES};
use neofn_secrets::{RootSource, Vault, VaultLimits, read_key_file};
use neofn_store_postgres::Import;
use neofn_store_sqlite::{Export, Fault, Store, StoreOptions};
use neofn_types::{Clock, Code, Error};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Tables with their rows and a digest that both sides agree on.
    pub tables: Vec<MovedTable>,
    /// Artifacts.
    pub artifacts: u64,
    /// What cannot move.
    pub keys: MovedKeys,
}

/// The key files of a data directory, which are no rows: without them much of what was moved cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MovedKeys {
    /// Those that are there, for the data directory of the node.
    pub here: Vec<&'static str>,
    /// What is needed and not there, and what that means.
    pub wanting: Vec<String>,
}

/// A table that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Of all of them together.
    pub digest: String,
}

/// Moves what a data directory holds into an empty database. The directory stays as it is; when this fails, so does the
/// database.
pub async fn migrate(from: &Path, to: &PostgresOptions) -> Result<Moved, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    if !from.join("neofn.db").is_file() {
        return Err(Error::new(
            Code::ConfigInvalid,
            format!("there is no neofn.db in {}", from.display()),
        ));
    }
    let keys = keys(from, &clock).await?;
    let export = Arc::new(std::sync::Mutex::new(Export::open(from, clock.clone()).await?));
    let mut import = Import::begin(&store_options(to, clock.clone())?).await?;
    let mut moved = Moved {
        tables: Vec::new(),
        artifacts: 0,
        keys,
    };
    for table in TABLES {
        // a channel between the two: one side blocks, the other waits
        let (send, mut receive) = tokio::sync::mpsc::channel(2);
        let reading = tokio::task::spawn_blocking({
            let export = export.clone();
            move || {
                let export = export.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                export.rows(table, |batch| {
                    send.blocking_send(batch).map_err(|_| Fault::Closed)
                })
            }
        });
        let mut sum = Sum::default();
        while let Some(batch) = receive.recv().await {
            batch.iter().for_each(|row| sum.add(row));
            import.rows(table, &batch).await?;
        }
        reading.await.map_err(Error::internal)??;
        let arrived = import.sum(table).await?;
        if arrived != sum {
            return Err(Error::new(
                Code::StoreFailed,
                format!(
                    "table {}: {} rows with digest {} were sent, {} with {} arrived; nothing was kept",
                    table.name,
                    sum.rows,
                    sum.digest(),
                    arrived.rows,
                    arrived.digest()
                ),
            ));
        }
        tracing::info!(
            table = table.name,
            rows = sum.rows,
            digest = sum.digest(),
            "moved"
        );
        moved.tables.push(MovedTable {
            name: table.name.to_owned(),
            rows: sum.rows,
            digest: sum.digest(),
        });
    }
    moved.artifacts = artifacts(&export, &mut import, &*clock).await?;
    let counted = {
        let export = export.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        export.counted()?
    };
    import.counted(&counted).await?;
    // before the database counts: of two nodes with the same queue both would run it
    mark(from).map_err(|e| {
        let message = format!("cannot write {}", from.join(MARK).display());
        Error::new(Code::ConfigInvalid, message).because(e)
    })?;
    import.commit().await?;
    Ok(moved)
}

/// Looks for the keys before anything is moved, with the directory still its own.
async fn keys(dir: &Path, clock: &Arc<dyn Clock>) -> Result<MovedKeys, Error> {
    let store = Arc::new(Store::open(StoreOptions::new(dir, clock.clone()))?);
    let looked = look_for_keys(dir, &store, clock).await;
    store.close().await?;
    looked
}

async fn look_for_keys(dir: &Path, store: &Arc<Store>, clock: &Arc<dyn Clock>) -> Result<MovedKeys, Error> {
    let mut keys = MovedKeys::default();
    let started = !store.signing_keys().await.map_err(Error::internal)?.is_empty();
    for name in [sign_in::NAME, audit::NAME] {
        match dir.join(name).exists() {
            true => keys.here.push(name),
            false if started => keys.wanting.push(format!(
                "{name} is not in {}: no node starts on the database without it",
                dir.display()
            )),
            false => {}
        }
    }
    let vault = Vault::new(
        store.clone(),
        clock.clone(),
        Arc::new(OsEntropy),
        VaultLimits::default(),
    );
    // a passphrase and a token are where they were
    if vault.status().await?.root != Some("key") {
        return Ok(keys);
    }
    let path = dir.join(outside::NAME);
    let (name, dir) = (outside::NAME, dir.display());
    let elsewhere =
        "name the file that holds it by --secrets-key-file, or put it into the data directory of the node";
    if !path.exists() {
        keys.wanting.push(format!(
            "{name} is not in {dir}, and the secrets cannot be read without the key that it held: {elsewhere}"
        ));
        return Ok(keys);
    }
    let opened = match read_key_file(&path) {
        Ok(key) => vault.unseal(&RootSource::Key(key)).await.map(drop),
        Err(error) => Err(error),
    };
    match opened {
        Ok(()) => keys.here.push(name),
        Err(error) if error.code == Code::SecretRootWrong => keys.wanting.push(format!(
            "{name} in {dir} does not open the secrets ({}): they cannot be read without the key that does; {elsewhere}",
            error.message
        )),
        Err(error) => return Err(error),
    }
    Ok(keys)
}

/// In a data directory whose rows are in a database.
const MARK: &str = "migrated";

fn mark(dir: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(dir.join(MARK))?;
    file.write_all(
        b"What was here is in a PostgreSQL database, and a node on both would do the same work twice.\n",
    )?;
    file.sync_all()?;
    std::fs::File::open(dir)?.sync_all()
}

/// Refuses to run on rows that were moved.
pub(crate) fn check_not_moved(dir: &Path) -> Result<(), Error> {
    let mark = dir.join(MARK);
    if !mark.exists() {
        return Ok(());
    }
    let message = format!("what {} held was moved to PostgreSQL", dir.display());
    let hint = format!(
        "Start with [postgres]. When that database is not to be used after all, remove {}; both of them would run what was queued.",
        mark.display()
    );
    Err(Error::new(Code::ConfigInvalid, message).hint(hint))
}

async fn artifacts(
    export: &std::sync::Mutex<Export>,
    import: &mut Import,
    clock: &dyn Clock,
) -> Result<u64, Error> {
    let lock = || export.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let all = lock().blobs()?;
    let mut count = 0;
    for digest in all {
        let Some(bytes) = lock().blob(digest)? else {
            tracing::warn!(%digest, "a damaged artifact stays behind; its version is prepared again when it is called");
            continue;
        };
        let arrived = import.blob(&bytes, clock.now()).await?;
        if arrived != digest {
            return Err(Error::new(
                Code::StoreFailed,
                format!("artifact {digest} changed on its way"),
            ));
        }
        count += 1;
    }
    Ok(count)
}
