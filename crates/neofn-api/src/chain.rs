//! Use cases that look at the chain. Anybody with a key may: what is on chain is public, the node's time is not.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_chain::contract as contracts;
use neofn_chain::decode::{Call, SCRIPT_BYTES_MAX, decode};
use neofn_chain::listing::listing;
use neofn_chain::model::{Block, Execution, Notification, TransactionInfo, VmState};
use neofn_chain::port::{BLOCKS_MAX, Caller, Chain};
use neofn_chain::stack::StackItem;
use neofn_chain::tx::script_hash;
use neofn_event::{ParameterType, native};
use neofn_identity::Principal;
use neofn_identity::audit::AuditEntry;
use neofn_trigger::parameter_json;
use neofn_types::{Code, Error, Hash256, ScriptHash};
use neofn_wire::{
    BlockNameView, ChainCall, ChainNodeView, ChainView, DecodeRequest, RecheckRequest, RecheckView,
    ScriptCallView,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Most blocks of a listing of notifications.
const RANGE_MAX: u64 = 5_000;
/// Most notifications of a listing.
const NOTIFICATIONS_MAX: usize = 1_000;
/// Most arguments of a call.
const ARGS_MAX: usize = 64;

/// Which notifications to list.
#[derive(Debug, Clone, Default)]
pub struct NotificationQuery {
    /// Hash, or the name of a native contract.
    pub contract: String,
    /// Only those of this name.
    pub event: Option<String>,
    /// The first block; absent: a hundred blocks before the last.
    pub from: Option<u64>,
    /// The last block; absent: the newest.
    pub to: Option<u64>,
}

impl Api {
    fn chain_for(&self, who: &Principal) -> Result<Arc<dyn Chain>, Error> {
        self.authorise_chain(who)?;
        self.engine().chain()
    }

    /// May they look? Also for an edge that wants to know before it reads a body.
    pub fn authorise_chain(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::ReadChain, Target::Node { loopback: false })
    }

    /// The network, its newest block, and how the nodes do.
    pub fn chain_info(&self, who: &Principal) -> Result<ChainView, ApiError> {
        self.chain_for(who)?;
        // paths and queries of providers are keys as often as not
        let operator = self
            .authorise(who, Action::ManageSigner, Target::Node { loopback: false })
            .is_ok();
        let shown = |url: String| if operator { url } else { origin(&url) };
        let state = self
            .engine()
            .chain_state()
            .ok_or(Error::from(Code::ChainAbsent))?;
        let nodes: Vec<ChainNodeView> = state
            .nodes
            .into_iter()
            .map(|n| ChainNodeView {
                url: shown(n.url),
                agent: n.agent,
                height: n.height,
                lag: n.lag,
                latency_ms: n.latency_ms,
                errors_per_mille: n.errors_per_mille,
                subscribed: n.subscribed,
                ejected: n.ejected,
            })
            .collect();
        let development = self.inner.payments.as_ref().and_then(|p| p.development.as_ref());
        Ok(ChainView {
            network: state.network.0,
            height: state.head.height,
            hash: state.head.hash.to_string(),
            next: state.next,
            lag: state.lag,
            rpc: nodes.iter().find(|n| n.ejected.is_none()).map(|n| n.url.clone()),
            error: state.error.map(|(code, message)| format!("{code}: {message}")),
            nodes,
            wallet: development.map(|d| d.wallet.clone()),
            password: development.map(|d| d.password.clone()),
        })
    }

    /// May they have the last block compared? Also for an edge that wants to know before it reads a body.
    pub fn authorise_recheck(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::RecheckChain, Target::Node { loopback: false })
    }

    /// Compares the last block that was read with what nodes call it; on request it is read again.
    pub async fn chain_recheck(
        &self,
        who: &Principal,
        request: &RecheckRequest,
    ) -> Result<RecheckView, ApiError> {
        self.authorise_recheck(who)?;
        self.engine().chain()?;
        if request.apply {
            let now = self.inner.clock.now();
            let entry = AuditEntry::new(now, who.actor(), "chain.recheck", "the last block that was read");
            self.log(entry).await?;
        }
        let seen = self.engine().recheck_chain(request.apply).await?;
        Ok(RecheckView {
            height: seen.height,
            recorded: seen.recorded.to_string(),
            nodes: seen
                .nodes
                .into_iter()
                .map(|n| BlockNameView {
                    url: n.node,
                    hash: n.hash.to_string(),
                })
                .collect(),
            agreed: seen.agreed.map(|hash| hash.to_string()),
            moved: seen.moved,
        })
    }

    /// A block with what happened in it.
    pub async fn chain_block(&self, who: &Principal, height: u64) -> Result<Value, ApiError> {
        Ok(block(
            &self.chain_for(who)?.block(height).await.map_err(Error::from)?,
        ))
    }

    /// A transaction, and what it did once it is in a block.
    pub async fn chain_transaction(&self, who: &Principal, hash: &str) -> Result<Value, ApiError> {
        let chain = self.chain_for(who)?;
        let hash: Hash256 = hash.parse().map_err(|e| bad("hash", &e))?;
        let found = chain.transaction(hash).await.map_err(Error::from)?;
        let mut out = transaction(&found.transaction);
        if let Some(members) = out.as_object_mut() {
            let included = found
                .included
                .map(|i| json!({ "height": i.height, "block": i.block, "time": i.time.to_iso8601() }));
            members.insert("included".to_owned(), included.unwrap_or_default());
        }
        Ok(out)
    }

    /// Notifications of a contract, oldest first.
    pub async fn chain_notifications(
        &self,
        who: &Principal,
        query: NotificationQuery,
    ) -> Result<Value, ApiError> {
        let chain = self.chain_for(who)?;
        let contract = contract(&query.contract)?;
        let head = chain.head().height;
        let to = query.to.unwrap_or(head).min(head);
        let from = query.from.unwrap_or(to.saturating_sub(100));
        if from > to || to - from >= RANGE_MAX {
            let message = format!("blocks {from} to {to}: 1 to {RANGE_MAX} blocks are searched at once");
            return Err(Error::new(Code::RangeTooLong, message).into());
        }
        let (mut next, mut found) = (from, Vec::new());
        while next <= to && found.len() < NOTIFICATIONS_MAX {
            let blocks = chain
                .blocks(next..(to + 1).min(next + BLOCKS_MAX))
                .await
                .map_err(Error::from)?;
            if blocks.is_empty() {
                break;
            }
            for block in &blocks {
                let own = block.executions.iter().map(|e| (None, e));
                let of_txs = block
                    .transactions
                    .iter()
                    .flat_map(|tx| tx.executions.iter().map(move |e| (Some(tx.hash), e)));
                for (transaction, execution) in own.chain(of_txs) {
                    let wanted = execution.notifications.iter().filter(|n| {
                        n.contract == contract && query.event.as_ref().is_none_or(|e| *e == n.name)
                    });
                    found.extend(wanted.map(|n| {
                        json!({
                            "height": block.height, "transaction": transaction, "state": execution.state,
                            "notification": notification(n),
                        })
                    }));
                }
            }
            next += u64::try_from(blocks.len()).unwrap_or(0);
        }
        found.truncate(NOTIFICATIONS_MAX);
        // one that was destroyed has left notifications behind, one that never was has not
        if found.is_empty() {
            contracts::find(&*chain, contract).await.map_err(Error::from)?;
        }
        Ok(
            json!({ "contract": contract, "from": from, "to": next.saturating_sub(1), "notifications": found }),
        )
    }

    /// How much of a token an account has, in its smallest unit.
    pub async fn chain_balance(
        &self,
        who: &Principal,
        account: &str,
        token: Option<&str>,
    ) -> Result<Value, ApiError> {
        let chain = self.chain_for(who)?;
        let account: ScriptHash = account.parse().map_err(|e| bad("account", &e))?;
        let token = contract(token.unwrap_or("GAS"))?;
        let amount = chain.balance(token, account).await.map_err(Error::from)?;
        Ok(json!({
            "account": account.to_address(), "token": token, "name": native::name(token), "amount": amount.to_string(),
        }))
    }

    /// Tries a method of a contract out against the present state, as the node's account would call it. Nothing is sent.
    pub async fn chain_call(&self, who: &Principal, call: ChainCall) -> Result<Value, ApiError> {
        let chain = self.chain_for(who)?;
        let contract = contract(&call.contract)?;
        if call.args.len() > ARGS_MAX {
            let message = format!("more than {ARGS_MAX} arguments");
            return Err(Error::new(Code::RequestInvalid, message).into());
        }
        let (args, returns) = self
            .engine()
            .contract_arguments(contract, &call.method, &call.args)
            .await?;
        let script = contracts::call(contract, &call.method, &args).map_err(Error::from)?;
        let caller = match self.payments() {
            Ok(payments) => payments.transactions.account().await.ok().flatten(),
            Err(_) => None,
        };
        let callers: Vec<Caller> = caller.map(Caller::by_entry).into_iter().collect();
        let done = chain
            .invoke_script(&script, &callers)
            .await
            .map_err(Error::from)?;
        let listed = listing(&chain, &done).await.map_err(Error::from)?;
        let top = || done.stack.first().map(|item| parameter_json(item, returns));
        let items = listed.as_ref().map(|l| {
            let each = |item| parameter_json(item, ParameterType::Any);
            l.items.iter().map(each).collect::<Value>()
        });
        let result = items.or_else(top).filter(|_| done.state == VmState::Halt);
        Ok(json!({
            "result": result, "truncated": listed.is_some_and(|l| l.truncated),
            "state": done.state, "gas": done.gas.0.to_string(), "exception": done.exception, "stack": done.stack,
            "notifications": done.notifications.iter().map(notification).collect::<Vec<_>>(),
        }))
    }

    /// Takes a script apart. Needs no chain.
    pub fn decode_script(&self, who: &Principal, request: &DecodeRequest) -> Result<Value, ApiError> {
        self.authorise_chain(who)?;
        let script = script_bytes(&request.script)?;
        let decoded = decode(&script);
        let calls: Vec<ScriptCallView> = decoded.calls.iter().map(script_call).collect();
        Ok(json!({
            "bytes": script.len(), "hash": script_hash(&script), "instructions": decoded.instructions,
            "calls": calls, "broken": decoded.broken,
        }))
    }
}

/// `https://host:port` of an address.
fn origin(url: &str) -> String {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .get(after..)
        .and_then(|rest| rest.find(['/', '?', '#']))
        .map_or(url.len(), |at| after + at);
    url.get(..end).unwrap_or_default().to_owned()
}

/// A script in either notation: what is hexadecimal is taken as that.
fn script_bytes(text: &str) -> Result<Vec<u8>, Error> {
    let text = text.trim();
    let found = hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok();
    let found = found
        .or_else(|| BASE64.decode(text).ok())
        .filter(|script| !script.is_empty());
    let script = found.ok_or_else(|| bad("script", &"neither hexadecimal digits nor base64"))?;
    if script.len() > SCRIPT_BYTES_MAX {
        return Err(bad("script", &format!("more than {SCRIPT_BYTES_MAX} bytes")));
    }
    Ok(script)
}

/// A call of a script, with the contract's name where it has one.
pub(crate) fn script_call(call: &Call) -> ScriptCallView {
    ScriptCallView {
        contract: call.contract.to_string(),
        name: native::name(call.contract).map(str::to_owned),
        method: call.method.clone(),
    }
}

pub(crate) fn bad(parameter: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::BadParameter, format!("`{parameter}`: {error}"))
}

pub(crate) fn contract(text: &str) -> Result<ScriptHash, Error> {
    match native::contract(text) {
        Some(found) => Ok(found),
        None => text.parse().map_err(|e| bad("contract", &e)),
    }
}

fn block(block: &Block) -> Value {
    json!({
        "height": block.height, "hash": block.hash, "previous": block.previous, "time": block.time.to_iso8601(),
        "size": block.size, "transactions": block.transactions.iter().map(transaction).collect::<Vec<_>>(),
        "executions": block.executions.iter().map(execution).collect::<Vec<_>>(),
    })
}

fn transaction(tx: &TransactionInfo) -> Value {
    json!({
        "hash": tx.hash, "sender": tx.sender.to_address(), "signers": tx.signers, "systemFee": tx.system_fee.0.to_string(),
        "networkFee": tx.network_fee.0.to_string(), "validUntil": tx.valid_until, "nonce": tx.nonce, "size": tx.size,
        "attributes": tx.attributes, "script": StackItem::ByteString(tx.script.clone()),
        "executions": tx.executions.iter().map(execution).collect::<Vec<_>>(),
    })
}

pub(crate) fn execution(e: &Execution) -> Value {
    json!({
        "trigger": e.trigger, "state": e.state, "gas": e.gas.0.to_string(), "exception": e.exception, "stack": e.stack,
        "notifications": e.notifications.iter().map(notification).collect::<Vec<_>>(),
    })
}

fn notification(n: &Notification) -> Value {
    json!({ "contract": n.contract, "name": native::name(n.contract), "event": n.name, "state": n.state })
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn paths_and_queries_of_nodes_stay_with_the_operator() {
        for (url, shown) in [
            (
                "https://rpc.example.org/v1/key?token=secret",
                "https://rpc.example.org",
            ),
            ("http://127.0.0.1:10332", "http://127.0.0.1:10332"),
            ("http://[::1]:10332/?a=b", "http://[::1]:10332"),
        ] {
            assert_eq!(origin(url), shown);
        }
    }
}
