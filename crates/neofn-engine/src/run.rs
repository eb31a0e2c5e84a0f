//! One attempt: sandbox, host calls, and the end in the user's own terms. Writes nothing down.

use crate::cache::Loaded;
use crate::chain::Callees;
use crate::engine::Inner;
use crate::host::{Caller, Effects, Host, grant_names};
use crate::neo::Effect;
use crate::outside::scrub_end;
use crate::port::{KvWrite, RecordedCall, Recording};
use crate::request::RunFailure;
use crate::stack::DebugInfo;
use crate::triggers::port::Delivery;
use bytes::Bytes;
use neofn_gas::ledger::Charge;
use neofn_runtime::port::{Artifact, Completed, HostCalls, HostOp, Job, JobContext};
use neofn_types::{
    Attempt, Code, Datoshi, FunctionKey, InvocationId, TraceContext, Units, UnitsBill, UnixMillis, Version,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is to be run.
pub(crate) struct Run {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) id: InvocationId,
    pub(crate) attempt: Attempt,
    pub(crate) event: Bytes,
    pub(crate) trace: TraceContext,
    pub(crate) depth: u32,
    /// How many functions caused each other, by events, to get here.
    pub(crate) event_depth: u32,
    /// At the most; the version's own limit holds too.
    pub(crate) units_max: u64,
    /// At the most; the version's own limit holds too.
    pub(crate) time_max: Duration,
    pub(crate) effects: Effects,
    /// What brought it about: the same for every try.
    pub(crate) effect: Effect,
    /// Cancelled when its caller has gone and wants it to end; never for most.
    pub(crate) given_up: CancellationToken,
    /// Sources of a version that is not stored yet.
    pub(crate) debug: Option<Arc<DebugInfo>>,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) outcome: Result<Bytes, RunFailure>,
    pub(crate) logs: Vec<String>,
    pub(crate) units: UnitsBill,
    pub(crate) duration: Duration,
    pub(crate) kv: Vec<KvWrite>,
    /// What its events became.
    pub(crate) emitted: Vec<Delivery>,
    pub(crate) recording: Recording,
    /// Fees of the transactions that it sent, or tried out.
    pub(crate) fees: Datoshi,
    /// What it costs its project.
    pub(crate) charge: Option<Charge>,
}

impl Ended {
    /// What its project pays for. An attempt that failed because the node could not read its own store is the node's
    /// failure; that it was so is what the node answered, not what the function says.
    pub(crate) fn billed(&self) -> Units {
        let is_store = |op| {
            matches!(
                op,
                HostOp::KvGet | HostOp::KvPut | HostOp::KvDelete | HostOp::KvList | HostOp::KvCounter
            )
        };
        let failed = |call: &RecordedCall| {
            is_store(call.op) && matches!(&call.reply.result, Err(e) if e.code == Code::HostUnavailable)
        };
        match &self.outcome {
            Err(failure)
                if failure.code == Code::HostUnavailable && self.recording.replies.iter().any(failed) =>
            {
                Units(0)
            }
            _ => Units(self.units.total),
        }
    }
    /// The store refused the writes: the run has failed after all, and has written nothing.
    pub(crate) fn refuse_commit(&mut self, failure: RunFailure) {
        self.outcome = Err(failure);
        self.kv = Vec::new();
        self.emitted = Vec::new();
    }
}

/// The inputs of a job that do not come from its version.
pub(crate) struct Inputs {
    pub(crate) id: InvocationId,
    pub(crate) attempt: Attempt,
    pub(crate) event: Bytes,
    pub(crate) seed: [u8; 32],
    pub(crate) started_at: UnixMillis,
    pub(crate) units: u64,
    pub(crate) time: Duration,
    pub(crate) given_up: CancellationToken,
}

/// A bill with what callees used beside it, within the limit.
pub(crate) fn with_callees(mut units: UnitsBill, used: u64, most: u64) -> UnitsBill {
    let room = most.saturating_sub(units.total);
    let charged = used.min(room);
    units.host += charged;
    units.total += charged;
    units
}

impl Inner {
    pub(crate) async fn run(self: &Arc<Self>, run: Run) -> Ended {
        let spec = &run.loaded.record.spec;
        let clock = &self.options.clock;
        let begun = clock.monotonic();
        let time = spec.limits.time().min(run.time_max);
        // whole milliseconds, as they are recorded: a replay shows the same deadline
        let time_max_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let time = Duration::from_millis(time_max_ms);
        let mut recording = Recording {
            seed: [0; 32],
            started_at: clock.now(),
            attempt: run.attempt.0,
            units_max: spec.limits.units.0.min(run.units_max),
            time_max_ms,
            replies: Vec::new(),
            callees_units: 0,
        };
        self.options.entropy.fill(&mut recording.seed);
        let (artifact, held) = match self.artifact(&run.loaded).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, source = ?error.source, "compiled form not to be had");
                return Ended {
                    outcome: Err(crate::error::failure(error.code, error.message)),
                    logs: Vec::new(),
                    units: UnitsBill::default(),
                    duration: clock.monotonic().saturating_sub(begun),
                    kv: Vec::new(),
                    emitted: Vec::new(),
                    recording,
                    fees: Datoshi::ZERO,
                    charge: None,
                };
            }
        };
        let callees = Arc::new(Callees::default());
        let host = Arc::new(Host::new(
            self.clone(),
            Caller {
                id: run.id,
                key: run.loaded.record.key.clone(),
                grants: spec.grants.clone(),
                depth: run.depth,
                event_depth: run.event_depth,
                deadline: begun.saturating_add(time),
                trace: run.trace,
                effects: run.effects,
                effect: run.effect,
                ordinals: Arc::default(),
                lent: Arc::new(AtomicBool::new(false)),
                callees: callees.clone(),
                given_up: run.given_up.clone(),
            },
        ));
        let inputs = Inputs {
            id: run.id,
            attempt: run.attempt,
            event: run.event,
            seed: recording.seed,
            started_at: recording.started_at,
            units: recording.units_max,
            time,
            given_up: run.given_up.clone(),
        };
        let mut completed = self.complete(&run.loaded, artifact, inputs, host.clone()).await;
        if let Err(failure) = &mut completed.outcome
            && failure.code == Code::TimedOut
            && run.given_up.is_cancelled()
        {
            // the sandbox knows one way to be stopped; why it was is known here
            failure.code = Code::Cancelled;
            failure.message = "the caller cancelled the call while it ran".to_owned();
        }
        drop(held);
        // a caller that ends first pays for its callees all the same; they end with its time at the latest
        recording.callees_units = callees.settled().await;
        let units = with_callees(completed.units, recording.callees_units, recording.units_max);
        let left = host.take();
        recording.replies = left.replies;
        let reached = match run.effects {
            Effects::Kept if completed.outcome.is_ok() => {
                let project = &run.loaded.record.key.project;
                let depth = run.event_depth + 1;
                self.reached(project, &left.emitted, depth, Some(run.trace.trace_id))
            }
            _ => Ok(Vec::new()),
        };
        let (outcome, emitted) = match (completed.outcome, reached) {
            (Ok(result), Ok(reached)) => (Ok(result), reached.into_iter().flatten().collect()),
            (Ok(_), Err(error)) => {
                let message = format!("ctx.emit: {error}");
                (Err(crate::error::failure(Code::EmitInvalid, message)), Vec::new())
            }
            (Err(failure), _) => {
                let explained = match run.debug {
                    Some(debug) => debug.explain(&*self.ports.compiler, failure),
                    None => self.explain(&run.loaded.record.artifact, failure).await,
                };
                (Err(explained), Vec::new())
            }
        };
        let (outcome, logs) = scrub_end(&left.scrubber, outcome, completed.logs);
        Ended {
            kv: if outcome.is_ok() { left.kv } else { Vec::new() },
            emitted: if outcome.is_ok() { emitted } else { Vec::new() },
            outcome,
            logs,
            units,
            duration: clock.monotonic().saturating_sub(begun),
            recording,
            fees: left.fees,
            charge: None,
        }
    }

    /// Hands a job to the runtime.
    pub(crate) async fn complete(
        &self,
        loaded: &Loaded,
        artifact: Arc<Artifact>,
        inputs: Inputs,
        host: Arc<dyn HostCalls>,
    ) -> Completed {
        let context = context(&loaded.record.key, loaded.record.version, &inputs);
        let grants = grant_names(&loaded.record.spec.grants);
        self.ports
            .runtime
            .invoke(Job {
                artifact,
                event: inputs.event,
                context: JobContext { grants, ..context },
                seed: inputs.seed,
                started_at: inputs.started_at,
                time: inputs.time,
                units: inputs.units,
                limits: self.options.job_limits,
                host,
                given_up: inputs.given_up,
            })
            .await
    }
}

fn context(key: &FunctionKey, version: Version, inputs: &Inputs) -> JobContext {
    JobContext {
        function: key.function.as_str().to_owned(),
        project: key.project.as_str().to_owned(),
        invocation: inputs.id.to_string(),
        version: version.0,
        attempt: inputs.attempt.0,
        grants: Vec::new(),
    }
}
