//! Transactions and reads that are tried again while the cause is one that passes.

use crate::error::Fault;
use std::time::Duration;

/// How long a command waits for a connection.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a command is tried again while the server is away. A restart of the server takes less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// Between two tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Collisions of one command, after which it is the command that is wrong.
const COLLISIONS_MAX: u32 = 12;

/// The tries of one command.
#[derive(Debug)]
pub(crate) struct Tries {
    left: Duration,
    pause: Duration,
    /// Tries that collided with others; each of them let somebody go on.
    collisions: u32,
    /// Whether an earlier try may have been committed without an answer.
    pub(crate) again: bool,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self {
            left: PATIENCE,
            pause: PAUSE.0,
            collisions: 0,
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
                let mut tx = $pool.begin().await?;
                let $conn = &mut *tx;
                let done = $work.await?;
                tx.commit().await?;
                Ok::<_, $crate::error::Fault>(done)
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
                $work.await
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
