//! ctx.invoke: another function of the same project, charged to its caller, committed on its own.
//!
//! A callee never waits for a slot, so calls that go round in a circle cannot block each other: they are refused.
//! It may use three quarters of the units that its caller has left, beside what other callees under way may use; calls
//! that are made together share them. So a chain of calls is bounded by its first caller's limit, however it branches.

use crate::call::span;
use crate::engine::Inner;
use crate::host::{Caller, Effects};
use crate::kv::args;
use crate::overlay::Refusal;
use crate::port::{NewInvocation, Origin, Start};
use crate::run::Run;
use bytes::Bytes;
use neofn_gas::SCHEDULE_V1;
use neofn_runtime::port::HostCall;
use neofn_sched::Share;
use neofn_types::{Attempt, Code, Digest, Error, FunctionKey, FunctionName};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;
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

/// What one caller's callees may use and have used.
#[derive(Default)]
pub(crate) struct Callees {
    /// Units lent to those under way.
    lent: AtomicU64,
    /// Units used by those whose answers did not reach the caller's sandbox, so that it was not charged for them there.
    untold: AtomicU64,
    ended: Notify,
}

impl Callees {
    /// Waits until none is under way; answers what is still to be charged.
    pub(crate) async fn settled(&self) -> u64 {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.lent.load(Ordering::Acquire) == 0 {
                return self.untold.load(Ordering::Acquire);
            }
            ended.await;
        }
    }
}

/// Units that a callee may use, kept from others until it has ended.
struct UnitsLent {
    all: Arc<Callees>,
    lent: u64,
    /// Lent to other callees at that time.
    others: u64,
}

impl UnitsLent {
    fn lend(all: &Arc<Callees>, call: &HostCall) -> Self {
        let all = all.clone();
        let share = |others: u64| {
            let free = call.units_left.saturating_sub(others);
            (free - free / 4) / u64::from(call.sharing.max(1))
        };
        let mut others = all.lent.load(Ordering::Acquire);
        while let Err(now) = all.lent.compare_exchange(
            others,
            others.saturating_add(share(others)),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            others = now;
        }
        Self {
            all,
            lent: share(others),
            others,
        }
    }
}
impl Drop for UnitsLent {
    fn drop(&mut self) {
        self.all.lent.fetch_sub(self.lent, Ordering::AcqRel);
        self.all.ended.notify_waiters();
    }
}

impl Inner {
    /// The callee's result and what it used.
    pub(crate) async fn chain(
        self: &Arc<Self>,
        caller: &Caller,
        call: &HostCall,
    ) -> (Result<Bytes, Refusal>, u64) {
        match self.begin_chain(caller, call).await {
            Ok(run) => run,
            Err(error) => (Err((error.code, error.message)), 0),
        }
    }

    async fn begin_chain(
        self: &Arc<Self>,
        caller: &Caller,
        call: &HostCall,
    ) -> Result<(Result<Bytes, Refusal>, u64), Error> {
        let args: InvokeArgs = args(&call.input).map_err(|(code, message)| Error::new(code, message))?;
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
        let units = UnitsLent::lend(&caller.callees, call);
        if units.lent < SCHEDULE_V1.base {
            let (left, lent) = (call.units_left, units.others);
            return Err(Error::new(
                Code::UnitLimit,
                format!(
                    "{left} units are left ({lent} of them lent to calls under way); a callee gets at most \
                     three quarters of the rest: too few to call {name}"
                ),
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
        let nth = caller.ordinals.next(Digest::of_parts(&what));
        let effect = caller.effect.of_part(&what, nth);
        let run = Run {
            loaded: loaded.clone(),
            id,
            attempt: Attempt(1),
            event: event.clone(),
            trace,
            depth: caller.depth + 1,
            event_depth: caller.event_depth,
            units_max: units.lent,
            time_max: time_left,
            effects: caller.effects,
            effect,
            given_up: caller.given_up.clone(),
            debug: None,
        };
        let new = NewInvocation {
            id,
            key: key.clone(),
            version: loaded.record.version,
            origin: Origin::Chain,
            caller: Some(neofn_types::Caller::function(&caller.key)),
            event,
            idempotency: None,
            trace_id: trace.trace_id,
            at,
            start: Start::Claimed {
                lease: self.options.lease,
            },
            queue_max: self.options.queue_max,
            // its units are its caller's, and so is the charge
            hold: None,
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
                    Effects::Discarded | Effects::Estimated => Ok(()),
                };
                let result = match settled {
                    Ok(()) => ended
                        .outcome
                        .map_err(|f| (f.code, format!("{key}: {}", f.message))),
                    Err(error) => Err((error.code, format!("{key}: {}", error.message))),
                };
                let used = ended.units.total;
                units.all.untold.fetch_add(used, Ordering::AcqRel);
                drop(units);
                (result, used)
            }
            .instrument(span),
        );
        let (result, used) = task.await.map_err(Error::internal)?;
        // from here on it is the sandbox that charges
        caller.callees.untold.fetch_sub(used, Ordering::AcqRel);
        Ok((result, used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_runtime::port::HostOp;

    fn call(units_left: u64, sharing: u32) -> HostCall {
        HostCall {
            seq: 0,
            op: HostOp::Invoke,
            input: Bytes::new(),
            units_left,
            sharing,
        }
    }

    #[test]
    fn callees_under_way_together_never_get_more_than_their_caller_has() {
        let all: Arc<Callees> = Arc::default();
        let together: Vec<_> = (1..=8)
            .rev()
            .map(|n| UnitsLent::lend(&all, &call(5_000_000, n)))
            .collect();
        let lent: Vec<u64> = together.iter().map(|u| u.lent).collect();
        assert!(lent.iter().sum::<u64>() <= 5_000_000, "{lent:?}");
        assert!(lent.iter().all(|n| *n > 400_000), "{lent:?}");
        // one more finds only what is left
        assert!(UnitsLent::lend(&all, &call(5_000_000, 1)).lent < 1_000_000);
        drop(together);
        assert_eq!(all.lent.load(Ordering::Acquire), 0);
        assert_eq!(UnitsLent::lend(&all, &call(5_000_000, 1)).lent, 3_750_000);
    }
}
