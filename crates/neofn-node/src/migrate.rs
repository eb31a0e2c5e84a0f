//! From a data directory to PostgreSQL: every row and every artifact, checked before any of it counts.

use crate::SystemClock;
use crate::options::PostgresOptions;
use crate::storage::store_options;
use neofn_rows::tables::{Sum, TABLES};
use neofn_store_postgres::Import;
use neofn_store_sqlite::{Export, Fault};
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
    let export = Arc::new(std::sync::Mutex::new(Export::open(from, clock.clone()).await?));
    let mut import = Import::begin(&store_options(to, clock.clone())?).await?;
    let mut moved = Moved {
        tables: Vec::new(),
        artifacts: 0,
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
