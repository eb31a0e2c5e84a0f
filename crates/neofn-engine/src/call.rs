//! Synchronous calls: plain ones, keyed ones and estimates.
//!
//! A call runs in a task of its own: a client that goes away neither stops it nor leaves it without a history row. An
//! edge whose protocol has cancellation says so by a token; the run then ends in the sandbox, is charged and written down.

use crate::cache::Loaded;
use crate::engine::Inner;
use crate::error::{draining, of_commit, of_gate, of_store, stored, unstored};
use crate::follow::LogEntry;
use crate::gate::Slot;
use crate::host::Effects;
use crate::neo::Effect;
use crate::port::{
    Admitted, Finish, Idempotency, InvocationRecord, NewInvocation, Outcome, Record, Start, Status,
    StoreError,
};
use crate::request::{Invoke, Invoked};
use crate::run::{Ended, Run};
use bytes::Bytes;
use neofn_gas::Reservation;
use neofn_sched::Share;
use neofn_types::{
    Attempt, Code, Datoshi, Digest, Error, Fence, FunctionKey, InvocationId, Retry, TraceContext, UnixMillis,
    Version,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// Longest Idempotency-Key, bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

impl Inner {
    /// Refuses work while the node shuts down.
    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.draining.load(Ordering::Acquire) {
            Err(draining())
        } else {
            Ok(())
        }
    }
    pub(crate) fn counted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.counters.refused(error.code);
        }
        result
    }
    pub(crate) fn take(&self, loaded: &Loaded, share: Share) -> Result<Slot, Error> {
        let record = &loaded.record;
        self.gate
            .take(&record.key, record.spec.limits.concurrency, share)
            .map_err(|refused| of_gate(refused, &record.key))
    }
    pub(crate) fn new_id(&self) -> (InvocationId, UnixMillis) {
        let at = self.options.clock.now();
        (InvocationId::generate(at, &*self.options.entropy), at)
    }

    pub(crate) async fn invoke(
        self: Arc<Self>,
        invoke: Invoke,
        given_up: CancellationToken,
    ) -> Result<Invoked, Error> {
        self.open()?;
        let begun = self.options.clock.monotonic();
        let idempotency = idempotency(&invoke, "sync")?;
        let loaded = self.callable(&invoke.key).await?;
        let slot = self.take(&loaded, Share::Own)?;
        let tasks = self.tasks.clone();
        let task = tasks.spawn(async move {
            let money = self.reserve(&loaded).await?;
            let (id, at) = self.new_id();
            let call = Call {
                span: span(id, &loaded, &invoke.trace),
                new: self.new_invocation(id, at, &invoke, loaded.record.version, idempotency),
                trace: invoke.trace,
                loaded,
                slot,
                money,
                begun,
                given_up,
            };
            let span = call.span.clone();
            match call.new.idempotency {
                None => self.plain(call).instrument(span).await,
                Some(_) => self.keyed(call).instrument(span).await,
            }
        });
        task.await.map_err(Error::internal)?
    }

    fn new_invocation(
        &self,
        id: InvocationId,
        at: UnixMillis,
        invoke: &Invoke,
        version: Version,
        idempotency: Option<Idempotency>,
    ) -> NewInvocation {
        NewInvocation {
            id,
            key: invoke.key.clone(),
            version,
            origin: invoke.origin,
            caller: invoke.caller.clone(),
            event: invoke.event.clone(),
            idempotency,
            trace_id: invoke.trace.trace_id,
            at,
            start: Start::Claimed {
                lease: self.options.lease,
            },
            queue_max: self.options.queue_max,
            hold: None,
        }
    }

    async fn plain(self: Arc<Self>, call: Call) -> Result<Invoked, Error> {
        let run = Run {
            given_up: call.given_up.clone(),
            ..first_run(&call.loaded, call.new.id, call.new.event.clone(), call.trace)
        };
        let mut ended = self.run(run).await;
        ended.charge = call.money.settle(ended.billed(), call.new.caller.as_ref());
        // before the commit: the slot stands for a sandbox, not for the disk
        drop(call.slot);
        let (id, version) = (call.new.id, call.loaded.record.version);
        self.settle(call.new, &mut ended).await?;
        Ok(self.invoked(id, version, ended, call.begun))
    }

    /// Writes down a run that was never admitted. Waits for the disk only if the run wrote something.
    pub(crate) async fn settle(&self, new: NewInvocation, ended: &mut Ended) -> Result<(), Error> {
        let (key, id, version) = (new.key.clone(), new.id, new.version);
        let record = |ended: &Ended| Record {
            new: new.clone(),
            finish: self.finish(new.id, Fence(0), final_outcome(ended), ended),
        };
        if ended.kv.is_empty() && ended.emitted.is_empty() {
            self.recorder.record(record(ended)).await;
        } else {
            match self.ports.invocations.record(record(ended)).await {
                Ok(()) => {}
                Err(StoreError::NotFound) => return Err(Code::FunctionNotFound.into()),
                Err(error) => {
                    let failure = of_commit(&error).ok_or_else(|| of_store(error))?;
                    ended.refuse_commit(failure);
                    self.recorder.record(record(ended)).await;
                }
            }
        }
        self.tell(&key, id, version, final_status(ended), ended);
        Ok(())
    }

    async fn keyed(self: Arc<Self>, mut call: Call) -> Result<Invoked, Error> {
        let admitted = self.ports.invocations.admit(call.new.clone()).await;
        let (fence, attempt) = match admitted.map_err(of_store)? {
            Admitted::Fresh { fence } => (fence.unwrap_or(Fence(1)), Attempt(1)),
            Admitted::Replay { record } => return stored_end(*record),
            Admitted::Rearmed { id, fence, attempt } => {
                call.new.id = id;
                (fence, attempt)
            }
        };
        let id = call.new.id;
        let held = self.held.hold(id, fence);
        let run = Run {
            attempt,
            given_up: call.given_up.clone(),
            ..first_run(&call.loaded, id, call.new.event.clone(), call.trace)
        };
        let mut ended = self.run(run).await;
        ended.charge = call.money.settle(ended.billed(), call.new.caller.as_ref());
        drop(call.slot);
        let finish = self.finish(id, fence, keyed_outcome(&ended), &ended);
        if let Err(error) = self.ports.invocations.finish(finish).await {
            match of_commit(&error) {
                Some(failure) => {
                    ended.refuse_commit(failure);
                    let finish = self.finish(id, fence, keyed_outcome(&ended), &ended);
                    self.ports.invocations.finish(finish).await.map_err(of_store)?;
                }
                None => return self.lost_end(id, error).await,
            }
        }
        drop(held);
        let version = call.loaded.record.version;
        self.tell(&call.new.key, id, version, final_status(&ended), &ended);
        Ok(self.invoked(id, version, ended, call.begun))
    }

    /// The end that another attempt wrote, if this one lost its claim.
    async fn lost_end(&self, id: InvocationId, error: StoreError) -> Result<Invoked, Error> {
        match error {
            StoreError::Fenced => {
                let record = self.ports.invocations.invocation(id).await.map_err(of_store)?;
                stored_end(record.ok_or(Error::from(Code::FunctionNotFound))?)
            }
            StoreError::NotFound => Err(Code::FunctionNotFound.into()),
            other => Err(of_store(other)),
        }
    }

    /// A run that keeps nothing, and the fees of the transactions that it would have sent.
    pub(crate) async fn estimate(
        self: Arc<Self>,
        key: FunctionKey,
        event: Bytes,
    ) -> Result<(Invoked, Datoshi), Error> {
        self.open()?;
        let begun = self.options.clock.monotonic();
        let loaded = self.callable(&key).await?;
        let slot = self.take(&loaded, Share::Own)?;
        let tasks = self.tasks.clone();
        let task = tasks.spawn(async move {
            // given back unspent; but who has nothing gets no free runs, either
            let money = self.reserve(&loaded).await?;
            let (id, _) = self.new_id();
            let trace = TraceContext::start(&*self.options.entropy);
            let run = Run {
                effects: Effects::Estimated,
                ..first_run(&loaded, id, event, trace)
            };
            let ended = self.run(run).await;
            drop((slot, money));
            let invoked = Invoked {
                id,
                version: loaded.record.version,
                outcome: ended.outcome,
                logs: ended.logs,
                units: ended.units,
                duration: self.options.clock.monotonic().saturating_sub(begun),
                replayed: false,
            };
            Ok((invoked, ended.fees))
        });
        task.await.map_err(Error::internal)?
    }

    pub(crate) fn finish(&self, id: InvocationId, fence: Fence, outcome: Outcome, ended: &Ended) -> Finish {
        Finish {
            id,
            fence,
            outcome,
            units: ended.units,
            logs: ended.logs.clone(),
            duration_us: u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX),
            recording: ended.recording.clone(),
            kv: ended.kv.clone(),
            emitted: ended.emitted.clone(),
            kv_quota: self.options.kv_quota,
            queue_max: self.options.queue_max,
            charge: ended.charge.clone(),
            at: self.options.clock.now(),
        }
    }

    /// Counts an ended attempt and tells those who follow.
    pub(crate) fn tell(
        &self,
        key: &FunctionKey,
        id: InvocationId,
        version: Version,
        status: Status,
        ended: &Ended,
    ) {
        let failure = ended.outcome.as_ref().err();
        let code = failure.map(|f| f.code);
        self.counters.ended(code, ended.duration, ended.units.total);
        let (units, duration) = (ended.units.total, ended.duration);
        match code.map(Code::as_str) {
            // the function's, not the node's: no warning, but what a person looks for by its trace
            Some(code) => tracing::info!(%id, function = %key, code, units, ?duration, "failed"),
            None => tracing::debug!(%id, function = %key, units, ?duration, "ended"),
        }
        self.followers.tell(key, || LogEntry {
            id,
            version,
            status,
            logs: ended.logs.clone(),
            units: ended.units,
            duration: ended.duration,
            failure: failure.map(stored),
            at: self.options.clock.now(),
        });
    }

    fn invoked(&self, id: InvocationId, version: Version, ended: Ended, begun: Duration) -> Invoked {
        Invoked {
            id,
            version,
            outcome: ended.outcome,
            logs: ended.logs,
            units: ended.units,
            duration: self.options.clock.monotonic().saturating_sub(begun),
            replayed: false,
        }
    }
}

struct Call {
    span: tracing::Span,
    new: NewInvocation,
    trace: TraceContext,
    loaded: Arc<Loaded>,
    slot: Slot,
    money: Reservation,
    begun: Duration,
    given_up: CancellationToken,
}

pub(crate) fn span(id: InvocationId, loaded: &Loaded, trace: &TraceContext) -> tracing::Span {
    tracing::info_span!(
        "invocation",
        %id,
        function = %loaded.record.key,
        version = %loaded.record.version,
        trace_id = %trace.trace_id_hex()
    )
}

/// A first attempt under the version's own limits that no function called.
pub(crate) fn first_run(loaded: &Arc<Loaded>, id: InvocationId, event: Bytes, trace: TraceContext) -> Run {
    Run {
        loaded: loaded.clone(),
        id,
        attempt: Attempt(1),
        event,
        trace,
        depth: 0,
        event_depth: 0,
        units_max: u64::MAX,
        time_max: Duration::MAX,
        effects: Effects::Kept,
        effect: Effect::of(id),
        given_up: CancellationToken::new(),
        debug: None,
    }
}

fn final_outcome(ended: &Ended) -> Outcome {
    match &ended.outcome {
        Ok(result) => Outcome::Succeeded(result.clone()),
        Err(failure) => Outcome::Failed(stored(failure)),
    }
}

/// What is kept under a key. Whoever is told to try again sends the same key, and must not be given the same failure for ever;
/// and who left before the end wants the end.
fn keyed_outcome(ended: &Ended) -> Outcome {
    match final_outcome(ended) {
        Outcome::Failed(failure) if is_lost(failure.code) => Outcome::Lost(failure),
        outcome => outcome,
    }
}

fn is_lost(code: Code) -> bool {
    let info = code.info();
    matches!(code, Code::Cancelled | Code::Internal) || (info.status == 503 && info.retry == Retry::Later)
}

fn final_status(ended: &Ended) -> Status {
    match ended.outcome {
        Ok(_) => Status::Succeeded,
        Err(_) => Status::Failed,
    }
}

/// An Idempotency-Key with the hash of what it stands for.
pub(crate) fn idempotency(invoke: &Invoke, mode: &str) -> Result<Option<Idempotency>, Error> {
    let Some(key) = &invoke.idempotency else {
        return Ok(None);
    };
    if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        return Err(Error::new(
            Code::BadParameter,
            format!("Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes"),
        ));
    }
    Ok(Some(Idempotency {
        key: key.clone(),
        request: match &invoke.fingerprint {
            Some(given) => Digest::of_parts(&[b"neofn/request/v1", mode.as_bytes(), &given.0]),
            None => Digest::of_parts(&[b"neofn/request/v1", mode.as_bytes(), &invoke.event]),
        },
    }))
}

/// The stored end of an earlier call with the same key.
fn stored_end(record: InvocationRecord) -> Result<Invoked, Error> {
    let outcome = match (record.status, record.result, record.failure) {
        (Status::Succeeded, Some(result), _) => Ok(result),
        (Status::Failed | Status::Dead, _, Some(failure)) => Err(unstored(failure)),
        (Status::Queued | Status::Running, _, _) => return Err(Code::IdempotencyBusy.into()),
        _ => return Err(Error::internal("history row without an end")),
    };
    Ok(Invoked {
        id: record.id,
        version: record.version,
        outcome,
        logs: record.logs,
        units: record.units,
        duration: Duration::from_micros(record.duration_us),
        replayed: true,
    })
}
