//! Opening a data directory: lock, migrate, recover what a dead process held, start the writer.

use crate::blobs::{Blobs, sync_dir};
use crate::error::Fault;
use crate::invocations;
use crate::lock::DirLock;
use crate::memory::Memory;
use crate::migrate;
use crate::reader::Readers;
use crate::submit::Queue;
use crate::writer::{Board, Work, Writer};
use crate::{lease, promise, reply};
use neofn_types::{Clock, Code, Error, UnixMillis};
use rusqlite::Connection;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use tokio::sync::watch;

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// The data directory; made when it is not there, readable by its owner only.
    pub dir: PathBuf,
    /// Tells when an invocation that a dead process held was found.
    pub clock: Arc<dyn Clock>,
    /// Most bytes of the database file; beyond it writes fail as on a full disk. None: the disk's own limit.
    pub database_bytes_max: Option<u64>,
    /// Connections that read at the same time.
    pub readers: usize,
}

impl StoreOptions {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            dir: dir.into(),
            clock,
            database_bytes_max: None,
            readers: 4,
        }
    }
}

/// The embedded store of one data directory.
pub struct Store {
    pub(crate) queue: Queue,
    pub(crate) readers: Readers,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    reader_count: usize,
}

impl Store {
    /// Opens the directory, or says why it cannot be used: in use (NF0604), written by a newer neofn (NF0606),
    /// or failing (NF0902). Blocks for some milliseconds. There is one process to a directory, so every claim
    /// found in it belonged to a dead one and is given up at once.
    pub fn open(options: StoreOptions) -> Result<Self, Error> {
        make_private(&options.dir)?;
        let lock = DirLock::take(&options.dir)?;
        let blobs = Arc::new(Blobs::open(&options.dir)?);
        let path = options.dir.join("neofn.db");
        let mut conn = connect(&path, options.database_bytes_max)?;
        migrate::run(&mut conn)?;
        lease::end_all(&conn)?;
        reply::end_all(&conn)?;
        promise::end_all(&conn)?;
        let memory = recover(&conn, options.clock.now())?;

        let board = Arc::new(Mutex::new(Board::default()));
        let (done, seen) = watch::channel(0);
        let (sender, inbox) = mpsc::channel();
        let writer = Writer::new(conn, memory, Arc::clone(&board), done, lock);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(|e| Fault::file("start the writer thread", e))?;
        Ok(Self {
            queue: Queue::new(sender, seen, board),
            readers: Readers::new(path, options.readers),
            blobs,
            clock: options.clock,
            reader_count: options.readers,
        })
    }

    /// Finishes everything that was handed over, then closes the files; later calls fail. A store that is
    /// dropped instead finishes just the same, but nobody can wait for it.
    pub async fn close(&self) -> Result<(), Error> {
        self.readers.close(self.reader_count).await;
        self.queue.close().await
    }
}

/// The directory belongs to its owner alone: it holds every tenant's data.
pub(crate) fn make_private(dir: &Path) -> Result<(), Error> {
    let fail = |e: std::io::Error| match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::Full.into(),
        _ => Error::new(
            Code::ConfigInvalid,
            format!("the data directory {} cannot be used: {e}", dir.display()),
        )
        .hint("Name a directory that this user may create and write to, with --data.")
        .because(e),
    };
    if !dir.is_dir() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(fail)?;
        // a directory that a power cut takes away takes everything in it along
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            sync_dir(parent).map_err(fail)?;
        }
    }
    let mode = std::fs::metadata(dir).map_err(fail)?.permissions().mode();
    if mode & 0o022 != 0 {
        tracing::warn!(dir = %dir.display(), "others may write to the data directory");
    }
    Ok(())
}

fn connect(path: &Path, bytes_max: Option<u64>) -> Result<Connection, Fault> {
    let conn = Connection::open(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| Fault::file("restrict neofn.db", e))?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    // FULL: a commit that was answered survives a power cut; NORMAL was measured to lose some.
    // The log is folded back every 16 MiB and never stays longer than 64 MiB after a burst.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096; \
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY; \
         PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF;",
    )?;
    if let Some(bytes) = bytes_max {
        let page: u64 = conn
            .query_row("PRAGMA page_size", [], |r| r.get::<_, i64>(0))?
            .unsigned_abs();
        let pages = (bytes / page.max(1)).max(1);
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

/// Gives up every claim: its holder is gone.
fn recover(conn: &Connection, now: UnixMillis) -> Result<Memory, Fault> {
    let mut memory = Memory::load(conn)?;
    if memory.running.is_empty() {
        return Ok(memory);
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let mut work = Work {
        conn,
        memory: &mut memory,
    };
    let count = invocations::give_up(&mut work, now, invocations::Lost::Process, |_| true)?;
    memory.flush(conn)?;
    conn.execute_batch("COMMIT")?;
    tracing::info!(count, "gave up claims of an earlier process");
    Ok(memory)
}
