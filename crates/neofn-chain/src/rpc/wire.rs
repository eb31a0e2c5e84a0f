//! What nodes write, and how it becomes the model. Members that are not needed are not named.

use crate::model::{
    Block, ContractState, Execution, ExecutionTrigger, Head, Invocation, Notification, Session, SignerInfo,
    TransactionInfo, VmState,
};
use crate::stack::{Interop, StackItem};
use neofn_types::{Datoshi, Hash256, ScriptHash, UnixMillis};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct WireVersion {
    #[serde(default)]
    pub(super) useragent: String,
    pub(super) protocol: WireProtocol,
}
#[derive(Deserialize)]
pub(super) struct WireProtocol {
    pub(super) network: u32,
    pub(super) msperblock: u64,
    pub(super) maxvaliduntilblockincrement: u32,
}

#[derive(Deserialize)]
pub(super) struct WireHeader {
    pub(super) hash: Hash256,
    pub(super) index: u64,
    pub(super) time: i64,
}
impl WireHeader {
    pub(super) fn head(&self) -> Head {
        Head {
            height: self.index,
            hash: self.hash,
            time: UnixMillis(self.time),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireBlock {
    hash: Hash256,
    index: u64,
    previousblockhash: Hash256,
    time: i64,
    size: u32,
    #[serde(default)]
    tx: Vec<WireTransaction>,
}
impl From<WireBlock> for Block {
    fn from(wire: WireBlock) -> Self {
        Self {
            height: wire.index,
            hash: wire.hash,
            previous: wire.previousblockhash,
            time: UnixMillis(wire.time),
            size: wire.size,
            transactions: wire.tx.into_iter().map(Into::into).collect(),
            executions: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireTransaction {
    hash: Hash256,
    size: u32,
    nonce: u32,
    sender: ScriptHash,
    sysfee: Datoshi,
    netfee: Datoshi,
    validuntilblock: u64,
    #[serde(default)]
    attributes: Vec<WireAttribute>,
    #[serde(default)]
    signers: Vec<SignerInfo>,
    #[serde(with = "bytes64")]
    script: Vec<u8>,
    // of a transaction that was asked for by its hash, once it is in a block
    #[serde(default)]
    pub(super) blockhash: Option<Hash256>,
    #[serde(default)]
    pub(super) blocktime: Option<i64>,
}
#[derive(Deserialize)]
struct WireAttribute {
    #[serde(rename = "type")]
    kind: String,
}
impl From<WireTransaction> for TransactionInfo {
    fn from(wire: WireTransaction) -> Self {
        Self {
            hash: wire.hash,
            sender: wire.sender,
            signers: wire.signers,
            script: wire.script,
            system_fee: wire.sysfee,
            network_fee: wire.netfee,
            valid_until: wire.validuntilblock,
            nonce: wire.nonce,
            size: wire.size,
            attributes: wire.attributes.into_iter().map(|a| a.kind).collect(),
            executions: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireLog {
    #[serde(default)]
    executions: Vec<WireExecution>,
}
impl WireLog {
    pub(super) fn executions(self) -> Vec<Execution> {
        self.executions.into_iter().map(Into::into).collect()
    }
}
#[derive(Deserialize)]
struct WireExecution {
    trigger: ExecutionTrigger,
    #[serde(deserialize_with = "vm_state")]
    vmstate: VmState,
    gasconsumed: Datoshi,
    #[serde(default)]
    exception: Option<String>,
    #[serde(default)]
    stack: Option<Box<RawValue>>,
    #[serde(default)]
    notifications: Vec<WireNotification>,
}
impl From<WireExecution> for Execution {
    fn from(wire: WireExecution) -> Self {
        Self {
            trigger: wire.trigger,
            state: wire.vmstate,
            gas: wire.gasconsumed,
            exception: wire.exception,
            stack: items(wire.stack.as_deref()),
            notifications: wire.notifications.into_iter().map(Into::into).collect(),
        }
    }
}
#[derive(Deserialize)]
struct WireNotification {
    contract: ScriptHash,
    eventname: String,
    state: Box<RawValue>,
}
impl From<WireNotification> for Notification {
    fn from(wire: WireNotification) -> Self {
        let state = match serde_json::from_str(wire.state.get()) {
            Ok(StackItem::Array(items) | StackItem::Struct(items)) => items,
            _ => Vec::new(),
        };
        Self {
            contract: wire.contract,
            name: wire.eventname,
            state,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireInvocation {
    #[serde(deserialize_with = "vm_state")]
    state: VmState,
    gasconsumed: Datoshi,
    #[serde(default)]
    exception: Option<String>,
    #[serde(default)]
    stack: Option<Box<RawValue>>,
    #[serde(default)]
    notifications: Vec<WireNotification>,
    #[serde(default)]
    session: Option<String>,
}
impl WireInvocation {
    pub(super) fn invocation(self, node: &str) -> Invocation {
        Invocation {
            state: self.state,
            gas: self.gasconsumed,
            exception: self.exception,
            stack: items(self.stack.as_deref()),
            notifications: self.notifications.into_iter().map(Into::into).collect(),
            session: self.session.map(|id| Session {
                node: node.to_owned(),
                id,
            }),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireContract {
    hash: ScriptHash,
    id: i64,
    updatecounter: u32,
    nef: WireNef,
    manifest: serde_json::Value,
}
#[derive(Deserialize)]
struct WireNef {
    #[serde(with = "bytes64")]
    script: Vec<u8>,
}
impl From<WireContract> for ContractState {
    fn from(wire: WireContract) -> Self {
        Self {
            hash: wire.hash,
            id: wire.id,
            updates: wire.updatecounter,
            script: wire.nef.script,
            manifest: wire.manifest,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireFee {
    pub(super) networkfee: Datoshi,
}

/// A stack; an item that cannot be read (nested too deep, or the node gave up on it) stands as a thing of the node's.
fn items(raw: Option<&RawValue>) -> Vec<StackItem> {
    let list: Vec<&RawValue> = raw
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    list.into_iter()
        .map(|raw| serde_json::from_str(raw.get()).unwrap_or(StackItem::Interop(Interop::default())))
        .collect()
}

/// `HALT`, `FAULT`; older nodes also write `HALT, BREAK`.
fn vm_state<'de, D: serde::Deserializer<'de>>(from: D) -> Result<VmState, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    match text.split(',').next().map(str::trim) {
        Some("HALT") => Ok(VmState::Halt),
        Some("FAULT") => Ok(VmState::Fault),
        _ => Err(serde::de::Error::custom(format!("unknown state {text:?}"))),
    }
}

mod bytes64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    use serde::Deserialize as _;

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        BASE64.decode(&*text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(state: &str) -> Vec<Execution> {
        let json = format!(
            r#"{{"executions":[{{"trigger":"Application","vmstate":"HALT, BREAK","gasconsumed":"12","stack":[{state},
            {{"type":"Integer","value":"5"}}],"notifications":[{{"contract":"0xd2a4cff31913016155e38e474a2c06d08be276cf",
            "eventname":"Deep","state":{state}}}],"exception":null}}]}}"#
        );
        serde_json::from_str::<WireLog>(&json).unwrap().executions()
    }

    #[test]
    fn nobody_stops_a_reader_by_what_it_says() {
        let deep = format!(
            r#"{}{{"type":"Any"}}{}"#,
            r#"{"type":"Array","value":["#.repeat(2_000),
            "]}".repeat(2_000)
        );
        for state in [
            deep.as_str(),
            r#""error: recursive reference""#,
            r#"{"error":"too large"}"#,
        ] {
            let executions = log(state);
            let said = &executions[0].notifications[0];
            assert_eq!((said.name.as_str(), said.state.len()), ("Deep", 0));
            assert_eq!(executions[0].stack.len(), 2);
            assert_eq!(executions[0].stack[1], StackItem::from(5));
        }
        assert_eq!(
            log(r#"{"type":"Array","value":[{"type":"Any"}]}"#)[0].notifications[0].state,
            [StackItem::Null]
        );
    }

    #[test]
    fn samples_of_a_real_node_are_read() {
        let block = r#"{"size":465,"hash":"0xa16f05afad639c85a5021e85ddb5075bc49a9e855910c58607dbfc9fb119adfb","version":0,
            "previousblockhash":"0xde1f0277ed8d0753a3d04f2c1c9e2852c82d7937f88b63f7e97195c1b63506e7","time":1795221070911,
            "index":14234,"tx":[{"hash":"0xfe87ea116dd113fef7ca370bf4a48c16fa0f7870cb01979661e7afb562fdc91c","size":244,
            "version":0,"nonce":1720784593,"sender":"NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd","sysfee":"13866490",
            "netfee":"1227520","validuntilblock":14236,"attributes":[{"type":"Conflicts","hash":"0x00"}],
            "signers":[{"account":"0x6ad777fb3bfedf20f654cccc728598253273e050","scopes":"CustomContracts, CalledByEntry",
            "allowedcontracts":[]}],"script":"EUA=","witnesses":[]}]}"#;
        let block = Block::from(serde_json::from_str::<WireBlock>(block).unwrap());
        let transaction = &block.transactions[0];
        assert_eq!(
            (block.height, transaction.system_fee),
            (14_234, Datoshi(13_866_490))
        );
        assert_eq!(transaction.sender, transaction.signers[0].account);
        assert_eq!(transaction.attributes, ["Conflicts"]);
        assert_eq!(transaction.script, [0x11, 0x40]);
    }
}
