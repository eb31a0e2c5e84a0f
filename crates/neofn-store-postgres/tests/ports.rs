//! The PostgreSQL store against the suite of the ports, on a real server.
#![allow(clippy::unwrap_used, reason = "tests")]

use neofn_engine::port::{InvocationStore as _, LeaseStore as _};
use neofn_store_postgres::{LeaseTime, PostgresStore, StoreOptions};
use neofn_testkit::Postgres;
use neofn_testkit::stores::Harness as _;
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
        let options = StoreOptions {
            lease_time: LeaseTime::Asker,
            ..StoreOptions::new(&self.url, self.clock())
        };
        let store = PostgresStore::open(options).await.unwrap();
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

/// Nodes' clocks do not decide who leads: one that is an hour ahead and dies is followed as soon as any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_wrong_holds_a_lease_no_longer() {
    let server = Server::new();
    let store = PostgresStore::open(StoreOptions::new(&server.url, server.clock()))
        .await
        .unwrap();
    const HOUR: i64 = 3_600_000;
    let now = 1_800_000_000_000;
    let take = async |holder, at: i64, length| {
        let until = UnixMillis(at + length);
        let lease = store.take_lease("triggers", holder, UnixMillis(at), until).await;
        lease.unwrap()
    };
    let ahead = take("ahead", now + HOUR, 400).await;
    assert_eq!(ahead.holder, "ahead");
    let left = ahead.until.0 - (now + HOUR);
    assert!((300..=400).contains(&left), "in its own time it holds {left} ms");
    let right = take("right", now, 400).await;
    assert_eq!(right.holder, "ahead", "while it holds");
    assert!(
        right.until.0 - now <= 400,
        "in the asker's time it ends at {}",
        right.until.0
    );
    // it died; half a second later another one leads
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while take("right", now, 400).await.holder != "right" {
        assert!(tokio::time::Instant::now() < until, "the lease is never free");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // nor is one far behind pushed out by those whose time is right
    store.give_lease("triggers", "right").await.unwrap();
    assert_eq!(take("behind", now - HOUR, 60_000).await.holder, "behind");
    assert_eq!(take("right", now, 60_000).await.holder, "behind");
    server.stop(store).await;
}

neofn_testkit::suite!(Server);
