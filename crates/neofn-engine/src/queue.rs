//! Asynchronous invocations: accepted on disk, run under a claim, committed at most once.

use crate::cache::Loaded;
use crate::call::{first_run, idempotency};
use crate::engine::Inner;
use crate::error::{failure, of_commit, of_store, stored};
use crate::port::{Admitted, Claimed, NewInvocation, Outcome, Start, Status, StoreError};
use crate::request::{Enqueued, Invoke};
use crate::run::{Ended, Run};
use crate::stats::count;
use neofn_gas::Reservation;
use neofn_gas::ledger::Charge;
use neofn_sched::{Health, Next};
use neofn_types::{Code, Error, Fence, InvocationId, Retry, TraceContext, UnitsBill, UnixMillis};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Tries to write an end before the claim is left to expire.
const FINISH_TRIES: u32 = 4;
/// Pauses of a claim that is given back are multiples of this.
const GIVE_BACK: Duration = Duration::from_millis(500);

/// Claims of this process, for renewal.
#[derive(Default)]
pub(crate) struct HeldClaims(Mutex<HashMap<InvocationId, Fence>>);

/// A claim that is renewed until this is dropped.
pub(crate) struct Held {
    claims: Arc<HeldClaims>,
    id: InvocationId,
    fence: Fence,
}

impl HeldClaims {
    pub(crate) fn hold(self: &Arc<Self>, id: InvocationId, fence: Fence) -> Held {
        self.0.lock().insert(id, fence);
        Held {
            claims: self.clone(),
            id,
            fence,
        }
    }
    pub(crate) fn list(&self) -> Vec<(InvocationId, Fence)> {
        self.0.lock().iter().map(|(id, fence)| (*id, *fence)).collect()
    }
}
impl Drop for Held {
    fn drop(&mut self) {
        let mut claims = self.claims.0.lock();
        // a later claim of the same invocation may have taken its place
        if claims.get(&self.id) == Some(&self.fence) {
            claims.remove(&self.id);
        }
    }
}

impl Inner {
    pub(crate) async fn enqueue(self: Arc<Self>, invoke: Invoke) -> Result<Enqueued, Error> {
        self.open()?;
        let idempotency = idempotency(&invoke, "async")?;
        let loaded = self.callable(&invoke.key).await?;
        let (id, at) = self.new_id();
        let hold = self.admission(&loaded, id).await?;
        let admitted = self.ports.invocations.admit(NewInvocation {
            id,
            key: invoke.key,
            version: loaded.record.version,
            origin: invoke.origin,
            caller: invoke.caller,
            event: invoke.event,
            idempotency,
            trace_id: invoke.trace.trace_id,
            at,
            start: Start::Queued,
            queue_max: self.options.queue_max,
            hold,
        });
        let enqueued = match admitted.await.map_err(of_store)? {
            Admitted::Fresh { .. } => Enqueued {
                id,
                status: Status::Queued,
            },
            Admitted::Replay { record } => Enqueued {
                id: record.id,
                status: record.status,
            },
            Admitted::Rearmed { id, .. } => Enqueued {
                id,
                status: Status::Queued,
            },
        };
        self.gate.wake.notify_one();
        Ok(enqueued)
    }

    /// Runs a claim to its end and writes that down.
    pub(crate) async fn run_claimed(self: &Arc<Self>, claimed: Claimed, loaded: Arc<Loaded>, held: Held) {
        // before anything runs: an account that cannot pay for the attempt gets none
        let money = match claimed.hold {
            Some(hold) => Reservation::held(hold, claimed.key.function.clone()),
            None => match self.reserve(&loaded).await {
                Ok(money) => money,
                Err(error) => {
                    let now = self.options.clock.now();
                    self.gate.ended(&claimed.key, Health::Unknown, now);
                    return self.refuse_claim(&claimed, error).await;
                }
            },
        };
        let trace = TraceContext {
            trace_id: claimed.trace_id,
            span_id: [0; 8],
            flags: 1,
        };
        let run = Run {
            attempt: claimed.attempt,
            event_depth: claimed.depth,
            ..first_run(
                &loaded,
                claimed.id,
                claimed.event.clone(),
                trace.child(&*self.options.entropy),
            )
        };
        let mut ended = self.run(run).await;
        if never_began(&ended) {
            return self.give_back(&claimed, money, held).await;
        }
        ended.charge = money.settle(ended.billed(), claimed.caller.as_ref());
        let health = match &ended.outcome {
            Err(failure) if failure.code.info().retry == Retry::Later => Health::Bad,
            _ => Health::Good,
        };
        self.gate.ended(&claimed.key, health, self.options.clock.now());
        self.end_claim(&claimed, ended).await;
        drop(held);
    }

    /// Nobody was there to run it: that costs no attempt and no money, and says nothing of the function. It is due at once,
    /// so it goes back only after a pause: what fails quickly would be claimed as fast as the database can.
    async fn give_back(&self, claimed: &Claimed, money: Reservation, held: Held) {
        self.gate
            .ended(&claimed.key, Health::Unknown, self.options.clock.now());
        drop(money);
        for _ in 0..pauses(claimed.fence) {
            if self.open().is_err() {
                break;
            }
            tokio::time::sleep(GIVE_BACK).await;
        }
        let claim = [(claimed.id, claimed.fence)];
        if let Err(error) = self.ports.invocations.release(&claim).await {
            tracing::warn!(id = %claimed.id, %error, "the claim waits for the end of its lease");
        }
        drop(held);
    }

    /// Ends a claim that cannot run.
    pub(crate) async fn refuse_claim(&self, claimed: &Claimed, error: Error) {
        let ended = Ended {
            outcome: Err(failure(error.code, error.message)),
            logs: Vec::new(),
            units: UnitsBill::default(),
            duration: Duration::ZERO,
            kv: Vec::new(),
            emitted: Vec::new(),
            fees: neofn_types::Datoshi::ZERO,
            charge: (claimed.hold).map(|hold| Charge::nothing(hold, claimed.key.function.clone())),
            recording: crate::port::Recording {
                seed: [0; 32],
                started_at: self.options.clock.now(),
                attempt: claimed.attempt.0,
                units_max: 0,
                time_max_ms: 0,
                replies: Vec::new(),
                callees_units: 0,
            },
        };
        self.end_claim(claimed, ended).await;
    }

    async fn end_claim(&self, claimed: &Claimed, mut ended: Ended) {
        let mut tries = 0;
        loop {
            let (outcome, status) = self.decide(claimed, &ended);
            let finish = self.finish(claimed.id, claimed.fence, outcome, &ended);
            let error = match self.ports.invocations.finish(finish).await {
                Ok(()) => {
                    if status == Status::Queued {
                        count(&self.counters.retries);
                    } else {
                        self.ended.notify_one();
                    }
                    self.tell(&claimed.key, claimed.id, claimed.version, status, &ended);
                    if claimed.origin.is_trigger() && status != Status::Queued {
                        self.triggers.ended();
                    }
                    return;
                }
                Err(error) => error,
            };
            if let Some(refused) = of_commit(&error) {
                ended.refuse_commit(refused);
                continue;
            }
            match error {
                StoreError::Fenced | StoreError::NotFound => {
                    tracing::warn!(id = %claimed.id, fence = claimed.fence.0, "claim lost; this attempt's end is dropped");
                    return;
                }
                error if tries >= FINISH_TRIES => {
                    // nothing was committed as far as we know: the lease ends and another attempt is made
                    tracing::error!(id = %claimed.id, %error, "end not written");
                    return;
                }
                error => {
                    tracing::warn!(id = %claimed.id, %error, "end not written, trying again");
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
            }
        }
    }

    fn decide(&self, claimed: &Claimed, ended: &Ended) -> (Outcome, Status) {
        let failure = match &ended.outcome {
            Ok(result) => return (Outcome::Succeeded(result.clone()), Status::Succeeded),
            Err(failure) => failure,
        };
        let random = self.options.entropy.next_u64();
        match self
            .options
            .backoff
            .next(failure.code.info().retry, claimed.attempt, random)
        {
            // nobody waits for a trigger's answer: what failed for good waits for somebody to look at it
            Next::Fail if claimed.origin.is_trigger() => (Outcome::Dead(stored(failure)), Status::Dead),
            Next::Fail => (Outcome::Failed(stored(failure)), Status::Failed),
            Next::Dead => (Outcome::Dead(stored(failure)), Status::Dead),
            Next::After(delay) => {
                let at: UnixMillis = self.options.clock.now().plus(delay);
                let failure = stored(failure);
                (Outcome::Retry { at, failure }, Status::Queued)
            }
        }
    }
}

/// How often a claim pauses before it goes back: in a day that is less than `CLAIMS_MAX` times, after which it would be taken
/// for one that ends its process.
fn pauses(fence: Fence) -> u64 {
    (2 + fence.0 / 25).min(120)
}

/// Whether there was no worker for it, or no way to one. A run that began has its base price at least, also when it failed by
/// what another function met.
fn never_began(ended: &Ended) -> bool {
    let code = ended.outcome.as_ref().err().map(|failure| failure.code);
    matches!(code, Some(Code::NoWorker | Code::BusUnavailable)) && ended.units.total == 0
}

/// A claim whose every attempt took its process with it.
pub(crate) fn poisoned() -> Error {
    Error::new(
        Code::SandboxLost,
        "every attempt ended with the process that ran it",
    )
}
