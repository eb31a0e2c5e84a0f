//! Runs an ended invocation again on its recorded inputs. Calls nothing, commits nothing.

use crate::engine::Inner;
use crate::error::of_store;
use crate::outside::{Outside, Recorded, scrub_end};
use crate::port::RecordedCall;
use crate::request::Replayed;
use crate::run::{Inputs, with_callees};
use async_trait::async_trait;
use neofn_runtime::port::{HostCall, HostCalls, HostError, HostOp, HostReply};
use neofn_sched::Share;
use neofn_types::{Attempt, Code, Digest, Error, FunctionKey, InvocationId, UnixMillis, Version};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long an answer waits for those that were delivered before it. A version that asks the same always asks for
/// those too; one that does not has diverged.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

impl Inner {
    /// A task of its own, as every run: a client that goes away does not stop it half way.
    pub(crate) async fn replay(
        self: Arc<Self>,
        id: InvocationId,
        version: Option<Version>,
    ) -> Result<Replayed, Error> {
        self.open()?;
        let tasks = self.tasks.clone();
        tasks
            .spawn(async move { self.run_again(id, version).await })
            .await
            .map_err(Error::internal)?
    }

    async fn run_again(
        self: &Arc<Self>,
        id: InvocationId,
        version: Option<Version>,
    ) -> Result<Replayed, Error> {
        self.recorder.flushed().await;
        let stored = self.ports.invocations.replayable(id).await.map_err(of_store)?;
        let Some(stored) = stored else {
            let known = self.ports.invocations.invocation(id).await.map_err(of_store)?;
            return Err(match known {
                Some(_) => Code::NotReplayable.into(),
                None => Code::InvocationNotFound.into(),
            });
        };
        if stored.recording.units_max == 0 {
            return Err(Error::new(Code::NotReplayable, "this invocation never ran"));
        }
        let (recorded, event, recording) = (stored.record, stored.event, stored.recording);
        let version = version.unwrap_or(recorded.version);
        let loaded = self.version(&recorded.key, version).await?;
        let (artifact, held) = self.artifact(&loaded).await?;
        let slot = self.take(&loaded, Share::Own)?;
        let limits = loaded.record.spec.limits;
        let same = version == recorded.version;
        // another version has limits of its own
        let units_max = if same { recording.units_max } else { limits.units.0 };
        let outside = Outside::new(self.ports.vault.clone(), None);
        let key = recorded.key.clone();
        let host = Arc::new(Tape::new(
            recording.started_at,
            recording.replies,
            same,
            key,
            outside,
        ));
        let inputs = Inputs {
            id: recorded.id,
            attempt: Attempt(recording.attempt),
            event,
            seed: recording.seed,
            started_at: recording.started_at,
            units: units_max,
            time: if same {
                Duration::from_millis(recording.time_max_ms)
            } else {
                limits.time()
            },
            given_up: CancellationToken::new(),
        };
        let completed = self.complete(&loaded, artifact, inputs, host.clone()).await;
        drop((slot, held));
        let units = with_callees(completed.units, recording.callees_units, units_max);
        let outcome = match completed.outcome {
            Ok(result) => Ok(result),
            Err(failure) => Err(self.explain(&loaded.record.artifact, failure).await),
        };
        let (outcome, logs) = scrub_end(&host.outside.scrubber(), outcome, completed.logs);
        Ok(Replayed {
            recorded,
            version,
            outcome,
            logs,
            units,
            diverged: host.diverged(),
        })
    }
}

/// Answers host calls from a recording, in the recorded order.
struct Tape {
    started_at: UnixMillis,
    /// The code that was recorded runs: a call without an answer had none when the run ended.
    same: bool,
    calls: BTreeMap<u32, (usize, RecordedCall)>,
    /// How many answers were delivered.
    turn: watch::Sender<usize>,
    diverged: Mutex<Option<String>>,
    /// Gives the values of secrets again: the recording only names them.
    outside: Outside,
    key: FunctionKey,
}

impl Tape {
    fn new(
        started_at: UnixMillis,
        replies: Vec<RecordedCall>,
        same: bool,
        key: FunctionKey,
        outside: Outside,
    ) -> Self {
        Self {
            started_at,
            same,
            calls: replies
                .into_iter()
                .enumerate()
                .map(|(turn, call)| (call.seq, (turn, call)))
                .collect(),
            turn: watch::Sender::new(0),
            diverged: Mutex::new(None),
            outside,
            key,
        }
    }
    fn diverged(&self) -> Option<String> {
        self.diverged.lock().clone()
    }
    fn diverge(&self, call: &HostCall, why: &str) {
        self.diverged
            .lock()
            .get_or_insert_with(|| format!("host call {} ({}) {why}", call.seq, name(call)));
    }
    /// The recorded answer, with what is not kept in recordings.
    async fn told_again(&self, call: &HostCall, recorded: &HostReply) -> HostReply {
        let mut reply = recorded.clone();
        match &recorded.result {
            Ok(bytes) if call.op == HostOp::SecretGet => {
                let Ok(secret) = serde_json::from_slice::<Recorded>(bytes) else {
                    return reply; // a handle
                };
                let given = self.outside.again(&self.key, &secret).await;
                reply.result = given.map_err(|(code, message)| {
                    self.diverge(
                        call,
                        "was given a version of a secret that cannot be read any more",
                    );
                    HostError { code, message }
                });
            }
            Err(error) if error.code == Code::NotReplayable => {
                self.diverge(call, "had an answer too large to be kept");
            }
            _ => {}
        }
        reply
    }
    fn unrecorded(&self, call: &HostCall) -> HostReply {
        HostReply {
            result: Err(HostError {
                code: Code::HostUnavailable,
                message: format!("replay: host call {} ({}) was not recorded", call.seq, name(call)),
            }),
            now: self.started_at,
            units: 0,
        }
    }
}

fn name(call: &HostCall) -> String {
    serde_json::to_value(call.op)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[async_trait]
impl HostCalls for Tape {
    async fn call(&self, call: HostCall) -> HostReply {
        let Some((turn, recorded)) = self.calls.get(&call.seq) else {
            if self.same {
                return std::future::pending().await;
            }
            self.diverge(&call, "is not in the recording");
            return self.unrecorded(&call);
        };
        if recorded.op != call.op {
            self.diverge(&call, "asks for another service than the recorded one");
            return self.unrecorded(&call);
        }
        if recorded.input != Digest::of(&call.input) {
            self.diverge(&call, "has other arguments than the recorded one");
            return self.unrecorded(&call);
        }
        let mut delivered = self.turn.subscribe();
        let due = delivered.wait_for(|delivered| delivered >= turn);
        let in_turn = matches!(tokio::time::timeout(TURN_TIMEOUT, due).await, Ok(Ok(_)));
        if !in_turn {
            self.diverge(&call, "was answered after calls that are not made any more");
        }
        let reply = self.told_again(&call, &recorded.reply).await;
        self.turn.send_modify(|t| *t = (*t).max(turn + 1));
        reply
    }
}
