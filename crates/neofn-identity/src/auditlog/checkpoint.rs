//! Signed checkpoints: the form of c2sp.org/tlog-checkpoint, signed as a note with Ed25519. Anybody with the public key can
//! check one, also with tools that are not ours.

use super::merkle::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use neofn_types::UnixMillis;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest text that is looked at.
const BYTES_MAX: usize = 4_096;
/// The kind of key, as notes number it.
const ED25519: u8 = 1;
/// Between what is signed and the signatures.
const DASH: &str = "\u{2014} ";

/// The tree at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: one name for ever.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When it was signed.
    pub at: UnixMillis,
}

/// Not a checkpoint, or not signed by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not of the form.
    #[error("not a checkpoint")]
    Form,
    /// Of another log.
    #[error("a checkpoint of another log")]
    Origin,
    /// No signature of the key, or one that does not hold.
    #[error("the signature does not hold")]
    Signature,
}

impl Checkpoint {
    fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root),
            self.at.0
        )
    }
    /// Reads what is before the signatures.
    fn parse_body(body: &str) -> Option<Self> {
        let mut lines = body.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|o| !o.is_empty())?.to_owned();
        let size_text = lines.next()?;
        let size: u64 = size_text.parse().ok()?;
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        let at_text = lines.next()?;
        let at = at_text.parse().ok()?;
        let checkpoint = Self {
            origin,
            size,
            root,
            at: UnixMillis(at),
        };
        // one form and no other: what is signed must not be writable in two ways
        (lines.next().is_none() && checkpoint.body() == body).then_some(checkpoint)
    }
}

fn key_id(origin: &str, public: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(origin)
        .chain_update([b'\n', ED25519])
        .chain_update(public)
        .finalize();
    let mut id = [0; 4];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

/// Signs checkpoints of one log.
pub struct LogKey {
    origin: String,
    key: SigningKey,
}
impl LogKey {
    /// From 32 secret bytes. The origin is one line: `neofn.example.org/audit`.
    pub fn from_seed(origin: &str, seed: &[u8; 32]) -> Result<Self, CheckpointError> {
        let sound = !origin.is_empty()
            && origin.len() <= 256
            && !origin.chars().any(|c| c.is_control() || c == ' ' || c == '+');
        if !sound {
            return Err(CheckpointError::Origin);
        }
        Ok(Self {
            origin: origin.to_owned(),
            key: SigningKey::from_bytes(seed),
        })
    }
    /// What checks the signatures.
    #[must_use]
    pub fn verifier(&self) -> LogVerifier {
        LogVerifier {
            origin: self.origin.clone(),
            public: self.key.verifying_key(),
        }
    }
    /// Signs the tree as it is.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash, at: UnixMillis) -> String {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root,
            at,
        };
        let body = checkpoint.body();
        let mut signature = key_id(&self.origin, self.key.verifying_key().as_bytes()).to_vec();
        signature.extend_from_slice(&self.key.sign(body.as_bytes()).to_bytes());
        format!("{body}\n{DASH}{} {}\n", self.origin, STANDARD.encode(signature))
    }
}
impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.origin)
    }
}

/// Checks checkpoints of one log. Written as `origin+id+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerifier {
    origin: String,
    public: VerifyingKey,
}
impl LogVerifier {
    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
    /// Reads and checks a signed checkpoint.
    pub fn open(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        if note.len() > BYTES_MAX {
            return Err(CheckpointError::Form);
        }
        let (body, signatures) = note.rsplit_once("\n\n").ok_or(CheckpointError::Form)?;
        let body = format!("{body}\n");
        let checkpoint = Checkpoint::parse_body(&body).ok_or(CheckpointError::Form)?;
        if checkpoint.origin != self.origin {
            return Err(CheckpointError::Origin);
        }
        let id = key_id(&self.origin, self.public.as_bytes());
        for line in signatures
            .strip_suffix('\n')
            .ok_or(CheckpointError::Form)?
            .split('\n')
        {
            let line = line.strip_prefix(DASH).ok_or(CheckpointError::Form)?;
            let (name, signature) = line.split_once(' ').ok_or(CheckpointError::Form)?;
            let bytes = STANDARD.decode(signature).map_err(|_| CheckpointError::Form)?;
            let Some((found, signature)) = bytes.split_first_chunk::<4>() else {
                return Err(CheckpointError::Form);
            };
            // others may have signed beside us
            if name != self.origin || *found != id {
                continue;
            }
            let signature = Signature::from_slice(signature).map_err(|_| CheckpointError::Signature)?;
            return match self.public.verify_strict(body.as_bytes(), &signature) {
                Ok(()) => Ok(checkpoint),
                Err(_) => Err(CheckpointError::Signature),
            };
        }
        Err(CheckpointError::Signature)
    }
}
impl fmt::Display for LogVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.public.as_bytes());
        let id = key_id(&self.origin, self.public.as_bytes());
        write!(f, "{}+{}+{}", self.origin, hex::encode(id), STANDARD.encode(key))
    }
}
impl std::str::FromStr for LogVerifier {
    type Err = CheckpointError;
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let fail = CheckpointError::Form;
        if text.len() > BYTES_MAX {
            return Err(fail);
        }
        // base64 has '+' in it too: the first two are ours, because an origin has none
        let mut parts = text.splitn(3, '+');
        let origin = parts.next().ok_or(fail)?;
        let id = parts.next().ok_or(fail)?;
        let key = STANDARD.decode(parts.next().ok_or(fail)?).map_err(|_| fail)?;
        let (kind, public) = key.split_first().ok_or(fail)?;
        let public: [u8; 32] = public.try_into().map_err(|_| fail)?;
        if *kind != ED25519 || hex::encode(key_id(origin, &public)) != id {
            return Err(fail);
        }
        Ok(Self {
            origin: origin.to_owned(),
            public: VerifyingKey::from_bytes(&public).map_err(|_| fail)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> LogKey {
        LogKey::from_seed("log.example/audit", &[7; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_opens_with_its_key_alone() {
        let note = key().sign(5, [3; 32], UnixMillis(1_000));
        let verifier: LogVerifier = key().verifier().to_string().parse().unwrap();
        assert_eq!(verifier, key().verifier());
        let opened = verifier.open(&note).unwrap();
        assert_eq!(
            (opened.size, opened.root, opened.at),
            (5, [3; 32], UnixMillis(1_000))
        );
        let other = LogKey::from_seed("log.example/audit", &[8; 32])
            .unwrap()
            .verifier();
        assert_eq!(other.open(&note), Err(CheckpointError::Signature));
        let elsewhere = LogKey::from_seed("log.example/other", &[7; 32])
            .unwrap()
            .verifier();
        assert_eq!(elsewhere.open(&note), Err(CheckpointError::Origin));
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(LogKey::from_seed(bad, &[7; 32]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_changed_note_opens(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let note = key().sign(5, [3; 32], UnixMillis(1_000));
            let mut bytes = note.clone().into_bytes();
            let n = at.index(bytes.len());
            bytes[n] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(key().verifier().open(&text).is_err());
            }
        }
    }
}
