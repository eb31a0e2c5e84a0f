//! Transactions and reads that are tried again while the cause is one that passes. A server that says nothing is away, too: a
//! flow that a firewall forgot, or a machine without power, never fails by itself.

use crate::error::Fault;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// How long a command waits for a connection.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a command is tried again while the server is away. A restart of the server takes less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// Between two tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Collisions of one command, after which it is the command that is wrong.
const COLLISIONS_MAX: u32 = 12;

/// The connections of a node.
#[derive(Clone)]
pub(crate) struct Pool {
    connections: PgPool,
    answer_within: Duration,
}

impl Pool {
    /// Connections as they are needed; a try that takes longer than `answer_within` is given up.
    pub(crate) fn new(connect: PgConnectOptions, most: u32, answer_within: Duration) -> Self {
        let options = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(ACQUIRE)
            // a connection that has died is found by its first statement, which is tried again
            .test_before_acquire(false);
        Self {
            connections: options.connect_lazy_with(connect),
            answer_within,
        }
    }
    /// The same connections for what takes its time.
    pub(crate) fn patient(&self, answer_within: Duration) -> Self {
        Self {
            connections: self.connections.clone(),
            answer_within,
        }
    }
    pub(crate) async fn acquire(&self) -> Result<Held<'_>, Fault> {
        Ok(Held {
            conn: self.connections.acquire().await?,
            pool: self,
            lost: false,
        })
    }
    /// What a try came to.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        in_time(self.answer_within, work).await
    }
    /// Where one says nothing the others will not either: those that nobody uses are not asked any more.
    pub(crate) fn forget_idle(&self) {
        while let Some(idle) = self.connections.try_acquire() {
            drop(idle.detach());
        }
    }
    /// Connections without a bound, for somebody who looks on.
    pub(crate) fn unbounded(&self) -> &PgPool {
        &self.connections
    }
    /// How connections are made.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        (*self.connections.connect_options()).clone()
    }
    pub(crate) async fn close(&self) {
        self.connections.close().await;
    }
}

/// What comes of something within a time, after which the server counts as silent.
pub(crate) async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let done = tokio::time::timeout(time, work).await;
    done.unwrap_or_else(|_| Err(Fault::silence(time)))
}

/// A connection of the pool. It goes back there, but one on which the server was lost is closed.
pub(crate) struct Held<'p> {
    pool: &'p Pool,
    conn: PoolConnection<Postgres>,
    lost: bool,
}

impl Held<'_> {
    /// Gives the connection up if that says that the server is not to be had on it.
    pub(crate) fn end<T>(mut self, done: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault @ Fault::Down(_)) = &done {
            self.lost = true;
            if fault.is_silence() {
                self.pool.forget_idle();
            }
        }
        done
    }
}

impl Deref for Held<'_> {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}
impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.lost {
            return self.conn.close_on_drop();
        }
        // the pool asks it whether it is fit, for as long as there is no answer: a place that nobody else gets meanwhile
        let (back, time) = (self.conn.return_to_pool(), self.pool.answer_within);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { tokio::time::timeout(time, back).await });
        }
    }
}

/// The tries of one command.
#[derive(Debug)]
pub(crate) struct Tries {
    left: Duration,
    pause: Duration,
    /// Tries that collided with others; each of them let somebody go on.
    collisions: u32,
    /// Whether a try was not answered. One more may be, on a new connection: it may be the flow that is lost, not the server.
    silent: bool,
    /// Whether an earlier try may have been committed without an answer.
    pub(crate) again: bool,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self {
            left: PATIENCE,
            pause: PAUSE.0,
            collisions: 0,
            silent: false,
            again: false,
        }
    }
    /// Waits before the next try; false when there is none.
    pub(crate) async fn next(&mut self, fault: &Fault) -> bool {
        let down = matches!(fault, Fault::Down(_));
        self.collisions += u32::from(!down);
        if !fault.passes() || self.left.is_zero() || self.collisions > COLLISIONS_MAX {
            return false;
        }
        if fault.is_silence() && std::mem::replace(&mut self.silent, true) {
            return false;
        }
        self.again |= down;
        tokio::time::sleep(self.pause).await;
        self.left = self.left.saturating_sub(self.pause);
        if fault.waited_for_a_connection() {
            self.left = self.left.saturating_sub(ACQUIRE);
        }
        self.pause = (self.pause * 2).min(PAUSE.1);
        true
    }
}

/// One transaction: `transact!(pool, |conn| work(conn, ..))`. The work may run again.
macro_rules! transact {
    ($pool:expr, |$conn:ident| $work:expr) => {
        $crate::conn::transact!($pool, $crate::conn::Tries::new(), |$conn, _again| $work)
    };
    ($pool:expr, $tries:expr, |$conn:ident, $again:ident| $work:expr) => {{
        let mut tries = $tries;
        loop {
            let $again = tries.again;
            let attempt = async {
                let mut held = $pool.acquire().await?;
                let done = $pool.in_time(async {
                    let mut tx = ::sqlx::Connection::begin(&mut *held).await?;
                    let $conn = &mut *tx;
                    let done = $work.await?;
                    tx.commit().await?;
                    Ok::<_, $crate::error::Fault>(done)
                });
                let done = done.await;
                held.end(done)
            };
            match attempt.await {
                Ok(done) => break Ok(done),
                Err(fault) if tries.next(&fault).await => {}
                Err(fault) => break Err(fault),
            }
        }
    }};
}
pub(crate) use transact;

/// A read that needs no transaction: `read!(pool, |conn| query(conn, ..))`.
macro_rules! read {
    ($pool:expr, |$conn:ident| $work:expr) => {{
        let mut tries = $crate::conn::Tries::new();
        loop {
            let attempt = async {
                let mut held = $pool.acquire().await?;
                let $conn = &mut *held;
                let done = $pool.in_time($work).await;
                held.end(done)
            };
            match attempt.await {
                Ok(done) => break Ok::<_, $crate::error::Fault>(done),
                Err(fault) if tries.next(&fault).await => {}
                Err(fault) => break Err(fault),
            }
        }
    }};
}
pub(crate) use read;
