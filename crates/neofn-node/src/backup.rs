//! What belongs into a backup of a node: the database as of one commit, and the files beside it.
//!
//! Left out: what belongs to this process or this machine alone, and earlier backups.

use async_trait::async_trait;
use neofn_api::Backups;
use neofn_backup::{Heads, Recipient, Source};
use neofn_gas::port::LedgerStore as _;
use neofn_identity::auditlog::AuditLog;
use neofn_store_sqlite::Store;
use neofn_types::{Clock, Code, Error, UnixMillis};
use neofn_wire::BackupView;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where backups go, below the data directory.
const DIRECTORY: &str = "backups";
/// The database's file.
const DATABASE: &str = "neofn.db";
/// Deepest directory that is taken along.
const DEPTH_MAX: u32 = 8;
/// Names at the top that are left out, with everything that begins with the database's name.
const LEFT_OUT: [&str; 4] = [DIRECTORY, "runtime.json", "dev-chain", "cache"];

/// Makes backups of one node.
#[derive(Clone)]
pub(crate) struct Archive {
    pub(crate) data: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) audit: AuditLog,
    pub(crate) clock: Arc<dyn Clock>,
    /// The chain's network, where one is followed.
    pub(crate) network: Option<u32>,
    /// Held by whoever makes one: so of copies that there are, none is another's.
    pub(crate) making: Arc<Mutex<()>>,
}

/// Copies on their way into a backup: not encrypted, so they go however it ends.
struct Copies(PathBuf);
impl Copies {
    fn begin(data: &Path, at: UnixMillis) -> Result<Self, Error> {
        let copies = Self(data.join(DIRECTORY).join(format!(".{}", at.0)));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&copies.0)
            .map_err(failed(&copies.0))?;
        Ok(copies)
    }
}
impl Drop for Copies {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(copies: &Path) {
    if let Err(error) = std::fs::remove_dir_all(copies) {
        tracing::error!(copies = %copies.display(), %error, "copies of files that are not encrypted stay");
    }
}

/// Removes what a process that died had copied.
pub(crate) fn sweep(data: &Path) {
    let Ok(entries) = std::fs::read_dir(data.join(DIRECTORY)) else {
        return; // none was ever made
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix('.').unwrap_or_default();
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            remove(&entry.path());
        }
    }
}

fn failed(what: &Path) -> impl FnOnce(io::Error) -> Error {
    let what = what.display().to_string();
    move |e| Error::new(Code::StoreFailed, format!("backup: {what}: {e}")).because(e)
}

#[async_trait]
impl Backups for Archive {
    async fn create(&self, recipient: &str) -> Result<BackupView, Error> {
        let recipient: Recipient = recipient
            .parse()
            .map_err(|e: &str| Error::new(Code::BackupInvalid, format!("not an age recipient: {e}")))?;
        // whoever asked may leave; what was begun ends, and removes its copies
        let archive = self.clone();
        let making = tokio::spawn(async move {
            let _one = archive.making.lock().await;
            sweep(&archive.data);
            let copies = Copies::begin(&archive.data, archive.clock.now())?;
            archive.make(&recipient, &copies.0).await
        });
        making.await.map_err(Error::internal)?
    }
}

impl Archive {
    async fn make(&self, recipient: &Recipient, work: &Path) -> Result<BackupView, Error> {
        // the log's signature first: the database that follows has at least what was signed
        let head = self.audit.head().await.map_err(Error::from)?;
        let totals = self.store.totals().await.map_err(Error::internal)?;
        let chain = match self.network {
            Some(network) => {
                let mark = self.store.mark(network).await.map_err(Error::internal)?;
                mark.map(|mark| (network, mark.next))
            }
            None => None,
        };
        let copy = work.join(DATABASE);
        self.store.snapshot(copy.clone()).await?;
        let heads = Heads {
            schema: neofn_store_sqlite::layout(),
            transfers: totals.transfers,
            audit_size: head.size,
            checkpoint: Some(head.note),
            chain,
        };
        let at = self.clock.now();
        let name = format!("neofn-{}.age", at.to_iso8601().replace([':', '.'], "-"));
        let to = self.data.join(DIRECTORY).join(name);
        let (data, beside, recipient, file) =
            (self.data.clone(), work.to_owned(), recipient.clone(), to.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let mut sources = vec![Source {
                file: copy,
                path: DATABASE.to_owned(),
            }];
            gather(&data, &data, &beside, 0, &mut sources)?;
            let said = (at, env!("CARGO_PKG_VERSION"));
            neofn_backup::create(&file, &recipient, &sources, heads, said).map_err(Error::from)
        });
        let manifest = writing.await.map_err(Error::internal)??;
        Ok(BackupView {
            file: to.display().to_string(),
            at: manifest.at.to_iso8601(),
            files: u64::try_from(manifest.files.len()).unwrap_or(u64::MAX),
            bytes: manifest.files.iter().map(|f| f.bytes).sum(),
            audit_size: manifest.heads.audit_size,
            transfers: manifest.heads.transfers,
        })
    }
}

/// Takes every regular file along; a link is what it leads to. Each is copied first, because a journal may grow while it is read.
fn gather(root: &Path, dir: &Path, work: &Path, depth: u32, sources: &mut Vec<Source>) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        let why = "is too deep for a backup; a link may lead back to where it lies";
        return Err(Error::new(Code::StoreFailed, format!("{} {why}", dir.display())));
    }
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(failed(dir))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let top = dir == root && (LEFT_OUT.contains(&name.as_str()) || name.starts_with(DATABASE));
        if top || name.starts_with('.') || name.ends_with(".lock") {
            continue;
        }
        let kind = std::fs::metadata(&path).map_err(failed(&path))?;
        if kind.is_dir() {
            gather(root, &path, work, depth + 1, sources)?;
        } else if kind.is_file() {
            let inside = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let copy = work.join(format!("{}", sources.len()));
            std::fs::copy(&path, &copy).map_err(failed(&path))?;
            sources.push(Source {
                file: copy,
                path: inside,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;
    use neofn_identity::auditlog::{AuditLogOptions, LogKey};
    use neofn_store_sqlite::StoreOptions;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn archive(data: &Path) -> Archive {
        let clock = Arc::new(SystemClock::new());
        let store = Arc::new(Store::open(StoreOptions::new(data, clock.clone())).unwrap());
        let audit = AuditLog::new(AuditLogOptions {
            store: store.clone(),
            key: LogKey::from_seed("neofn/audit/test", &[7; 32]).unwrap(),
            clock: clock.clone(),
            chain: None,
            anchor_every: Duration::ZERO,
        });
        Archive {
            data: data.to_owned(),
            store,
            audit,
            clock,
            network: None,
            making: Arc::default(),
        }
    }
    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[tokio::test]
    async fn who_leaves_and_who_died_leave_no_copies() {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(dir.path());
        let backups = dir.path().join(DIRECTORY);
        fs::create_dir_all(backups.join(".17")).unwrap();
        fs::write(backups.join(".17").join(DATABASE), "of one that died").unwrap();
        fs::create_dir_all(backups.join(".trash")).unwrap();
        let (_, recipient) = neofn_backup::generate();
        {
            let mut asked = std::pin::pin!(archive.create(&recipient));
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(asked.as_mut().poll(cx).is_pending()));
            assert!(polled.await, "it is on its way");
        }
        // comes after the first one
        archive.create(&recipient).await.unwrap();
        let mut left = names(&backups);
        left.retain(|name| !name.ends_with(".age"));
        assert_eq!(left, [".trash"]);
        fs::create_dir_all(backups.join(".18")).unwrap();
        sweep(dir.path());
        assert!(!backups.join(".18").exists());
    }

    #[tokio::test]
    async fn what_a_link_leads_to_is_taken_along() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let archive = archive(dir.path());
        fs::write(elsewhere.path().join("seed"), "secret").unwrap();
        symlink(elsewhere.path().join("seed"), dir.path().join("audit.key")).unwrap();
        symlink(elsewhere.path(), dir.path().join("signer")).unwrap();
        let work = tempfile::tempdir().unwrap();
        let gathered = || {
            let mut sources = Vec::new();
            gather(dir.path(), dir.path(), work.path(), 0, &mut sources).map(|()| sources)
        };
        let sources = gathered().unwrap();
        for path in ["audit.key", "signer/seed"] {
            let source = sources.iter().find(|s| s.path == path).unwrap();
            assert_eq!(fs::read_to_string(&source.file).unwrap(), "secret");
        }
        // what cannot be had is no backup without it
        symlink(dir.path(), dir.path().join("round")).unwrap();
        assert!(gathered().is_err());
        fs::remove_file(dir.path().join("round")).unwrap();
        symlink("nowhere", dir.path().join("gone.key")).unwrap();
        let (_, recipient) = neofn_backup::generate();
        assert!(archive.create(&recipient).await.is_err());
        assert!(names(&dir.path().join(DIRECTORY)).is_empty());
    }
}
