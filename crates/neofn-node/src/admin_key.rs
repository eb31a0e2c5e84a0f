//! The admin key of a data directory: made at the first start, in a file of its own.
//!
//! The file is written before the store learns the hash. A crash in between leaves a key that the store does not know
//! yet; the next start tells it. The other order could leave a stored key that nobody has.

use crate::files;
use neofn_identity::port::IdentityStore;
use neofn_identity::{ApiKey, KeyRecord, Scope};
use neofn_types::{Clock, Code, Entropy, Error};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const NAME: &str = "admin.key";

/// Makes sure that the file is there, private, and that the store knows its key; answers where it is.
pub(crate) async fn ensure(
    dir: &Path,
    store: &dyn IdentityStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<PathBuf, Error> {
    let path = dir.join(NAME);
    let key = match read(&path)? {
        Some(key) => key,
        None => make(&path, entropy)?,
    };
    let failed = |e| Error::from(Code::StoreFailed).because(e);
    match store.key(key.id).await.map_err(failed)? {
        Some(known) if key.matches(&known.hash) && known.scope == Scope::Operator => {}
        Some(_) => return Err(damaged(&path, "it names a key that is not an admin's")),
        None => {
            let record = KeyRecord::new(&key, Scope::Operator, clock.now());
            store.add_key(record).await.map_err(failed)?;
        }
    }
    Ok(path)
}

fn make(path: &Path, entropy: &dyn Entropy) -> Result<ApiKey, Error> {
    let (mut id, mut secret) = ([0; 8], [0; 24]);
    entropy.fill(&mut id);
    entropy.fill(&mut secret);
    let key = ApiKey::new(id, secret);
    files::write_private(path, &format!("{}\n", *key.reveal()))?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<ApiKey>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(damaged(path, &e.to_string()).because(e)),
    };
    let mode = fs::metadata(path).map_or(0, |m| m.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others could read the admin key; it is private again");
        fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(|e| damaged(path, "others can read it").because(e))?;
    }
    text.trim()
        .parse()
        .map(Some)
        .map_err(|e| damaged(path, "it does not hold a key").because(e))
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(
        Code::ConfigInvalid,
        format!("cannot use the admin key in {}: {why}", path.display()),
    )
    .hint("Put the file back as it was; or remove it, and the next start makes another key.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OsEntropy, SystemClock};
    use async_trait::async_trait;
    use neofn_identity::port::IdentityStoreError;
    use neofn_identity::{KeyId, Membership};
    use neofn_types::{ProjectName, ScriptHash};
    use std::sync::Mutex;

    #[derive(Default)]
    struct Keys(Mutex<Vec<KeyRecord>>, bool);
    #[async_trait]
    impl IdentityStore for Keys {
        async fn add_key(&self, key: KeyRecord) -> Result<(), IdentityStoreError> {
            if self.1 {
                return Err(IdentityStoreError("killed here".into()));
            }
            self.0.lock().unwrap().push(key);
            Ok(())
        }
        async fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, IdentityStoreError> {
            Ok(self.0.lock().unwrap().iter().find(|k| k.id == id).cloned())
        }
        async fn keys(&self) -> Result<Vec<KeyRecord>, IdentityStoreError> {
            Ok(self.0.lock().unwrap().clone())
        }
        async fn roles(&self, _: ScriptHash, _: ProjectName) -> Result<Vec<Membership>, IdentityStoreError> {
            Ok(Vec::new())
        }
    }
    async fn start(dir: &Path, keys: &Keys) -> Result<PathBuf, Error> {
        ensure(dir, keys, &SystemClock::new(), &OsEntropy).await
    }

    #[tokio::test]
    async fn one_key_whatever_start_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let killed = Keys(Mutex::default(), true);
        assert!(
            start(dir.path(), &killed).await.is_err(),
            "between file and store"
        );
        let left = fs::read_to_string(dir.path().join(NAME)).unwrap();
        let keys = Keys::default();
        for _ in 0..2 {
            let path = start(dir.path(), &keys).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), left);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        let kept = keys.0.lock().unwrap().clone();
        let key: ApiKey = left.trim().parse().unwrap();
        assert!(kept.len() == 1 && key.matches(&kept[0].hash));
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[tokio::test]
    async fn a_damaged_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "nfk_half").unwrap();
        let e = start(dir.path(), &Keys::default()).await.unwrap_err();
        assert_eq!(e.code, Code::ConfigInvalid);
        assert_eq!(fs::read_to_string(dir.path().join(NAME)).unwrap(), "nfk_half");
    }
}
