//! The calls of one Neo N3 node, typed.

use super::client::{Answered, Call, Client, refused, unknown_transaction as unknown};
use super::endpoint::Endpoint;
use super::wire::{WireContract, WireFee, WireHeader, WireInvocation, WireLog, WireTransaction, WireVersion};
use crate::error::{ChainError, Refusal};
use crate::model::{
    ContractState, Execution, FoundTransaction, Head, Inclusion, Invocation, NetworkId, Policy, Presence,
    Sent, TransactionInfo,
};
use crate::port::Caller;
use crate::stack::StackItem;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use neofn_types::{Datoshi, Hash256, ScriptHash, UnixMillis};
use num_bigint::BigInt;
use serde_json::{Value, json};

/// The native contract that decides about fees.
const POLICY: &str = "0xcc5e4edd9f5f8dba8bb65734541df7a1c081c67b";
/// The number of the Conflicts attribute.
const CONFLICTS: &str = "33";
/// Already in a block; already waiting; in some nodes' words.
const ON_CHAIN: i64 = -501;
const POOLED: i64 = -503;

/// The longest time between blocks that is believed.
const BLOCK_MS_MAX: u64 = 600_000;
/// The highest fee of a byte or an attribute that is believed, in datoshi: 1000 GAS. The chain's own bounds are lower.
const FEE_MAX: i64 = 100_000_000_000;

/// A node.
pub(crate) struct Node {
    client: Client,
}

/// What a node says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) agent: String,
    pub(crate) network: NetworkId,
    pub(crate) block_ms: u64,
    pub(crate) valid_until_increment_max: u32,
}

impl Node {
    /// Reads the address; asks nobody yet.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(Endpoint::parse(url)?),
        })
    }
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
    pub(super) fn endpoint(&self) -> &Endpoint {
        self.client.endpoint()
    }
    /// Where it is, as anybody may see it: without path, query and credentials.
    pub(crate) fn name(&self) -> &str {
        self.endpoint().name()
    }
    /// Its address without credentials.
    pub(crate) fn address(&self) -> &str {
        self.endpoint().address()
    }

    pub(crate) async fn version(&self) -> Result<Version, ChainError> {
        let wire: WireVersion = self.client.call(Call::new("getversion", json!([]))).await?;
        let (block_ms, valid) = (
            wire.protocol.msperblock,
            wire.protocol.maxvaliduntilblockincrement,
        );
        if !(1..=BLOCK_MS_MAX).contains(&block_ms) || valid == 0 {
            return Err(self.client.garbage(&format!(
                "a block every {block_ms} ms and transactions that are valid for {valid} blocks"
            )));
        }
        Ok(Version {
            agent: wire.useragent,
            network: NetworkId(wire.protocol.network),
            block_ms,
            valid_until_increment_max: valid,
        })
    }
    /// How many blocks it has: one more than the newest one's height.
    pub(crate) async fn block_count(&self) -> Result<u64, ChainError> {
        self.client.call(Call::new("getblockcount", json!([]))).await
    }
    pub(crate) async fn header(&self, height: u64) -> Result<Head, ChainError> {
        let call = Call::new("getblockheader", json!([height, 1]));
        let head = self.client.call::<WireHeader>(call).await?.head();
        if head.height == height {
            Ok(head)
        } else {
            Err(self
                .client
                .garbage(&format!("header {} for header {height}", head.height)))
        }
    }

    pub(crate) async fn transaction(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        let call = Call::new("getrawtransaction", json!([hash, 1]));
        let wire: WireTransaction = self.client.call(call).await?;
        let (block, time) = (wire.blockhash, wire.blocktime);
        let mut transaction = TransactionInfo::from(wire);
        if transaction.hash != hash {
            return Err(self.client.garbage("another transaction than was asked for"));
        }
        let included = match (block, time) {
            (Some(block), Some(time)) => {
                // it is on chain, whatever else this node knows of it: never to be taken for one that is not
                let (height, executions) = self.outcome(hash).await.map_err(|e| self.incomplete(hash, e))?;
                transaction.executions = executions;
                Some(Inclusion {
                    height,
                    block,
                    time: UnixMillis(time),
                })
            }
            _ => None,
        };
        Ok(FoundTransaction {
            transaction,
            included,
        })
    }
    fn incomplete(&self, hash: Hash256, why: ChainError) -> ChainError {
        match why {
            ChainError::Refused { message, .. } => self.client.garbage(&format!(
                "that transaction {hash} is in a block, but not what it did: {message}"
            )),
            other => other,
        }
    }
    /// How many blocks it has, and whether it knows a transaction: asked for together, so that behind one address one
    /// node answers both, and without the log, which a node may lack for a transaction that it has.
    pub(crate) async fn presence(&self, hash: Hash256) -> Result<(u64, Option<Presence>), ChainError> {
        let calls = vec![
            Call::new("getblockcount", json!([])),
            Call::new("getrawtransaction", json!([hash, 1])),
            Call::new("gettransactionheight", json!([hash])),
        ];
        let mut answers = self.client.batch(calls).await?.into_iter();
        let mut next = || answers.next().ok_or_else(|| self.client.garbage("too little"));
        let count = self.client.read("getblockcount", next()?)?;
        let (found, height) = (next()?, next()?);
        let found: WireTransaction = match (found, &height) {
            (Err(e), Err(why)) if unknown(&e) && unknown(why) => return Ok((count, None)),
            (Err(e), Ok(_)) if unknown(&e) => {
                return Err(self
                    .client
                    .garbage("a height of a transaction that it does not know"));
            }
            (found, _) => self.client.read("getrawtransaction", found)?,
        };
        let place = found.blockhash.zip(found.blocktime);
        if TransactionInfo::from(found).hash != hash {
            return Err(self.client.garbage("another transaction than was asked for"));
        }
        let Some((block, time)) = place else {
            return Ok((count, Some(Presence::Pooled)));
        };
        let height = self
            .client
            .read("gettransactionheight", height)
            .map_err(|e| self.incomplete(hash, e))?;
        let time = UnixMillis(time);
        let place = Inclusion { height, block, time };
        Ok((count, Some(Presence::OnChain(place))))
    }
    async fn outcome(&self, hash: Hash256) -> Result<(u64, Vec<Execution>), ChainError> {
        let calls = vec![
            Call::new("gettransactionheight", json!([hash])),
            Call::new("getapplicationlog", json!([hash])),
        ];
        let mut answers = self.client.batch(calls).await?.into_iter();
        let mut next = || answers.next().ok_or_else(|| self.client.garbage("too little"));
        let height = self.client.read("gettransactionheight", next()?)?;
        let log: WireLog = self.client.read("getapplicationlog", next()?)?;
        Ok((height, log.executions()))
    }
    pub(crate) async fn application_log(&self, hash: Hash256) -> Result<Vec<Execution>, ChainError> {
        let call = Call::new("getapplicationlog", json!([hash]));
        Ok(self.client.call::<WireLog>(call).await?.executions())
    }

    pub(crate) async fn invoke_script(
        &self,
        script: &[u8],
        callers: &[Caller],
    ) -> Result<Invocation, ChainError> {
        let params = json!([BASE64.encode(script), callers]);
        let wire: WireInvocation = self.client.call(Call::new("invokescript", params)).await?;
        Ok(wire.invocation(self.address()))
    }
    pub(crate) async fn traverse(
        &self,
        session: &str,
        iterator: &str,
        count: u32,
    ) -> Result<Vec<StackItem>, ChainError> {
        let params = json!([session, iterator, count]);
        self.client.call(Call::new("traverseiterator", params)).await
    }
    pub(crate) async fn end_session(&self, session: &str) -> Result<(), ChainError> {
        let call = Call::new("terminatesession", json!([session]));
        match self.client.call::<bool>(call).await {
            // it is gone, which is what was wanted
            Err(e) if e.refusal() == Some(Refusal::Session) => Ok(()),
            ended => ended.map(|_| ()),
        }
    }

    pub(crate) async fn send(&self, transaction: &[u8]) -> Result<Sent, ChainError> {
        let call = Call::new("sendrawtransaction", json!([BASE64.encode(transaction)]));
        let answer = self.client.batch(vec![call]).await?.pop();
        match answer.ok_or_else(|| self.client.garbage("nothing"))? {
            Ok(_) => Ok(Sent::Accepted),
            Err(e) if e.code == ON_CHAIN => Ok(Sent::AlreadyOnChain),
            Err(e) if e.code == POOLED => Ok(Sent::AlreadyPooled),
            Err(e) => Err(refused(e)),
        }
    }
    pub(crate) async fn network_fee(&self, transaction: &[u8]) -> Result<Datoshi, ChainError> {
        let params = json!([BASE64.encode(transaction)]);
        let wire: WireFee = self.client.call(Call::new("calculatenetworkfee", params)).await?;
        Ok(wire.networkfee)
    }

    /// Fees from the native contract, times from the node's protocol.
    pub(crate) async fn policy(&self) -> Result<Policy, ChainError> {
        let ask =
            |method: &str, arguments: Value| Call::new("invokefunction", json!([POLICY, method, arguments]));
        let calls = vec![
            ask("getFeePerByte", json!([])),
            ask("getExecFeeFactor", json!([])),
            ask("getStoragePrice", json!([])),
            ask(
                "getAttributeFee",
                json!([{"type": "Integer", "value": CONFLICTS}]),
            ),
        ];
        let mut answers = self.client.batch(calls).await?.into_iter();
        let version = self.version().await?;
        let fee_per_byte: i64 = self.number("fee per byte", answers.next())?;
        if !(0..=FEE_MAX).contains(&fee_per_byte) {
            return Err(self
                .client
                .garbage(&format!("{fee_per_byte} as the fee per byte")));
        }
        Ok(Policy {
            fee_per_byte: Datoshi(fee_per_byte),
            exec_fee_factor: self.number("execution fee factor", answers.next())?,
            storage_price: self.number("storage price", answers.next())?,
            // networks before this fee existed do not charge it
            conflicts_fee: Datoshi(
                self.number("fee of Conflicts", answers.next())
                    .unwrap_or(0)
                    .clamp(0, FEE_MAX),
            ),
            block_ms: version.block_ms,
            valid_until_increment_max: version.valid_until_increment_max,
        })
    }
    fn number<T: TryFrom<BigInt>>(&self, what: &str, answer: Option<Answered>) -> Result<T, ChainError> {
        let garbage = || self.client.garbage(&format!("no number as {what}"));
        let wire: WireInvocation = self.client.read("invokefunction", answer.ok_or_else(garbage)?)?;
        let stack = wire.invocation(self.address()).stack;
        let number = stack
            .first()
            .and_then(StackItem::to_integer)
            .ok_or_else(garbage)?;
        T::try_from(number).map_err(|_| garbage())
    }

    pub(crate) async fn contract_state(
        &self,
        contract: ScriptHash,
    ) -> Result<Option<ContractState>, ChainError> {
        let call = Call::new("getcontractstate", json!([contract]));
        match self.client.call::<WireContract>(call).await {
            Ok(wire) => Ok(Some(wire.into())),
            Err(e) if e.refusal() == Some(Refusal::UnknownContract) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
