//! A chain of eleven blocks with one token, and a writer that counts.

use async_trait::async_trait;
use neofn_chain::ChainError;
use neofn_chain::Refusal;
use neofn_chain::model::{
    Block, ContractState, Execution, ExecutionTrigger, FoundTransaction, Head, Invocation, NetworkId,
    NodeStatus, Notification, Policy, Presence, Sent, Session, TransactionInfo, VmState,
};
use neofn_chain::port::{Caller, Chain};
use neofn_chain::stack::StackItem;
use neofn_engine::port::{ChainReceipt, ChainRequest, ChainWriter};
use neofn_types::{Code, Datoshi, Error, Hash256, ProjectName, ScriptHash, UnixMillis, parse_contract};
use num_bigint::BigInt;
use parking_lot::Mutex;
use serde_json::json;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;

const TOP: u64 = 10;
pub const ACCOUNT: ScriptHash = ScriptHash([1; 20]);

/// Counts what it is asked, but for its head, which the triggers' loop watches beside every test.
#[derive(Default)]
pub struct FakeChain {
    pub asked: AtomicU32,
}

pub fn gas() -> ScriptHash {
    parse_contract("GAS").unwrap()
}

fn unknown(why: Refusal) -> ChainError {
    ChainError::Refused {
        why,
        rpc: -100,
        message: "unknown".into(),
    }
}

/// Every block has one transfer of its height in datoshi to the account.
fn block(height: u64) -> Block {
    let byte = u8::try_from(height).unwrap();
    Block {
        height,
        hash: Hash256([byte; 32]),
        previous: Hash256([byte.saturating_sub(1); 32]),
        time: UnixMillis(i64::from(byte) * 1_000),
        size: 300,
        transactions: vec![TransactionInfo {
            hash: Hash256([100 + byte; 32]),
            sender: ScriptHash([2; 20]),
            signers: vec![],
            script: vec![0x40],
            system_fee: Datoshi(1),
            network_fee: Datoshi(2),
            valid_until: 99,
            nonce: 1,
            size: 250,
            attributes: vec![],
            executions: vec![Execution {
                trigger: ExecutionTrigger::Application,
                state: if height == 3 {
                    VmState::Fault
                } else {
                    VmState::Halt
                },
                gas: Datoshi(1),
                exception: None,
                stack: vec![],
                notifications: vec![Notification {
                    contract: gas(),
                    name: "Transfer".into(),
                    state: vec![
                        StackItem::Null,
                        ACCOUNT.into(),
                        StackItem::Integer(BigInt::from(height)),
                    ],
                }],
            }],
        }],
        executions: vec![],
    }
}

impl FakeChain {
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
    fn count(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Chain for FakeChain {
    fn network(&self) -> NetworkId {
        NetworkId(42)
    }
    fn watch(&self) -> watch::Receiver<Head> {
        watch::Sender::new(block(TOP).head()).subscribe()
    }
    fn nodes(&self) -> Vec<NodeStatus> {
        vec![]
    }
    async fn block(&self, height: u64) -> Result<Block, ChainError> {
        // the triggers' loop reads the newest one, too
        if height != TOP {
            self.count();
        }
        if height > TOP {
            return Err(unknown(Refusal::UnknownBlock));
        }
        Ok(block(height))
    }
    async fn blocks(&self, heights: Range<u64>) -> Result<Vec<Block>, ChainError> {
        self.count();
        // fewer than were asked for
        Ok(heights.take(4).filter(|h| *h <= TOP).map(block).collect())
    }
    async fn transaction(&self, _: Hash256) -> Result<FoundTransaction, ChainError> {
        Err(unknown(Refusal::UnknownTransaction))
    }
    async fn block_names(&self, _: u64) -> Vec<neofn_chain::model::BlockName> {
        Vec::new()
    }
    async fn settled(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        self.transaction(hash).await
    }
    async fn application_log(&self, _: Hash256) -> Result<Vec<Execution>, ChainError> {
        self.count();
        Ok(block(1).transactions.remove(0).executions)
    }
    async fn presence(&self, _: Hash256, _: u64) -> Result<Presence, ChainError> {
        Ok(Presence::Pooled)
    }
    async fn invoke_script(&self, script: &[u8], _: &[Caller]) -> Result<Invocation, ChainError> {
        let call = neofn_chain::decode::decode(script).calls.remove(0);
        self.invoke_read(call.contract, &call.method, &[]).await
    }
    async fn invoke_read(
        &self,
        _: ScriptHash,
        method: &str,
        arguments: &[StackItem],
    ) -> Result<Invocation, ChainError> {
        self.count();
        let (state, stack) = match method {
            "balanceOf" => (
                VmState::Halt,
                vec![StackItem::Integer(BigInt::from(2u8).pow(100))],
            ),
            "owner" => (VmState::Halt, vec![arguments[0].clone()]),
            _ => (VmState::Fault, vec![]),
        };
        Ok(Invocation {
            state,
            gas: Datoshi(77),
            exception: (state == VmState::Fault).then(|| "at instruction 5: no".into()),
            stack,
            notifications: vec![],
            session: None,
        })
    }
    async fn iterate(&self, _: &Session, _: &str, _: u32) -> Result<Vec<StackItem>, ChainError> {
        Err(unknown(Refusal::Session))
    }
    async fn end_session(&self, _: &Session) -> Result<(), ChainError> {
        Ok(())
    }
    async fn send(&self, _: &[u8]) -> Result<Sent, ChainError> {
        Err(unknown(Refusal::Other))
    }
    async fn network_fee(&self, _: &[u8]) -> Result<Datoshi, ChainError> {
        Err(unknown(Refusal::Other))
    }
    async fn policy(&self) -> Result<Policy, ChainError> {
        Err(unknown(Refusal::Other))
    }
    async fn contract_state(&self, contract: ScriptHash) -> Result<Option<ContractState>, ChainError> {
        self.count();
        let method = |name: &str, parameters: &[(&str, &str)], returns: &str| {
            let parameters: Vec<_> = parameters
                .iter()
                .map(|(n, t)| json!({"name": n, "type": t}))
                .collect();
            json!({"name": name, "parameters": parameters, "returntype": returns})
        };
        Ok((contract == gas()).then(|| ContractState {
            hash: contract,
            id: -6,
            updates: 0,
            script: vec![],
            manifest: json!({"abi": {"methods": [
                method("balanceOf", &[("account", "Hash160")], "Integer"),
                method("owner", &[("of", "Hash160")], "Hash160"),
                method("broken", &[], "Void"),
                method("transfer", &[("to", "Hash160"), ("amount", "Integer")], "Boolean"),
            ]}}),
        }))
    }
    async fn balance(&self, _: ScriptHash, _: ScriptHash) -> Result<BigInt, ChainError> {
        self.count();
        Ok(BigInt::from(2u8).pow(70))
    }
}

/// Knows requests by their name; each costs 0.2 GAS.
#[derive(Default)]
pub struct FakeWriter {
    pub requests: Mutex<Vec<ChainRequest>>,
    pub tried: AtomicU32,
}

impl FakeWriter {
    /// How many transactions there are, and how often they were asked for.
    pub fn counts(&self) -> (usize, usize) {
        let requests = self.requests.lock();
        let mut names: Vec<_> = requests.iter().map(|r| r.idempotency).collect();
        names.sort_unstable();
        names.dedup();
        (names.len(), requests.len())
    }
}

fn receipt(request: &ChainRequest, state: &str) -> ChainReceipt {
    let sent = state != "dry-run";
    ChainReceipt {
        id: sent.then(|| request.idempotency.to_string()),
        hash: sent.then_some(Hash256(request.idempotency.0)),
        state: state.into(),
        fee: Datoshi(20_000_000),
        valid_until: sent.then_some(TOP + 100),
        height: (state == "halt").then_some(TOP + 1),
    }
}

#[async_trait]
impl ChainWriter for FakeWriter {
    async fn account(&self, _: &ProjectName) -> Option<ScriptHash> {
        Some(ACCOUNT)
    }
    async fn dry_run(&self, request: ChainRequest) -> Result<ChainReceipt, Error> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        Ok(receipt(&request, "dry-run"))
    }
    async fn submit(&self, request: ChainRequest) -> Result<ChainReceipt, Error> {
        let answer = receipt(&request, "broadcast");
        let known = self
            .requests
            .lock()
            .iter()
            .any(|r| r.idempotency == request.idempotency);
        if !known && request.fee_max < answer.fee {
            return Err(Error::new(Code::FeeOverGrant, "too dear"));
        }
        self.requests.lock().push(request);
        Ok(answer)
    }
    async fn confirm(&self, id: &str) -> Result<ChainReceipt, Error> {
        let requests = self.requests.lock();
        let found = requests.iter().find(|r| r.idempotency.to_string() == id);
        Ok(receipt(found.unwrap(), "halt"))
    }
}
