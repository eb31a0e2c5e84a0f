//! The compiled engine: built once in a jailed child, kept on disk, given to every child as a memory file.
//!
//! What lies in the cache directory is executed. So it is taken only from a directory and files that belong to us and
//! that nobody else can write, and only when the stored checksum holds. Anything else is built again.

use super::link::{Link, LinkError};
use super::process::Spawner;
use crate::child::ROLE_ENGINE_BUILD;
use crate::parent::PoolOptions;
use crate::proto::control::{FILE_BASE, FILE_MODULE, Reply, Request};
use crate::proto::fds;
use crate::sandbox::artefact;
use neofn_types::{Code, Digest, Error};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Building takes seconds; unoptimised builds and loaded machines take longer.
const BUILD_WITHIN: Duration = Duration::from_secs(300);
const MAGIC: &[u8; 8] = b"NFENGN01";
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The engine, ready to be handed out.
pub(super) struct EngineFiles {
    pub(super) module: OwnedFd,
    pub(super) base: OwnedFd,
    /// The image of the initialised engine; full images of versions are made over it.
    pub(super) base_bytes: Vec<u8>,
}

impl EngineFiles {
    fn new(module: &[u8], base: Vec<u8>) -> io::Result<Self> {
        Ok(Self {
            module: fds::sealed(c"engine", module)?,
            base: fds::sealed(c"engine-base", &base)?,
            base_bytes: base,
        })
    }
}

/// From the cache, or built.
pub(super) async fn get(options: &PoolOptions, spawner: &Spawner) -> Result<EngineFiles, Error> {
    let path = path(options);
    // what is kept saves seconds at the next start, and is needed by nobody
    let without = |error: io::Error| {
        tracing::warn!(
            dir = %options.cache_dir.display(), %error,
            "the compiled engine is not kept, and compiled at every start; XDG_CACHE_HOME says where it may be written"
        );
    };
    if let Err(error) = own_directory(&options.cache_dir) {
        without(error);
        let (module, base) = build(options, spawner).await?;
        return EngineFiles::new(&module, base).map_err(Error::internal);
    }
    match read(&path) {
        Ok((module, base)) => return EngineFiles::new(&module, base).map_err(Error::internal),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => {
            tracing::warn!(path = %path.display(), error = %e, "cached engine not usable, building it again")
        }
    }
    let (module, base) = build(options, spawner).await?;
    if let Err(error) = write(&path, &module, &base) {
        without(error);
    }
    EngineFiles::new(&module, base).map_err(Error::internal)
}

/// Forgets a cached engine that does not load on this machine.
pub(super) fn forget(options: &PoolOptions) {
    // absent is what is wanted
    let _ = fs::remove_file(path(options));
}

fn path(options: &PoolOptions) -> PathBuf {
    options
        .cache_dir
        .join(format!("engine-{}.bin", artefact::identity()))
}

async fn build(options: &PoolOptions, spawner: &Spawner) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let failed = |e: LinkError| match e {
        LinkError::Refused(reason) => Error::new(Code::JailTooWeak, reason),
        e => Error::new(Code::EngineMismatch, "the engine could not be compiled").because(e),
    };
    let link = Link::open(
        options,
        spawner,
        ROLE_ENGINE_BUILD,
        0,
        Arc::new(Semaphore::new(0)),
    )
    .await
    .map_err(failed)?;
    let answer = tokio::time::timeout(BUILD_WITHIN, link.job(Request::BuildEngine, &[])).await;
    let too_long = |_| LinkError::Failed("compiling took too long".to_owned());
    let mut answer = answer.map_err(too_long).flatten().map_err(failed)?;
    let (module, base) = (answer.take(FILE_MODULE), answer.take(FILE_BASE));
    match answer.reply {
        Reply::Built { identity } if identity == artefact::identity() => Ok((module, base)),
        other => Err(
            Error::new(Code::EngineMismatch, "the engine could not be compiled")
                .because(format!("{other:?}")),
        ),
    }
}

fn own_directory(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = fs::metadata(dir)?;
    only_ours(&meta)
}

fn only_ours(meta: &fs::Metadata) -> io::Result<()> {
    // SAFETY: geteuid takes nothing and cannot fail.
    let us = unsafe { libc::geteuid() };
    if meta.uid() != us || meta.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "must belong to the node's user and be writable by nobody else",
        ));
    }
    Ok(())
}

// magic, sha256 of all that follows, length of the module (u64 LE), module, base
fn read(path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)?;
    let meta = file.metadata()?;
    only_ours(&meta)?;
    let broken = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    if meta.len() > FILE_BYTES_MAX {
        return Err(broken("too large"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    let rest = bytes
        .strip_prefix(MAGIC.as_slice())
        .ok_or_else(|| broken("no engine"))?;
    let (sum, rest) = rest
        .split_first_chunk::<32>()
        .ok_or_else(|| broken("cut short"))?;
    if Digest::of(rest).0 != *sum {
        return Err(broken("checksum does not hold"));
    }
    let (len, rest) = rest.split_first_chunk::<8>().ok_or_else(|| broken("cut short"))?;
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let (module, base) = rest.split_at_checked(len).ok_or_else(|| broken("cut short"))?;
    Ok((module.to_vec(), base.to_vec()))
}

// A crash leaves a temporary file or the whole one. Two nodes that start at once write the same bytes.
fn write(path: &Path, module: &[u8], base: &[u8]) -> io::Result<()> {
    let mut body = Vec::with_capacity(module.len() + base.len() + 8);
    body.extend_from_slice(&(module.len() as u64).to_le_bytes());
    body.extend_from_slice(module);
    body.extend_from_slice(base);
    let dir = path.parent().ok_or_else(|| io::Error::other("no directory"))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    // left by a process of the same number that was killed
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(MAGIC)?;
    file.write_all(&Digest::of(&body).0)?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_cached_engine_is_read_back_and_a_touched_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine-x.bin");
        write(&path, b"module", b"base").unwrap();
        assert_eq!(read(&path).unwrap(), (b"module".to_vec(), b"base".to_vec()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert!(read(&path).is_err());
        }
    }
}
