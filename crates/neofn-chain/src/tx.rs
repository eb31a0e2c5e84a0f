//! Transactions of Neo N3: their bytes, their name, what is signed. Knows no node and no key.

use neofn_types::{Datoshi, Hash256, ScriptHash};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Largest transaction that a node takes.
pub const TRANSACTION_BYTES_MAX: usize = 102_400;
/// Most signers, and most attributes beside them.
pub const SIGNERS_MAX: usize = 16;
/// Most contracts or groups that one scope names.
const SUBITEMS_MAX: usize = 16;

/// The account of a script: RIPEMD-160 of its SHA-256.
#[must_use]
pub fn script_hash(script: &[u8]) -> ScriptHash {
    ScriptHash(ripemd::Ripemd160::digest(Sha256::digest(script)).into())
}

/// Where a witness counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Nowhere: the account only pays.
    None,
    /// In the contract that the script calls itself.
    CalledByEntry,
    /// In these contracts.
    Contracts(Vec<ScriptHash>),
    /// Everywhere.
    Global,
}
impl Scope {
    const NONE: u8 = 0x00;
    const BY_ENTRY: u8 = 0x01;
    const CONTRACTS: u8 = 0x10;
    const GLOBAL: u8 = 0x80;

    /// Whether everything that this allows `other` allows too.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::Global) => true,
            (Self::CalledByEntry, Self::CalledByEntry) => true,
            (Self::Contracts(mine), Self::Contracts(theirs)) => mine.iter().all(|c| theirs.contains(c)),
            _ => false,
        }
    }
}
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::CalledByEntry => "CalledByEntry",
            Self::Contracts(_) => "CustomContracts",
            Self::Global => "Global",
        })
    }
}

/// One who agrees to a transaction. The first of them pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// Who.
    pub account: ScriptHash,
    /// To what.
    pub scope: Scope,
}
impl From<&Signer> for crate::port::Caller {
    fn from(signer: &Signer) -> Self {
        Self {
            account: signer.account,
            scopes: signer.scope.to_string(),
            contracts: match &signer.scope {
                Scope::Contracts(contracts) => contracts.clone(),
                _ => Vec::new(),
            },
        }
    }
}

/// What else a transaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// Not before this height.
    NotValidBefore(u32),
    /// Never together with this one: it takes a waiting one's place when its network fee is higher.
    Conflicts(Hash256),
}

/// The proof that an account agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Leaves the signatures.
    pub invocation: Vec<u8>,
    /// Checks them; its hash is the account.
    pub verification: Vec<u8>,
}

/// A transaction, signed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Makes otherwise equal ones different. Needs no order.
    pub nonce: u32,
    /// For execution; what is left of it is not given back.
    pub system_fee: Datoshi,
    /// For size and witnesses.
    pub network_fee: Datoshi,
    /// The last height at which a block may take it.
    pub valid_until: u32,
    /// Who agrees.
    pub signers: Vec<Signer>,
    /// What else it says.
    pub attributes: Vec<Attribute>,
    /// What it runs.
    pub script: Vec<u8>,
    /// In the order of the signers; none before it is signed.
    pub witnesses: Vec<Witness>,
}

/// Bytes that are no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a transaction of Neo N3: {0}")]
pub struct ReadError(pub &'static str);

impl Transaction {
    /// What its name is made of, and what signers agree to.
    #[must_use]
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.0.push(0);
        out.0.extend(self.nonce.to_le_bytes());
        out.0.extend(self.system_fee.0.to_le_bytes());
        out.0.extend(self.network_fee.0.to_le_bytes());
        out.0.extend(self.valid_until.to_le_bytes());
        out.count(self.signers.len());
        for signer in &self.signers {
            out.signer(signer);
        }
        out.count(self.attributes.len());
        for attribute in &self.attributes {
            out.attribute(attribute);
        }
        out.bytes(&self.script);
        out.0
    }
    /// The bytes that nodes take.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(self.unsigned_bytes());
        out.count(self.witnesses.len());
        for witness in &self.witnesses {
            out.bytes(&witness.invocation);
            out.bytes(&witness.verification);
        }
        out.0
    }
    /// Its name; the witnesses are no part of it.
    #[must_use]
    pub fn hash(&self) -> Hash256 {
        Hash256(Sha256::digest(self.unsigned_bytes()).into())
    }
    /// What a signature is made of: the network, then the name.
    #[must_use]
    pub fn message(&self, network: u32) -> Vec<u8> {
        message(network, self.hash())
    }
    /// Who pays.
    #[must_use]
    pub fn sender(&self) -> Option<ScriptHash> {
        self.signers.first().map(|s| s.account)
    }
    /// Both fees, if they fit.
    #[must_use]
    pub fn fees(&self) -> Option<Datoshi> {
        self.system_fee.checked_add(self.network_fee)
    }
    /// Reads a transaction; without witnesses it may end after the script.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(ReadError("too large"));
        }
        let mut from = Reader(bytes);
        if from.byte()? != 0 {
            return Err(ReadError("another version"));
        }
        let mut transaction = Self {
            nonce: u32::from_le_bytes(from.array()?),
            system_fee: Datoshi(i64::from_le_bytes(from.array()?)),
            network_fee: Datoshi(i64::from_le_bytes(from.array()?)),
            valid_until: u32::from_le_bytes(from.array()?),
            signers: from.list(SIGNERS_MAX, Reader::signer)?,
            attributes: from.list(SIGNERS_MAX, Reader::attribute)?,
            script: from.bytes(u16::MAX.into())?.to_vec(),
            witnesses: Vec::new(),
        };
        if transaction.system_fee.0 < 0 || transaction.network_fee.0 < 0 {
            return Err(ReadError("a negative fee"));
        }
        if !from.0.is_empty() {
            transaction.witnesses = from.list(SIGNERS_MAX, |r| {
                Ok(Witness {
                    invocation: r.bytes(1_024)?.to_vec(),
                    verification: r.bytes(1_024)?.to_vec(),
                })
            })?;
        }
        if from.0.is_empty() {
            Ok(transaction)
        } else {
            Err(ReadError("something follows it"))
        }
    }
}

/// What a signature of a transaction is made of.
#[must_use]
pub fn message(network: u32, transaction: Hash256) -> Vec<u8> {
    let mut bytes = network.to_le_bytes().to_vec();
    bytes.extend_from_slice(&transaction.0);
    bytes
}

/// Bytes that a length takes in front of so many.
#[must_use]
pub(crate) fn length_of_length(n: usize) -> usize {
    match n {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        _ => 5,
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, n: usize) {
        if let Some(small) = u8::try_from(n).ok().filter(|n| *n < 0xfd) {
            self.0.push(small);
        } else if let Ok(middle) = u16::try_from(n) {
            self.0.push(0xfd);
            self.0.extend(middle.to_le_bytes());
        } else {
            self.0.push(0xfe);
            self.0.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }
    fn signer(&mut self, signer: &Signer) {
        self.0.extend_from_slice(&signer.account.0);
        match &signer.scope {
            Scope::None => self.0.push(Scope::NONE),
            Scope::CalledByEntry => self.0.push(Scope::BY_ENTRY),
            Scope::Global => self.0.push(Scope::GLOBAL),
            Scope::Contracts(contracts) => {
                self.0.push(Scope::CONTRACTS);
                self.count(contracts.len());
                for contract in contracts {
                    self.0.extend_from_slice(&contract.0);
                }
            }
        }
    }
    fn attribute(&mut self, attribute: &Attribute) {
        match attribute {
            Attribute::NotValidBefore(height) => {
                self.0.push(0x20);
                self.0.extend(height.to_le_bytes());
            }
            Attribute::Conflicts(hash) => {
                self.0.push(0x21);
                self.0.extend_from_slice(&hash.0);
            }
        }
    }
}

/// Reads what may come from anybody: every count is bounded before anything is made for it.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize) -> Result<&'b [u8], ReadError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(ReadError("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        self.take(N)?
            .try_into()
            .map_err(|_| ReadError("it ends too early"))
    }
    fn byte(&mut self) -> Result<u8, ReadError> {
        self.array().map(|[byte]| byte)
    }
    fn count(&mut self, max: usize) -> Result<usize, ReadError> {
        let count = match self.byte()? {
            0xfd => u16::from_le_bytes(self.array()?).into(),
            0xfe => usize::try_from(u32::from_le_bytes(self.array()?)).unwrap_or(usize::MAX),
            0xff => usize::MAX,
            small => small.into(),
        };
        if count > max {
            Err(ReadError("too many of something"))
        } else {
            Ok(count)
        }
    }
    fn bytes(&mut self, max: usize) -> Result<&'b [u8], ReadError> {
        let count = self.count(max)?;
        self.take(count)
    }
    fn list<T>(
        &mut self,
        max: usize,
        mut one: impl FnMut(&mut Self) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        (0..self.count(max)?).map(|_| one(self)).collect()
    }
    fn signer(&mut self) -> Result<Signer, ReadError> {
        let account = ScriptHash(self.array()?);
        let scope = match self.byte()? {
            Scope::NONE => Scope::None,
            Scope::BY_ENTRY => Scope::CalledByEntry,
            Scope::GLOBAL => Scope::Global,
            Scope::CONTRACTS => Scope::Contracts(self.list(SUBITEMS_MAX, |r| r.array().map(ScriptHash))?),
            _ => return Err(ReadError("a scope that is not used here")),
        };
        Ok(Signer { account, scope })
    }
    fn attribute(&mut self) -> Result<Attribute, ReadError> {
        match self.byte()? {
            0x20 => Ok(Attribute::NotValidBefore(u32::from_le_bytes(self.array()?))),
            0x21 => Ok(Attribute::Conflicts(Hash256(self.array()?))),
            _ => Err(ReadError("an attribute that is not used here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![
            Just(Scope::None),
            Just(Scope::CalledByEntry),
            Just(Scope::Global),
            prop::collection::vec(any::<[u8; 20]>().prop_map(ScriptHash), 0..4).prop_map(Scope::Contracts),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            nonce: u32, fees in (0i64.., 0i64..), valid_until: u32,
            signers in prop::collection::vec((any::<[u8; 20]>(), scope()), 1..5),
            conflicts in prop::collection::vec(any::<[u8; 32]>(), 0..3),
            script in prop::collection::vec(any::<u8>(), 0..400),
            witnesses in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..70), prop::collection::vec(any::<u8>(), 0..300)), 0..5),
        ) {
            let transaction = Transaction {
                nonce, system_fee: Datoshi(fees.0), network_fee: Datoshi(fees.1), valid_until,
                signers: signers.into_iter().map(|(a, scope)| Signer { account: ScriptHash(a), scope }).collect(),
                attributes: conflicts.into_iter().map(|h| Attribute::Conflicts(Hash256(h))).collect(),
                script,
                witnesses: witnesses.into_iter().map(|(invocation, verification)| Witness { invocation, verification }).collect(),
            };
            let bytes = transaction.to_bytes();
            prop_assert_eq!(Transaction::read(&bytes), Ok(transaction.clone()));
            let unsigned = Transaction { witnesses: vec![], ..transaction };
            prop_assert_eq!(Transaction::read(&unsigned.unsigned_bytes()), Ok(unsigned));
        }

        #[test]
        fn nothing_that_is_read_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(Transaction::read(&bytes));
        }
    }

    #[test]
    fn a_scope_is_within_a_wider_one_alone() {
        let (a, b) = (ScriptHash([1; 20]), ScriptHash([2; 20]));
        assert!(Scope::None.within(&Scope::CalledByEntry));
        assert!(Scope::Contracts(vec![a]).within(&Scope::Contracts(vec![b, a])));
        assert!(!Scope::Contracts(vec![a]).within(&Scope::CalledByEntry));
        assert!(!Scope::Global.within(&Scope::Contracts(vec![a, b])));
        assert!(!Scope::CalledByEntry.within(&Scope::None));
    }
}
