//! Answers host calls of one run: checks its grants again, does the work, and records every answer.
//!
//! The sandbox is not trusted to have checked anything.

use crate::chain::Callees;
use crate::emit::Emitted;
use crate::engine::Inner;
use crate::kv::{Kv, args};
use crate::neo::{Effect, Neo, Ordinals, Sending};
use crate::outside::{Outside, Told};
use crate::overlay::{Overlay, Refusal};
use crate::port::{KvWrite, RecordedCall};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_event::CloudEvent;
use neofn_runtime::port::{HostCall, HostCalls, HostError, HostOp, HostReply};
use neofn_secrets::Scrubber;
use neofn_types::{
    ChainGrant, ChainWrite, Code, Datoshi, Digest, FunctionKey, Grants, InvocationId, TraceContext,
    UnixMillis, parse_contract,
};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of answers that one run may get: they are kept for its replay.
const REPLIES_BYTES_MAX: usize = 16 << 20;

/// Whether what a run does stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effects {
    /// History, charge and writes are kept, its callees' too.
    Kept,
    /// A smoke test: nothing is.
    Discarded,
    /// An estimate: nothing is, and nothing goes to other hosts, where it could not be taken back. Nobody pays for it.
    Estimated,
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
    /// What brought the run about, for all that may happen once only.
    pub(crate) effect: Effect,
    /// Callees so far, so that each has its own effects.
    pub(crate) ordinals: Arc<Ordinals>,
    /// Whether a callee stands on this run's place on the node.
    pub(crate) lent: Arc<AtomicBool>,
    /// Callees under way, and what they cost.
    pub(crate) callees: Arc<Callees>,
    /// Callees end with their caller.
    pub(crate) given_up: CancellationToken,
}

pub(crate) struct Host {
    inner: Arc<Inner>,
    caller: Caller,
    kv: Kv,
    neo: Neo,
    emitted: Mutex<Emitted>,
    outside: Outside,
    told: Mutex<Record>,
}

/// What a run leaves behind.
pub(crate) struct Left {
    pub(crate) kv: Vec<KvWrite>,
    pub(crate) emitted: Vec<CloudEvent>,
    pub(crate) replies: Vec<RecordedCall>,
    /// Fees of its transactions.
    pub(crate) fees: Datoshi,
    /// Finds the values that the run was given.
    pub(crate) scrubber: Scrubber,
}

/// What the run was told so far.
#[derive(Default)]
struct Record {
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
        let neo = Neo {
            chain: inner.ports.chain.clone(),
            writer: inner.ports.writer.clone(),
            manifests: inner.manifests.clone(),
            clock: inner.options.clock.clone(),
            key: caller.key.clone(),
            id: caller.id,
            grant: caller.grants.chain.clone(),
            effects: caller.effects,
            sending: Sending::new(caller.effect),
        };
        let outside = Outside::new(
            inner.ports.vault.clone(),
            inner.ports.broker.clone(),
            inner.ports.acts.clone(),
        );
        Self {
            inner,
            caller,
            kv,
            neo,
            emitted: Mutex::default(),
            outside,
            told: Mutex::default(),
        }
    }
    /// What the run wrote and was told; call once, after its end.
    pub(crate) fn take(&self) -> Left {
        let scrubber = self.outside.scrubber();
        let mut replies = std::mem::take(&mut self.told.lock().calls);
        for call in &mut replies {
            scrub_reply(&scrubber, &mut call.reply);
        }
        Left {
            kv: std::mem::take(&mut *self.kv.overlay.lock()).into_writes(),
            emitted: std::mem::take(&mut *self.emitted.lock()).into_events(),
            replies,
            fees: self.neo.sending.spent(),
            scrubber,
        }
    }
    async fn answer(&self, call: &HostCall) -> (Result<Told, Refusal>, u64) {
        if let Err(denied) = check_grant(&self.caller, call.op, &call.input) {
            return (Err(denied), 0);
        }
        let outside = match call.op {
            HostOp::SecretGet => self.outside.get(&self.caller, &call.input).await,
            HostOp::SecretRotate => self.outside.rotate(&self.caller, &call.input).await,
            HostOp::Fetch => self.outside.fetch(&self.caller, &call.input).await,
            op => {
                if let Some(what) = carries(op)
                    && let Err(leak) = self.outside.check_leak(what, &call.input)
                {
                    return (Err(leak), 0);
                }
                let (result, units) = self.inside(call).await;
                return (result.map(Told::whole), units);
            }
        };
        let units = outside.as_ref().map_or(0, |told| told.units);
        (outside, units)
    }
    async fn inside(&self, call: &HostCall) -> (Result<Bytes, Refusal>, u64) {
        let now = self.inner.options.clock.now();
        match call.op {
            HostOp::KvGet | HostOp::KvPut | HostOp::KvDelete | HostOp::KvList | HostOp::KvCounter => {
                (self.kv.call(call.op, &call.input, now).await, 0)
            }
            HostOp::Invoke => self.inner.chain(&self.caller, call).await,
            HostOp::Emit if self.caller.event_depth >= self.inner.options.chain_depth_max => {
                let depth = self.inner.options.chain_depth_max;
                let message = format!("ctx.emit: events have caused each other {depth} times to get here");
                (Err((Code::EventTooDeep, message)), 0)
            }
            HostOp::Emit => {
                let (key, id) = (&self.caller.key, self.caller.id);
                let pushed = self.emitted.lock().push(&call.input, key, id, now);
                (
                    pushed.map(|id| Bytes::from(serde_json::json!({ "id": id }).to_string())),
                    0,
                )
            }
            op => self.neo.call(op, &call.input, call.units_left).await,
        }
    }
    /// Records an answer; one lock, so that the order of the record is the order of delivery.
    fn tell(&self, call: &HostCall, result: Result<Told, Refusal>, units: u64) -> HostReply {
        let mut told = self.told.lock();
        let (result, kept) = match result {
            Ok(Told { reply, kept, .. }) => (Ok(reply), kept),
            Err(refusal) => (Err(refusal), None),
        };
        let recorded = kept.as_ref().unwrap_or(&result);
        let bytes = recorded.as_ref().map_or(0, Bytes::len);
        let (result, kept) = if told.bytes.saturating_add(bytes) > REPLIES_BYTES_MAX {
            let message = format!(
                "the answers to one run may have {} MiB together",
                REPLIES_BYTES_MAX >> 20
            );
            (Err((Code::HostCallLimit, message)), None)
        } else {
            told.bytes += bytes;
            (result, kept)
        };
        // Date.now never runs backwards within a run, whatever the machine's clock does
        told.now = told.now.max(self.inner.options.clock.now());
        let reply = |result: Result<Bytes, Refusal>, now| HostReply {
            result: result.map_err(|(code, message)| HostError { code, message }),
            now,
            units,
        };
        let delivered = reply(result, told.now);
        let recorded = match kept {
            Some(kept) => reply(kept, told.now),
            None => delivered.clone(),
        };
        told.calls.push(RecordedCall {
            seq: call.seq,
            op: call.op,
            input: Digest::of(&call.input),
            reply: recorded,
        });
        delivered
    }
}

/// What a call is named when it would carry a value to where it stays.
fn carries(op: HostOp) -> Option<&'static str> {
    match op {
        HostOp::KvPut => Some("ctx.kv.put"),
        HostOp::KvCounter => Some("ctx.kv.increment"),
        HostOp::Invoke => Some("ctx.invoke"),
        HostOp::Emit => Some("ctx.emit"),
        HostOp::NeoInvoke => Some("ctx.neo.invoke"),
        _ => None,
    }
}

/// What was told before a value was known may have it too.
fn scrub_reply(scrubber: &Scrubber, reply: &mut HostReply) {
    match &mut reply.result {
        Ok(bytes) => match scrubber.json(bytes) {
            Some(Cow::Borrowed(_)) => {}
            Some(Cow::Owned(clean)) => *bytes = clean.into(),
            None => *bytes = Bytes::from_static(b"null"),
        },
        Err(error) => {
            if let Cow::Owned(clean) = scrubber.text(&error.message) {
                error.message = clean;
            }
        }
    }
}

/// The contract that a call would send to.
#[derive(serde::Deserialize)]
struct Target {
    contract: String,
}

fn check_grant(caller: &Caller, op: HostOp, input: &[u8]) -> Result<(), Refusal> {
    let granted = match op.grant() {
        None => return Ok(()),
        Some("kv") => caller.grants.kv,
        Some("chain") => caller.grants.chain.reads(),
        // which host and which secret is checked where they are known
        Some("net" | "secrets") => return Ok(()),
        Some(_) => return check_write(caller, input),
    };
    if granted {
        return Ok(());
    }
    Err(match op.grant() {
        Some("kv") => denied(caller, "ctx.kv", "kv = true"),
        _ => denied(caller, "ctx.neo", "chain = \"read\""),
    })
}

/// A transaction needs the grant to send, and its contract named in it.
fn check_write(caller: &Caller, input: &[u8]) -> Result<(), Refusal> {
    let target: Target = args(input)?;
    let contract =
        parse_contract(&target.contract).map_err(|e| (Code::BadHostCall, format!("ctx.neo.invoke: {e}")))?;
    let granted = caller.grants.chain.writes();
    if granted.is_some_and(|w| w.names(contract)) {
        return Ok(());
    }
    let mut wanted = granted.cloned().unwrap_or(ChainWrite {
        contracts: Vec::new(),
        gas: Datoshi(50_000_000),
    });
    wanted.contracts.push(contract);
    let line = format!("chain = {}", ChainGrant::Write(wanted));
    Err(denied(caller, &format!("ctx.neo.invoke of {contract}"), &line))
}

pub(crate) fn denied(caller: &Caller, what: &str, line: &str) -> Refusal {
    let function = &caller.key.function;
    let message =
        format!("{what} is not granted: add `allow = {{ {line} }}` to [function.{function}] in neofn.toml");
    (Code::Denied, message)
}

/// Names of granted services, as `ctx` shows them.
pub(crate) fn grant_names(grants: &Grants) -> Vec<String> {
    let mut names = vec!["invoke".to_owned()];
    if grants.kv {
        names.push("kv".to_owned());
    }
    if grants.chain.reads() {
        names.push("chain".to_owned());
    }
    if grants.chain.writes().is_some() {
        names.push("chain-write".to_owned());
    }
    // always on: the node's own refusals name the origin or the secret that is missing
    names.extend(["net".to_owned(), "secrets".to_owned()]);
    names
}

#[async_trait]
impl HostCalls for Host {
    async fn call(&self, call: HostCall) -> HostReply {
        let (result, units) = self.answer(&call).await;
        self.tell(&call, result, units)
    }
}
