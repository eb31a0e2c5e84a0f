//! Functions by request: one message in, one answer out; and messages nobody waits for, which go to the queue.

use crate::answer;
use crate::jobs::Jobs;
use crate::request::{self, Address, LANGUAGES};
use crate::room::Room;
use crate::service::{Endpoint, Service};
use crate::teller::Teller;
use bytes::Bytes;
use neofn_api::{Api, ApiError};
use neofn_bus::port::{Bus, Pushed, Received};
use neofn_bus::{BusError, Message};
use neofn_types::{Clock, Code, Error, TraceContext};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Of all gateways one answers.
const GROUP: &str = "neofn";
/// Requests under way at once, each with a place or, if it is large, several; beyond it they are refused at once.
const REQUESTS_MAX: usize = 8_192;
/// Refusals that are being said; whoever is refused beyond it hears nothing.
const REFUSALS_MAX: usize = 1_024;
/// While the servers elect a leader they take nothing.
const PUSH_TRIES: u32 = 30;
const PUSH_PAUSE: Duration = Duration::from_millis(300);
/// For giving back the lease of a node that goes.
const LEASE_WITHIN: Duration = Duration::from_secs(2);
/// Room for what a message has beside its content.
const HEAD_BYTES: usize = 4_096;

/// What the edge stands on.
pub struct NatsEdgeOptions {
    /// The use cases.
    pub api: Api,
    /// The bus.
    pub bus: Bus,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// This node's id.
    pub node: String,
    /// Of the binary.
    pub version: String,
    /// What other NATS clients may know of the node, kept in the bucket of leases: `{url, version}`.
    pub lease: Bytes,
}

/// The edge while it answers.
pub struct NatsEdge {
    stop: CancellationToken,
    requests: TaskTracker,
    jobs: TaskTracker,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: NatsEdgeOptions,
    room: Room,
    refusals: Arc<Semaphore>,
    pub(crate) service: Service,
}

/// Answer to a message that is run later.
#[derive(Serialize)]
struct Taken {
    #[serde(rename = "requestId")]
    request_id: String,
    status: &'static str,
    /// Whether a message of this id was taken before; the end is that one's.
    duplicate: bool,
    /// Where the end will be said.
    result: String,
}

impl NatsEdge {
    /// Answers from here on.
    pub async fn start(options: NatsEdgeOptions) -> Result<Self, BusError> {
        let (bus, api) = (options.bus.clone(), options.api.clone());
        let mut subjects = Vec::new();
        for language in LANGUAGES {
            subjects.push(Endpoint::new(language, format!("function.{language}.*"), GROUP));
            subjects.push(Endpoint::new(
                &format!("{language}-project"),
                format!("function.{language}.*.*"),
                GROUP,
            ));
        }
        let service = Service::new(&options, subjects);
        let shared = Arc::new(Shared {
            options,
            room: Room::new(REQUESTS_MAX),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            service,
        });
        let (stop, requests, jobs) = (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        for (index, endpoint) in shared.service.endpoints().iter().enumerate() {
            let mut incoming = bus.rpc.serve(&endpoint.subject, Some(GROUP)).await?;
            let (shared, stop, tasks) = (shared.clone(), stop.clone(), requests.clone());
            tokio::spawn(async move {
                loop {
                    let received = tokio::select! {
                        () = stop.cancelled() => break,
                        received = incoming.next() => received,
                    };
                    let Some(received) = received else { return };
                    shared.take(index, received, &tasks);
                }
                // takes no more, and what is here already is still answered
                incoming.stop().await;
                while let Some(received) = incoming.next().await {
                    shared.take(index, received, &tasks);
                }
            });
        }
        crate::service::serve(&shared, &stop).await?;
        let teller = Arc::new(Teller {
            api: api.clone(),
            bus: bus.clone(),
        });
        jobs.spawn(teller.run(stop.clone()));
        let queues = Arc::new(Jobs { api, bus });
        tokio::spawn(queues.run(stop.clone(), jobs.clone()));
        Ok(Self {
            stop,
            requests,
            jobs,
            shared,
        })
    }

    /// Takes no more; waits until what was taken is answered. Jobs in hand go back to their queue.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        let leases = &self.shared.options.bus.leases;
        let given_back = leases.delete(&self.shared.options.node);
        match tokio::time::timeout(LEASE_WITHIN.min(deadline), given_back).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lease ends by itself"),
            Err(_) => tracing::debug!("NATS is away; the lease ends by itself"),
        }
        self.requests.close();
        self.jobs.close();
        let ended = async {
            self.requests.wait().await;
            self.jobs.wait().await;
        };
        tokio::time::timeout(deadline, ended).await.is_ok()
    }
}

impl Drop for NatsEdge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    /// Begins to answer. Never waits: what comes meanwhile would pile up before us, and whoever sends it chooses how much.
    fn take(self: &Arc<Self>, endpoint: usize, mut received: Received, tasks: &TaskTracker) {
        let shared = self.clone();
        let message = &received.message;
        let refusal = match request::bounded(message).and_then(|()| self.room.take(message)) {
            Ok(place) => {
                // cut loose from what the connection read at once, which holds others and goes with the last of them
                received.message.payload = Bytes::copy_from_slice(&message.payload);
                tasks.spawn(async move {
                    let trace = shared.trace(&received.message);
                    shared.answer(endpoint, received, trace, None).await;
                    drop(place);
                });
                return;
            }
            Err(refusal) => refusal,
        };
        // all else would be held until the refusal is sent
        received.message.payload = Bytes::new();
        let trace = self.trace(&received.message);
        received.message = Message::default();
        let Ok(word) = self.refusals.clone().try_acquire_owned() else {
            self.service.count(endpoint, Duration::ZERO, Some(refusal.code));
            tracing::warn!(
                subject = received.subject,
                error = %refusal,
                "a message is dropped: more are refused than can be told so"
            );
            return;
        };
        tasks.spawn(async move {
            shared.answer(endpoint, received, trace, Some(refusal)).await;
            drop(word);
        });
    }

    fn trace(&self, message: &Message) -> TraceContext {
        request::trace(message, self.options.api.entropy())
    }

    async fn answer(&self, endpoint: usize, received: Received, trace: TraceContext, refusal: Option<Error>) {
        let begun = self.options.clock.monotonic();
        let waits = received.reply.is_some();
        let outcome = match refusal {
            None => self.call(&received, &trace).await,
            Some(refusal) => Err(refusal.into()),
        };
        let bytes_max = self.options.bus.rpc.bytes_max();
        let outcome = outcome.and_then(|message| {
            let bytes = message.payload.len();
            if bytes + HEAD_BYTES <= bytes_max {
                return Ok(message);
            }
            let text = format!("the answer has {bytes} bytes, the NATS server takes {bytes_max}");
            Err(Error::new(Code::BusMessageTooLarge, text).into())
        });
        let took = self.options.clock.monotonic().saturating_sub(begun);
        let message = match &outcome {
            Ok(message) => {
                self.service.count(endpoint, took, None);
                message.clone()
            }
            Err(error) => {
                self.service.count(endpoint, took, Some(error.code()));
                if !waits {
                    tracing::warn!(
                        subject = received.subject,
                        error = error.chain(),
                        "a message is dropped: nobody waits for its answer"
                    );
                }
                answer::problem(error, Some(&trace))
            }
        };
        let Some(reply) = received.reply else { return };
        if let Err(error) = reply.send(message).await {
            tracing::warn!(%error, "answer not sent");
        }
    }

    async fn call(&self, received: &Received, trace: &TraceContext) -> Result<Message, ApiError> {
        let api = &self.options.api;
        let address = Address::read(&received.subject)?;
        let message = &received.message;
        request::readable(message)?;
        let who = api.principal(message.get("authorization")).await?;
        let later = match message.get("neofn-mode") {
            None => false,
            Some(mode) if mode.eq_ignore_ascii_case("sync") => false,
            Some(mode) if mode.eq_ignore_ascii_case("async") => true,
            Some(_) => {
                let error = Error::new(
                    Code::BadParameter,
                    "the header `Neofn-Mode` is neither `sync` nor `async`",
                );
                return Err(error.into());
            }
        };
        let queued = received.reply.is_none() || later;
        match queued {
            true => api.look_at_message(&who, &address.key.project)?,
            false => api.count_message(&who, &address.key.project)?,
        }
        api.speaks(&who, &address.key, address.runtime).await?;
        if queued {
            return self.queue(&address, message).await;
        }
        let call = neofn_api::Call {
            trace: *trace,
            ..request::call(message, None, api.entropy())?
        };
        let run = api.invoke(&who, address.key, call).await?;
        Ok(answer::run(&run, trace))
    }

    /// Tries for as long as an election takes: nobody would send again what was sent without waiting for an answer. The
    /// id makes a repetition harmless.
    async fn push(&self, subject: &str, id: &str, message: Message) -> Result<Pushed, Error> {
        let mut tries = 0;
        loop {
            match self.options.bus.jobs.push(subject, id, message.clone()).await {
                Ok(pushed) => return Ok(pushed),
                Err(BusError::Unavailable(why)) if tries < PUSH_TRIES => {
                    tracing::debug!(why, id, "the queue does not take a job yet");
                    tries += 1;
                    tokio::time::sleep(PUSH_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Into the queue, on disk when this returns.
    async fn queue(&self, address: &Address, message: &Message) -> Result<Message, ApiError> {
        // what will be refused later is refused now, while somebody may still hear it
        neofn_api::json::event(request::event(message)?)?;
        let id = match message.get("nats-msg-id") {
            Some(id) => id.to_owned(),
            None => {
                let mut random = [0; 16];
                self.options.api.entropy().fill(&mut random);
                hex::encode(random)
            }
        };
        let request_id = address.request_id(&id);
        let mut kept = message.clone();
        kept.headers.retain(|(name, _)| {
            !name.to_ascii_lowercase().starts_with("nats-") && !name.eq_ignore_ascii_case(request::REQUEST_ID)
        });
        let kept = kept.header(request::REQUEST_ID, &request_id);
        let message_id = self.options.api.message_id(&request_id).to_string();
        let pushed = self.push(&address.job(), &message_id, kept).await?;
        Ok(answer::json(&Taken {
            result: request::result_subject(&request_id),
            request_id,
            status: "queued",
            duplicate: pushed.duplicate,
        }))
    }
}
