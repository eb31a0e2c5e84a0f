//! The file: age, and within it the length of the manifest (8 bytes, big-endian), the manifest, and the files one after the
//! other. age authenticates every piece and the end; the manifest's digests say which piece is which file.

use crate::error::BackupError;
use crate::manifest::{FileEntry, Heads, Manifest};
use age::x25519::{Identity, Recipient};
use neofn_types::{Digest, UnixMillis};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Read and written at a time.
const PIECE: usize = 64 << 10;

/// A file to be backed up. It must not change any more.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it is.
    pub file: PathBuf,
    /// Its path within the data directory.
    pub path: String,
}

fn entry(source: &Source) -> Result<FileEntry, BackupError> {
    let what = || format!("read {}", source.file.display());
    let mut file = File::open(&source.file).map_err(BackupError::file(what()))?;
    let mut hash = Sha256::new();
    let bytes = copy(&mut file, u64::MAX, BackupError::file("read"), |piece| {
        hash.update(piece);
        Ok(())
    })?;
    Ok(FileEntry {
        path: source.path.clone(),
        bytes,
        digest: Digest(hash.finalize().into()),
    })
}

/// Hands at most `limit` bytes over, piece by piece; answers how many there were.
pub(crate) fn copy(
    from: &mut impl Read,
    limit: u64,
    unread: impl FnOnce(io::Error) -> BackupError,
    mut each: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<u64, BackupError> {
    let mut buffer = vec![0; PIECE];
    let mut total = 0u64;
    while total < limit {
        let room = usize::try_from(limit - total).unwrap_or(PIECE).min(PIECE);
        let into = buffer.get_mut(..room).unwrap_or_default();
        let n = match from.read(into) {
            Ok(n) => n,
            Err(e) => return Err(unread(e)),
        };
        if n == 0 {
            break;
        }
        each(into.get(..n).unwrap_or_default())?;
        total += u64::try_from(n).unwrap_or(0);
    }
    Ok(total)
}

/// Writes a backup. The file is made anew and is on disk when this returns; where something fails, it is removed.
pub fn create(
    to: &Path,
    recipient: &Recipient,
    sources: &[Source],
    heads: Heads,
    (at, version): (UnixMillis, &str),
) -> Result<Manifest, BackupError> {
    let files = sources.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let manifest = Manifest {
        format: Manifest::FORMAT.to_owned(),
        at,
        version: version.to_owned(),
        heads,
        files,
    };
    if !manifest.is_sound() {
        return Err(BackupError::Invalid("a path of a file is not allowed".to_owned()));
    }
    let written = write(to, recipient, sources, &manifest);
    if written.is_err() {
        let _ = std::fs::remove_file(to); // the first error says more
    }
    written.map(|()| manifest)
}

fn write(
    to: &Path,
    recipient: &Recipient,
    sources: &[Source],
    manifest: &Manifest,
) -> Result<(), BackupError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let what = || format!("write {}", to.display());
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(BackupError::file(what()))?;
    let invalid = |e: &dyn std::fmt::Display| BackupError::Invalid(e.to_string());
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient))
        .map_err(|e| invalid(&e))?;
    let mut out = encryptor.wrap_output(&file).map_err(BackupError::file(what()))?;
    let head = serde_json::to_vec(manifest).map_err(|e| invalid(&e))?;
    let length = u64::try_from(head.len()).unwrap_or(u64::MAX);
    out.write_all(&length.to_be_bytes())
        .map_err(BackupError::file(what()))?;
    out.write_all(&head).map_err(BackupError::file(what()))?;
    for (source, expected) in sources.iter().zip(&manifest.files) {
        let mut from =
            File::open(&source.file).map_err(BackupError::file(format!("read {}", source.file.display())))?;
        let mut hash = Sha256::new();
        let bytes = copy(&mut from, u64::MAX, BackupError::file("read"), |piece| {
            hash.update(piece);
            out.write_all(piece).map_err(BackupError::file(what()))
        })?;
        if bytes != expected.bytes || Digest(hash.finalize().into()) != expected.digest {
            return Err(BackupError::Invalid(format!("{} changed meanwhile", source.path)));
        }
    }
    out.finish().map_err(BackupError::file(what()))?;
    file.sync_all().map_err(BackupError::file(what()))
}

/// Where the pieces of a file go.
pub(crate) trait Sink {
    fn begin(&mut self, manifest: &Manifest) -> Result<(), BackupError>;
    fn file(&mut self, entry: &FileEntry) -> Result<Box<dyn Write>, BackupError>;
}

/// Reads a backup to its end, checking everything, into a sink.
pub(crate) fn read(from: &Path, identity: &Identity, sink: &mut impl Sink) -> Result<Manifest, BackupError> {
    let what = || format!("read {}", from.display());
    let file = File::open(from).map_err(BackupError::file(what()))?;
    let invalid = |e: &dyn std::fmt::Display| BackupError::Invalid(format!("{}: {e}", from.display()));
    let decryptor = age::Decryptor::new(file).map_err(|e| invalid(&e))?;
    // within age a read fails where a piece was changed, or is missing; a disk that fails is another matter
    let unread = |e: io::Error| match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            invalid(&"it was damaged")
        }
        _ => BackupError::file(what())(e),
    };
    let mut plain = decryptor
        .decrypt(std::iter::once(identity as &dyn age::Identity))
        .map_err(|e| invalid(&e))?;
    let mut length = [0u8; 8];
    plain.read_exact(&mut length).map_err(unread)?;
    let length = u64::from_be_bytes(length);
    if length > Manifest::BYTES_MAX {
        return Err(invalid(&"the manifest is too long"));
    }
    let mut head = Vec::new();
    copy(&mut plain, length, unread, |piece| {
        head.extend_from_slice(piece);
        Ok(())
    })?;
    let manifest: Manifest = serde_json::from_slice(&head).map_err(|e| invalid(&e))?;
    if !manifest.is_sound() {
        return Err(invalid(&"the manifest is not sound"));
    }
    sink.begin(&manifest)?;
    for entry in &manifest.files {
        let mut out = sink.file(entry)?;
        let mut hash = Sha256::new();
        let bytes = copy(&mut plain, entry.bytes, unread, |piece| {
            hash.update(piece);
            out.write_all(piece)
                .map_err(BackupError::file(format!("write {}", entry.path)))
        })?;
        out.flush()
            .map_err(BackupError::file(format!("write {}", entry.path)))?;
        if bytes != entry.bytes || Digest(hash.finalize().into()) != entry.digest {
            return Err(invalid(&format_args!(
                "{} is not what the manifest says",
                entry.path
            )));
        }
    }
    let mut rest = [0u8; 1];
    match plain.read(&mut rest) {
        Ok(0) => Ok(manifest),
        Ok(_) => Err(invalid(&"there is more than the manifest says")),
        Err(e) => Err(unread(e)),
    }
}

struct Nowhere;
impl Sink for Nowhere {
    fn begin(&mut self, _manifest: &Manifest) -> Result<(), BackupError> {
        Ok(())
    }
    fn file(&mut self, _entry: &FileEntry) -> Result<Box<dyn Write>, BackupError> {
        Ok(Box::new(std::io::sink()))
    }
}

/// Reads a backup to its end and checks everything; writes nothing.
pub fn verify(from: &Path, identity: &Identity) -> Result<Manifest, BackupError> {
    read(from, identity, &mut Nowhere)
}
