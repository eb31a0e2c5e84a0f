//! The PostgreSQL store against the suite of the ports, on a real server.
#![allow(clippy::unwrap_used, reason = "tests")]

use neofn_engine::port::InvocationStore as _;
use neofn_store_postgres::{PostgresStore, StoreOptions};
use neofn_testkit::Postgres;
use neofn_testkit::stores::support::TestClock;
use neofn_types::UnixMillis;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Server {
    postgres: Postgres,
    clock: Arc<TestClock>,
    opened: AtomicBool,
}

impl neofn_testkit::stores::Harness for Server {
    const CLAIMS_END_WITH_THE_STORE: bool = false;
    type Store = PostgresStore;
    fn new() -> Self {
        Self {
            postgres: Postgres::start(),
            clock: Arc::default(),
            opened: AtomicBool::new(false),
        }
    }
    fn clock(&self) -> Arc<TestClock> {
        Arc::clone(&self.clock)
    }
    async fn open(&self) -> PostgresStore {
        let store = PostgresStore::open(StoreOptions::new(self.postgres.url(), self.clock()))
            .await
            .unwrap();
        if self.opened.swap(true, Ordering::SeqCst) {
            // other nodes may live on, so only the end of a lease gives a claim up
            store.requeue_expired(UnixMillis(i64::MAX)).await.unwrap();
        }
        store
    }
    async fn stop(&self, store: PostgresStore) {
        store.close().await.unwrap();
    }
}

neofn_testkit::suite!(Server);
