//! A network that forgets flows, a server that takes connections and says nothing, and answers that are lost: the first two
//! never fail by themselves, the last leaves open what was done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use neofn_engine::port::{
    Admitted, Begun, InvocationStore as _, KvStore as _, NamedRequest, Neighbours as _, News, Outcome,
    ReplyStore as _, Rooms, Start, Status,
};
use neofn_engine::triggers::port::{Redo, TriggerStore as _};
use neofn_identity::port::{Rotated, SessionStore as _};
use neofn_registry::port::RegistryStore as _;
use neofn_store_postgres::{PostgresStore, StoreOptions};
use neofn_testkit::Postgres;
use neofn_testkit::stores::identity::{challenge, rotate, sign_in};
use neofn_testkit::stores::support::{TestClock, claimed, deploy, failure, finish, key, keyed, ok, queued};
use neofn_types::{Code, Digest, Error, Fence, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Long enough for whatever is bounded.
const SOON: Duration = Duration::from_secs(30);

/// What passes flows on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passing {
    /// Flows that began earlier are forgotten.
    since: u32,
    /// Later ones are taken, and forgotten, too.
    nothing: bool,
}

/// A network between a store and its server.
struct Network {
    passing: watch::Sender<Passing>,
    loses_commit: Arc<AtomicBool>,
    port: u16,
}

impl Network {
    async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passing, seen) = watch::channel(Passing {
            since: 0,
            nothing: false,
        });
        let loses_commit = Arc::new(AtomicBool::new(false));
        let (server, loses) = (server.to_owned(), loses_commit.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(flow(near, server.clone(), seen.clone(), loses.clone()));
            }
        });
        Self {
            passing,
            loses_commit,
            port,
        }
    }
    fn forget_flows(&self) {
        self.passing.send_modify(|p| p.since += 1);
    }
    fn say_nothing(&self, nothing: bool) {
        self.passing.send_modify(|p| {
            p.since += 1;
            p.nothing = nothing;
        });
    }
    /// The next transaction is committed, but nobody hears of it.
    fn lose_a_commit(&self) {
        assert!(
            !self.loses_commit.swap(true, Ordering::SeqCst),
            "the last one was"
        );
    }
}

/// Hands bytes on, until it is forgotten: then it stays open, and nothing comes through.
async fn flow(
    mut near: TcpStream,
    server: String,
    mut passing: watch::Receiver<Passing>,
    loses_commit: Arc<AtomicBool>,
) {
    let begun = *passing.borrow();
    let mut far = TcpStream::connect(server).await.unwrap();
    if begun.nothing {
        return std::future::pending().await;
    }
    tokio::select! {
        ended = pass(&mut near, &mut far, &loses_commit) => return ended.unwrap_or_default(),
        _ = passing.wait_for(|p| p.since != begun.since) => {}
    }
    std::future::pending().await
}

async fn pass(near: &mut TcpStream, far: &mut TcpStream, loses_commit: &AtomicBool) -> std::io::Result<()> {
    let ((mut near, mut to_near), (mut far, mut to_far)) = (near.split(), far.split());
    let (mut asked, mut said) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            n = near.read(&mut asked) => {
                let asked = match n? {
                    0 => return Ok(()),
                    n => asked.get(..n).unwrap(),
                };
                to_far.write_all(asked).await?;
                if asked.windows(6).any(|w| w == b"COMMIT") && loses_commit.swap(false, Ordering::SeqCst) {
                    far.read_exact(&mut [0]).await?;
                    return Ok(());
                }
            }
            n = far.read(&mut said) => match n? {
                0 => return Ok(()),
                n => to_near.write_all(said.get(..n).unwrap()).await?,
            },
        }
    }
}

struct Nodes {
    near: PostgresStore,
    far: PostgresStore,
    network: Network,
    // last, so that the stores end before it
    _postgres: Postgres,
}

/// A node whose network can be cut, and another one beside the server.
async fn nodes() -> Nodes {
    let postgres = Postgres::start();
    let url = postgres.url();
    let server = url.split(['@', '/']).nth(3).unwrap();
    let network = Network::before(server).await;
    let near = PostgresStore::open(StoreOptions::new(&url, Arc::new(TestClock::default())));
    let far = PostgresStore::open(StoreOptions {
        answer_within: Duration::from_millis(500),
        asked_every: Duration::from_millis(200),
        ..StoreOptions::new(
            url.replace(server, &format!("127.0.0.1:{}", network.port)),
            Arc::new(TestClock::default()),
        )
    });
    Nodes {
        near: near.await.unwrap(),
        far: far.await.unwrap(),
        network,
        _postgres: postgres,
    }
}

/// Waits for news of a kind.
async fn told(store: &PostgresStore, wanted: &News) {
    let heard = async { while store.news().await != *wanted {} };
    timeout(SOON, heard)
        .await
        .unwrap_or_else(|_| panic!("never told {wanted:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_that_were_forgotten_are_given_up_for_new_ones() {
    let nodes = nodes().await;
    let f = key("demo", "f");
    told(&nodes.far, &News::Anything).await;
    deploy(&nodes.near, &f).await;
    told(&nodes.far, &News::Live(f.clone())).await;
    // more connections than a command has tries
    let reads = (0..12).map(|_| nodes.far.project_exists(&f.project));
    for read in futures_util::future::join_all(reads).await {
        assert!(read.unwrap());
    }
    nodes.network.forget_flows();
    let changed = nodes.near.set_active(&f, false, UnixMillis(5)).await.unwrap();
    // the first command finds out, and is done all the same
    let read = timeout(SOON, nodes.far.function(&f)).await.expect("an answer");
    assert_eq!(read.unwrap(), Some(changed));
    // so does who only listens, and then looks at everything: he was not told that the function is switched off
    told(&nodes.far, &News::Anything).await;
    nodes.near.set_active(&f, true, UnixMillis(6)).await.unwrap();
    told(&nodes.far, &News::Live(f)).await;
    nodes.far.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_ever_for_a_server_that_says_nothing() {
    let nodes = nodes().await;
    let f = key("demo", "f");
    deploy(&nodes.far, &f).await;
    nodes.network.say_nothing(true);
    let (read, written) = timeout(SOON, async {
        tokio::join!(
            nodes.far.get(&f.project, "key", UnixMillis(1)),
            nodes.far.admit(queued(&f, 1))
        )
    })
    .await
    .expect("both end");
    assert_eq!(Error::from(read.unwrap_err()).code, Code::StoreFailed);
    assert_eq!(Error::from(written.unwrap_err()).code, Code::StoreFailed);
    nodes.network.say_nothing(false);
    timeout(SOON, async {
        while nodes.far.admit(queued(&f, 2)).await.is_err() {}
    })
    .await
    .expect("it goes on");
    told(&nodes.far, &News::Anything).await;
    nodes.far.close().await.unwrap();
}

/// Whoever is not answered asks again, and is not taken for another one who came later.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_without_an_answer_is_its_callers_own() {
    let Nodes { far, network, .. } = &nodes().await;
    let f = key("demo", "f");
    deploy(far, &f).await;
    // a call with a key that its caller runs, and one that waits
    let call = keyed(&f, 1, "k1", "body", claimed());
    network.lose_a_commit();
    let admitted = far.admit(call.clone()).await.unwrap();
    assert_eq!(
        admitted,
        Admitted::Fresh {
            fence: Some(Fence(1))
        }
    );
    far.finish(finish(call.id, Fence(1), ok(), 2)).await.unwrap();
    let waiting = keyed(&f, 3, "k2", "body", Start::Queued);
    network.lose_a_commit();
    assert_eq!(
        far.admit(waiting.clone()).await.unwrap(),
        Admitted::Fresh { fence: None }
    );
    let later = far.admit(waiting.clone()).await.unwrap();
    assert!(matches!(later, Admitted::Replay { .. }), "{later:?}");
    // a request with a name
    let named = NamedRequest {
        name: Digest::of(b"name"),
        request: Digest::of(b"request"),
        doer: [1; 16],
    };
    let begin = |doer| {
        let named = NamedRequest { doer, ..named };
        far.begin_reply(named, UnixMillis(5), UnixMillis(120_005), UnixMillis(-60_000))
    };
    network.lose_a_commit();
    assert_eq!(begin([1; 16]).await.unwrap(), Begun::Fresh);
    assert_eq!(begin([2; 16]).await.unwrap(), Begun::Running);
    // a dead letter that is tried again, and then laid to rest
    for (redo, after) in [(Redo::Retry, Status::Queued), (Redo::Drop, Status::Failed)] {
        let rooms = Rooms::default();
        let claims = far.claim(UnixMillis(9), Duration::from_secs(30), 1, &rooms);
        let claim = claims.await.unwrap().remove(0);
        let dead = finish(claim.id, claim.fence, Outcome::Dead(failure()), 10);
        far.finish(dead).await.unwrap();
        network.lose_a_commit();
        far.redo(claim.id, redo, UnixMillis(11)).await.unwrap();
        assert!(
            far.redo(claim.id, redo, UnixMillis(11)).await.is_err(),
            "once is enough"
        );
        let found = far.invocation(claim.id).await.unwrap().unwrap();
        assert_eq!(found.status, after);
    }
    // a sign-in, and the exchange of a token, which is no second use of it
    far.put_challenge(challenge(1, 1, (5, 15)), 100).await.unwrap();
    network.lose_a_commit();
    assert!(far.sign_in(sign_in(1, 1, 1, 5)).await.unwrap());
    assert!(!far.sign_in(sign_in(1, 1, 1, 5)).await.unwrap());
    network.lose_a_commit();
    let rotated = far.rotate(rotate(1, 1, 2, 6)).await.unwrap();
    assert!(matches!(rotated, Rotated::Done(_)), "{rotated:?}");
    assert_eq!(far.rotate(rotate(1, 1, 3, 7)).await.unwrap(), Rotated::Reused);
    network.lose_a_commit();
    far.delete_function(&f).await.unwrap();
    assert!(far.delete_function(&f).await.is_err());
    far.close().await.unwrap();
}
