//! What belongs into a backup of a node: the database as of one commit, and the files beside it.
//!
//! Left out: what belongs to this process or this machine alone, and earlier backups.

use async_trait::async_trait;
use neofn_api::Backups;
use neofn_backup::{Heads, Recipient, Source};
use neofn_gas::port::LedgerStore as _;
use neofn_identity::auditlog::AuditLog;
use neofn_store_sqlite::Store;
use neofn_types::{Clock, Code, Error};
use neofn_wire::BackupView;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where backups go, below the data directory.
const DIRECTORY: &str = "backups";
/// The database's file.
const DATABASE: &str = "neofn.db";
/// Deepest directory that is taken along.
const DEPTH_MAX: u32 = 8;
/// Names at the top that are left out, with everything that begins with the database's name.
const LEFT_OUT: [&str; 4] = [DIRECTORY, "runtime.json", "dev-chain", "cache"];

/// Makes backups of one node.
pub(crate) struct Archive {
    pub(crate) data: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) audit: AuditLog,
    pub(crate) clock: Arc<dyn Clock>,
    /// The chain's network, where one is followed.
    pub(crate) network: Option<u32>,
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
        let at = self.clock.now();
        let directory = self.data.join(DIRECTORY);
        let work = directory.join(format!(".{}", at.0));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&work)
            .map_err(failed(&work))?;
        let made = self.make(&recipient, &directory, &work).await;
        let _ = std::fs::remove_dir_all(&work); // copies only; the next backup has another name
        made
    }
}

impl Archive {
    async fn make(&self, recipient: &Recipient, directory: &Path, work: &Path) -> Result<BackupView, Error> {
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
        let to = directory.join(format!("neofn-{}.age", at.to_iso8601().replace([':', '.'], "-")));
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

/// Takes every regular file along. Each is copied first, because a journal may grow while it is read.
fn gather(root: &Path, dir: &Path, work: &Path, depth: u32, sources: &mut Vec<Source>) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Ok(());
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
        let kind = entry.file_type().map_err(failed(&path))?;
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
