//! The queues: invocations and CloudEvents that were sent without waiting for an answer.
//!
//! A message stays in its queue until the store has what it asked for, and no longer: a node that dies in between leaves it to
//! the next one, and the message's id keeps that from running it twice. How an invocation ends is not waited for here, or one
//! function that fails for hours would keep all others' messages from being taken; see [`crate::teller`].
//!
//! Messages are counted against rate limits here, whoever put them into the queue. One too many was accepted all the same: it
//! is not refused but waits, and comes again when there is room.

use crate::answer;
use crate::request::{self, Address};
use crate::room::Room;
use neofn_api::{Action, Api, ApiError};
use neofn_bus::port::{Bus, DeadLetter, Delivery, JobQueue};
use neofn_bus::{BusError, Message};
use neofn_types::{Error, InvocationId, Retry};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages of a queue in hand at once, each with a place or, if it is large, several; the others stay with the server.
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
        let address = Address::read(delivery.subject());
        let id = self.senders_id(&*delivery);
        let token = match &address {
            Ok(address) => address.request_id(id),
            Err(_) => request::token(id),
        };
        let taken = {
            let work = self.take(address, delivery.message(), &token);
            working(&*delivery, self.bus.jobs.patience(), work).await
        };
        match taken {
            // the store has it, and who is to be told its end
            Ok(()) => done(delivery).await,
            Err(error) => self.refuse(delivery, &token, &error).await,
        }
    }

    /// The sender's own id. A gateway puts it beside the one that it made for the queue; nobody else could have made that.
    fn senders_id<'d>(&self, delivery: &'d dyn Delivery) -> &'d str {
        match delivery.message().get(request::REQUEST_ID) {
            Some(id) if self.api.message_id(id).to_string() == delivery.id() => id,
            _ => delivery.id(),
        }
    }

    /// Everything that the message asks for is in the store when this returns.
    async fn take(
        &self,
        address: Result<Address, Error>,
        message: &Message,
        token: &str,
    ) -> Result<(), ApiError> {
        let address = address?;
        request::bounded(message)?;
        request::readable(message)?;
        let who = self.api.principal(message.get("authorization")).await?;
        let counted = self.api.count_message(&who, &address.key.project);
        // before a tree is made of an event; and what can never work does not wait for its rate, where it would take room from what can
        self.api.speaks(&who, &address.key, address.runtime).await?;
        counted?;
        let key = request::key_of(token);
        let call = request::call(message, Some(&key), self.api.entropy())?;
        let accepted = self.api.enqueue(&who, address.key.clone(), call).await?;
        let id: InvocationId = accepted.invocation_id.parse().map_err(Error::internal)?;
        Ok(self.api.promise(&address.key, id, token).await?)
    }

    async fn event(self: Arc<Self>, delivery: Box<dyn Delivery>) {
        match self.publish(&*delivery).await {
            Ok(()) => done(delivery).await,
            Err(error) => {
                let token = request::event_token(delivery.subject(), delivery.id());
                self.refuse(delivery, &token, &error).await;
            }
        }
    }

    /// What can never work is kept among the dead letters, said to whoever waits for it, and only then taken out.
    async fn refuse(&self, delivery: Box<dyn Delivery>, token: &str, error: &ApiError) {
        if is_for_later(error) {
            tracing::debug!(token, error = error.chain(), "a message waits");
            return put_back(delivery, error.retry_after_s()).await;
        }
        tracing::warn!(
            token,
            subject = delivery.subject(),
            error = error.chain(),
            "a message is refused for good"
        );
        let reason = error.problem();
        let reason = format!("{}: {}", reason.code, reason.message);
        let said = answer::problem(error, None).header(request::REQUEST_ID, token);
        let told = async {
            match self.bus.dead.keep(letter(&*delivery, token, &reason)).await {
                // no letter is better than one that is refused for ever
                Err(error @ BusError::TooLarge { .. }) => tracing::error!(%error, token, "no letter is kept"),
                kept => kept?,
            }
            let subject = request::result_subject(token);
            self.bus.results.settle(&subject, said).await
        };
        if let Err(error) = told.await {
            // it is delivered again, refused again, and said then
            tracing::warn!(%error, token, "a refusal is not said yet");
            return put_back(delivery, None).await;
        }
        if let Err(error) = delivery.give_up(&reason).await {
            tracing::debug!(%error, token, "a message comes again");
        }
    }

    async fn publish(&self, delivery: &dyn Delivery) -> Result<(), ApiError> {
        let message = delivery.message();
        request::bounded(message)?;
        request::readable(message)?;
        let who = self.api.principal(message.get("authorization")).await?;
        let named = delivery.subject().split_once('.').map(|(_, project)| project);
        let project = self.api.project_of(&who, named)?;
        self.api.count_message(&who, &project)?;
        self.api.authorise_project(&who, Action::Publish, &project)?;
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
    let room = Room::new(TAKEN_MAX);
    while !stop.is_cancelled() {
        let Some(free) = room.wait(&Message::default()).await else {
            return;
        };
        let most = room.free().saturating_add(1).min(BATCH);
        drop(free);
        let pulled = tokio::select! {
            () = stop.cancelled() => return,
            pulled = queue.pull(most, WAIT) => pulled,
        };
        match pulled {
            Ok(deliveries) => {
                for delivery in deliveries {
                    let Some(place) = room.wait(delivery.message()).await else {
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

pub(crate) fn is_for_later(error: &ApiError) -> bool {
    error.code().info().retry == Retry::Later
}

async fn done(delivery: Box<dyn Delivery>) {
    if let Err(error) = delivery.done().await {
        tracing::debug!(%error, "a message comes again");
    }
}

fn letter(delivery: &dyn Delivery, token: &str, reason: &str) -> DeadLetter {
    let message = delivery.message();
    DeadLetter {
        subject: delivery.subject().to_owned(),
        id: token.to_owned(),
        reason: reason.to_owned(),
        project: request::project_of(delivery.subject()),
        at_ms: 0,
        message: Message {
            // who looks at letters is not to read his neighbour's key in one
            headers: message
                .headers
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"))
                .cloned()
                .collect(),
            payload: message.payload.clone(),
            unreadable: None,
        },
    }
}

/// `after_s`: when it may work.
async fn put_back(delivery: Box<dyn Delivery>, after_s: Option<u32>) {
    let (least, most) = AGAIN;
    let least = least.max(Duration::from_secs(after_s.unwrap_or(0).into()));
    let doublings = u32::try_from(delivery.attempt().saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(6);
    let delay = least.saturating_mul(1 << doublings).min(most.max(least));
    if let Err(error) = delivery.later(delay).await {
        tracing::debug!(%error, "a message comes again after its patience");
    }
}
