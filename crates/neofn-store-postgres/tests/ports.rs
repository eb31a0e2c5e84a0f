//! The PostgreSQL store against the suite of the ports, on a real server.
#![allow(clippy::unwrap_used, reason = "tests")]

use neofn_engine::port::InvocationStore as _;
use neofn_store_postgres::{PostgresStore, StoreOptions};
use neofn_testkit::Postgres;
use neofn_testkit::stores::support::TestClock;
use neofn_types::UnixMillis;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The server of this process as long as somebody uses it, and how many databases it has had.
static SERVER: Mutex<(Weak<Postgres>, u32)> = Mutex::new((Weak::new(), 0));

struct Server {
    /// Ends with the last who holds it.
    _postgres: Arc<Postgres>,
    url: String,
    clock: Arc<TestClock>,
    opened: AtomicBool,
}

impl neofn_testkit::stores::Harness for Server {
    const CLAIMS_END_WITH_THE_STORE: bool = false;
    type Store = PostgresStore;
    /// A case makes a database, and each of its commits goes to the disk.
    fn cases(usual: u32) -> u32 {
        usual / 6
    }
    fn new() -> Self {
        let mut server = SERVER.lock().unwrap();
        let postgres = server.0.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Postgres::start());
            server.0 = Arc::downgrade(&started);
            started
        });
        server.1 += 1;
        Self {
            url: postgres.database(&format!("n{}", server.1)),
            _postgres: postgres,
            clock: Arc::default(),
            opened: AtomicBool::new(false),
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
    async fn open(&self) -> PostgresStore {
        let store = PostgresStore::open(StoreOptions::new(&self.url, self.clock()))
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
