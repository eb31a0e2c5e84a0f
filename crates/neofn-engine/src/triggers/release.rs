//! Lets waiting deliveries go: the next of a lane, a full batch, the end of a burst.

use crate::engine::Inner;
use crate::service::{Reconciler, Report};
use std::sync::Arc;
use std::time::Duration;

/// Lanes that one transaction looks after at the most.
const BATCH: u32 = 256;

pub(crate) struct Release(pub(crate) Arc<Inner>);

impl Reconciler for Release {
    const NAME: &'static str = "release";

    async fn activate(&mut self) -> Report {
        let mut report = Report::default();
        let inner = &self.0;
        if inner.open().is_err() {
            return report;
        }
        loop {
            let now = inner.options.clock.now();
            let released = match inner.ports.triggers.release_due(now, BATCH).await {
                Ok(released) => released,
                Err(error) => {
                    tracing::warn!(%error, "waiting deliveries not looked at");
                    return report;
                }
            };
            report.did += u64::from(released.released);
            if released.released > 0 {
                inner.gate.wake.notify_one();
            }
            if released.released < BATCH {
                let later = released.next.map(|at| at.since(now));
                report.again = later.map(|d| d.max(Duration::from_millis(1)));
                return report;
            }
        }
    }
}
