//! Leading: of several nodes one reads the chain, makes the runs of time and follows transactions. It holds a lease that
//! it renews; when it is gone, another takes the lease as soon as it has ended.
//!
//! What a leader writes down is guarded where it is written, by cursors and revisions. A node that only believes that it
//! leads does work in vain, and no harm.

use crate::port::LeaseStore;
use neofn_types::{Clock, UnixMillis};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long a lease holds without renewal: what is led stands still for so long after a leader's sudden end.
const AMONG_MANY: Duration = Duration::from_secs(6);
/// The same on a store of one's own, where nobody waits for it and every renewal wakes the disk.
const ALONE: Duration = Duration::from_secs(3_600);

/// Who else uses a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Other nodes.
    Others,
    /// Nobody.
    Nobody,
}

/// One name of what only one node does at a time.
#[derive(Clone)]
pub struct Leading {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
    name: &'static str,
    holder: String,
    length: Duration,
    /// Until when we lead; 0: we do not.
    until: AtomicI64,
    leads: watch::Sender<bool>,
}

impl Leading {
    /// `holder` is this node's own name, of which there is no other; `among` says whether other nodes use the store.
    #[must_use]
    pub fn new(
        store: Arc<dyn LeaseStore>,
        clock: Arc<dyn Clock>,
        name: &'static str,
        holder: impl Into<String>,
        among: Among,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                clock,
                name,
                holder: holder.into(),
                length: match among {
                    Among::Others => AMONG_MANY,
                    Among::Nobody => ALONE,
                },
                until: AtomicI64::new(0),
                leads: watch::channel(false).0,
            }),
        }
    }

    /// Whether this node leads now. A leader that cannot renew stops by itself when its lease ends.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.shared.clock.now().0 < self.shared.until.load(Ordering::Acquire)
    }
    /// As [`Self::leads`], but asks for the lease first when it is not held: it may be free by now.
    pub async fn try_lead(&self) -> bool {
        if !self.leads() {
            self.activate().await;
        }
        self.leads()
    }
    /// Ready when this node begins or ceases to lead.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.shared.leads.subscribe()
    }

    /// Takes the lease if it can be had, or renews it.
    pub async fn activate(&self) {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let until = now.plus(shared.length);
        match shared
            .store
            .take_lease(shared.name, &shared.holder, now, until)
            .await
        {
            Ok(lease) if lease.holder == shared.holder => self.set(Some(lease.until)),
            Ok(_) => self.set(None),
            Err(error) => {
                tracing::warn!(%error, name = shared.name, "lease not renewed");
                if !self.leads() {
                    self.set(None);
                }
            }
        }
    }

    fn set(&self, until: Option<UnixMillis>) {
        let shared = &*self.shared;
        shared.until.store(until.map_or(0, |t| t.0), Ordering::Release);
        let leads = until.is_some();
        let changed = shared
            .leads
            .send_if_modified(|was| std::mem::replace(was, leads) != leads);
        if changed {
            tracing::info!(name = shared.name, leads, "lease");
        }
    }

    /// Holds the lease, or waits for it, until `stop`; then gives it back, so that another node goes on at once.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        loop {
            self.activate().await;
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(self.shared.length / 3) => {}
            }
        }
        let shared = &*self.shared;
        self.set(None);
        if let Err(error) = shared.store.give_lease(shared.name, &shared.holder).await {
            tracing::warn!(%error, name = shared.name, "lease not given back");
        }
    }
}
