//! Host calls between a worker, where a function makes them, and its gateway, which answers them.

use crate::members::GONE_AFTER;
use crate::wire::{self, CallId};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_bus::port::{Received, Reply, Rpc};
use neofn_bus::{BusError, Message};
use neofn_runtime::port::{Failure, HostCall, HostCalls, HostError, HostReply, JobLimits};
use neofn_types::{Clock, Code};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Room for what a message has beside its content.
pub(crate) const HEAD_BYTES: usize = 1_024;

/// An answer that is not there by then is asked for again: a message may be lost with a server.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Between two tries while there is no connection.
const NO_CONNECTION: Duration = Duration::from_millis(100);
/// Most bytes of answers that are kept for one run until its worker has them.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// A host call on its way. The same one may come several times: its number says so.
#[derive(Serialize, Deserialize)]
struct Ask {
    call: HostCall,
    /// Answers of lower numbers have arrived.
    have_below: u32,
}

/// The worker's side: asks the gateway, until there is an answer. The function sees the gateway's answers alone; where none
/// can be had the run is lost, and has not failed by itself.
pub(crate) struct AskGateway {
    pub(crate) rpc: Arc<dyn Rpc>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) subject: String,
    /// Of the run, by the monotonic clock.
    pub(crate) deadline: Duration,
    /// Ends the run: nobody waits for it any more.
    pub(crate) orphaned: CancellationToken,
    pub(crate) asked: Arc<Asked>,
}

/// What became of a run's host calls.
#[derive(Default)]
pub(crate) struct Asked {
    numbers: Mutex<Numbers>,
    lost: OnceLock<Failure>,
}
#[derive(Default)]
struct Numbers {
    next: u32,
    open: BTreeSet<u32>,
}

impl Asked {
    /// Why the run cannot go on, if it cannot.
    pub(crate) fn lost(&self) -> Option<&Failure> {
        self.lost.get()
    }
    fn begin(&self, number: u32) {
        let mut numbers = self.numbers.lock();
        numbers.next = numbers.next.max(number.saturating_add(1));
        numbers.open.insert(number);
    }
    fn end(&self, number: u32) {
        self.numbers.lock().open.remove(&number);
    }
    fn have_below(&self) -> u32 {
        let numbers = self.numbers.lock();
        numbers.open.first().copied().unwrap_or(numbers.next)
    }
}

impl AskGateway {
    async fn ask(&self, call: &HostCall) -> HostReply {
        let mut unheard_since = None;
        loop {
            let now = self.clock.monotonic();
            let left = self.deadline.saturating_sub(now);
            if left.is_zero() {
                // the run's own time is over, which its sandbox knows
                return std::future::pending().await;
            }
            let ask = Ask {
                call: call.clone(),
                have_below: self.asked.have_below(),
            };
            let asked = async {
                let message = Message::new(wire::write(&ask)?);
                let within = left.min(ASK_AGAIN);
                let answer = self.rpc.request(&self.subject, message, within).await?;
                match answer.payload.is_empty() {
                    true => Ok(None),
                    false => wire::read::<HostReply>(&answer.payload).map(Some),
                }
            };
            let error = match asked.await {
                Ok(Some(reply)) => return reply,
                Ok(None) => {
                    let why = "the gateway knows nothing of the run any more".to_owned();
                    return self.give_up(Code::SandboxLost, why).await;
                }
                Err(error) => error,
            };
            tracing::debug!(%error, op = ?call.op, "host call not answered yet");
            match error {
                BusError::TooLarge { .. } => {
                    return HostReply {
                        result: Err(HostError {
                            code: Code::BusMessageTooLarge,
                            message: error.to_string(),
                        }),
                        now: self.clock.now(),
                        units: 0,
                    };
                }
                BusError::Denied(_) => return self.give_up(Code::BusDenied, error.to_string()).await,
                BusError::NoResponders(_) => {
                    let since = *unheard_since.get_or_insert(now);
                    if now.saturating_sub(since) >= GONE_AFTER {
                        return self
                            .give_up(Code::SandboxLost, "the gateway of the run went away".to_owned())
                            .await;
                    }
                    tokio::time::sleep(NO_CONNECTION).await;
                }
                BusError::TimedOut(_) => unheard_since = None,
                _ => tokio::time::sleep(NO_CONNECTION).await,
            }
        }
    }

    /// Ends the run; the sandbox that waits for an answer is abandoned.
    async fn give_up(&self, code: Code, message: String) -> HostReply {
        let stack = Vec::new();
        let _ = self.asked.lost.set(Failure { code, message, stack });
        self.orphaned.cancel();
        std::future::pending().await
    }
}

#[async_trait]
impl HostCalls for AskGateway {
    async fn call(&self, call: HostCall) -> HostReply {
        self.asked.begin(call.seq);
        let reply = self.ask(&call).await;
        self.asked.end(call.seq);
        reply
    }
}

/// A host call at the gateway.
enum Answer {
    /// Under way; who is to have the answer.
    Awaited(Box<dyn Reply>),
    /// For a worker that asks again.
    Given(Bytes),
    /// Given, and too much to be kept: it is not done twice.
    Forgotten,
}

struct Open {
    host: Arc<dyn HostCalls>,
    limits: JobLimits,
    answers: Mutex<Answers>,
}
#[derive(Default)]
struct Answers {
    asked: u32,
    /// The worker has the answers of lower numbers.
    had_below: u32,
    by_number: BTreeMap<u32, Answer>,
    kept_bytes: usize,
}

/// What to do about a host call that came.
enum Turn {
    /// It is new.
    Do,
    /// It was done before.
    Say(Bytes, Box<dyn Reply>),
    Nothing,
}

impl Answers {
    fn take(&mut self, ask: &Ask, reply: Box<dyn Reply>, limits: &JobLimits) -> Turn {
        if ask.have_below > self.had_below {
            self.had_below = ask.have_below;
            let still = self.by_number.split_off(&ask.have_below);
            for (_, had) in std::mem::replace(&mut self.by_number, still) {
                if let Answer::Given(bytes) = had {
                    self.kept_bytes = self.kept_bytes.saturating_sub(bytes.len());
                }
            }
        }
        let number = ask.call.seq;
        if number < self.had_below {
            return Turn::Nothing;
        }
        match self.by_number.get_mut(&number) {
            Some(Answer::Awaited(who)) => {
                *who = reply;
                return Turn::Nothing;
            }
            Some(Answer::Given(bytes)) => return Turn::Say(bytes.clone(), reply),
            Some(Answer::Forgotten) => return Turn::Nothing,
            None => {}
        }
        let within = u32::try_from(ask.call.input.len()).is_ok_and(|n| n <= limits.host_input_bytes);
        if self.asked >= limits.host_calls || !within {
            tracing::warn!("a worker breaks the bounds of a run");
            return Turn::Nothing;
        }
        self.asked += 1;
        self.by_number.insert(number, Answer::Awaited(reply));
        Turn::Do
    }

    /// Keeps an answer; says who waits for it.
    fn give(&mut self, number: u32, bytes: &Bytes) -> Option<Box<dyn Reply>> {
        let slot = self.by_number.get_mut(&number)?;
        let kept = self.kept_bytes.saturating_add(bytes.len());
        let answer = if kept <= KEPT_BYTES_MAX {
            self.kept_bytes = kept;
            Answer::Given(bytes.clone())
        } else {
            Answer::Forgotten
        };
        match std::mem::replace(slot, answer) {
            Answer::Awaited(reply) => Some(reply),
            Answer::Given(_) | Answer::Forgotten => None,
        }
    }
}

/// The gateway's side: the runs that may ask.
#[derive(Default)]
pub(crate) struct OpenCalls(Mutex<HashMap<CallId, Arc<Open>>>);

impl OpenCalls {
    pub(crate) fn open(&self, call: CallId, host: Arc<dyn HostCalls>, limits: JobLimits) {
        let open = Open {
            host,
            limits,
            answers: Mutex::default(),
        };
        self.0.lock().insert(call, Arc::new(open));
    }
    pub(crate) fn close(&self, call: &CallId) {
        self.0.lock().remove(call);
    }

    /// Answers one call, if its run is still under way; one that comes again has the same answer, and nothing is done twice.
    /// A worker is believed no further than the run's own bounds.
    pub(crate) async fn answer(&self, received: Received, bytes_max: usize) {
        let Some(reply) = received.reply else { return };
        let mut call: CallId = [0; 16];
        let token = received.subject.rsplit('.').next().unwrap_or_default();
        if hex::decode_to_slice(token, &mut call).is_err() {
            return;
        }
        let found = self.0.lock().get(&call).cloned();
        let Some(open) = found else {
            // a word without content, or its sandbox would wait until the run's time is over
            if let Err(error) = reply.send(Message::default()).await {
                tracing::debug!(%error, "not said that a run is over");
            }
            return;
        };
        let Ok(ask) = wire::read::<Ask>(&received.message.payload) else {
            tracing::warn!("a worker sent a host call that cannot be read");
            return;
        };
        let turn = open.answers.lock().take(&ask, reply, &open.limits);
        let (bytes, reply) = match turn {
            Turn::Nothing => return,
            Turn::Say(bytes, reply) => (bytes, Some(reply)),
            Turn::Do => {
                let number = ask.call.seq;
                let Some(bytes) = written(&open.host.call(ask.call).await, bytes_max) else {
                    return;
                };
                let reply = open.answers.lock().give(number, &bytes);
                (bytes, reply)
            }
        };
        if let Some(reply) = reply
            && let Err(error) = reply.send(Message::new(bytes)).await
        {
            tracing::warn!(%error, "host call's answer not sent");
        }
    }
}

/// An answer as a message; one that is too large for the server is an error that says so.
fn written(answer: &HostReply, bytes_max: usize) -> Option<Bytes> {
    let bytes = wire::write(answer).ok()?;
    if bytes.len() + HEAD_BYTES <= bytes_max {
        return Some(bytes);
    }
    let message = format!(
        "the answer has {} bytes, the NATS server takes {bytes_max}",
        bytes.len()
    );
    let code = Code::BusMessageTooLarge;
    let result = Err(HostError { code, message });
    let (now, units) = (answer.now, answer.units);
    wire::write(&HostReply { result, now, units }).ok()
}
