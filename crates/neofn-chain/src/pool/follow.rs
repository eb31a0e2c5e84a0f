//! Follows each node: asks it at intervals, listens where it announces, and lets the judge decide.

use super::Shared;
use super::judge;
use crate::error::ChainError;
use crate::model::Head;
use crate::rpc::announcements;
use std::sync::Arc;
use std::time::Duration;

/// Between questions to a node that announces nothing: half a block, within these.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Between questions to a node that announces: they only look whether it still is what it was.
const CHECK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Between attempts to listen to a node that has no socket, or is gone.
const LISTEN_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// How long the answers to a look at a node may take, all together.
const LOOK: Duration = Duration::from_secs(3);
/// A node says anew what it is every so many questions: it may have been replaced by another one.
const VERSION_EVERY: u32 = 20;

/// Asks node `index` for ever.
pub(super) async fn poll(shared: Arc<Shared>, index: usize) {
    let mut round = 0u32;
    loop {
        shared.probe(index, round.is_multiple_of(VERSION_EVERY)).await;
        round = round.wrapping_add(1);
        let pause = shared.pause(index);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // its socket ended: it may have been replaced
            () = shared.ask_again(index) => round = 0,
        }
    }
}

/// Listens to node `index` for ever.
pub(super) async fn listen(shared: Arc<Shared>, index: usize) {
    let Some(node) = shared.node(index) else { return };
    let mut pause = LISTEN_AGAIN.0;
    loop {
        let silence = shared.silence();
        let mut listened = false;
        let ended = announcements(
            &node,
            silence,
            || {
                listened = true;
                shared.update(index, |seen| seen.subscribed = true);
            },
            |head| shared.announced(index, head),
        )
        .await;
        shared.update(index, |seen| seen.subscribed = false);
        shared.wake(index);
        pause = if listened {
            LISTEN_AGAIN.0
        } else {
            LISTEN_AGAIN.1.min(pause * 2)
        };
        tracing::debug!(node = node.name(), ?ended, "no announcements");
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    fn pause(&self, index: usize) -> Duration {
        let block = Duration::from_millis(self.block_ms());
        let subscribed = self.nodes_seen(|seen| seen.get(index).is_some_and(|s| s.subscribed));
        if subscribed {
            (block * 4).clamp(CHECK.0, CHECK.1)
        } else {
            (block / 2).clamp(POLL.0, POLL.1)
        }
    }
    /// How long a socket may say nothing.
    fn silence(&self) -> Duration {
        (Duration::from_millis(self.block_ms()) * 10).max(Duration::from_secs(15))
    }

    /// Asks a node how far it is, and now and then what it is.
    pub(super) async fn probe(&self, index: usize, all: bool) {
        let Some(node) = self.node(index) else { return };
        let unknown = self.nodes_seen(|seen| seen.get(index).is_some_and(|s| s.network.is_none()));
        let look = async {
            if all || unknown {
                let version = node.version().await?;
                self.introduced(index, &version);
            }
            let before = self.clock.monotonic();
            let count = node.block_count().await?;
            let took = self.clock.monotonic().saturating_sub(before);
            let height = count.saturating_sub(1);
            let known = self.nodes_seen(|seen| seen.get(index).and_then(|s| s.head));
            if known.is_none_or(|head| head.height != height) {
                let head = node.header(height).await?;
                self.reported(index, head)?;
            }
            self.compare(index).await?;
            Ok::<_, ChainError>(took)
        };
        match tokio::time::timeout(LOOK, look).await {
            Ok(Ok(took)) => self.update(index, |seen| seen.answered(took)),
            Ok(Err(e)) => self.update(index, |seen| seen.failed(&e.to_string())),
            Err(_) => self.update(index, |seen| seen.hung("no answer within three seconds")),
        }
        self.judge();
    }

    /// Lets a node speak at a height at which another one has.
    async fn compare(&self, index: usize) -> Result<(), ChainError> {
        let Some(node) = self.node(index) else {
            return Ok(());
        };
        let Some(height) = self.nodes_seen(|seen| judge::height_to_compare(seen, index)) else {
            return Ok(());
        };
        let head = node.header(height).await?;
        self.update(index, |seen| seen.witness(height, head.hash));
        Ok(())
    }

    /// A head that a node told.
    fn reported(&self, index: usize, head: Head) -> Result<(), ChainError> {
        if !self.measure().plausible(self.seen_head(), head, self.clock.now()) {
            return Err(ChainError::Answer {
                node: self.node(index).map_or_else(String::new, |n| n.name().to_owned()),
                what: format!(
                    "block {} of {}, which cannot be",
                    head.height,
                    head.time.to_iso8601()
                ),
            });
        }
        self.update(index, |seen| {
            seen.head = Some(head);
            seen.witness(head.height, head.hash);
        });
        Ok(())
    }

    /// A head that a node announced by itself.
    fn announced(&self, index: usize, head: Head) {
        match self.reported(index, head) {
            Ok(()) => self.publish(),
            Err(e) => self.update(index, |seen| seen.failed(&e.to_string())),
        }
    }
}
