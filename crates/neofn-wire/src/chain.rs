//! The chain, as the node sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How one chain node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainNodeView {
    /// Without credentials.
    pub url: String,
    /// What kind, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its newest block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Blocks behind the best node.
    pub lag: u64,
    /// Of recent requests, smoothed.
    pub latency_ms: u64,
    /// Share of recent requests that failed, in thousandths.
    pub errors_per_mille: u32,
    /// Whether it announces blocks; otherwise it is asked.
    pub subscribed: bool,
    /// Why it is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected: Option<String>,
}

/// Answer of GET `/api/v1/chain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainView {
    /// The number of the network.
    pub network: u32,
    /// The newest block.
    pub height: u64,
    /// Its name.
    pub hash: String,
    /// The next block that triggers are matched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Blocks that are not matched yet.
    pub lag: u64,
    /// The first usable node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// Why blocks are not read at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Every node.
    pub nodes: Vec<ChainNodeView>,
    /// Of a development chain: a NEP-6 file on the node's machine with a funded account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Body of POST `/api/v1/chain/recheck`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecheckRequest {
    /// Read the block again where the nodes agree on another one; otherwise only compare.
    #[serde(default)]
    pub apply: bool,
}

/// The last block that was read, against what nodes call it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecheckView {
    /// Its height.
    pub height: u64,
    /// Its name as it was read.
    pub recorded: String,
    /// What each node calls it now.
    pub nodes: Vec<BlockNameView>,
    /// Another name, that all of them use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<String>,
    /// Whether it is read again.
    pub moved: bool,
}

/// What one node calls a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockNameView {
    /// The node.
    pub url: String,
    /// The name.
    pub hash: String,
}

/// Body of POST `/api/v1/chain/call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainCall {
    /// Hash, or the name of a native contract.
    pub contract: String,
    /// The method.
    pub method: String,
    /// Plain values, converted as the contract's manifest says, or `{type, value}`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub args: Vec<serde_json::Value>,
}

/// Body of POST `/api/v1/chain/decode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeRequest {
    /// The script: hexadecimal, with or without 0x, or base64.
    pub script: String,
}
