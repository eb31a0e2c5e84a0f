//! Answers host calls of one run: checks its grants again, does the work, and records every answer.
//!
//! The sandbox is not trusted to have checked anything.

use crate::engine::Inner;
use crate::kv::Kv;
use crate::overlay::{Overlay, Refusal};
use crate::port::{KvWrite, RecordedCall};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_runtime::port::{HostCall, HostCalls, HostError, HostOp, HostReply};
use neofn_types::{Code, Digest, FunctionKey, Grants, InvocationId, TraceContext, UnixMillis};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Bytes of answers that one run may get: they are kept for its replay.
const REPLIES_BYTES_MAX: usize = 16 << 20;

/// Whether what a run does stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effects {
    /// History, charge and writes are kept, its callees' too.
    Kept,
    /// An estimate or a smoke test: nothing is.
    Discarded,
}

/// What the host side of a run knows of it.
pub(crate) struct Caller {
    pub(crate) id: InvocationId,
    pub(crate) key: FunctionKey,
    pub(crate) grants: Grants,
    /// 0 for a run that no function called.
    pub(crate) depth: u32,
    /// How many functions caused each other, by events, to get here.
    pub(crate) event_depth: u32,
    /// Monotonic time at which the run is over.
    pub(crate) deadline: Duration,
    pub(crate) trace: TraceContext,
    pub(crate) effects: Effects,
    /// Whether a callee stands on this run's place on the node.
    pub(crate) lent: Arc<AtomicBool>,
}

pub(crate) struct Host {
    inner: Arc<Inner>,
    caller: Caller,
    kv: Kv,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    calls: Vec<RecordedCall>,
    bytes: usize,
    now: UnixMillis,
}

impl Host {
    pub(crate) fn new(inner: Arc<Inner>, caller: Caller) -> Self {
        let kv = Kv {
            store: inner.ports.kv.clone(),
            project: caller.key.project.clone(),
            overlay: Mutex::new(Overlay::default()),
        };
        Self {
            inner,
            caller,
            kv,
            told: Mutex::default(),
        }
    }
    /// What the run wrote and was told; call once, after its end.
    pub(crate) fn take(&self) -> (Vec<KvWrite>, Vec<RecordedCall>) {
        let overlay = std::mem::take(&mut *self.kv.overlay.lock());
        (overlay.into_writes(), std::mem::take(&mut self.told.lock().calls))
    }
    async fn answer(&self, call: &HostCall) -> (Result<Bytes, Refusal>, u64) {
        if let Err(denied) = check_grant(&self.caller, call.op) {
            return (Err(denied), 0);
        }
        if call.op == HostOp::Invoke {
            return self.inner.chain(&self.caller, &call.input, call.units_left).await;
        }
        let now = self.inner.options.clock.now();
        (self.kv.call(call.op, &call.input, now).await, 0)
    }
    /// Records an answer; one lock, so that the order of the record is the order of delivery.
    fn tell(&self, call: &HostCall, result: Result<Bytes, Refusal>, units: u64) -> HostReply {
        let mut told = self.told.lock();
        let bytes = result.as_ref().map_or(0, Bytes::len);
        let result = if told.bytes.saturating_add(bytes) > REPLIES_BYTES_MAX {
            Err((
                Code::HostCallLimit,
                format!(
                    "the answers to one run may have {} MiB together",
                    REPLIES_BYTES_MAX >> 20
                ),
            ))
        } else {
            told.bytes += bytes;
            result
        };
        // Date.now never runs backwards within a run, whatever the machine's clock does
        told.now = told.now.max(self.inner.options.clock.now());
        let reply = HostReply {
            result: result.map_err(|(code, message)| HostError { code, message }),
            now: told.now,
            units,
        };
        told.calls.push(RecordedCall {
            seq: call.seq,
            op: call.op,
            input: Digest::of(&call.input),
            reply: reply.clone(),
        });
        reply
    }
}

fn check_grant(caller: &Caller, op: HostOp) -> Result<(), Refusal> {
    let granted = match op {
        HostOp::KvGet | HostOp::KvPut | HostOp::KvDelete | HostOp::KvList | HostOp::KvCounter => {
            caller.grants.kv
        }
        // calling a function of one's own project needs no grant: it can do nothing that its own grants forbid
        HostOp::Invoke => true,
    };
    if granted {
        return Ok(());
    }
    Err((
        Code::Denied,
        format!(
            "ctx.kv is not granted: add `allow = {{ kv = true }}` to [function.{}] in neofn.toml",
            caller.key.function
        ),
    ))
}

/// Names of granted services, as `ctx` shows them.
pub(crate) fn grant_names(grants: &Grants) -> Vec<String> {
    let mut names = vec!["invoke".to_owned()];
    if grants.kv {
        names.push("kv".to_owned());
    }
    names
}

#[async_trait]
impl HostCalls for Host {
    async fn call(&self, call: HostCall) -> HostReply {
        let (result, units) = self.answer(&call).await;
        self.tell(&call, result, units)
    }
}
