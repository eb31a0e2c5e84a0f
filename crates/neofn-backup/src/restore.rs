//! The way back. Never over data that is there, never silently behind what is known to have happened, and with a mark that
//! keeps the signer off until the ledger was compared with the chain.

use crate::archive::{Sink, read};
use crate::error::BackupError;
use crate::manifest::{FileEntry, Heads, Manifest};
use age::x25519::Identity;
use neofn_types::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// In the data directory, from a restore until the ledger is reconciled: a node that finds it signs nothing.
pub const MARK_FILE: &str = "restored.json";

/// What the mark says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreMark {
    /// When it was restored.
    pub at: UnixMillis,
    /// When the backup was made.
    pub made_at: UnixMillis,
    /// How far things had come then.
    pub heads: Heads,
    /// How many audit entries are known to be missing; to be written into the log.
    pub entries_missing: u64,
    /// Whether it was said that going back is meant.
    #[serde(default)]
    pub accepted: bool,
    /// What the chain turned out to know and the backup does not; written by the node that finds it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchored_beyond: Option<Beyond>,
}

/// A root on chain that the restored log does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// Of so many entries.
    pub size: u64,
    /// In which transaction.
    pub transaction: Option<String>,
}

/// What is known of the log from elsewhere: sizes of checkpoints that were verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeenHeads {
    /// On this machine.
    pub here: u64,
    /// On chain.
    pub anchored: u64,
}

/// What whoever restores knows of the log, and how to tell whether a backup is of it.
pub trait Known {
    /// How far the log is known to have come.
    fn seen(&self) -> SeenHeads;
    /// Whether these are heads of the same log, as far as both reach; else why not.
    fn agrees(&self, heads: &Heads) -> Result<(), String>;
}
/// Sizes alone: there is nothing to compare.
impl Known for SeenHeads {
    fn seen(&self) -> SeenHeads {
        *self
    }
    fn agrees(&self, _heads: &Heads) -> Result<(), String> {
        Ok(())
    }
}

/// Whether to go back on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// No: refuse.
    Refuse,
    /// Yes: it will be written into the log.
    Accept,
}

/// Whether a backup may be restored; answers how many entries it lacks.
pub fn judge(heads: &Heads, seen: SeenHeads, rollback: Rollback) -> Result<u64, BackupError> {
    let backup = heads.audit_size;
    let (most, whence) = match seen.anchored > seen.here {
        true => (seen.anchored, "on chain"),
        false => (seen.here, "here"),
    };
    if most > backup && rollback == Rollback::Refuse {
        return Err(BackupError::Stale {
            backup,
            seen: most,
            whence,
        });
    }
    Ok(most.saturating_sub(backup))
}

struct Directory<'a> {
    path: &'a Path,
    known: &'a dyn Known,
    rollback: Rollback,
    at: UnixMillis,
}

impl Directory<'_> {
    fn make(&self, path: &Path) -> Result<(), BackupError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(BackupError::file(format!("create {}", path.display())))
    }
    fn new_file(&self, path: &Path) -> Result<File, BackupError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(BackupError::file(format!("write {}", path.display())))
    }
}

/// On disk before it counts as written.
struct Synced(File);
impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.sync_all()
    }
}

impl Sink for Directory<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<(), BackupError> {
        // also where going back is meant: it is from one log to an earlier state of the same
        self.known
            .agrees(&manifest.heads)
            .map_err(BackupError::OtherLog)?;
        let entries_missing = judge(&manifest.heads, self.known.seen(), self.rollback)?;
        self.make(self.path)?;
        // first of all: whatever dies from here on, no signer begins in this directory
        let mark = RestoreMark {
            at: self.at,
            made_at: manifest.at,
            heads: manifest.heads.clone(),
            entries_missing,
            accepted: self.rollback == Rollback::Accept,
            anchored_beyond: None,
        };
        let text = serde_json::to_vec_pretty(&mark).map_err(|e| BackupError::Invalid(e.to_string()))?;
        let file = self.new_file(&self.path.join(MARK_FILE))?;
        let mut file = Synced(file);
        let wrote = file.write_all(&text).and_then(|()| file.flush());
        wrote.map_err(BackupError::file(format!("write {MARK_FILE}")))
    }
    fn file(&mut self, entry: &FileEntry) -> Result<Box<dyn Write>, BackupError> {
        if entry.path == MARK_FILE {
            return Err(BackupError::Invalid(format!("a backup has no {MARK_FILE}")));
        }
        let path = self.path.join(&entry.path);
        if let Some(parent) = path.parent() {
            self.make(parent)?;
        }
        Ok(Box::new(Synced(self.new_file(&path)?)))
    }
}

/// Restores a backup as a new data directory. It is put together beside its place and moved there whole, so that a restore
/// that dies leaves no directory that looks complete.
pub fn restore(
    from: &Path,
    identity: &Identity,
    to: &Path,
    known: &dyn Known,
    (rollback, at): (Rollback, UnixMillis),
) -> Result<Manifest, BackupError> {
    let occupied = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || to.is_file() {
        return Err(BackupError::NotEmpty(to.display().to_string()));
    }
    let mut beside = to.as_os_str().to_owned();
    beside.push(".restoring");
    let beside = PathBuf::from(beside);
    if beside.exists() {
        std::fs::remove_dir_all(&beside)
            .map_err(BackupError::file(format!("remove {}", beside.display())))?;
    }
    let mut directory = Directory {
        path: &beside,
        known,
        rollback,
        at,
    };
    let manifest = match read(from, identity, &mut directory) {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&beside); // the first error says more
            return Err(error);
        }
    };
    std::fs::rename(&beside, to).map_err(BackupError::file(format!("move to {}", to.display())))?;
    let parent = to
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(BackupError::file(format!("write {}", parent.display())))?;
    Ok(manifest)
}
