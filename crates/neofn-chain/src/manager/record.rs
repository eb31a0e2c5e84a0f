//! A managed transaction: what was asked for, and how far it came.

use super::Leaving;
use crate::model::VmState;
use crate::tx::{Attribute, Scope, Transaction, Witness};
use neofn_types::{
    Datoshi, Digest, FunctionName, Hash256, InvocationId, ParseIdError, ProjectName, ScriptHash, UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names a managed transaction. Made of its project and idempotency key alone, so that whoever asks twice, even from
/// two processes, means the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxId(pub [u8; 16]);

impl TxId {
    /// The id of what must happen once.
    #[must_use]
    pub fn of(project: &ProjectName, idempotency: Digest) -> Self {
        let Digest(hash) = Digest::of_parts(&[b"neofn/tx", project.to_string().as_bytes(), &idempotency.0]);
        let mut id = [0u8; 16];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(id)
    }
}
impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl fmt::Debug for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for TxId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut id = [0u8; 16];
        hex::decode_to_slice(text, &mut id)
            .map(|()| Self(id))
            .map_err(|_| ParseIdError(text.chars().take(80).collect(), "transaction id"))
    }
}
impl Serialize for TxId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for TxId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What somebody wants on chain, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Whose it is.
    pub project: ProjectName,
    /// What it must happen once for.
    pub idempotency: Digest,
    /// Who agrees; the first one pays. Empty: the signer's first account, where the script calls.
    pub signers: Vec<RequestSigner>,
    /// What runs.
    pub script: Vec<u8>,
    /// The highest fees together; none: what the signer's policy allows.
    pub fee_max: Option<Datoshi>,
    /// For how many blocks it may be taken; none: some minutes' worth.
    pub valid_blocks: Option<u32>,
    /// How often a new one is built after the old one has provably expired.
    pub renewals: u32,
    /// Who bears what it takes. Of requests that were written before this was asked: who asked.
    #[serde(default = "Bearer::asker")]
    pub bearer: Bearer,
    /// The function that asked.
    #[serde(default)]
    pub function: Option<FunctionName>,
    /// In which invocation.
    #[serde(default)]
    pub invocation: Option<InvocationId>,
}

/// Who bears what a transaction takes out of the platform's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bearer {
    /// The project, unless the operator agreed to bear its fees.
    Project,
    /// The operator.
    Operator,
    /// Whoever asks: it has set everything aside already.
    Asker,
}
impl Bearer {
    const fn asker() -> Self {
        Self::Asker
    }
}
impl Request {
    /// A call paid and agreed to by the signer's first account; the project bears it.
    #[must_use]
    pub fn new(project: ProjectName, idempotency: Digest, script: Vec<u8>) -> Self {
        Self {
            project,
            idempotency,
            signers: Vec::new(),
            script,
            fee_max: None,
            valid_blocks: None,
            renewals: 3,
            bearer: Bearer::Project,
            function: None,
            invocation: None,
        }
    }
    /// Its id.
    #[must_use]
    pub fn id(&self) -> TxId {
        TxId::of(&self.project, self.idempotency)
    }
}

/// One who agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSigner {
    /// Who.
    pub account: ScriptHash,
    /// Where the witness counts.
    pub scope: Scope,
    /// Of an account that the signer does not hold: the script whose hash it is. Its witness is waited for.
    pub verification: Option<Vec<u8>>,
}

/// How far a transaction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TxState {
    /// Put together and tried out; exists in memory alone.
    Built,
    /// Its fees are set aside and its unsigned bytes are on disk.
    Reserved,
    /// The bytes that nodes take are on disk; they may have been sent.
    Signed,
    /// A node has taken it.
    Broadcast,
    /// In a block; whether it halted is in [`TxRecord::outcome`].
    Mined,
    /// It can never be in a block, and was not: proved, not assumed.
    Expired,
    /// Another one took its place.
    Replaced,
}
impl TxState {
    /// Whether nothing changes any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Mined | Self::Expired | Self::Replaced)
    }
    /// `broadcast`, as JSON and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Reserved => "reserved",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Mined => "mined",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
        }
    }
}
impl fmt::Display for TxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What running it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// HALT or FAULT. A fault changed nothing and burnt the fees.
    pub state: VmState,
    /// The block that has it.
    pub height: u64,
    /// Why it faulted.
    pub exception: Option<String>,
}

/// A managed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxRecord {
    /// Its id.
    pub id: TxId,
    /// What was asked for.
    pub request: Request,
    /// How far it came.
    pub state: TxState,
    /// Grows with every change; a change of an older one is refused.
    pub revision: u64,
    /// Its name on chain. A new one after a renewal.
    pub hash: Hash256,
    /// Who pays.
    pub sender: ScriptHash,
    /// What is signed.
    pub unsigned: Vec<u8>,
    /// Witnesses of those whom the signer does not hold, as they come in.
    pub cosigned: Vec<(ScriptHash, Witness)>,
    /// What is sent; none before it is signed.
    pub raw: Option<Vec<u8>>,
    /// For execution.
    pub system_fee: Datoshi,
    /// For size and witnesses.
    pub network_fee: Datoshi,
    /// What it would take out of accounts that are held here, beside the fees.
    #[serde(default)]
    pub leaving: Vec<Leaving>,
    /// The last height at which a block may take it.
    pub valid_until: u64,
    /// What running it did, once it is in a block.
    pub outcome: Option<Outcome>,
    /// Why it is where it is, where that needs words: the last refusal of a node, who took its place.
    pub reason: Option<String>,
    /// The height at which the only node there is did not have it, past its last block.
    #[serde(default)]
    pub missing_at: Option<u64>,
    /// From 1; grows with each renewal.
    pub attempt: u32,
    /// Names of earlier attempts. Each is proved to be on no chain.
    pub earlier: Vec<Hash256>,
    /// The transaction whose place this one takes.
    pub replaces: Option<TxId>,
    /// The transaction that is to take this one's place.
    pub replaced_by: Option<TxId>,
    /// When it was asked for.
    pub created_at: UnixMillis,
    /// When it changed last.
    pub updated_at: UnixMillis,
}
impl TxRecord {
    /// Both fees: what it costs at the most, and exactly once it is in a block.
    #[must_use]
    pub fn fees(&self) -> Datoshi {
        self.system_fee
            .checked_add(self.network_fee)
            .unwrap_or(Datoshi(i64::MAX))
    }
    /// Whether it may take the place of `old` as that is now: `old` may be on its way, nothing else takes its place, and
    /// its present bytes are the ones that this one excludes.
    #[must_use]
    pub fn can_replace(&self, old: &Self) -> bool {
        let excluded = Transaction::read(&self.unsigned).is_ok_and(|tx| {
            tx.attributes
                .iter()
                .any(|a| matches!(a, Attribute::Conflicts(hash) if *hash == old.hash))
        });
        excluded && old.replaced_by.is_none() && matches!(old.state, TxState::Signed | TxState::Broadcast)
    }
    /// Accounts whose witness is waited for.
    #[must_use]
    pub fn awaited(&self) -> Vec<ScriptHash> {
        let outside = self.request.signers.iter().filter(|s| s.verification.is_some());
        outside
            .map(|s| s.account)
            .filter(|account| !self.cosigned.iter().any(|(a, _)| a == account))
            .collect()
    }
}
