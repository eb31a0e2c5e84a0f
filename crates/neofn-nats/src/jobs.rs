//! The queues: invocations and CloudEvents that were sent without waiting for an answer.
//!
//! A message stays in its queue until the store has what it asked for, and an invocation until its end is said: a node
//! that dies in between leaves it to the next one, and the message's id keeps that from running it twice.

use crate::answer;
use crate::ends::Ends;
use crate::request::{self, Address};
use neofn_api::{Api, ApiError};
use neofn_bus::Message;
use neofn_bus::port::{Bus, Delivery, JobQueue};
use neofn_types::{Digest, Error, InvocationId, Retry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages in hand at once; the others stay with the server.
const TAKEN_MAX: usize = 4_096;
/// Messages of one pull.
const BATCH: usize = 128;
/// How long a pull waits for the first one.
const WAIT: Duration = Duration::from_secs(5);
/// After a failure of the bus.
const PAUSE: Duration = Duration::from_millis(500);
/// A message that is to come again: at the least, and at the most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Takes messages over, from both queues.
pub(crate) struct Jobs {
    pub(crate) api: Api,
    pub(crate) bus: Bus,
    pub(crate) ends: Ends,
    pub(crate) refused: AtomicU64,
}

impl Jobs {
    /// Runs until `stop`; what is in hand then comes to another node.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken, tasks: TaskTracker) {
        let jobs = pump(self.bus.jobs.clone(), stop.clone(), tasks.clone(), {
            let this = self.clone();
            move |delivery| this.clone().job(delivery)
        });
        let events = pump(self.bus.events.clone(), stop, tasks, {
            let this = self.clone();
            move |delivery| this.clone().event(delivery)
        });
        tokio::join!(jobs, events);
    }

    async fn job(self: Arc<Self>, delivery: Box<dyn Delivery>) {
        let id = request::token(delivery.id());
        let subject = format!("function.result.{id}");
        let outcome = {
            let work = self.invoke(
                delivery.subject().to_owned(),
                delivery.message().clone(),
                delivery.id().to_owned(),
            );
            working(&*delivery, self.bus.jobs.patience(), work).await
        };
        let said = match &outcome {
            Ok(end) => answer::json(end),
            Err(error) if is_for_later(error) => {
                tracing::debug!(id, error = error.chain(), "a job waits");
                return put_back(delivery).await;
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    id,
                    subject = delivery.subject(),
                    error = error.chain(),
                    "a job is refused for good"
                );
                answer::problem(error, None)
            }
        };
        let said = said.header("Neofn-Request-Id", &id);
        if let Err(error) = self.bus.results.settle(&subject, said).await {
            // it is delivered again, found ended, and said then
            tracing::warn!(%error, id, "a result is not said yet");
            return put_back(delivery).await;
        }
        let ended = match outcome {
            Ok(_) => delivery.done().await,
            Err(error) => delivery.give_up(&error.problem().message).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, id, "a job comes again");
        }
    }

    async fn invoke(
        &self,
        subject: String,
        message: Message,
        id: String,
    ) -> Result<neofn_wire::InvocationView, ApiError> {
        let address = Address::read(&subject)?;
        let who = self.api.principal(message.get("authorization")).await?;
        // its own namespace: a key that the same client sends over HTTP is another one
        let key = format!("nats:{}", Digest::of(id.as_bytes()));
        let call = request::call(&message, Some(&key), self.api.entropy())?;
        self.api.speaks(&who, &address.key, address.runtime).await?;
        let accepted = self.api.enqueue(&who, address.key.clone(), call).await?;
        let id: InvocationId = accepted.invocation_id.parse().map_err(Error::internal)?;
        Ok(self.ends.of(&address.key, id).await?)
    }

    async fn event(self: Arc<Self>, delivery: Box<dyn Delivery>) {
        let published = self.publish(&*delivery).await;
        let ended = match &published {
            Ok(()) => delivery.done().await,
            Err(error) if is_for_later(error) => return put_back(delivery).await,
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    id = delivery.id(),
                    error = error.chain(),
                    "an event is refused for good"
                );
                delivery.give_up(&error.problem().message).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an event comes again");
        }
    }

    async fn publish(&self, delivery: &dyn Delivery) -> Result<(), ApiError> {
        let message = delivery.message();
        let who = self.api.principal(message.get("authorization")).await?;
        let named = delivery.subject().split_once('.').map(|(_, project)| project);
        let project = self.api.project_of(&who, named)?;
        self.api.count_message(&who, &project)?;
        let events = request::events(message)?;
        let trace = request::trace(message, self.api.entropy());
        self.api.publish(&who, &project, events, trace).await?;
        Ok(())
    }
}

/// Pulls as much as can be in hand, and hands it out.
async fn pump<F>(
    queue: Arc<dyn JobQueue>,
    stop: CancellationToken,
    tasks: TaskTracker,
    mut handle: impl FnMut(Box<dyn Delivery>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(TAKEN_MAX));
    while !stop.is_cancelled() {
        let Ok(free) = room.clone().acquire_owned().await else {
            return;
        };
        let most = room.available_permits().saturating_add(1).min(BATCH);
        drop(free);
        let pulled = tokio::select! {
            () = stop.cancelled() => return,
            pulled = queue.pull(most, WAIT) => pulled,
        };
        match pulled {
            Ok(deliveries) => {
                for delivery in deliveries {
                    let Ok(place) = room.clone().acquire_owned().await else {
                        return;
                    };
                    let (work, stop) = (handle(delivery), stop.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = work => {}
                            () = stop.cancelled() => {}
                        }
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the queue is not read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Does work on a message, and says meanwhile that it is being worked on: a time that equals the run's would run it
/// twice.
async fn working<T>(delivery: &dyn Delivery, patience: Duration, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(patience / 3) => {
                if let Err(error) = delivery.working().await {
                    tracing::debug!(%error, "not said that we work on it");
                }
            }
        }
    }
}

fn is_for_later(error: &ApiError) -> bool {
    error.code().info().retry == Retry::Later
}

async fn put_back(delivery: Box<dyn Delivery>) {
    let (least, most) = AGAIN;
    let doublings = u32::try_from(delivery.attempt().saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(6);
    let delay = least.saturating_mul(1 << doublings).min(most);
    if let Err(error) = delivery.later(delay).await {
        tracing::debug!(%error, "a message comes again after its patience");
    }
}
