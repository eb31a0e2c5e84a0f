//! Artifacts as files named by their SHA-256: `artifacts/ab/abcd…`. Written beside, then renamed, so that a
//! name never stands for half a file; read back with the digest checked.

use crate::error::Fault;
use neofn_types::Digest;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

/// Why a blob cannot be had.
#[derive(Debug)]
pub(crate) enum BlobError {
    /// Missing, or not what its name says.
    Damaged,
    /// The disk.
    Fault(Fault),
}

#[derive(Debug)]
pub(crate) struct Blobs {
    root: PathBuf,
    temporary: PathBuf,
    next: AtomicU64,
    /// Storing shares it, removing has it alone.
    removing: RwLock<()>,
}

impl Blobs {
    /// Makes the directories and throws away what a dead process was writing. The caller holds the lock.
    pub(crate) fn open(dir: &Path) -> Result<Self, Fault> {
        let root = dir.join("artifacts");
        let temporary = root.join("tmp");
        let fail = |e| Fault::file(format!("open {}", root.display()), e);
        make_dir(&temporary).map_err(fail)?;
        for entry in fs::read_dir(&temporary).map_err(fail)? {
            fs::remove_file(entry.map_err(fail)?.path()).map_err(fail)?;
        }
        sync_dir(dir).map_err(fail)?;
        sync_dir(&root).map_err(fail)?;
        Ok(Self {
            root,
            temporary,
            next: AtomicU64::new(0),
            removing: RwLock::default(),
        })
    }

    fn place(&self, digest: Digest) -> (PathBuf, PathBuf) {
        let name = digest.to_string();
        let shelf = self.root.join(name.get(..2).unwrap_or("00"));
        let path = shelf.join(&name);
        (shelf, path)
    }

    /// Stores bytes under their digest. A file that is there but damaged is replaced.
    pub(crate) fn put(&self, bytes: &[u8], now: SystemTime) -> Result<Digest, Fault> {
        let digest = Digest::of(bytes);
        let (shelf, path) = self.place(digest);
        let fail = |e| Fault::file(format!("store artifact {digest}"), e);
        let _stays = self.removing.read().unwrap_or_else(PoisonError::into_inner);
        if matches!(fs::read(&path), Ok(found) if found == bytes) {
            // as good as new: it is about to be named
            File::open(&path)
                .and_then(|file| file.set_modified(now))
                .map_err(fail)?;
        } else {
            self.write(&shelf, &path, bytes, now).map_err(fail)?;
        }
        // also when it was there: whoever renamed it may have died before this
        sync_dir(&shelf)
            .and_then(|()| sync_dir(&self.root))
            .map_err(fail)?;
        Ok(digest)
    }

    /// The digests of all that is stored.
    pub(crate) fn all(&self) -> Result<Vec<Digest>, Fault> {
        let fail = |e| Fault::file(format!("list {}", self.root.display()), e);
        let mut found = Vec::new();
        for shelf in fs::read_dir(&self.root).map_err(fail)? {
            let shelf = shelf.map_err(fail)?.path();
            if shelf == self.temporary || !shelf.is_dir() {
                continue;
            }
            for file in fs::read_dir(&shelf).map_err(fail)? {
                let name = file.map_err(fail)?.file_name();
                found.extend(name.to_str().and_then(|n| n.parse::<Digest>().ok()));
            }
        }
        Ok(found)
    }

    /// Removes what is not in `named` and was last stored before `before`; answers how many.
    pub(crate) fn sweep(&self, named: &HashSet<Digest>, before: SystemTime) -> Result<u32, Fault> {
        let fail = |e| Fault::file(format!("sweep {}", self.root.display()), e);
        let mut gone = 0;
        for shelf in fs::read_dir(&self.root).map_err(fail)? {
            let shelf = shelf.map_err(fail)?.path();
            if shelf == self.temporary || !shelf.is_dir() {
                continue;
            }
            for file in fs::read_dir(&shelf).map_err(fail)? {
                let file = file.map_err(fail)?;
                let name = file.file_name();
                let digest = name.to_str().and_then(|n| n.parse::<Digest>().ok());
                let Some(digest) = digest else { continue };
                if named.contains(&digest) {
                    continue;
                }
                let _alone = self.removing.write().unwrap_or_else(PoisonError::into_inner);
                let stored = file.metadata().and_then(|m| m.modified()).map_err(fail)?;
                if stored < before {
                    fs::remove_file(file.path()).map_err(fail)?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }

    fn write(&self, shelf: &Path, path: &Path, bytes: &[u8], now: SystemTime) -> std::io::Result<()> {
        make_dir(shelf)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.temporary.join(number.to_string());
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.set_modified(now)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Reads bytes back.
    pub(crate) fn get(&self, digest: Digest) -> Result<Vec<u8>, BlobError> {
        let (_, path) = self.place(digest);
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(bytes),
            Ok(_) => Err(BlobError::Damaged),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(BlobError::Damaged),
            Err(e) => Err(BlobError::Fault(Fault::file(
                format!("read artifact {digest}"),
                e,
            ))),
        }
    }
}

/// Tenants' sources are for the owner's eyes, whatever the mode of the directory above.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
