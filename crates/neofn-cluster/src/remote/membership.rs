//! Which workers there are for this gateway: they are heard, probed, and chosen for runs.

use super::Inner;
use crate::beat::Beat;
use crate::members::Member;
use crate::wire::{self, CallId, WHO};
use neofn_bus::{BusError, Message};
use neofn_types::Digest;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often workers that run something for us are asked whether they are there: a connection that broke is noticed by
/// the server at once, and then nobody listens.
const PROBE: Duration = Duration::from_millis(500);
/// Most runs that are asked after at once.
const ASKED_MAX: usize = 4_096;

/// A run whose answer is awaited.
pub(super) struct Awaited {
    pub(super) worker: String,
    /// Its worker does not have it.
    pub(super) missing: bool,
    pub(super) gone: CancellationToken,
}

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

    /// Nobody listened to what a worker was sent.
    pub(super) fn unheeded(&self, id: &str) {
        let now = self.options.clock.monotonic();
        if self.members.lock().unheeded(id, now) {
            tracing::warn!(node = id, "a node went: nobody listens");
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
            let hears =
                self.options.rpc.is_connected() && self.members.lock().hears(&self.options.seat.id, now);
            if !hears {
                // while we are cut off, or were stopped ourselves, the others' silence says nothing
                deaf = true;
                continue;
            }
            if std::mem::take(&mut deaf) {
                self.members.lock().listen(now);
                if let Err(error) = self.options.rpc.publish(WHO, Message::default()).await {
                    tracing::debug!(%error, "the others are heard with their next beats");
                }
            }
            for id in self.members.lock().sweep(now) {
                tracing::warn!(node = id, "a node went: it is silent");
            }
            let used = self.members.lock().in_use();
            for id in used {
                tokio::spawn(self.clone().ping(id));
            }
        }
    }

    /// Asks a worker whether it is there, and which of our runs it does not have.
    async fn ping(self: Arc<Self>, id: String) {
        let asked: Vec<u8> = {
            let runs = self.awaited.lock();
            let there = runs.iter().filter(|(_, run)| run.worker == id);
            there.take(ASKED_MAX).flat_map(|(call, _)| *call).collect()
        };
        let subject = wire::worker(&id, "ping");
        let answer = self
            .options
            .rpc
            .request(&subject, Message::new(asked), PROBE * 4)
            .await;
        match answer {
            Ok(answer) => {
                if self.members.lock().answered(&id) {
                    self.room.notify_waiters();
                }
                for call in wire::calls(&answer.payload) {
                    self.missing(&call);
                }
            }
            Err(BusError::NoResponders(_)) => self.unheeded(&id),
            Err(error) => tracing::debug!(%error, node = id, "no answer to a probe"),
        }
    }

    /// A worker does not have a run. Its answer may be on its way, but by the next time it has overtaken what says so, unless
    /// it is lost with a server or a connection.
    fn missing(&self, call: &CallId) {
        if let Some(run) = self.awaited.lock().get_mut(call)
            && std::mem::replace(&mut run.missing, true)
        {
            run.gone.cancel();
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
