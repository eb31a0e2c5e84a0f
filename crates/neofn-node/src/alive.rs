//! Which processes of a shared ledger are alive: each holds a lease under its own name. What one that is gone had set
//! aside goes back to the projects.

use crate::storage::AnyStore;
use neofn_engine::port::{Lease, StoreError};
use neofn_gas::{BankError, Purses};
use neofn_types::{Clock, Error, UnixMillis};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a process counts as alive without a word of it. Longer than a restart of the database takes.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two words.
const WORD: Duration = Duration::from_secs(10);
/// How long the lease of a process that is gone is remembered. Without it a process counts as one that is silent.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Holds the lease of whoever is gone.
const GRAVE: &str = "gone";

/// This process's lease, renewed until it is dropped.
pub(crate) struct Alive {
    store: Arc<dyn AnyStore>,
    clock: Arc<dyn Clock>,
    purses: Purses,
    task: JoinHandle<()>,
}

impl Alive {
    /// Nothing may be set aside before this process is known to be alive.
    pub(crate) async fn begin(
        store: Arc<dyn AnyStore>,
        clock: Arc<dyn Clock>,
        purses: Purses,
    ) -> Result<Arc<Self>, Error> {
        let me = purses.process();
        take(&*store, &*clock, &me, &me).await.map_err(Error::internal)?;
        let task = tokio::spawn({
            let (store, clock) = (store.clone(), clock.clone());
            async move {
                loop {
                    tokio::time::sleep(WORD).await;
                    match take(&*store, &*clock, &me, &me).await {
                        Ok(lease) if lease.holder == me => {}
                        Ok(_) => tracing::error!(
                            "this node was taken for dead; what it had set aside was given back"
                        ),
                        Err(error) => tracing::warn!(%error, "nobody knows that this node is alive"),
                    }
                }
            }
        });
        Ok(Arc::new(Self {
            store,
            clock,
            purses,
            task,
        }))
    }
    /// Gives back what processes that are gone had set aside.
    pub(crate) async fn bury(&self) -> Result<(), BankError> {
        for process in self.purses.others().await? {
            match take(&*self.store, &*self.clock, &process, GRAVE).await {
                Ok(lease) if lease.holder == GRAVE => {
                    self.purses.recover_of(&process).await?;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, process, "nobody knows whether it is alive"),
            }
        }
        // each start has a name of its own. One that is forgotten and yet comes back takes its lease anew, and what it had
        // set aside is in the ledger whoever holds the lease
        let before = UnixMillis(self.clock.now().0.saturating_sub(millis(REMEMBERED)));
        if let Err(error) = self.store.forget_leases(PREFIX, before).await {
            tracing::warn!(%error, "leases of processes that are gone stay");
        }
        Ok(())
    }
    /// This process has given everything back.
    pub(crate) async fn end(&self) {
        self.task.abort();
        let me = self.purses.process();
        if let Err(error) = self.store.give_lease(&name(&me), &me).await {
            tracing::warn!(%error, "lease not given back");
        }
    }
}
impl Drop for Alive {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Names of these leases begin so.
const PREFIX: &str = "purses/";

fn name(process: &str) -> String {
    format!("{PREFIX}{process}")
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

async fn take(
    store: &dyn AnyStore,
    clock: &dyn Clock,
    process: &str,
    holder: &str,
) -> Result<Lease, StoreError> {
    let now = clock.now();
    store
        .take_lease(&name(process), holder, now, now.plus(SILENCE))
        .await
}
