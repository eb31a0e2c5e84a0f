//! Where a node keeps what it knows: SQLite in its data directory, or a PostgreSQL that other nodes use, too.

use crate::options::{NodeOptions, PostgresOptions};
use async_trait::async_trait;
use neofn_chain::port::TxStore;
use neofn_engine::port::{InvocationStore, KvStore, LeaseStore, Neighbours};
use neofn_engine::triggers::port::TriggerStore;
use neofn_identity::port::IdentityStore;
use neofn_registry::port::RegistryStore;
use neofn_store_postgres::PostgresStore;
use neofn_store_sqlite::{DirLock, Store};
use neofn_types::{Clock, Code, Error};
use std::path::Path;
use std::sync::Arc;

/// Longest password file.
const PASSWORD_BYTES_MAX: u64 = 4_096;

/// Every storage port at once.
#[async_trait]
pub(crate) trait AnyStore:
    InvocationStore + KvStore + RegistryStore + IdentityStore + TriggerStore + TxStore + LeaseStore
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
            let store = Store::open(neofn_store_sqlite::StoreOptions::new(data, clock))?;
            return Ok(Self {
                store: Arc::new(store),
                neighbours: None,
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
            neighbours: Some(store),
            _lock: Some(Arc::new(lock)),
        })
    }
}

/// What the store is told of an operator's settings.
pub(crate) fn store_options(
    postgres: &PostgresOptions,
    clock: Arc<dyn Clock>,
) -> Result<neofn_store_postgres::StoreOptions, Error> {
    let mut options = neofn_store_postgres::StoreOptions::new(postgres.url.reveal(), clock);
    if let Some(path) = &postgres.password_file {
        let text = crate::files::read_text(path, PASSWORD_BYTES_MAX).map_err(|e| {
            Error::new(
                Code::ConfigInvalid,
                format!("cannot read {}: {e}", path.display()),
            )
            .because(e)
        })?;
        options.password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(options)
}
