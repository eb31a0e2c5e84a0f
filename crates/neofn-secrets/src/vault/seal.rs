//! Sealing, unsealing, and a new root.

use super::{Open, TRIES, Vault, busy, store, wrap};
use crate::key::{Key, bind};
use crate::model::{KekRecord, RootKind, RootRecord, WRAPPED_BYTES_MAX};
use crate::port::{KeyWrap, WrapError};
use crate::root::RootSource;
use neofn_types::{Code, Entropy, Error, ProjectName};
use std::sync::Arc;

/// How the vault is doing; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultStatus {
    /// Whether there is a root at all.
    pub initialised: bool,
    /// Whether nothing can be read.
    pub sealed: bool,
    /// `key`, `passphrase` or `external`.
    pub root: Option<&'static str>,
    /// How many roots there were.
    pub generation: u32,
}

/// What the check of a root is wrapped for.
fn check_context(generation: u32) -> Vec<u8> {
    bind(&[b"neofn/secret/root/v1", &generation.to_be_bytes()])
}
/// What a project's key is wrapped for: it opens in its own place alone.
pub(super) fn kek_context(project: &ProjectName, id: &[u8; 16], version: u32) -> Vec<u8> {
    bind(&[
        b"neofn/secret/kek/v1",
        project.as_str().as_bytes(),
        id,
        &version.to_be_bytes(),
    ])
}
/// Wraps, and refuses what no store would take.
pub(super) async fn wrapped(root: &dyn KeyWrap, key: &Key, context: &[u8]) -> Result<Vec<u8>, Error> {
    let bytes = root.wrap(key, context).await.map_err(wrap)?;
    if bytes.is_empty() || bytes.len() > WRAPPED_BYTES_MAX {
        return Err(Error::internal("the key service wraps into an absurd size"));
    }
    Ok(bytes)
}

impl Vault {
    /// Whether nothing can be read or written.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.open.read().is_none()
    }
    /// How it is doing.
    pub async fn status(&self) -> Result<VaultStatus, Error> {
        let root = self.store.root().await.map_err(store)?;
        Ok(VaultStatus {
            initialised: root.is_some(),
            sealed: self.is_sealed(),
            root: root.as_ref().map(|r| match r.kind {
                RootKind::Key => "key",
                RootKind::Passphrase { .. } => "passphrase",
                RootKind::External { .. } => "external",
            }),
            generation: root.map_or(0, |r| r.generation),
        })
    }
    /// Forgets every key. Values that were given out are with their holders.
    pub fn seal(&self) {
        *self.open.write() = None;
    }
    /// Takes the root key, and makes it the root where there is none. Deriving from a passphrase blocks for a good
    /// part of a second.
    pub async fn unseal(&self, source: &RootSource) -> Result<VaultStatus, Error> {
        for _ in 0..TRIES {
            let record = match self.store.root().await.map_err(store)? {
                Some(record) => record,
                None => {
                    let (record, _) = self.new_root(source, 1).await?;
                    // another may have come first; then its root is the one to open
                    self.store
                        .set_root(None, record, Vec::new())
                        .await
                        .map_err(store)?;
                    continue;
                }
            };
            let root = source.open(&record.kind, &self.entropy)?;
            verify(root.as_ref(), &record).await?;
            *self.open.write() = Some(Open {
                root,
                generation: record.generation,
                keks: Arc::default(),
            });
            return self.status().await;
        }
        Err(busy())
    }

    async fn new_root(
        &self,
        source: &RootSource,
        generation: u32,
    ) -> Result<(RootRecord, Arc<dyn KeyWrap>), Error> {
        let kind = source.new_kind(self.entropy.as_ref())?;
        let root = source.open(&kind, &self.entropy)?;
        let nobodys = Key::generate(self.entropy.as_ref());
        let check = wrapped(root.as_ref(), &nobodys, &check_context(generation)).await?;
        let record = RootRecord {
            generation,
            kind,
            check,
        };
        Ok((record, root))
    }

    /// Puts every project's key under a new root, all at once: a crash leaves the old root or the new one. The values
    /// are not touched. Keep the old root until this has answered, and for old backups.
    pub async fn rotate_root(&self, source: &RootSource) -> Result<VaultStatus, Error> {
        for _ in 0..TRIES {
            let old = self.opened()?;
            let generation = old.generation.saturating_add(1);
            let (record, root) = self.new_root(source, generation).await?;
            let mut keks = self.store.all_keks().await.map_err(store)?;
            for kek in &mut keks {
                *kek = rewrapped(kek, old.root.as_ref(), root.as_ref()).await?;
            }
            let swapped = self.store.set_root(Some(old.generation), record, keks).await;
            if swapped.map_err(store)? {
                *self.open.write() = Some(Open {
                    root,
                    generation,
                    // a new root changes how they are wrapped, not what they are
                    keks: old.keks,
                });
                return self.status().await;
            }
            let now = self.store.root().await.map_err(store)?;
            if now.is_none_or(|r| r.generation != old.generation) {
                self.seal();
                return Err(Error::new(Code::SecretsSealed, "another root was set meanwhile"));
            }
        }
        Err(busy())
    }
}

async fn verify(root: &dyn KeyWrap, record: &RootRecord) -> Result<(), Error> {
    match root
        .unwrap(&record.check, &check_context(record.generation))
        .await
    {
        Ok(_) => Ok(()),
        Err(WrapError::Wrong) => Err(Error::from(Code::SecretRootWrong)),
        Err(unavailable) => Err(wrap(unavailable)),
    }
}

async fn rewrapped(kek: &KekRecord, old: &dyn KeyWrap, new: &dyn KeyWrap) -> Result<KekRecord, Error> {
    let context = kek_context(&kek.project, &kek.id, kek.version);
    let key = old.unwrap(&kek.wrapped, &context).await.map_err(wrap)?;
    Ok(KekRecord {
        wrapped: wrapped(new, &key, &context).await?,
        ..kek.clone()
    })
}

/// A fresh id.
pub(super) fn random_id(entropy: &dyn Entropy) -> [u8; 16] {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    id
}
