//! ctx.invoke: another function of the same project, charged to its caller, committed on its own.
//!
//! A callee never waits for a slot, so calls that go round in a circle cannot block each other: they are refused.

use crate::call::span;
use crate::engine::Inner;
use crate::host::{Caller, Effects};
use crate::kv::args;
use crate::overlay::Refusal;
use crate::port::{NewInvocation, Origin, Start};
use crate::run::Run;
use bytes::Bytes;
use neofn_gas::SCHEDULE_V1;
use neofn_sched::Share;
use neofn_types::{Attempt, Code, Digest, Error, FunctionKey, FunctionName};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Instrument as _;

#[derive(Deserialize)]
struct InvokeArgs {
    function: String,
    event: Option<Box<RawValue>>,
}

/// The caller's place on the node, while a callee stands on it.
struct Lent(Option<Arc<AtomicBool>>);

impl Lent {
    fn by(caller: &Caller) -> Self {
        let free = !caller.lent.swap(true, Ordering::AcqRel);
        Self(free.then(|| caller.lent.clone()))
    }
    fn share(&self) -> Share {
        match self.0 {
            Some(_) => Share::Callers,
            None => Share::Own,
        }
    }
}
impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(lent) = &self.0 {
            lent.store(false, Ordering::Release);
        }
    }
}

impl Inner {
    /// The callee's result and what it used.
    pub(crate) async fn chain(
        self: &Arc<Self>,
        caller: &Caller,
        input: &[u8],
        units_left: u64,
    ) -> (Result<Bytes, Refusal>, u64) {
        match self.begin_chain(caller, input, units_left).await {
            Ok(run) => run,
            Err(error) => (Err((error.code, error.message)), 0),
        }
    }

    async fn begin_chain(
        self: &Arc<Self>,
        caller: &Caller,
        input: &[u8],
        units_left: u64,
    ) -> Result<(Result<Bytes, Refusal>, u64), Error> {
        let args: InvokeArgs = args(input).map_err(|(code, message)| Error::new(code, message))?;
        let name: FunctionName = args
            .function
            .parse()
            .map_err(|e| Error::new(Code::BadHostCall, format!("ctx.invoke: {e}")))?;
        if caller.depth >= self.options.chain_depth_max {
            let depth = self.options.chain_depth_max;
            return Err(Error::new(
                Code::ChainTooDeep,
                format!("{name} would be called more than {depth} deep"),
            ));
        }
        if units_left < SCHEDULE_V1.base {
            return Err(Error::new(
                Code::UnitLimit,
                format!("{units_left} units are left, too few to call {name}"),
            ));
        }
        let time_left = caller.deadline.saturating_sub(self.options.clock.monotonic());
        if time_left.is_zero() {
            return Err(Code::TimedOut.into());
        }
        let key = FunctionKey::new(caller.key.project.clone(), name);
        let loaded = self.callable(&key).await.map_err(|e| match e.code {
            Code::FunctionNotFound => Error::new(e.code, format!("there is no function {key}")),
            _ => e,
        })?;
        let lent = Lent::by(caller);
        let slot = self.take(&loaded, lent.share())?;
        let (id, at) = self.new_id();
        let trace = caller.trace.child(&*self.options.entropy);
        let event = match args.event {
            Some(event) => Bytes::copy_from_slice(event.get().as_bytes()),
            None => Bytes::from_static(b"null"),
        };
        // a caller that is tried again makes its callees do again what they did, and not twice
        let what: [&[u8]; 3] = [b"invoke", key.function.as_str().as_bytes(), &event];
        let nth = caller.callees.next(Digest::of_parts(&what));
        let effect = caller.effect.of_part(&what, nth);
        let run = Run {
            loaded: loaded.clone(),
            id,
            attempt: Attempt(1),
            event: event.clone(),
            trace,
            depth: caller.depth + 1,
            event_depth: caller.event_depth,
            units_max: units_left,
            time_max: time_left,
            effects: caller.effects,
            effect,
            debug: None,
        };
        let new = NewInvocation {
            id,
            key: key.clone(),
            version: loaded.record.version,
            origin: Origin::Chain,
            event,
            idempotency: None,
            trace_id: trace.trace_id,
            at,
            start: Start::Claimed {
                lease: self.options.lease,
            },
            queue_max: self.options.queue_max,
        };
        let span = span(id, &loaded, &trace);
        tracing::debug!(callee = %id, function = %key, caller = %caller.id, "chained");
        let inner = self.clone();
        // a task of its own: the callee ends and is written down even if its caller does not wait for it
        let task = self.tasks.spawn(
            async move {
                let effects = run.effects;
                let mut ended = inner.run(run).await;
                drop((slot, lent));
                let settled = match effects {
                    Effects::Kept => inner.settle(new, &mut ended).await,
                    Effects::Discarded => Ok(()),
                };
                let result = match settled {
                    Ok(()) => ended
                        .outcome
                        .map_err(|f| (f.code, format!("{key}: {}", f.message))),
                    Err(error) => Err((error.code, format!("{key}: {}", error.message))),
                };
                (result, ended.units.total)
            }
            .instrument(span),
        );
        task.await.map_err(Error::internal)
    }
}
