//! Opening a database: connect, migrate, start the writers.

use crate::conn::{ACQUIRE, Pool, read};
use crate::error::Fault;
use crate::queue::Queue;
use crate::time::{Skew, TimeOf};
use crate::{batch, migrate, news};
use neofn_engine::port::News;
use neofn_types::{Clock, Code, Error};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`
    pub url: String,
    /// When the address does not hold it.
    pub password: Option<String>,
    /// Tells when bytes were stored.
    pub clock: Arc<dyn Clock>,
    /// Most connections of this node.
    pub connections_max: u32,
    /// Whose clock says when a lease ends, and what is due.
    pub time_of: TimeOf,
    /// Transactions that write results and history at the same time; fewer than `connections_max`.
    pub writers: u32,
    /// How long a command waits for the server's answer; longer than a statement of it may take there.
    pub answer_within: Duration,
    /// After so long without news the server is asked whether it is there.
    pub asked_every: Duration,
}

/// Longer than `statement_timeout`: what the server can still end, it ends.
const ANSWER_WITHIN: Duration = Duration::from_secs(65);
/// A server that is there has answered by then, unless it has tables to bring up.
const SOON: Duration = Duration::from_secs(1);
const ASKED_EVERY: Duration = Duration::from_secs(10);

impl StoreOptions {
    /// The defaults for a database.
    #[must_use]
    pub fn new(url: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            url: url.into(),
            password: None,
            clock,
            connections_max: 16,
            time_of: TimeOf::default(),
            writers: 4,
            answer_within: ANSWER_WITHIN,
            asked_every: ASKED_EVERY,
        }
    }
}

impl StoreOptions {
    /// Connections as they are needed, beside the one that listens.
    pub(crate) fn pool(&self) -> Result<Pool, Error> {
        let connect: PgConnectOptions = self.url.parse().map_err(|e: sqlx::Error| {
            // the address may hold a password, and the error the address
            Error::new(Code::ConfigInvalid, "the address of PostgreSQL cannot be read").because(e)
        })?;
        let connect = match &self.password {
            Some(password) => connect.password(password),
            None => connect,
        };
        let connect = connect.application_name("neofn").options([
            // a node that stands still in the middle of a transaction must not hold up the others
            ("idle_in_transaction_session_timeout", "10s"),
            ("client_min_messages", "warning"),
            ("lock_timeout", "10s"),
            ("statement_timeout", "60s"),
            self.time_of.setting(),
        ]);
        Ok(Pool::new(
            connect,
            self.connections_max.max(2) - 1,
            self.answer_within,
        ))
    }
}

/// A store that other nodes use, too.
pub struct PostgresStore {
    pub(crate) pool: Pool,
    pub(crate) queue: Queue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) skew: Skew,
    /// Other nodes are to look at the queue.
    pub(crate) waits: Arc<Notify>,
    pub(crate) news: Mutex<mpsc::Receiver<News>>,
    tasks: Tasks,
}

/// Tasks that end with the store.
struct Tasks([JoinHandle<()>; 2]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// News that wait to be taken; later ones wait in the server.
const NEWS_MAX: usize = 64;

impl PostgresStore {
    /// Connects, or says why the database cannot be used: an address that cannot be read, written by a newer
    /// neofn (NF0606), or not reachable (NF0902). Claims of other nodes stay theirs until their leases end.
    pub async fn open(options: StoreOptions) -> Result<Self, Error> {
        let pool = options.pool()?;
        tokio::select! {
            migrated = migrate::run(&pool) => migrated?,
            never = warn_of_absence(&pool) => match never {},
        }
        warn_of_settings(read!(pool, |conn| unsafe_settings(conn))?);
        let (queue, inbox) = Queue::new();
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        for _ in 0..options
            .writers
            .clamp(1, options.connections_max.saturating_sub(1).max(1))
        {
            tokio::spawn(batch::run(pool.clone(), inbox.clone(), queue.loads()));
        }
        let me: Arc<str> = Arc::from(read!(pool, |conn| own_name(conn))?);
        let (waits, (told, news)) = (Arc::new(Notify::new()), mpsc::channel(NEWS_MAX));
        let tasks = Tasks([
            tokio::spawn(news::tell_of_queue(pool.clone(), me.clone(), waits.clone())),
            tokio::spawn(news::listen(pool.clone(), me, options.asked_every, told)),
        ]);
        Ok(Self {
            pool,
            queue,
            clock: options.clock,
            skew: Skew::default(),
            waits,
            news: Mutex::new(news),
            tasks,
        })
    }

    /// Finishes everything that was handed over, then closes the connections; later calls fail. A store that is
    /// dropped instead finishes just the same, but nobody can wait for it.
    pub async fn close(&self) -> Result<(), Error> {
        self.queue.close().await;
        self.tasks.0.iter().for_each(JoinHandle::abort);
        self.pool.close().await;
        Ok(())
    }
}

/// A name that no other node has.
async fn own_name(conn: &mut PgConnection) -> Result<String, Fault> {
    Ok(sqlx::query_scalar("SELECT gen_random_uuid()::text")
        .fetch_one(conn)
        .await?)
}

/// The pool tries for a while, and in the end knows only that it waited: a server that is away is named soon, with the cause.
async fn warn_of_absence(pool: &Pool) -> Infallible {
    tokio::time::sleep(SOON).await;
    let options = pool.connect_options();
    let connecting = tokio::time::timeout(ACQUIRE, options.connect());
    let cause = match connecting.await {
        Ok(Ok(conn)) => {
            drop(conn);
            return std::future::pending().await;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", ACQUIRE.as_secs()),
    };
    tracing::warn!(
        cause,
        "PostgreSQL takes no connection yet; neofn tries on for a while"
    );
    std::future::pending().await
}

/// Settings with which an answer does not mean that anything is on disk.
async fn unsafe_settings(conn: &mut PgConnection) -> Result<Vec<String>, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT name FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') \
         AND setting = 'off'",
    )
    .fetch_all(conn)
    .await?)
}

fn warn_of_settings(off: Vec<String>) {
    if !off.is_empty() {
        tracing::warn!(off = ?off, "PostgreSQL may lose what it has answered");
    }
}
