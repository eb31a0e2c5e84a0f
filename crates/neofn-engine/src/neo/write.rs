//! `ctx.neo.invoke`: one transaction for one call, however often the run is tried.
//!
//! The name of a call is made of what brought the run about, and of the call itself; a run that is tried again makes
//! the same names, and the writer answers a name that it knows with the transaction that it has.

use super::{CallArgs, Neo, bad, no_chain};
use crate::host::Effects;
use crate::overlay::Refusal;
use crate::port::{ChainReceipt, ChainRequest, ChainWriter};
use neofn_chain::contract::may_move_nothing;
use neofn_types::{Code, Datoshi, Digest, InvocationId};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// What brought a run about: the same for every try of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect(Digest);

impl Effect {
    /// Of an invocation; its tries share its id.
    pub(crate) fn of(id: InvocationId) -> Self {
        Self(Digest::of_parts(&[b"neofn/effect/v1", id.to_string().as_bytes()]))
    }
    /// Of something that the run does: the how-manyeth of its kind.
    pub(crate) fn of_part(self, what: &[&[u8]], nth: u32) -> Self {
        let mut parts: Vec<&[u8]> = vec![b"neofn/effect-part/v1", &self.0.0];
        let nth = nth.to_be_bytes();
        parts.push(&nth);
        parts.extend_from_slice(what);
        Self(Digest::of_parts(&parts))
    }
    pub(crate) fn digest(self) -> Digest {
        self.0
    }
}

/// Counts equal things that a run does, so that doing one twice is two things. Counting only equal ones keeps the
/// names of a try that does other things in between.
#[derive(Default)]
pub(crate) struct Ordinals(Mutex<HashMap<Digest, u32>>);

impl Ordinals {
    pub(crate) fn next(&self, of: Digest) -> u32 {
        let mut counts = self.0.lock();
        let count = counts.entry(of).or_default();
        let nth = *count;
        *count += 1;
        nth
    }
    /// Takes back the number that was given last: nothing came of it.
    fn give_back(&self, of: Digest) {
        if let Some(count) = self.0.lock().get_mut(&of) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What a run has sent so far.
pub(crate) struct Sending {
    effect: Effect,
    ordinals: Ordinals,
    /// Fees so far. Held while one is sent: the next must know what is left.
    spent: tokio::sync::Mutex<Datoshi>,
}

impl Sending {
    pub(crate) fn new(effect: Effect) -> Self {
        Self {
            effect,
            ordinals: Ordinals::default(),
            spent: tokio::sync::Mutex::new(Datoshi::ZERO),
        }
    }
    /// Fees of all that was sent, or tried out; call after the end of the run.
    pub(crate) fn spent(&self) -> Datoshi {
        self.spent.try_lock().map_or(Datoshi::ZERO, |spent| *spent)
    }
}

#[derive(Deserialize)]
pub(super) struct InvokeArgs {
    contract: String,
    method: String,
    #[serde(default)]
    args: Vec<Value>,
    /// Most fees of this transaction, GAS.
    gas: Option<String>,
    /// Wait until it is in a block.
    #[serde(default)]
    confirm: bool,
}

fn shown(receipt: &ChainReceipt) -> Value {
    json!({
        "id": receipt.id, "hash": receipt.hash, "state": receipt.state, "fee": receipt.fee,
        "validUntil": receipt.valid_until, "height": receipt.height,
    })
}

impl Neo {
    fn writer(&self) -> Result<&Arc<dyn ChainWriter>, Refusal> {
        self.writer
            .as_ref()
            .ok_or_else(|| no_chain("an account that can sign"))
    }

    pub(super) async fn send(&self, a: InvokeArgs) -> Result<Value, Refusal> {
        let call = CallArgs {
            contract: a.contract,
            method: a.method,
            args: a.args,
        };
        let (contract, returns, arguments) = self.prepare(&call).await?;
        let granted = self.grant.writes().filter(|w| w.names(contract));
        let granted = granted.ok_or_else(|| (Code::Denied, format!("{contract} is not granted")))?;
        let asked = match &a.gas {
            None => granted.gas,
            Some(gas) => gas
                .parse::<Datoshi>()
                .ok()
                .filter(|gas| gas.0 > 0)
                .ok_or_else(|| bad("ctx.neo.invoke: `gas` is an amount of GAS such as \"0.1\""))?,
        };
        // over the arguments as they were converted: two ways to write one number are one call
        let written = serde_json::to_vec(&arguments).map_err(|e| (Code::Internal, e.to_string()))?;
        let what: [&[u8]; 3] = [&contract.0, call.method.as_bytes(), &written];
        let named = Digest::of_parts(&what);
        let writer = self.writer()?;
        let error = |e: neofn_types::Error| (e.code, e.message);
        // before the number is taken: whoever gives it back has the newest one
        let mut spent = self.sending.spent.lock().await;
        let left = granted.gas.checked_sub(*spent).unwrap_or_default();
        if left.0 <= 0 {
            let message = format!(
                "ctx.neo.invoke: this run's transactions cost {spent} GAS, all that it may spend",
                spent = *spent
            );
            return Err((Code::FeeOverGrant, message));
        }
        let nth = self.sending.ordinals.next(named);
        let request = ChainRequest {
            key: self.key.clone(),
            invocation: self.id,
            idempotency: self.sending.effect.of_part(&what, nth).digest(),
            contract,
            must_be_true: may_move_nothing(&call.method, returns),
            method: call.method,
            arguments,
            fee_max: asked.min(left),
        };
        if self.effects != Effects::Kept {
            let receipt = writer.dry_run(request).await.map_err(error)?;
            *spent = spent.checked_add(receipt.fee).unwrap_or(granted.gas);
            return Ok(shown(&receipt));
        }
        let receipt = writer.submit(request).await.map_err(|e| {
            // the same call again is the same transaction: should this one be there after all, it is answered then, and
            // a run that is tried again does not count past it
            self.sending.ordinals.give_back(named);
            error(e)
        })?;
        *spent = spent.checked_add(receipt.fee).unwrap_or(granted.gas);
        drop(spent);
        if !a.confirm {
            return Ok(shown(&receipt));
        }
        let id = receipt
            .id
            .ok_or_else(|| (Code::Internal, "a transaction without an id".to_owned()))?;
        writer.confirm(&id).await.map(|r| shown(&r)).map_err(error)
    }
}
