//! JSON-RPC 2.0 to one node: single calls and batches, answers read as what is expected or refused as garbage.

use super::endpoint::{Endpoint, Failure};
use crate::error::{ChainError, Refusal};
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// Calls that go into one batch; neo-go refuses more than 100.
pub(super) const BATCH_MAX: usize = 100;
/// The largest answer that is read: some hundred full blocks.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// No log of a transaction or block.
const UNKNOWN_LOG: i64 = -105;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) params: Value,
}
impl Call {
    pub(super) fn new(method: &'static str, params: Value) -> Self {
        Self { method, params }
    }
}

/// What a node answered to one call.
pub(super) type Answered = Result<Box<RawValue>, RpcError>;

/// An error of JSON-RPC.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RpcError {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) data: Option<Value>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    id: Option<usize>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// A node that is asked.
pub(super) struct Client {
    endpoint: Endpoint,
}

impl Client {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One call whose answer must be a `T`; a refusal is an error.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, ChainError> {
        let method = call.method;
        let mut answers = self.batch(vec![call]).await?;
        let answer = answers.pop().ok_or_else(|| self.garbage("nothing"))?;
        self.read(method, answer)
    }

    /// Reads an answer as a `T`.
    pub(super) fn read<T: DeserializeOwned>(&self, method: &str, answer: Answered) -> Result<T, ChainError> {
        let raw = answer.map_err(refused)?;
        serde_json::from_str(raw.get())
            .map_err(|e| self.garbage(&format!("something else than was asked by {method}: {e}")))
    }

    /// Several calls at once; answers in the order of the calls. Too many for the node, or too large an answer, and
    /// they are sent in two halves.
    pub(super) async fn batch(&self, calls: Vec<Call>) -> Result<Vec<Answered>, ChainError> {
        let mut answers = Vec::with_capacity(calls.len());
        let mut waiting: Vec<Vec<Call>> = calls.chunks(BATCH_MAX).rev().map(<[Call]>::to_vec).collect();
        while let Some(mut chunk) = waiting.pop() {
            match self.exchange(&chunk).await {
                Ok(mut part) => answers.append(&mut part),
                Err(Exchange::Smaller(why)) => {
                    if chunk.len() < 2 {
                        return Err(self.garbage(why));
                    }
                    let rest = chunk.split_off(chunk.len() / 2);
                    waiting.push(rest);
                    waiting.push(chunk);
                }
                Err(Exchange::Failed(e)) => return Err(e),
            }
        }
        Ok(answers)
    }

    async fn exchange(&self, calls: &[Call]) -> Result<Vec<Answered>, Exchange> {
        let answer = self
            .endpoint
            .post(body(calls), ANSWER, ANSWER_BYTES_MAX)
            .await
            .map_err(|failure| match failure {
                Failure::TooLarge => Exchange::Smaller("more than is read"),
                Failure::Other(what) => Exchange::Failed(ChainError::Unreachable(format!(
                    "{}: {what}",
                    self.endpoint.name()
                ))),
            })?;
        let responses = self.responses(&answer, calls.len())?;
        self.in_order(responses, calls.len())
    }

    fn responses(&self, answer: &Bytes, calls: usize) -> Result<Vec<Response>, Exchange> {
        let garbage = |e: serde_json::Error| Exchange::Failed(self.garbage(&format!("no JSON-RPC: {e}")));
        if calls == 1 || answer.trim_ascii_start().starts_with(b"{") {
            let response: Response = serde_json::from_slice(answer).map_err(garbage)?;
            // one error for all of a batch: the node takes smaller ones, or none
            return match (calls, response.error) {
                (2.., _) => Err(Exchange::Smaller("an error to a whole batch")),
                // what could not even be read as a call is refused without its id
                (_, error) => Ok(vec![Response {
                    id: response.id.or(error.is_some().then_some(0)),
                    error,
                    result: response.result,
                }]),
            };
        }
        serde_json::from_slice(answer).map_err(garbage)
    }

    fn in_order(&self, responses: Vec<Response>, calls: usize) -> Result<Vec<Answered>, Exchange> {
        let mut places: Vec<Option<Answered>> = (0..calls).map(|_| None).collect();
        for response in responses {
            let place = response.id.and_then(|id| places.get_mut(id));
            let Some(place @ None) = place else {
                return Err(Exchange::Failed(self.garbage("to a call that was not made")));
            };
            *place = Some(match (response.result, response.error) {
                (_, Some(error)) => Err(error),
                (Some(result), None) => Ok(result),
                (None, None) => Ok(null()),
            });
        }
        places
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Exchange::Failed(self.garbage("to fewer calls than were made")))
    }

    /// An answer that is not one.
    pub(super) fn garbage(&self, what: &str) -> ChainError {
        ChainError::Answer {
            node: self.endpoint.name().to_owned(),
            what: what.chars().take(300).collect(),
        }
    }
}

enum Exchange {
    /// Fewer calls at once may work.
    Smaller(&'static str),
    Failed(ChainError),
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// A batch of one is sent as a plain call: some proxies take no batches.
fn body(calls: &[Call]) -> Bytes {
    let one = |(id, call): (usize, &Call)| {
        // written by hand: the envelope is always the same, and there are thousands a second
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{}","params":{}}}"#,
            call.method, call.params
        )
    };
    let mut parts: Vec<String> = calls.iter().enumerate().map(one).collect();
    match parts.pop() {
        Some(only) if parts.is_empty() => only.into(),
        Some(last) => {
            parts.push(last);
            format!("[{}]", parts.join(",")).into()
        }
        None => Bytes::from_static(b"[]"),
    }
}

/// A refusal, in the node's words.
pub(super) fn refused(error: RpcError) -> ChainError {
    let mut message = error.message.clone();
    if let Some(Value::String(data)) = &error.data {
        message = format!("{message}: {data}");
    }
    ChainError::Refused {
        why: meaning(error.code, &message),
        rpc: error.code,
        message: message.chars().take(1_000).collect(),
    }
}

/// Whether it says that there is no such transaction. Not what is said of a log that is missing (-105): the
/// transaction may be there without one.
pub(super) fn unknown_transaction(error: &RpcError) -> bool {
    error.code != UNKNOWN_LOG
        && meaning(error.code, &error.message.to_ascii_lowercase()) == Refusal::UnknownTransaction
}

/// Neo's standard codes; -100 is what older nodes answer to anything unknown.
fn meaning(code: i64, message: &str) -> Refusal {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    match code {
        -101 | -109 => Refusal::UnknownBlock,
        -102 => Refusal::UnknownContract,
        -103 | UNKNOWN_LOG => Refusal::UnknownTransaction,
        -107 | -108 | -601 => Refusal::Session,
        -100 if says("transaction") => Refusal::UnknownTransaction,
        -100 if says("block") || says("height") => Refusal::UnknownBlock,
        -100 if says("contract") => Refusal::UnknownContract,
        -100 if says("session") || says("iterator") => Refusal::Session,
        -510 => Refusal::Expired,
        -511 => Refusal::Funds,
        -500 if says("insufficient funds") => Refusal::Funds,
        -500 | -502 => Refusal::Pool,
        -509..=-504 => Refusal::Invalid,
        _ => Refusal::Other,
    }
}
