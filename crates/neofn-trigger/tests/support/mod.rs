//! Blocks to match against, made by hand.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use neofn_chain::model::{
    Block, Execution, ExecutionTrigger, NetworkId, Notification, SignerInfo, TransactionInfo, VmState,
};
use neofn_chain::stack::StackItem;
use neofn_event::{TriggerId, TriggerSpec, Triggers};
use neofn_trigger::Matcher;
use neofn_types::{Datoshi, FunctionKey, Hash256, ScriptHash, UnixMillis};
use serde_json::Value;

pub const NETWORK: NetworkId = NetworkId(860_833_102);

pub fn account(n: u8) -> ScriptHash {
    ScriptHash([n; 20])
}
pub fn gas() -> ScriptHash {
    neofn_event::native::contract("GAS").expect("known")
}

pub fn notification(contract: ScriptHash, name: &str, state: Vec<StackItem>) -> Notification {
    Notification {
        contract,
        name: name.into(),
        state,
    }
}
pub fn transfer(token: ScriptHash, from: u8, to: u8, amount: i64) -> Notification {
    notification(
        token,
        "Transfer",
        vec![account(from).into(), account(to).into(), amount.into()],
    )
}

pub fn execution(trigger: ExecutionTrigger, state: VmState, notifications: Vec<Notification>) -> Execution {
    Execution {
        trigger,
        state,
        gas: Datoshi(9_977_750),
        exception: (state == VmState::Fault).then(|| "ASSERT failed".to_owned()),
        stack: vec![StackItem::Boolean(true)],
        notifications,
    }
}

/// A transaction of account `sender` that calls `contract`.
pub fn transaction(
    id: u8,
    sender: u8,
    contract: ScriptHash,
    state: VmState,
    notifications: Vec<Notification>,
) -> TransactionInfo {
    let mut script = vec![0xc2, 0x1f, 0x0c, 0x08];
    script.extend_from_slice(b"transfer");
    script.extend_from_slice(&[0x0c, 0x14]);
    script.extend_from_slice(&contract.0);
    script.extend_from_slice(&[0x41, 0x62, 0x7d, 0x5b, 0x52]);
    TransactionInfo {
        hash: Hash256([id; 32]),
        sender: account(sender),
        signers: vec![
            SignerInfo {
                account: account(sender),
                scopes: "CalledByEntry".into(),
            },
            SignerInfo {
                account: account(sender + 100),
                scopes: "None".into(),
            },
        ],
        script,
        system_fee: Datoshi(9_977_750),
        network_fee: Datoshi(1_229_520),
        valid_until: 200,
        nonce: 7,
        size: 246,
        attributes: vec![],
        executions: vec![execution(ExecutionTrigger::Application, state, notifications)],
    }
}

pub fn block(height: u64, transactions: Vec<TransactionInfo>) -> Block {
    let fees = transfer(gas(), 1, 0, 15_094_010);
    let reward = notification(
        gas(),
        "Transfer",
        vec![StackItem::Null, account(9).into(), 50_000_000.into()],
    );
    Block {
        height,
        hash: Hash256([0xbb; 32]),
        previous: Hash256([0xaa; 32]),
        time: UnixMillis(1_795_221_070_911),
        size: 465,
        transactions,
        executions: vec![
            execution(ExecutionTrigger::OnPersist, VmState::Halt, vec![fees]),
            execution(ExecutionTrigger::PostPersist, VmState::Halt, vec![reward]),
        ],
    }
}

/// Two transfers of GAS (one large), a failed one, and a foreign notification.
pub fn sample() -> Block {
    let other = account(77);
    let odd = notification(
        other,
        "Minted",
        vec!["GAS/USD".into(), StackItem::ByteString(vec![0xff, 0]), 5.into()],
    );
    block(
        100,
        vec![
            transaction(
                1,
                1,
                gas(),
                VmState::Halt,
                vec![transfer(gas(), 1, 2, 50), transfer(gas(), 1, 3, 500_000_000)],
            ),
            transaction(
                2,
                2,
                gas(),
                VmState::Fault,
                vec![transfer(gas(), 2, 3, 900_000_000)],
            ),
            transaction(3, 3, other, VmState::Halt, vec![odd]),
        ],
    )
}

pub fn triggers(on: Value) -> Vec<(TriggerId, TriggerSpec)> {
    let function = FunctionKey::new("demo".parse().expect("name"), "guard".parse().expect("name"));
    let specs = Triggers::read(&on).unwrap_or_else(|f| panic!("{}: {}", f[0], f[0].hint));
    specs
        .0
        .into_iter()
        .map(|spec| (TriggerId::new(function.clone(), spec.name.clone()), spec))
        .collect()
}

pub fn matcher(on: Value) -> Matcher {
    let (matcher, refused) = Matcher::build(NETWORK, triggers(on));
    assert!(refused.is_empty(), "{refused:?}");
    matcher
}
