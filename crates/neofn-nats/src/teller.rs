//! Tells the ends of invocations that came by message. What is to be told is in the store, so it is told by whichever node
//! is there, and nothing here remembers anything.

use crate::answer;
use crate::jobs::is_for_later;
use crate::request;
use neofn_api::{Api, Promise};
use neofn_bus::BusError;
use neofn_bus::port::Bus;
use neofn_types::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Told at once.
const BATCH: u32 = 256;
/// Nobody else tells what we took to tell within this time: longer than a stream takes to find a new leader.
const OURS: Duration = Duration::from_secs(15);
/// Also looked for so often: another node may have run it and died.
const LOOK: Duration = Duration::from_secs(2);
/// Most ends are nobody's promise: so many looks a second at the most.
const REST: Duration = Duration::from_millis(10);
/// After a failure of the bus or the store.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Teller {
    pub(crate) api: Api,
    pub(crate) bus: Bus,
}

impl Teller {
    /// Tells until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.round() => round,
            };
            let rest = match round {
                Ok(Some(true)) => continue,
                Ok(Some(false)) => PAUSE,
                Ok(None) => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.api.ended() => {}
                        () = tokio::time::sleep(LOOK) => {}
                    }
                    REST
                }
                Err(error) => {
                    tracing::warn!(%error, "what is to be told is not known");
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// None: nothing is due. Otherwise whether all that was due is told.
    async fn round(self: &Arc<Self>) -> Result<Option<bool>, Error> {
        let due = self.api.due_promises(OURS, BATCH).await?;
        if due.is_empty() {
            return Ok(None);
        }
        let (mut told, mut left, mut telling) = (Vec::new(), Vec::new(), JoinSet::new());
        for promise in due {
            let this = self.clone();
            telling.spawn(async move { (this.tell(&promise).await, promise) });
        }
        while let Some(one) = telling.join_next().await {
            match one {
                Ok((true, promise)) => told.push(promise),
                Ok((false, promise)) => left.push(promise),
                Err(_) => {}
            }
        }
        // told and not forgotten it is told again, which the first one outlasts
        self.api.kept(&told).await?;
        if left.is_empty() {
            return Ok(Some(true));
        }
        self.api.not_kept(&left).await?;
        Ok(Some(false))
    }

    async fn tell(&self, promise: &Promise) -> bool {
        let said = match self.api.end_for_sender(promise.id).await {
            Ok(Some(end)) => answer::json(&end),
            Ok(None) => return false,
            Err(error) => {
                let error = error.into();
                if is_for_later(&error) {
                    return false;
                }
                answer::problem(&error, None)
            }
        };
        let (subject, token) = (request::result_subject(&promise.token), &promise.token);
        let said = said.header(request::REQUEST_ID, token);
        let settled = match self.bus.results.settle(&subject, said).await {
            Err(error @ BusError::TooLarge { .. }) => {
                let error = Error::from(error).into();
                let said = answer::problem(&error, None).header(request::REQUEST_ID, token);
                self.bus.results.settle(&subject, said).await
            }
            settled => settled,
        };
        if let Err(error) = &settled {
            tracing::warn!(%error, token, "a result is not said yet");
        }
        settled.is_ok()
    }
}
