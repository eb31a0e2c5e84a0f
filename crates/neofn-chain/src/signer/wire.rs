//! What goes over the pipe: a length in four bytes, most significant first, then JSON.

use super::policy::SigningPolicy;
use crate::tx::{Scope, Witness};
use neofn_types::{Datoshi, Digest, Hash256, ProjectName, ScriptHash, UnixMillis};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// The largest message: a transaction of 100 KiB in hexadecimal digits, and room.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A request to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignRequest {
    /// The transaction without witnesses.
    #[serde(with = "hex_bytes")]
    pub transaction: Vec<u8>,
    /// The network that the signature is for.
    pub network: u32,
    /// Who signs.
    pub account: ScriptHash,
    /// What was asked for; a transaction that goes further is refused.
    pub asked: Asked,
    /// For the record.
    pub purpose: Purpose,
}
/// What whoever wants the transaction asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The widest scope.
    pub scope: Scope,
    /// The highest fees together.
    pub fee_max: Datoshi,
}
/// On whose behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// Whose transaction it is.
    pub project: ProjectName,
    /// What it must happen once for.
    pub idempotency: Digest,
}

/// A signature that was made: one line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Counts the signatures, from 1.
    pub number: u64,
    /// When.
    pub at: UnixMillis,
    /// Who signed.
    pub account: ScriptHash,
    /// What.
    pub transaction: Hash256,
    /// For which network.
    pub network: u32,
    /// Fees and GAS given away, as counted against the caps.
    pub spend: Datoshi,
    /// The scope of the witness.
    pub scope: Scope,
    /// `contract::method` of each call; none where the script is more than calls.
    pub calls: Option<Vec<String>>,
    /// On whose behalf.
    pub purpose: Purpose,
}

/// What is to be held from now on.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Import {
    /// A private key, and the account of it alone.
    Wif(Zeroizing<String>),
    /// An account of several keys. So many as are needed should be held; the script says which.
    #[serde(with = "hex_bytes")]
    Script(Vec<u8>),
}

/// An account that the signer can sign for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountInfo {
    /// Which.
    pub account: ScriptHash,
    /// Whose hash the account is.
    #[serde(with = "hex_bytes")]
    pub verification: Vec<u8>,
    /// A name for people.
    pub label: String,
    /// What it may be used for.
    pub policy: SigningPolicy,
    /// What it cost in the last 24 hours.
    pub spent: Datoshi,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    Accounts,
    Import {
        import: Import,
        label: String,
        policy: SigningPolicy,
    },
    SetPolicy {
        account: ScriptHash,
        policy: SigningPolicy,
    },
    SetPayer {
        account: ScriptHash,
    },
    Sign(SignRequest),
    Signatures {
        after: u64,
        limit: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The first message: confined, and the journal is open.
    Ready {
        tier: String,
    },
    Accounts(Vec<AccountInfo>),
    Account(AccountInfo),
    Signed(Witness),
    Signatures(Vec<Signature>),
    Refused(String),
    NoAccount(ScriptHash),
    /// The signer itself failed; it ends.
    Failed(String),
}

/// A message as it is sent. What carried a key is wiped when it is dropped.
pub(super) fn frame<T: Serialize>(message: &T) -> io::Result<Zeroizing<Vec<u8>>> {
    let body = Zeroizing::new(serde_json::to_vec(message)?);
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MESSAGE_BYTES_MAX)
        .ok_or_else(|| io::Error::other("a message for the signer is too large"))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(body.len() + 4));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}
/// How long the message is that follows these bytes.
pub(super) fn length(header: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_be_bytes(header))
        .ok()
        .filter(|n| *n <= MESSAGE_BYTES_MAX)
        .ok_or_else(|| io::Error::other("a message is too large"))
}
/// The next message; none when the other side has ended.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Request>> {
    let mut header = [0u8; 4];
    match from.read_exact(&mut header) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut body = Zeroizing::new(vec![0; length(header)?]);
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}
pub(super) fn write(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    to.write_all(&frame(reply)?)?;
    to.flush()
}

/// Bytes as hexadecimal digits: JSON's arrays of numbers take twice as much.
pub(crate) mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(bytes))
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        hex::decode(text.as_ref()).map_err(D::Error::custom)
    }
}
