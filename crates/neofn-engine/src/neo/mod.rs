//! `ctx.neo`: the questions of one run to the chain, and the transactions that it sends.
//!
//! Every answer is recorded by the caller, so that a replay neither asks nor sends. Knows no node, no key and no fee:
//! the chain and the writer behind the ports do.

mod abi;
mod encode;
mod manifests;
mod transfers;
mod write;

pub use abi::contract_value;
pub(crate) use manifests::Manifests;
pub(crate) use write::{Effect, Ordinals, Sending};

use crate::host::Effects;
use crate::kv::args;
use crate::overlay::Refusal;
use crate::port::ChainWriter;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use neofn_chain::ChainError;
use neofn_chain::contract as contracts;
use neofn_chain::decode::{SCRIPT_BYTES_MAX, decode};
use neofn_chain::listing::{self, Listing};
use neofn_chain::model::VmState;
use neofn_chain::port::{Caller, Chain};
use neofn_chain::stack::StackItem;
use neofn_event::{ParameterType, native};
use neofn_runtime::port::HostOp;
use neofn_trigger::parameter_json;
use neofn_types::{ChainGrant, Clock, Code, FunctionKey, Hash256, InvocationId, ScriptHash, parse_contract};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long one question may take; the run's own limit holds too.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// The chain as one run sees it.
pub(crate) struct Neo {
    pub(crate) chain: Option<Arc<dyn Chain>>,
    pub(crate) writer: Option<Arc<dyn ChainWriter>>,
    pub(crate) manifests: Arc<Manifests>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: FunctionKey,
    pub(crate) id: InvocationId,
    pub(crate) grant: ChainGrant,
    pub(crate) effects: Effects,
    pub(crate) sending: Sending,
}

#[derive(Deserialize)]
struct BlockArgs {
    height: Option<Value>,
}
#[derive(Deserialize)]
struct HashArgs {
    hash: String,
}
#[derive(Deserialize)]
struct BalanceArgs {
    token: String,
    account: String,
}
#[derive(Deserialize)]
struct DecodeArgs {
    script: String,
}
#[derive(Deserialize)]
struct CallArgs {
    contract: String,
    method: String,
    #[serde(default)]
    args: Vec<Value>,
}

fn refused(error: ChainError) -> Refusal {
    let code = error.code();
    (code, error.to_string())
}

fn bad(message: impl Into<String>) -> Refusal {
    (Code::BadHostCall, message.into())
}

fn contract(text: &str) -> Result<ScriptHash, Refusal> {
    match native::contract(text) {
        Some(found) => Ok(found),
        None => parse_contract(text).map_err(|e| bad(format!("ctx.neo: {e}"))),
    }
}

/// An account in either notation.
fn account(text: &str) -> Result<ScriptHash, Refusal> {
    text.parse().map_err(|e| bad(format!("ctx.neo: {e}")))
}

fn transaction_hash(text: &str) -> Result<Hash256, Refusal> {
    text.parse().map_err(|e| bad(format!("ctx.neo: {e}")))
}

fn no_chain(what: &str) -> Refusal {
    (Code::NoChain, format!("this node runs without {what}"))
}

impl Neo {
    fn chain(&self) -> Result<&Arc<dyn Chain>, Refusal> {
        self.chain.as_ref().ok_or_else(|| no_chain("a chain"))
    }

    /// The answer, and units on top of the price of the call.
    pub(crate) async fn call(
        &self,
        op: HostOp,
        input: &[u8],
        units_left: u64,
    ) -> (Result<Bytes, Refusal>, u64) {
        let mut units = 0;
        let answer = self.answer(op, input, units_left, &mut units);
        // a transaction on its way is not given up: the run's own time bounds it
        let answered = if op == HostOp::NeoInvoke {
            answer.await
        } else {
            let late = || {
                let seconds = ANSWER_TIME_MAX.as_secs();
                let message = format!("the chain did not answer within {seconds} seconds");
                Err((Code::HostUnavailable, message))
            };
            tokio::time::timeout(ANSWER_TIME_MAX, answer)
                .await
                .unwrap_or_else(|_| late())
        };
        (answered.and_then(bounded), units)
    }

    async fn answer(
        &self,
        op: HostOp,
        input: &[u8],
        units_left: u64,
        units: &mut u64,
    ) -> Result<Value, Refusal> {
        match op {
            HostOp::NeoHead => self.head().await,
            HostOp::NeoBlock => self.block(args(input)?).await,
            HostOp::NeoTransaction => {
                let a: HashArgs = args(input)?;
                let found = self.chain()?.transaction(transaction_hash(&a.hash)?).await;
                found.map(|f| encode::transaction(&f)).map_err(refused)
            }
            HostOp::NeoLog => {
                let a: HashArgs = args(input)?;
                let log = self.chain()?.application_log(transaction_hash(&a.hash)?).await;
                log.map(|executions| encode::log(&executions)).map_err(refused)
            }
            HostOp::NeoBalance => {
                let a: BalanceArgs = args(input)?;
                let (token, account) = (contract(&a.token)?, account(&a.account)?);
                let amount = self.chain()?.balance(token, account).await.map_err(refused)?;
                Ok(json!({ "amount": amount.to_string() }))
            }
            HostOp::NeoTransfers => {
                let (answer, more) = transfers::read(&**self.chain()?, args(input)?, units_left).await?;
                *units = more;
                Ok(answer)
            }
            HostOp::NeoRead => self.read(args(input)?).await,
            HostOp::NeoCall => {
                let a: CallArgs = args(input)?;
                let (contract, returns, items) = self.prepare(&a).await?;
                let chain = self.chain()?;
                let script = contracts::call(contract, &a.method, &items).map_err(refused)?;
                let ended = chain.invoke_script(&script, &self.callers().await).await;
                let ended = ended.map_err(refused)?;
                let listed = listing::listing(chain, &ended).await.map_err(refused)?;
                let mut answer = encode::invocation(&ended);
                if let Some(members) = answer.as_object_mut() {
                    let top = ended.stack.first().map(|item| parameter_json(item, returns));
                    let result = listed.as_ref().map(list).or(top);
                    let result = result.filter(|_| ended.state == VmState::Halt);
                    members.insert("result".into(), json!(result));
                    if listed.is_some_and(|l| l.truncated) {
                        members.insert("truncated".into(), json!(true));
                    }
                }
                Ok(answer)
            }
            HostOp::NeoDecode => decoded(args(input)?),
            HostOp::NeoInvoke => self.send(args(input)?).await,
            other => Err((Code::Internal, format!("{other:?} is no call of ctx.neo"))),
        }
    }

    async fn head(&self) -> Result<Value, Refusal> {
        let chain = self.chain()?;
        let head = chain.head();
        let account = match &self.writer {
            Some(writer) => writer.account(&self.key.project).await,
            None => None,
        };
        Ok(json!({
            "height": head.height, "hash": head.hash, "time": head.time.0, "network": chain.network(),
            "account": account.map(|a| a.to_address()),
        }))
    }

    /// Who agrees to a call that is only tried out: whom a transaction would have.
    async fn callers(&self) -> Vec<Caller> {
        match &self.writer {
            Some(writer) => writer
                .account(&self.key.project)
                .await
                .map(Caller::by_entry)
                .into_iter()
                .collect(),
            None => Vec::new(),
        }
    }

    async fn block(&self, a: BlockArgs) -> Result<Value, Refusal> {
        let chain = self.chain()?;
        let height = match &a.height {
            None | Some(Value::Null) => chain.head().height,
            Some(height) => height
                .as_u64()
                .ok_or_else(|| bad("ctx.neo.block: the height is a whole number, 0 or more"))?,
        };
        let block = chain.block(height).await.map_err(refused)?;
        Ok(encode::block(&block))
    }

    /// The contract, the type of the result, and the arguments in the machine's form.
    async fn prepare(&self, a: &CallArgs) -> Result<(ScriptHash, ParameterType, Vec<StackItem>), Refusal> {
        let contract = contract(&a.contract)?;
        let methods = self
            .manifests
            .of(&**self.chain()?, contract, &*self.clock)
            .await?;
        let method = methods.find(&a.method, a.args.len())?;
        Ok((contract, method.returns, method.arguments(&a.args)?))
    }

    async fn read(&self, a: CallArgs) -> Result<Value, Refusal> {
        let (contract, returns, items) = self.prepare(&a).await?;
        let chain = self.chain()?;
        let ended = chain
            .invoke_read(contract, &a.method, &items)
            .await
            .map_err(refused)?;
        if ended.state == VmState::Fault {
            listing::end(chain, &ended);
            let why = ended.exception.unwrap_or_else(|| "no reason given".to_owned());
            return Err((Code::ScriptFault, format!("{}: {why}", a.method)));
        }
        let listed = listing::listing(chain, &ended).await.map_err(refused)?;
        let value = match (&listed, ended.stack.first()) {
            (Some(items), _) => list(items),
            (None, Some(item)) => parameter_json(item, returns),
            (None, None) => Value::Null,
        };
        Ok(match listed {
            Some(Listing { truncated: true, .. }) => json!({ "value": value, "truncated": true }),
            _ => json!({ "value": value }),
        })
    }
}

/// A script in base64, or in hexadecimal after `0x`.
fn decoded(a: DecodeArgs) -> Result<Value, Refusal> {
    if a.script.len() > SCRIPT_BYTES_MAX * 2 {
        return Err(bad(format!(
            "ctx.neo.decode: a script has at most {SCRIPT_BYTES_MAX} bytes"
        )));
    }
    let script = match a.script.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).ok(),
        None => BASE64.decode(&a.script).ok(),
    };
    let script = script.ok_or_else(|| bad("ctx.neo.decode: a script is base64, or hexadecimal after 0x"))?;
    serde_json::to_value(decode(&script)).map_err(|e| (Code::Internal, e.to_string()))
}

fn list(listing: &Listing) -> Value {
    let each = |item| parameter_json(item, ParameterType::Any);
    listing.items.iter().map(each).collect()
}

fn bounded(answer: Value) -> Result<Bytes, Refusal> {
    let text = answer.to_string();
    if text.len() > encode::ANSWER_BYTES_MAX {
        let (is, most) = (text.len(), encode::ANSWER_BYTES_MAX);
        let message = format!("ctx.neo: the answer has {is} bytes, more than the {most} that are given");
        return Err((Code::HostCallLimit, message));
    }
    Ok(Bytes::from(text))
}
