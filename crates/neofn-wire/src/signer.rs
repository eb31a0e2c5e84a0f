//! The signer's accounts and their policies, for operators. A key is sent to a node, and never answered by one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A contract that may be called, or some of its methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRule {
    /// Hash, or the name of a native contract.
    pub contract: String,
    /// Which methods; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
}

/// What an account may be used for. In a request what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicyView {
    /// Fees and GAS given away by one transaction, GAS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_transaction: Option<String>,
    /// The same of all transactions of the last 24 hours, GAS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<String>,
    /// What may be called, in scripts that are nothing but calls; an empty list: everything, as far as `transfers` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<CallRule>>,
    /// Where `calls` is empty: whether tokens other than GAS may be given away too, and scripts be more than calls.
    /// GAS is counted against the caps, other tokens are not. False where it is absent beside `calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfers: Option<bool>,
    /// The widest scope: `None`, `CalledByEntry`, `Global`, or contracts by hash with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The only network that it signs for; 0: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<u32>,
}

/// An account that the signer can sign for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignerAccountView {
    /// Its address.
    pub address: String,
    /// Its script hash.
    pub account: String,
    /// A name for people.
    pub label: String,
    /// What it may be used for.
    pub policy: PolicyView,
    /// What it cost in the last 24 hours, GAS.
    pub spent: String,
}

/// Answer of GET `/api/v1/signer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignerView {
    /// In the order in which they came; the first one pays where nobody says otherwise.
    pub accounts: Vec<SignerAccountView>,
}

/// Body of POST `/api/v1/signer/accounts`: exactly one of `wif`, `nep2` and `wallet`.
#[derive(Clone, PartialEq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyImport {
    /// A private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wif: Option<String>,
    /// A key with a password on it (NEP-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nep2: Option<String>,
    /// The text of a wallet file (NEP-6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
    /// Of a wallet: which account; absent: its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Of `nep2` and `wallet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it may be used for; what is absent is as the defaults say. An account that is held keeps what it has.
    #[serde(default)]
    pub policy: PolicyView,
}

// a key must not reach a log by way of a debug print
impl std::fmt::Debug for KeyImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyImport")
            .field("account", &self.account)
            .field("label", &self.label)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A signature that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignatureView {
    /// Counts the signatures, from 1.
    pub number: u64,
    /// ISO 8601.
    pub at: String,
    /// The address.
    pub address: String,
    /// The transaction's name on chain.
    pub transaction: String,
    /// For which network.
    pub network: u32,
    /// Fees and GAS given away, GAS.
    pub spend: String,
    /// The scope of the witness.
    pub scope: String,
    /// `contract::method` of each call; absent where the script is more than calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<String>>,
    /// On whose behalf.
    pub project: String,
}

/// Answer of GET `/api/v1/signer/signatures`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignatureList {
    /// Oldest first.
    pub signatures: Vec<SignatureView>,
    /// `after` of the next page; null at the end.
    pub next: Option<u64>,
}
