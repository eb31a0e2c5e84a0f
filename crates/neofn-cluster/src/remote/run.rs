//! A run, from the choice of a worker to its end.

use super::membership::Chosen;
use super::{GRACE, Inner, WAIT_MAX};
use crate::bounds::Bounds;
use crate::host::HEAD_BYTES;
use crate::wire::{self, Busy, CallId, Ran, Run};
use bytes::Bytes;
use neofn_bus::{BusError, Message};
use neofn_runtime::port::{Completed, Failure, Job};
use neofn_types::Code;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the others are looked at when one was full.
const AGAIN: Duration = Duration::from_millis(50);

/// What became of a run at one worker.
enum Read {
    Ended(Completed),
    /// It has not begun, another worker may.
    Elsewhere,
    /// It has not begun: the artifact could not be had.
    NoArtifact,
}

/// A run on a worker: cancelled there when nobody waits for it any more.
struct OnWorker {
    worker: Chosen,
    call: CallId,
    ended: bool,
}

impl Drop for OnWorker {
    fn drop(&mut self) {
        let inner = &self.worker.inner;
        inner.open.close(&self.call);
        inner.running.fetch_sub(1, Ordering::AcqRel);
        if self.ended {
            return;
        }
        let cancel = self.cancel();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel);
        }
    }
}

impl OnWorker {
    /// Tells the worker that nobody wants the run to go on.
    fn cancel(&self) -> impl Future<Output = ()> + Send + 'static {
        let rpc = self.worker.inner.options.rpc.clone();
        let subject = wire::worker(&self.worker.id, "cancel");
        let call = Bytes::copy_from_slice(&self.call);
        async move {
            if let Err(error) = rpc.publish(&subject, Message::new(call)).await {
                tracing::warn!(%error, subject, "a run goes on that nobody waits for");
            }
        }
    }
}

pub(super) fn failure(code: Code, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
        stack: Vec::new(),
    }
}

fn lost() -> Failure {
    failure(
        Code::SandboxLost,
        "the worker that ran the function went away, or its answer was lost",
    )
}

impl Inner {
    pub(super) async fn run(self: &Arc<Self>, job: Job) -> Result<Completed, Failure> {
        let begun = self.options.clock.monotonic();
        self.publish(&job.artifact).await?;
        let function = format!("{}/{}", job.context.project, job.context.function);
        let mut run = Run {
            call: [0; 16],
            gateway: self.options.seat.id.clone(),
            artifact: job.artifact.digest,
            engine: job.artifact.engine,
            event: job.event,
            context: job.context,
            seed: job.seed,
            started_at: job.started_at,
            time_ms: 0,
            units: job.units,
            limits: job.limits,
        };
        let bounds = Bounds {
            limits: job.limits,
            units: job.units,
        };
        let mut again = false;
        let mut without = Vec::new();
        let past = || self.options.clock.monotonic().saturating_sub(begun);
        loop {
            // what is sent now would lie here until somebody is there again: then nobody has seen it, and it is said so
            while !self.options.rpc.is_connected() {
                if past() >= WAIT_MAX.min(job.time) {
                    return Err(failure(
                        Code::BusUnavailable,
                        "NATS is away: no worker can be asked",
                    ));
                }
                tokio::time::sleep(AGAIN).await;
            }
            // one that was full or going may have room in a moment
            let patience = if without.is_empty() { WAIT_MAX } else { AGAIN };
            let patience = patience.min(job.time.saturating_sub(past()));
            let found = self.worker(&function, &run.engine, &without, patience).await;
            let Some(worker) = found.filter(|_| past() < job.time) else {
                if !without.is_empty() && past() < WAIT_MAX.min(job.time) {
                    without.clear();
                    continue;
                }
                return Err(failure(
                    Code::NoWorker,
                    self.nobody(run.engine, "run the function"),
                ));
            };
            self.options.entropy.fill(&mut run.call);
            let left = job.time.saturating_sub(past());
            run.time_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.open.open(run.call, job.host.clone(), job.limits);
            self.running.fetch_add(1, Ordering::AcqRel);
            let mut there = OnWorker {
                worker,
                call: run.call,
                ended: false,
            };
            let message = wire::write(&run).map_err(|e| failure(Code::Internal, e.to_string()))?;
            if message.len() + HEAD_BYTES > self.options.rpc.bytes_max() {
                there.ended = true;
                let bytes_max = self.options.rpc.bytes_max();
                let text = format!(
                    "the event is {} bytes with what goes along, the NATS server takes {bytes_max}",
                    message.len()
                );
                return Err(failure(Code::BusMessageTooLarge, text));
            }
            let answer = {
                let within = left.saturating_add(GRACE);
                let request = self.answer(&there.worker, "run", run.call, Message::new(message), within);
                tokio::pin!(request);
                tokio::select! {
                    biased;
                    answer = &mut request => answer,
                    () = job.given_up.cancelled() => {
                        there.cancel().await;
                        // what it used until then comes with its end
                        request.await
                    }
                }
            };
            match self.read(answer, &mut there, &bounds)? {
                Read::Ended(completed) => return Ok(completed),
                Read::Elsewhere => without.push(there.worker.id.clone()),
                Read::NoArtifact if !again && !job.artifact.bytes.is_empty() => {
                    again = true;
                    self.doubt(job.artifact.digest);
                    self.publish(&job.artifact).await?;
                }
                Read::NoArtifact => {
                    // with the next try the engine brings the bytes
                    self.doubt(job.artifact.digest);
                    return Err(failure(
                        Code::SandboxLost,
                        "the worker could not fetch the version",
                    ));
                }
            }
        }
    }

    fn read(
        &self,
        answer: Result<Message, BusError>,
        there: &mut OnWorker,
        bounds: &Bounds,
    ) -> Result<Read, Failure> {
        let ran = answer.and_then(|message| wire::read::<Ran>(&message.payload));
        there.ended = !matches!(ran, Err(BusError::TimedOut(_) | BusError::Unavailable(_)));
        match ran {
            Ok(Ran::Ended(ended)) => {
                self.runs.fetch_add(1, Ordering::Relaxed);
                let broken = bounds.broken(&ended);
                self.ran(&there.worker, broken.is_none());
                if let Some(why) = broken {
                    tracing::error!(
                        worker = there.worker.id,
                        why,
                        "a worker's answer cannot be: the run is lost"
                    );
                    return Err(failure(
                        Code::SandboxLost,
                        "the worker that ran the function gave an answer that cannot be",
                    ));
                }
                Ok(Read::Ended(ended.into()))
            }
            Ok(Ran::Busy(Busy::NoArtifact)) => Ok(Read::NoArtifact),
            Ok(Ran::Busy(Busy::Draining | Busy::Full)) => Ok(Read::Elsewhere),
            Err(BusError::NoResponders(_)) => {
                self.unheeded(&there.worker.id);
                Ok(Read::Elsewhere)
            }
            Err(error @ BusError::Denied(_)) => Err(failure(Code::BusDenied, error.to_string())),
            Err(error) => {
                self.ran(&there.worker, false);
                tracing::warn!(%error, worker = there.worker.id, "a run is lost");
                Err(lost())
            }
        }
    }
}
