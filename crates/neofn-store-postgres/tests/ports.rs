//! The PostgreSQL store against the suite of the ports, on a real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use neofn_engine::port::{
    Admitted, Begun, InvocationStore as _, KvExpect, KvStore as _, LeaseStore as _, NamedRequest,
    NewInvocation, Outcome, ReplyStore as _, Retention, Rooms, Start, StoreError,
};
use neofn_engine::triggers::port::TriggerStore as _;
use neofn_gas::ledger::{Account, Detail, Entry, Hold, Purpose, Transfer, TransferId};
use neofn_gas::port::LedgerStore;
use neofn_store_postgres::{Import, PostgresStore, StoreOptions, TimeOf};
use neofn_testkit::Postgres;
use neofn_testkit::stores::Harness as _;
use neofn_testkit::stores::support::{TestClock, deploy, failure, finish, key, keyed, ok, put, queued};
use neofn_testkit::stores::triggers::{deliver, deploy as deploy_triggered, held, register, trigger};
use neofn_types::{Code, Datoshi, Digest, UnixMillis};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// The server of this process as long as somebody uses it, and how many databases it has had.
static SERVER: Mutex<(Weak<Postgres>, u32)> = Mutex::new((Weak::new(), 0));

struct Server {
    /// Ends with the last who holds it.
    postgres: Arc<Postgres>,
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
            postgres,
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
            time_of: TimeOf::Asker,
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

/// What functions and callers write is any Unicode: a database that cannot hold it would fail with the first odd character.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_is_refused_before_anything_is_made() {
    let server = Server::new();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = encoding.to_lowercase();
        let _ = server.postgres.sql(
            "postgres",
            &format!("CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'"),
        );
        let options = || StoreOptions::new(server.postgres.url_of(&name), server.clock());
        let opened = PostgresStore::open(options()).await.err();
        let moved = Import::begin(&options()).await.err();
        for refused in [opened, moved] {
            let refused = refused.expect("it cannot hold everything");
            assert_eq!(refused.code, Code::ConfigInvalid);
            assert_eq!(
                refused.message,
                format!("the database {name} has the encoding {encoding}; neofn needs UTF8")
            );
            assert!(refused.cure().contains("--encoding UTF8"), "{}", refused.cure());
        }
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(server.postgres.sql(&name, tables).trim(), "0");
    }
}

/// Of two nodes that start on an empty database at once one is told that the other was first, before either has sealed anything
/// that the other one could not open.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_nodes_one_is_first() {
    let server = Server::new();
    let (a, b) = (server.open().await, server.open().await);
    let [mine, theirs] = [[1; 32], [2; 32]].map(Digest);
    let name = "identity.key";
    for store in [&a, &b] {
        store.check_key(name, None).await.unwrap();
    }
    let (one, two) = tokio::join!(a.claim_key(name, mine), b.claim_key(name, theirs));
    assert_ne!(one.is_ok(), two.is_ok());
    let refused = one.and(two).unwrap_err();
    assert_eq!(refused.code, Code::ConfigInvalid);
    assert!(
        refused.message.contains("at the same time and was first"),
        "{refused}"
    );
    assert!(
        refused.cure().contains("identity.key, audit.key and secrets.key"),
        "{}",
        refused.cure()
    );
    let missing = b.check_key(name, None).await.unwrap_err();
    assert!(missing.message.contains("is missing"), "{missing}");

    // rows that were moved here were sealed with a key that nobody has named yet: whoever comes first need not have it
    let moved = Server::new();
    let store = moved.open().await;
    let database = moved.url.rsplit_once('/').unwrap().1;
    let row = "INSERT INTO signing_key VALUES (1, 'kid', 'public', 'sealed', 0)";
    let _ = moved.postgres.sql(database, row);
    let missing = store.check_key(name, None).await.unwrap_err();
    assert!(missing.cure().contains("`neofn migrate` read"), "{missing}");
    store.check_key(name, Some(mine)).await.unwrap();
    store.claim_key(name, mine).await.unwrap();
    store.agree_on_key(name, theirs).await.unwrap();
    assert!(store.agree_on_key(name, mine).await.is_err());
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
    // nor forgotten by one far ahead
    let forgotten = store.forget_leases("", UnixMillis(now + HOUR), Duration::from_secs(600));
    assert_eq!(forgotten.await.unwrap(), 0);
    assert_eq!(take("right", now, 60_000).await.holder, "behind");
    server.stop(store).await;
}

/// Two nodes that look at the same moment see the same turn; the one that comes too late takes the next.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_is_taking_keeps_nobody_from_the_rest() {
    let server = Server::new();
    let store = server.open().await;
    let (f, g) = (key("one", "f"), key("two", "g"));
    for (at, key) in [(1, &f), (2, &g)] {
        deploy(&store, key).await;
        store.admit(queued(key, at)).await.unwrap();
    }
    let mut other = PgConnection::connect(&server.url).await.unwrap();
    let mut taking = other.begin().await.unwrap();
    sqlx::query("SELECT FROM queue ORDER BY run_at LIMIT 1 FOR UPDATE")
        .execute(&mut *taking)
        .await
        .unwrap();
    let claim = async || {
        let rooms = Rooms::default();
        let claims = store
            .claim(UnixMillis(9), Duration::from_secs(60), 1, &rooms)
            .await;
        claims.unwrap().into_iter().map(|c| c.key).collect::<Vec<_>>()
    };
    assert_eq!(claim().await, [g]);
    assert_eq!(claim().await, []);
    taking.rollback().await.unwrap();
    assert_eq!(claim().await, [f]);
    server.stop(store).await;
}

/// Nor do they decide whose a claim is, or what is due: a node whose clock is wrong takes no work that another runs, and keeps
/// none from others.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_wrong_neither_steals_work_nor_holds_it_up() {
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(300);
    let server = Server::new();
    let store = PostgresStore::open(StoreOptions::new(&server.url, server.clock()))
        .await
        .unwrap();
    let (now, hour) = (1_800_000_000_000, 3_600_000);
    let [ahead, right, behind] = [now + hour, now, now - hour].map(UnixMillis);
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let claim = async |now, lease| {
        let claims = store.claim(now, lease, 10, &Rooms::default()).await.unwrap();
        assert!(claims.len() <= 1, "{claims:?}");
        claims.into_iter().next()
    };
    let requeue = async |now| store.requeue_expired(now).await.unwrap();
    let renew = async |held, now, lease| store.renew(&[held], now, lease).await.unwrap();

    // what one that is ahead accepts is due for all others, too
    store.admit(queued(&f, ahead.0)).await.unwrap();
    for now in [ahead, right, behind] {
        let due = store.next_due(now).await.unwrap().unwrap();
        assert!(due <= now, "due at {due:?} for one whose clock says {now:?}");
        let told = store.backlog(now, 1).await.unwrap();
        let waits = told[0].oldest.map(|since| now.since(since));
        assert!(told[0].waiting == 1 && waits < Some(LONG), "{told:?}");
    }
    let mine = claim(right, LONG).await.expect("it is due");
    // and what runs stays whose it is, whoever looks, and whoever says that he goes on
    for now in [ahead, behind, right] {
        assert_eq!(requeue(now).await, 0, "{now:?}");
        assert!(claim(now, LONG).await.is_none(), "{now:?}");
        assert!(renew((mine.id, mine.fence), now, LONG).await.is_empty());
    }
    // tried again after a moment of the one that ran it, for all of them
    let later = Outcome::Retry {
        at: UnixMillis(ahead.0 + 50),
        failure: failure(),
    };
    let failed = finish(mine.id, mine.fence, later, ahead.0);
    store.finish(failed).await.unwrap();
    let again = soon(async || claim(behind, SHORT).await).await;
    assert_eq!((again.id, again.attempt.0), (mine.id, 2));
    assert!(
        behind.since(again.created_at) < Duration::from_secs(2 * 3_600),
        "its age is told in the asker's time"
    );
    // one that is ahead goes on with it and dies: it is free as soon as any other's would be
    assert!(renew((again.id, again.fence), ahead, SHORT).await.is_empty());
    soon(async || (requeue(right).await == 1).then_some(())).await;
    let third = claim(ahead, SHORT).await.expect("it is free");
    soon(async || (requeue(behind).await == 1).then_some(())).await;
    let stale = finish(third.id, third.fence, ok(), ahead.0);
    assert_eq!(claim(right, LONG).await.expect("free again").id, mine.id);
    assert!(store.finish(stale).await.is_err(), "the fence holds");
    // a caller's own run is not taken from one that is behind
    let called = keyed(&f, behind.0, "k", "b", Start::Claimed { lease: LONG });
    store.admit(called).await.unwrap();
    assert_eq!(requeue(right).await, 0);
    assert_eq!(requeue(ahead).await, 0);
    // and history is as old as the database says
    assert_eq!(
        store
            .prune(Retention::default(), UnixMillis(i64::MAX / 2), 100)
            .await
            .unwrap(),
        0
    );
    server.stop(store).await;
}

/// Nor when an entry goes, when a burst is over, or who is dead that does a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_wrong_ends_nothing_of_others() {
    let server = Server::new();
    let store = PostgresStore::open(StoreOptions::new(&server.url, server.clock()))
        .await
        .unwrap();
    let (now, hour) = (1_800_000_000_000, 3_600_000);
    let [ahead, right, behind] = [now + hour, now, now - hour].map(UnixMillis);
    let f = key("demo", "f");
    deploy_triggered(&store, &f).await;
    let commit = async |at: UnixMillis, kv| {
        store.admit(queued(&f, at.0)).await.unwrap();
        let claims = store
            .claim(at, Duration::from_secs(60), 1, &Rooms::default())
            .await;
        let claim = claims.unwrap().remove(0);
        let mut end = finish(claim.id, claim.fence, ok(), at.0);
        (end.kv, end.kv_quota.keys_max) = (kv, 2);
        let done = store.finish(end).await;
        if done.is_err() {
            let refused = Outcome::Failed(failure());
            store
                .finish(finish(claim.id, claim.fence, refused, at.0))
                .await
                .unwrap();
        }
        done
    };
    let lock =
        |name: &str, at: UnixMillis, lives: i64| vec![put(name, "1", KvExpect::Absent, Some(at.0 + lives))];
    // a lock is held for all of them while it is for the one that has it, and for none when it has gone
    commit(right, lock("long", right, 60_000)).await.unwrap();
    commit(ahead, lock("short", ahead, 300)).await.unwrap();
    for at in [ahead, right, behind] {
        let long = store
            .get(&f.project, "long", at)
            .await
            .unwrap()
            .expect("it is held");
        let left = long.expires_at.unwrap().0 - at.0;
        assert!(
            (1..=61_000).contains(&left),
            "in the asker's time {left} ms are left"
        );
        let listed = store.list(&f.project, "long", None, 10, at).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(commit(at, lock("long", at, 60_000)).await.is_err(), "{at:?}");
    }
    for at in [ahead, right, behind] {
        soon(async || {
            store
                .get(&f.project, "short", at)
                .await
                .unwrap()
                .is_none()
                .then_some(())
        })
        .await;
        assert!(
            store
                .list(&f.project, "short", None, 10, at)
                .await
                .unwrap()
                .is_empty()
        );
    }
    commit(behind, lock("short", behind, 60_000)).await.unwrap();
    // nor does a full namespace lose what lives
    let third = vec![put("third", "1", KvExpect::Any, None)];
    assert!(matches!(commit(ahead, third).await, Err(StoreError::KvQuota)));
    assert!(store.get(&f.project, "long", right).await.unwrap().is_some());

    // a burst that one hears is over when it is for him, whoever looks
    let trigger = trigger(&f, "t");
    register(&store, &trigger, 1).await;
    let burst = |event: &str, wait| {
        let mut delivery = held(&trigger, event, event);
        delivery.hold = Some(neofn_engine::triggers::port::Hold {
            lane: event.to_owned(),
            ordered: false,
            debounce: Some(wait),
            batch: None,
        });
        delivery
    };
    let mut long = deliver(vec![burst("long", Duration::from_secs(60))]);
    long.at = right;
    store.deliver(long).await.unwrap();
    for at in [ahead, behind] {
        let released = store.release_due(at, 10).await.unwrap();
        let next = released.next.unwrap().0 - at.0;
        assert_eq!(released.released, 0, "{at:?}");
        assert!((1..=60_000).contains(&next), "{next} ms from {at:?}");
    }
    let mut short = deliver(vec![burst("short", Duration::from_millis(200))]);
    short.at = ahead;
    store.deliver(short).await.unwrap();
    soon(async || (store.release_due(behind, 10).await.unwrap().released == 1).then_some(())).await;

    // a request is being done as long as it is for him who does it
    let begin = async |name: &[u8], doer, at: UnixMillis, within: i64| {
        let named = NamedRequest {
            name: Digest::of(name),
            request: Digest::of(b"it"),
            doer: [doer; 16],
        };
        let until = UnixMillis(at.0 + within);
        let kept_since = UnixMillis(at.0 - 2_000);
        store.begin_reply(named, at, until, kept_since).await.unwrap()
    };
    assert_eq!(begin(b"long", 1, right, 60_000).await, Begun::Fresh);
    for (doer, at) in [(2, ahead), (3, behind)] {
        assert_eq!(begin(b"long", doer, at, 60_000).await, Begun::Running, "{at:?}");
    }
    assert_eq!(begin(b"short", 1, ahead, 300).await, Begun::Fresh);
    soon(async || (begin(b"short", 2, behind, 60_000).await == Begun::Fresh).then_some(())).await;
    server.stop(store).await;
}

async fn soon<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < until, "not soon");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

neofn_testkit::suite!(Server);

/// Calls with a key that are paid for wait for the ledger together, and not for each other's commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_paid_calls_with_keys_shares_transactions() {
    const CALLS: i64 = 200;
    let server = Server::new();
    let store = Arc::new(server.open().await);
    let f = key("shop", "f");
    deploy(&*store, &f).await;
    let shop = Account::Project(f.project.clone());
    let funding = Transfer {
        id: TransferId::of("t", &[b"1"]),
        purpose: Purpose::Funding,
        debit: Account::Treasury,
        credit: shop.clone(),
        amount: Datoshi(CALLS * 3 - 3),
        at: UnixMillis(1),
        detail: Detail::default(),
    };
    store.write(vec![Entry::Transfer(funding)]).await.unwrap();
    let paid = |n: i64, key: &str| {
        let mut new: NewInvocation = keyed(&f, 10 + n, key, "body", Start::Queued);
        new.hold = Some(Hold {
            id: TransferId::hold_of(new.id),
            purpose: Purpose::Charge,
            debit: shop.clone(),
            credit: Account::Fees,
            amount: Datoshi(3),
            at_least: Datoshi(3),
            at: new.at,
            detail: Detail::default(),
        });
        new
    };
    // each key twice, and one call more than there is money for
    let begun = tokio::time::Instant::now();
    let calls: Vec<_> = (0..CALLS * 2)
        .map(|n| {
            let (store, new) = (store.clone(), paid(n, &format!("k{}", n / 2)));
            tokio::spawn(async move { store.admit(new).await })
        })
        .collect();
    let (mut fresh, mut again, mut unpaid) = (0, 0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(Admitted::Fresh { .. }) => fresh += 1,
            Ok(Admitted::Replay { .. }) => again += 1,
            Ok(other) => panic!("{other:?}"),
            Err(_) => unpaid += 1,
        }
    }
    println!("{} calls in {:?}", CALLS * 2, begun.elapsed());
    assert_eq!((fresh, again, unpaid), (CALLS - 1, CALLS - 1, 2));
    let state = store.account(&shop).await.unwrap().unwrap().state;
    assert_eq!((state.balance.0, state.held.0), (CALLS * 3 - 3, CALLS * 3 - 3));
    assert!(LedgerStore::totals(&*store).await.unwrap().sound());
    let database = server.url.rsplit('/').next().unwrap();
    let transactions: i64 = server
        .postgres
        .sql(database, "SELECT count(DISTINCT xmin::text) FROM ledger_hold")
        .trim()
        .parse()
        .unwrap();
    assert!(
        transactions < CALLS / 4,
        "{transactions} transactions of {CALLS} holds"
    );
    server.stop(Arc::into_inner(store).unwrap()).await;
}
