//! Which workers there are for this gateway: they are heard, probed, and chosen for runs.

use super::Inner;
use crate::beat::{Beat, EVERY};
use crate::members::Member;
use crate::wire::WHO;
use neofn_bus::Message;
use neofn_types::Digest;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often workers that run something for us are asked whether they are there: a connection that broke is noticed by
/// the server at once, and then nobody listens.
pub(super) const PROBE: Duration = Duration::from_millis(500);
/// Who has not heard himself for so long hears nobody.
const DEAF_AFTER: Duration = EVERY.saturating_mul(2);

/// A worker that was chosen: it counts as busier until this is dropped.
pub(super) struct Chosen {
    pub(super) inner: Arc<Inner>,
    pub(super) id: String,
    pub(super) gone: CancellationToken,
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.inner.members.lock().ended(&self.id, &self.gone);
        self.inner.room.notify_one();
    }
}

impl Inner {
    pub(super) fn beat(&self) -> Beat {
        let own = self.own.get().and_then(Weak::upgrade);
        let sandboxes = own.as_ref().map(|own| own.status()).unwrap_or_default();
        let running = own.as_ref().map_or(0, |own| own.running());
        Beat {
            seat: self.options.seat.clone(),
            running: self.running.load(Ordering::Acquire).saturating_add(running),
            runs: self
                .runs
                .load(Ordering::Relaxed)
                .saturating_add(sandboxes.calls()),
            draining: self.draining.load(Ordering::Acquire),
            sandboxes,
            warm: Vec::new(),
        }
    }

    pub(super) fn hear(&self, beat: Beat) {
        let (id, role) = (beat.seat.id.clone(), beat.seat.role);
        let now = self.options.clock.monotonic();
        if id == self.options.seat.id {
            *self.heard_itself.lock() = now;
        }
        let (heard, misfit) = {
            let mut members = self.members.lock();
            let heard = members.hear(beat, now);
            let member = members.get(&id).filter(|_| heard.came);
            let misfit = member.and_then(|m| m.misfit(&self.options.engines));
            (heard, misfit)
        };
        if heard.room {
            self.room.notify_waiters();
        }
        if let Some(why) = heard.doubled {
            tracing::warn!("{why}");
        }
        let role = role.as_str();
        if heard.came {
            tracing::info!(node = id, role, "a node came");
        }
        if let Some(why) = misfit {
            tracing::warn!(node = id, role, why, "it gets no runs from this gateway");
        }
    }

    pub(super) fn fits(&self, member: &Member) -> bool {
        member.fits(&self.options.engines)
    }

    /// Nobody listened to what a worker was sent.
    pub(super) fn unheeded(&self, id: &str) {
        let now = self.options.clock.monotonic();
        if self.members.lock().unheeded(id, now) {
            tracing::warn!(node = id, "a node went: nobody listens");
        }
    }

    /// How a run ended at a worker: with an answer, or with none that could be.
    pub(super) fn ran(&self, worker: &Chosen, answered: bool) {
        // who has the name by now is another one
        if worker.gone.is_cancelled() {
            return;
        }
        let now = self.options.clock.monotonic();
        if self.members.lock().ran(&worker.id, answered, now) {
            let node = &worker.id;
            tracing::warn!(node, "it gets no runs for a while: its last ones came to nothing");
        }
    }

    pub(super) async fn probe(self: Arc<Self>, stop: CancellationToken) {
        let mut deaf = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PROBE) => {}
            }
            let now = self.options.clock.monotonic();
            // its own beats come the way that the others' do
            let heard = now.saturating_sub(*self.heard_itself.lock()) <= DEAF_AFTER;
            if !heard || !self.options.rpc.is_connected() {
                // while we are cut off, or were stopped ourselves, the others' silence says nothing
                deaf = true;
                continue;
            }
            if std::mem::take(&mut deaf) {
                self.members.lock().listen(now);
                self.room.notify_waiters();
                if let Err(error) = self.options.rpc.publish(WHO, Message::default()).await {
                    tracing::debug!(%error, "the others are heard with their next beats");
                }
            }
            let swept = self.members.lock().sweep(now);
            for id in swept.silent {
                tracing::warn!(node = id, "a node went: it is silent");
            }
            if swept.rested {
                self.room.notify_waiters();
            }
            let used = self.members.lock().in_use();
            for id in used {
                tokio::spawn(self.clone().ping(id));
            }
        }
    }

    /// A worker for a run; waits for one within bounds.
    pub(super) async fn worker(
        self: &Arc<Self>,
        function: &str,
        engine: &Digest,
        without: &[String],
        within: Duration,
    ) -> Option<Chosen> {
        let found = async {
            loop {
                let room = self.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                let chosen = self.members.lock().choose(function, engine, without);
                if let Some((id, gone)) = chosen {
                    let inner = self.clone();
                    return Chosen { inner, id, gone };
                }
                room.await;
            }
        };
        tokio::time::timeout(within, found).await.ok()
    }
}
