//! The SQLite store against the suite of the ports.
#![allow(clippy::unwrap_used, reason = "tests")]

use neofn_store_sqlite::{Store, StoreOptions};
use neofn_testkit::stores::support::TestClock;
use std::sync::Arc;

struct Sqlite {
    dir: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl neofn_testkit::stores::Harness for Sqlite {
    type Store = Store;
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
        }
    }
    fn money(store: &Arc<Self::Store>) -> Arc<dyn neofn_gas::port::LedgerStore> {
        store.clone()
    }
    fn log(store: &Arc<Self::Store>) -> Arc<dyn neofn_identity::auditlog::port::AuditStore> {
        store.clone()
    }
    fn clock(&self) -> Arc<TestClock> {
        Arc::clone(&self.clock)
    }
    async fn open(&self) -> Store {
        Store::open(StoreOptions::new(self.dir.path(), self.clock())).unwrap()
    }
    async fn stop(&self, store: Store) {
        store.close().await.unwrap();
    }
}

neofn_testkit::suite!(Sqlite);
