//! Artifacts as files named by their SHA-256: `artifacts/ab/abcd…`. Written beside, then renamed, so that a
//! name never stands for half a file; read back with the digest checked.

use crate::error::Fault;
use neofn_types::Digest;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
        })
    }

    fn place(&self, digest: Digest) -> (PathBuf, PathBuf) {
        let name = digest.to_string();
        let shelf = self.root.join(name.get(..2).unwrap_or("00"));
        let path = shelf.join(&name);
        (shelf, path)
    }

    /// Stores bytes under their digest. A file that is there but damaged is replaced.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, Fault> {
        let digest = Digest::of(bytes);
        let (shelf, path) = self.place(digest);
        let fail = |e| Fault::file(format!("store artifact {digest}"), e);
        if !matches!(fs::read(&path), Ok(found) if found == bytes) {
            self.write(&shelf, &path, bytes).map_err(fail)?;
        }
        // also when it was there: whoever renamed it may have died before this
        sync_dir(&shelf)
            .and_then(|()| sync_dir(&self.root))
            .map_err(fail)?;
        Ok(digest)
    }

    fn write(&self, shelf: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        make_dir(shelf)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.temporary.join(number.to_string());
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
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
