//! Where a node keeps what it knows: SQLite in its data directory, or a PostgreSQL that other nodes use, too.

use crate::options::{NodeOptions, PostgresOptions};
use async_trait::async_trait;
use neofn_chain::port::TxStore;
use neofn_engine::port::{InvocationStore, KvStore, LeaseStore, Neighbours, PromiseStore, ReplyStore};
use neofn_engine::triggers::port::TriggerStore;
use neofn_engine::{Among, Leading};
use neofn_gas::port::LedgerStore;
use neofn_identity::auditlog::port::AuditStore;
use neofn_identity::port::{AuditStore as ActStore, IdentityStore, MemberStore, SessionStore};
use neofn_registry::port::RegistryStore;
use neofn_secrets::port::SecretStore;
use neofn_store_postgres::PostgresStore;
use neofn_store_sqlite::{DirLock, Store};
use neofn_types::{Clock, Digest, Error};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Longest password file.
const PASSWORD_BYTES_MAX: u64 = 4_096;
/// Longest key file.
const KEY_BYTES_MAX: u64 = 4_096;

/// Every storage port at once.
#[async_trait]
pub(crate) trait AnyStore:
    InvocationStore
    + KvStore
    + RegistryStore
    + TriggerStore
    + TxStore
    + LeaseStore
    + ReplyStore
    + PromiseStore
    + IdentityStore
    + SessionStore
    + MemberStore
    + ActStore
    + AuditStore
    + SecretStore
    + LedgerStore
{
    /// Finishes everything that was handed over; later calls fail.
    async fn end(&self) -> Result<(), Error>;
}

#[async_trait]
impl AnyStore for Store {
    async fn end(&self) -> Result<(), Error> {
        self.close().await
    }
}
#[async_trait]
impl AnyStore for PostgresStore {
    async fn end(&self) -> Result<(), Error> {
        self.close().await
    }
}

/// The store of a node.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) store: Arc<dyn AnyStore>,
    /// Set when other nodes use it.
    pub(crate) neighbours: Option<Arc<dyn Neighbours>>,
    /// The same, when it is a file of this node's own.
    pub(crate) embedded: Option<Arc<Store>>,
    shared: Option<Arc<PostgresStore>>,
    /// Of a data directory without a database in it.
    _lock: Option<Arc<DirLock>>,
}

impl Storage {
    pub(crate) async fn open(
        options: &NodeOptions,
        data: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let Some(postgres) = &options.postgres else {
            crate::migrate::check_not_moved(data)?;
            let store = Arc::new(Store::open(neofn_store_sqlite::StoreOptions::new(data, clock))?);
            // once more, now that the directory is ours: a migration may have ended between the two
            crate::migrate::check_not_moved(data)?;
            return Ok(Self {
                store: store.clone(),
                neighbours: None,
                embedded: Some(store),
                shared: None,
                _lock: None,
            });
        };
        // keys and the signer's journal stay in the directory, which is one node's alone
        let lock = DirLock::of_private(data)?;
        if data.join("neofn.db").exists() {
            tracing::warn!(
                data = %data.display(),
                "the embedded database in the data directory is not used; `neofn migrate` moves it to PostgreSQL"
            );
        }
        let store = Arc::new(PostgresStore::open(store_options(postgres, clock)?).await?);
        Ok(Self {
            store: store.clone(),
            neighbours: Some(store.clone()),
            embedded: None,
            shared: Some(store),
            _lock: Some(Arc::new(lock)),
        })
    }

    /// Who else uses it.
    pub(crate) fn among(&self) -> Among {
        match self.neighbours {
            Some(_) => Among::Others,
            None => Among::Nobody,
        }
    }
    /// What only one of the nodes of this store does at a time; `node` is this one's name.
    pub(crate) fn leading(&self, name: &'static str, clock: &Arc<dyn Clock>, node: &str) -> Leading {
        Leading::new(self.store.clone(), clock.clone(), name, node, self.among())
    }

    /// Refuses a node whose directory lacks a key that the other nodes of its database have, or has another: it would
    /// write what they cannot read.
    pub(crate) async fn check_key(&self, data: &Path, name: &str) -> Result<(), Error> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        let there = data.join(name).exists();
        let mine = there.then(|| fingerprint(data, name)).transpose()?;
        shared.check_key(name, mine).await
    }
    /// Says which key this node works with while nothing is sealed in its database; refuses it when another node that starts at
    /// the same time was first.
    pub(crate) async fn claim_key(&self, data: &Path, name: &str) -> Result<(), Error> {
        match &self.shared {
            Some(shared) => shared.claim_key(name, fingerprint(data, name)?).await,
            None => Ok(()),
        }
    }
    /// Says which key this node works with, once it is known to be one.
    pub(crate) async fn agree_on_key(&self, data: &Path, name: &str) -> Result<(), Error> {
        match &self.shared {
            Some(shared) => shared.agree_on_key(name, fingerprint(data, name)?).await,
            None => Ok(()),
        }
    }
}

/// Tells the store of a node from those of others: nodes of one database have the same identity key.
pub(crate) fn identity(data: &Path) -> Result<Digest, Error> {
    fingerprint(data, crate::sign_in::NAME)
}

fn fingerprint(data: &Path, name: &str) -> Result<Digest, Error> {
    let text = Zeroizing::new(crate::files::read_text(&data.join(name), KEY_BYTES_MAX)?);
    let parts: [&[u8]; 3] = [b"neofn/node-key/v1", name.as_bytes(), text.trim().as_bytes()];
    Ok(Digest::of_parts(&parts))
}

/// What the store is told of an operator's settings.
pub(crate) fn store_options(
    postgres: &PostgresOptions,
    clock: Arc<dyn Clock>,
) -> Result<neofn_store_postgres::StoreOptions, Error> {
    let mut options = neofn_store_postgres::StoreOptions::new(postgres.url.reveal(), clock);
    if let Some(path) = &postgres.password_file {
        let text = crate::files::read_text(path, PASSWORD_BYTES_MAX)?;
        options.password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(options)
}
