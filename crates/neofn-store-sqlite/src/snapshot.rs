//! A copy of the database while others write: the state of one commit, whole, in a file of its own.

use crate::error::Fault;
use crate::open::Store;
use std::path::{Path, PathBuf};

impl Store {
    /// Writes the state of the last commit, and of everything that was handed over before, into a new file. Others go on
    /// writing meanwhile. The file is readable by its owner only, and on disk when this returns.
    pub async fn snapshot(&self, to: PathBuf) -> Result<(), neofn_types::Error> {
        self.read_after(move |conn| copy(conn, &to)).await?;
        Ok(())
    }
}

fn copy(conn: &rusqlite::Connection, to: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let fail = |e| Fault::file(format!("write {}", to.display()), e);
    // made here, empty, so that nobody else could read it for a moment; SQLite takes an empty file
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(fail)?;
    let name = to.to_str().ok_or(Fault::Misuse("a path that is no text"))?;
    conn.execute_batch("PRAGMA query_only = OFF")?;
    let copied = conn.execute("VACUUM INTO ?1", [name]);
    conn.execute_batch("PRAGMA query_only = ON")?;
    copied?;
    file.sync_all().map_err(fail)
}
