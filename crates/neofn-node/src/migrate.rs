//! From a data directory to PostgreSQL: every row and every artifact, checked before any of it counts.

use crate::options::PostgresOptions;
use crate::storage::store_options;
use crate::{OsEntropy, SystemClock, audit, outside, sign_in};
use neofn_identity::port::SessionStore as _;
use neofn_rows::tables::{Sum, TABLES};
use neofn_secrets::{RootSource, Vault, VaultLimits, read_key_file};
use neofn_store_postgres::Import;
use neofn_store_sqlite::{Export, Fault, NamedArtifacts, Store, StoreOptions};
use neofn_types::{Clock, Code, Digest, Error};
use std::collections::HashSet;
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
    /// Versions that name artifacts which were not there or not whole, and what follows.
    pub missing: Vec<String>,
    /// What cannot move.
    pub keys: MovedKeys,
}

/// The key files of a data directory, which are no rows: without them much of what was moved cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MovedKeys {
    /// Those that are there, for the data directory of the node.
    pub here: Vec<&'static str>,
    /// What is needed and not there, and what that means.
    pub wanting: Vec<String>,
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

/// Moves what a data directory holds into an empty database. The directory stays as it is but for the file `migrated`. When
/// this fails, the database is as empty as before; when it was the commit that failed, the hint says how to find out.
pub async fn migrate(from: &Path, to: &PostgresOptions) -> Result<Moved, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    if !from.join("neofn.db").is_file() {
        return Err(Error::new(
            Code::ConfigInvalid,
            format!("there is no neofn.db in {}", from.display()),
        ));
    }
    // two databases with one queue would both run it
    check_not_moved(from)?;
    let keys = keys(from, &clock).await?;
    let export = Arc::new(std::sync::Mutex::new(Export::open(from, clock.clone()).await?));
    // once more, now that nobody else has the directory: another one may have moved it meanwhile
    check_not_moved(from)?;
    let mut import = Import::begin(&store_options(to, clock.clone())?).await?;
    let mut moved = Moved {
        tables: Vec::new(),
        artifacts: 0,
        missing: Vec::new(),
        keys,
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
    let arrived = artifacts(&export, &mut import, &*clock).await?;
    let (counted, named) = {
        let export = export.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (export.counted()?, export.named()?)
    };
    moved.artifacts = arrived.len() as u64;
    moved.missing = missing(&named, &arrived);
    import.counted(&counted).await?;
    // before the database counts: of two nodes with the same queue both would run it
    mark(from).map_err(|e| {
        let message = format!("cannot write {}", from.join(MARK).display());
        Error::new(Code::ConfigInvalid, message).because(e)
    })?;
    import.commit().await.map_err(|fault| {
        let hint = format!("It is not known whether anything was moved. {}", ways_on(from));
        Error::from(fault).hint(hint)
    })?;
    Ok(moved)
}

/// Looks for the keys before anything is moved, with the directory still its own.
async fn keys(dir: &Path, clock: &Arc<dyn Clock>) -> Result<MovedKeys, Error> {
    let store = Arc::new(Store::open(StoreOptions::new(dir, clock.clone()))?);
    let looked = look_for_keys(dir, &store, clock).await;
    store.close().await?;
    looked
}

async fn look_for_keys(dir: &Path, store: &Arc<Store>, clock: &Arc<dyn Clock>) -> Result<MovedKeys, Error> {
    let mut keys = MovedKeys::default();
    let started = !store.signing_keys().await.map_err(Error::internal)?.is_empty();
    for name in [sign_in::NAME, audit::NAME] {
        match dir.join(name).exists() {
            true => keys.here.push(name),
            false if started => keys.wanting.push(format!(
                "{name} is not in {}: no node starts on the database without it",
                dir.display()
            )),
            false => {}
        }
    }
    let vault = Vault::new(
        store.clone(),
        clock.clone(),
        Arc::new(OsEntropy),
        VaultLimits::default(),
    );
    // a passphrase and a token are where they were
    if vault.status().await?.root != Some("key") {
        return Ok(keys);
    }
    let path = dir.join(outside::NAME);
    let (name, dir) = (outside::NAME, dir.display());
    let elsewhere =
        "name the file that holds it by --secrets-key-file, or put it into the data directory of the node";
    if !path.exists() {
        keys.wanting.push(format!(
            "{name} is not in {dir}, and the secrets cannot be read without the key that it held: {elsewhere}"
        ));
        return Ok(keys);
    }
    let opened = match read_key_file(&path) {
        Ok(key) => vault.unseal(&RootSource::Key(key)).await.map(drop),
        Err(error) => Err(error),
    };
    match opened {
        Ok(()) => keys.here.push(name),
        Err(error) if error.code == Code::SecretRootWrong => keys.wanting.push(format!(
            "{name} in {dir} does not open the secrets ({}): they cannot be read without the key that does; {elsewhere}",
            error.message
        )),
        Err(error) => return Err(error),
    }
    Ok(keys)
}

/// In a data directory whose rows are in a database, or would be if the commit had come to pass.
const MARK: &str = "migrated";

fn mark(dir: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(dir.join(MARK))?;
    file.write_all(
        b"What was here is in a PostgreSQL database, and a node on both would do the same work twice.\n",
    )?;
    file.sync_all()?;
    std::fs::File::open(dir)?.sync_all()
}

/// Refuses to run on rows that were moved, or to move them once more.
pub(crate) fn check_not_moved(dir: &Path) -> Result<(), Error> {
    if !dir.join(MARK).exists() {
        return Ok(());
    }
    let message = format!(
        "what {} held was, or was about to be, moved to PostgreSQL",
        dir.display()
    );
    Err(Error::new(Code::ConfigInvalid, message).hint(ways_on(dir)))
}

/// The mark is there before the commit, so it says nothing of that one. Each node that ever ran has a row in `signing_key`.
fn ways_on(dir: &Path) -> String {
    let mark = dir.join(MARK);
    let mark = mark.display();
    format!(
        "Ask that database, before a node starts on it: SELECT count(*) FROM signing_key. With rows, everything was moved: start with \
         [postgres]; if it is not to be used after all, drop it and remove {mark}, for both would run what was queued. Without \
         rows, or without that table, nothing was moved, because `neofn migrate` died just before: remove {mark}, and start or \
         migrate again."
    )
}

/// Moves the artifacts; answers which arrived.
async fn artifacts(
    export: &std::sync::Mutex<Export>,
    import: &mut Import,
    clock: &dyn Clock,
) -> Result<HashSet<Digest>, Error> {
    let lock = || export.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let all = lock().blobs()?;
    let mut there = HashSet::new();
    for digest in all {
        let Some(bytes) = lock().blob(digest)? else {
            tracing::warn!(%digest, "a damaged artifact stays behind");
            continue;
        };
        let arrived = import.blob(&bytes, clock.now()).await?;
        if arrived != digest {
            return Err(Error::new(
                Code::StoreFailed,
                format!("artifact {digest} changed on its way"),
            ));
        }
        there.insert(digest);
    }
    Ok(there)
}

/// Versions that are named one by one.
const MISSING_MAX: usize = 200;

/// The versions of which an artifact did not arrive, and what follows.
fn missing(named: &[NamedArtifacts], arrived: &HashSet<Digest>) -> Vec<String> {
    let mut told = Vec::new();
    let mut more = 0_usize;
    for version in named {
        let what = what_follows(version, arrived);
        if what.is_empty() {
            continue;
        }
        if told.len() < MISSING_MAX {
            told.push(format!(
                "{} version {}: {}",
                version.key,
                version.version,
                what.join("; ")
            ));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        told.push(format!("{more} more versions lack artifacts"));
    }
    told
}

fn what_follows(version: &NamedArtifacts, arrived: &HashSet<Digest>) -> Vec<&'static str> {
    let Some(artifact) = &version.artifact else {
        return vec!["what it consists of cannot be read, so it never runs again: deploy it anew"];
    };
    let lacks = |digest: Digest| !arrived.contains(&digest);
    let mut what = Vec::new();
    // what is live is not stored again as long as its source is the same
    match (lacks(artifact.code), lacks(artifact.artifact)) {
        (true, true) => what.push(
            "code and compiled form are missing or damaged, so it never runs again: deploy it anew, with a change if it is live",
        ),
        (true, false) => what.push(
            "code is missing or damaged, so it runs only until a neofn with another engine has to compile it: deploy it anew, \
             with a change if it is live",
        ),
        (false, true) => what.push("compiled form is missing or damaged; it is made again when it is called"),
        (false, false) => {}
    }
    if artifact.source_map.is_some_and(lacks) {
        what.push("source map is missing or damaged; its failures are told without places in its source");
    }
    if artifact.files.is_some_and(lacks) {
        what.push("uploaded files are missing or damaged; its source cannot be shown");
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_registry::ArtifactRef;
    use neofn_types::{FunctionKey, Version};

    fn version(number: u32) -> NamedArtifacts {
        let digest = |n: u8| Digest([n; 32]);
        NamedArtifacts {
            key: FunctionKey::new("demo".parse().unwrap(), "f".parse().unwrap()),
            version: Version(number),
            artifact: Some(ArtifactRef {
                artifact: digest(1),
                engine: digest(9),
                code: digest(2),
                source_map: Some(digest(3)),
                files: Some(digest(4)),
            }),
        }
    }

    #[test]
    fn what_did_not_arrive_is_told_by_version_with_what_follows() {
        let told = |arrived: &[u8]| {
            let arrived = arrived.iter().map(|n| Digest([*n; 32])).collect();
            missing(&[version(3)], &arrived)
        };
        assert_eq!(told(&[1, 2, 3, 4, 9]), Vec::<String>::new());
        let only = |arrived: &[u8]| {
            let told = told(arrived);
            assert_eq!(told.len(), 1, "{told:?}");
            told.concat()
        };
        assert_eq!(
            only(&[2, 3, 4]),
            "demo/f version 3: compiled form is missing or damaged; it is made again when it is called"
        );
        assert!(
            only(&[1, 3, 4]).starts_with("demo/f version 3: code is missing or damaged, so it runs only")
        );
        assert!(only(&[3, 4]).contains("never runs again: deploy it anew"));
        let both = only(&[1, 2]);
        assert!(
            both.contains("source map") && both.contains("uploaded files"),
            "{both}"
        );
        let unreadable = NamedArtifacts {
            artifact: None,
            ..version(1)
        };
        assert!(
            missing(&[unreadable], &HashSet::new())
                .concat()
                .contains("cannot be read")
        );
        let many: Vec<NamedArtifacts> = (1..=300).map(version).collect();
        let told = missing(&many, &HashSet::new());
        assert_eq!(told.len(), MISSING_MAX + 1);
        assert_eq!(told.last().unwrap(), "100 more versions lack artifacts");
    }

    #[test]
    fn what_was_moved_is_moved_once_and_the_way_on_is_told() {
        let dir = tempfile::tempdir().unwrap();
        check_not_moved(dir.path()).unwrap();
        mark(dir.path()).unwrap();
        let refused = check_not_moved(dir.path()).unwrap_err();
        assert_eq!(refused.code, Code::ConfigInvalid);
        assert!(
            refused.message.contains("was, or was about to be, moved"),
            "{refused}"
        );
        let name = dir.path().join(MARK).display().to_string();
        assert!(
            refused.cure().contains(&name) && refused.cure().contains("SELECT"),
            "{}",
            refused.cure()
        );
        std::fs::remove_file(name).unwrap();
        check_not_moved(dir.path()).unwrap();
    }
}
