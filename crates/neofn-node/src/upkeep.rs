//! The streams and buckets of the cluster while it runs: what somebody took away is made again, and what is wrong is said.
//!
//! Every gateway looks; to make what another one has just made is harmless.

use neofn_bus_nats::{Nats, StreamSettings};
use neofn_types::Code;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// An election answers nothing for some seconds; what stays so for longer is a fault.
const SILENT_LOOKS_MAX: u32 = 6;

/// What is wrong at the moment.
pub(crate) type Fault = Arc<Mutex<Option<String>>>;

/// Looks until it is dropped.
pub(crate) struct Upkeep {
    fault: Fault,
    task: JoinHandle<()>,
}

impl Upkeep {
    pub(crate) fn begin(nats: Nats, settings: StreamSettings) -> Self {
        let fault = Fault::default();
        let said = fault.clone();
        let task = tokio::spawn(async move {
            let rpc = nats.rpc();
            let mut silent = 0;
            loop {
                tokio::time::sleep(EVERY).await;
                // without a connection nothing is known, which is said elsewhere
                if !rpc.is_connected() {
                    continue;
                }
                let found = match nats.keep(&settings).await {
                    Ok(made) => {
                        silent = 0;
                        for what in made {
                            tracing::error!(what, "it was gone and is made anew: what it held is lost");
                        }
                        None
                    }
                    Err(error) if error.code == Code::BusUnavailable && silent < SILENT_LOOKS_MAX => {
                        silent += 1;
                        tracing::debug!(%error, "not looked after");
                        continue;
                    }
                    Err(error) => Some(format!("{}: {}", error.code, error.message)),
                };
                if *said.lock() != found {
                    match &found {
                        Some(fault) => {
                            tracing::error!(fault, "the cluster's streams are not what they must be")
                        }
                        None => tracing::info!("the cluster's streams are what they must be again"),
                    }
                    *said.lock() = found;
                }
            }
        });
        Self { fault, task }
    }

    pub(crate) fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}
