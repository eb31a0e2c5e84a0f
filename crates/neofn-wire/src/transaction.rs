//! Transactions that the node manages, and what makes them: calls and contracts of its operator.
//!
//! Amounts are datoshi in decimal strings, as nodes write them; limits that a person gives are GAS.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One who agrees to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionSignerView {
    /// An address.
    pub account: String,
    /// Where the witness counts.
    pub scope: String,
}

/// A call that stands in a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScriptCallView {
    /// Of which contract.
    pub contract: String,
    /// Its name, when it is a native contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of which method.
    pub method: String,
}

/// A transaction that the node manages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionView {
    /// What `ctx.neo.invoke` answered; 32 hexadecimal digits.
    pub id: String,
    /// Whose it is.
    pub project: String,
    /// `reserved`, `signed`, `broadcast`, `halt`, `fault`, `expired` or `replaced`.
    pub state: String,
    /// Its name on chain; absent before it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The address that pays.
    pub sender: String,
    /// Those who agree.
    pub signers: Vec<TransactionSignerView>,
    /// What it calls, as far as that stands in its script.
    pub calls: Vec<ScriptCallView>,
    /// System and network fee, datoshi.
    pub fee: String,
    /// Datoshi.
    pub system_fee: String,
    /// Datoshi.
    pub network_fee: String,
    /// The last height at which a block may take it.
    pub valid_until: u64,
    /// The block that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// What went wrong, as the catalogue of errors has it; absent while nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it faulted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// Why it is where it is, where that needs words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From 1; grows when it is built anew after it expired.
    pub attempt: u32,
    /// Names of earlier attempts, each proved to be on no chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// The transaction whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The transaction that takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Addresses whose signature is waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<String>,
    /// While signatures are waited for: the transaction without witnesses, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
    /// While signatures are waited for: what is signed (ECDSA over secp256r1 and SHA-256), the network's number and the
    /// transaction's hash; hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_sign: Option<String>,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601.
    pub updated_at: String,
    /// What running it did: notifications, GAS, exception. Of one transaction alone, once it is in a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub effects: Option<Vec<Value>>,
}

/// Answer of GET `/api/v1/transactions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TransactionList {
    /// Newest first.
    pub transactions: Vec<TransactionView>,
    /// Cursor of the next page; null at the end.
    pub next: Option<String>,
}

/// How something is sent: who pays, how much at the most, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    /// The account that pays and agrees; absent: the signer's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The most that its fees may be, GAS; absent: what the signer's policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas: Option<String>,
    /// Only say what would come of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Whether the operator bears what it takes; otherwise the project does. Without a bank nobody is charged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator: bool,
    /// Accounts whose keys are held elsewhere and that agree: the node pays, and sends it when they have signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cosigners: Vec<CosignerRequest>,
}

/// An account that agrees with a key of its own. Its witness counts in the contract that is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CosignerRequest {
    /// Of an account with one key: the public key, 33 bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Of an account with several keys: its verification script, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
}

/// Body of POST `/api/v1/transactions/{id}/replace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRequest {
    /// `cancel`: by one that does nothing; `faster`: by the same with a higher network fee.
    pub by: String,
    /// The most that the fees of the new one may be, GAS; absent: what the signer's policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas: Option<String>,
}

/// Body of POST `/api/v1/transactions/{id}/witness`: `public_key` and `signature`, or `verification` and `invocation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WitnessRequest {
    /// Of an account with one key: the public key, 33 bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Its signature over `to_sign`: r and s, 64 bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Of any account: its verification script, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    /// The script that leaves its signatures, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
}

/// Body of POST `/api/v1/chain/invoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainInvoke {
    /// Hash, or the name of a native contract.
    pub contract: String,
    /// The method.
    pub method: String,
    /// Plain values, converted as the contract's manifest says, or `{type, value}`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub args: Vec<Value>,
    /// How it is sent.
    #[serde(default)]
    pub send: Sending,
}

/// Body of POST `/api/v1/chain/contracts`, and of POST `…/{id}/update`, where either may be absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractRequest {
    /// The `.nef` file, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nef: Option<String>,
    /// The manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub manifest: Option<Value>,
    /// Handed to the contract's own `_deploy` or `update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
    /// How it is sent.
    #[serde(default)]
    pub send: Sending,
}

/// What was sent, or what it would cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentView {
    /// The contract that is called, or that comes to be.
    pub contract: String,
    /// The address that pays.
    pub sender: String,
    /// System and network fee, datoshi.
    pub fee: String,
    /// Datoshi.
    pub system_fee: String,
    /// Datoshi.
    pub network_fee: String,
    /// Absent of a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionView>,
}
