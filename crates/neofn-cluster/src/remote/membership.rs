//! Which workers there are for this gateway: they are heard, probed, and chosen for runs.

use super::Inner;
use crate::beat::Beat;
use crate::members::Member;
use crate::wire;
use neofn_bus::{BusError, Message};
use neofn_types::Digest;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often workers that run something for us are asked whether they are there: a connection that broke is noticed by
/// the server at once, and then nobody listens.
const PROBE: Duration = Duration::from_millis(500);

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
        let (heard, misfit) = {
            let mut members = self.members.lock();
            let heard = members.hear(beat, self.options.clock.monotonic());
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

    pub(super) fn lose(&self, id: &str, why: &str) {
        if self.members.lock().lose(id) {
            tracing::warn!(node = id, why, "a node went");
        }
    }

    pub(super) async fn probe(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PROBE) => {}
            }
            // while we are cut off ourselves, silence says nothing; the runs' own requests will
            for id in self.members.lock().sweep(self.options.clock.monotonic()) {
                tracing::warn!(node = id, "a node went: it is silent");
            }
            let used = self.members.lock().in_use();
            for id in used {
                let inner = self.clone();
                tokio::spawn(async move {
                    let subject = wire::worker(&id, "ping");
                    let asked = inner
                        .options
                        .rpc
                        .request(&subject, Message::default(), PROBE * 4)
                        .await;
                    if let Err(BusError::NoResponders(_)) = asked {
                        inner.lose(&id, "nobody listens");
                    }
                });
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
