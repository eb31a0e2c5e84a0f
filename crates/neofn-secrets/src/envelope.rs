//! How one version of a secret is stored.
//!
//! `"NFS1" | alg | flags | kek_id[16] | kek_version u32be | wrap: nonce[24] ct[32] tag[16] | body: nonce[24] ct tag`.
//! The value is under a key of its own, and that key under the project's: moving to another project key touches the
//! 72 bytes of the wrap alone. Both are bound to project, secret, version and algorithm, so that no envelope opens in
//! another's place.

use crate::key::{Key, NONCE, TAG, WRAPPED_BYTES, bind};
use crate::model::SecretId;
use crate::value::{SecretValue, VALUE_BYTES_MAX};
use neofn_types::{Entropy, ProjectName};

const MAGIC: &[u8; 4] = b"NFS1";
/// XChaCha20-Poly1305 for both.
const ALG: u8 = 1;
/// None is defined.
const FLAGS: u8 = 0;
const KEK_ID: usize = 16;
const HEADER: usize = MAGIC.len() + 2 + KEK_ID + 4;
const BODY: usize = HEADER + WRAPPED_BYTES;
const BYTES_MAX: usize = BODY + NONCE + VALUE_BYTES_MAX + TAG;

/// Why an envelope does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not of this format, or of a later one.
    #[error("not an envelope of this version")]
    Shape,
    /// Of another key, altered, or in another's place.
    #[error("does not open under this key in this place")]
    Opens,
}

/// What an envelope is of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The tenant.
    pub project: &'a ProjectName,
    /// The secret; not its name, which may come again.
    pub secret: SecretId,
    /// Its version.
    pub version: u32,
}

impl Subject<'_> {
    fn aad(&self) -> Vec<u8> {
        bind(&[
            b"neofn/secret/v1",
            self.project.as_str().as_bytes(),
            &self.secret.0,
            &self.version.to_be_bytes(),
            &[ALG],
        ])
    }
}

/// A sealed value. Holds nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope(Vec<u8>);

impl Envelope {
    /// Seals a value under the project's key `kek`, which is the `kek_version`th of `kek_id`.
    pub fn seal(
        entropy: &dyn Entropy,
        subject: Subject<'_>,
        (kek_id, kek_version, kek): ([u8; KEK_ID], u32, &Key),
        value: &SecretValue,
    ) -> Result<Self, EnvelopeError> {
        let aad = subject.aad();
        let key = Key::generate(entropy);
        let wrapped = kek.wrap(entropy, &aad, &key).ok_or(EnvelopeError::Shape)?;
        let body = key
            .encrypt(entropy, &aad, value.expose())
            .ok_or(EnvelopeError::Shape)?;
        let mut bytes = Vec::with_capacity(BODY + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[ALG, FLAGS]);
        bytes.extend_from_slice(&kek_id);
        bytes.extend_from_slice(&kek_version.to_be_bytes());
        bytes.extend_from_slice(&wrapped);
        bytes.extend_from_slice(&body);
        Ok(Self(bytes))
    }

    /// Reads the outside; nothing is opened yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let shape = bytes.starts_with(MAGIC)
            && bytes.get(MAGIC.len()) == Some(&ALG)
            && bytes.get(MAGIC.len() + 1) == Some(&FLAGS)
            && (BODY + NONCE + TAG..=BYTES_MAX).contains(&bytes.len());
        if shape {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(EnvelopeError::Shape)
        }
    }

    /// As stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// Which project key it is under: id and version.
    #[must_use]
    pub fn kek(&self) -> ([u8; KEK_ID], u32) {
        let mut id = [0; KEK_ID];
        let mut version = [0; 4];
        if let Some(from) = self.0.get(6..6 + KEK_ID) {
            id.copy_from_slice(from);
        }
        if let Some(from) = self.0.get(6 + KEK_ID..HEADER) {
            version.copy_from_slice(from);
        }
        (id, u32::from_be_bytes(version))
    }

    fn dek(&self, aad: &[u8], kek: &Key) -> Result<Key, EnvelopeError> {
        let wrapped = self.0.get(HEADER..BODY).ok_or(EnvelopeError::Shape)?;
        kek.unwrap(aad, wrapped).ok_or(EnvelopeError::Opens)
    }

    /// The value.
    pub fn open(&self, subject: Subject<'_>, kek: &Key) -> Result<SecretValue, EnvelopeError> {
        let aad = subject.aad();
        let key = self.dek(&aad, kek)?;
        let body = self.0.get(BODY..).ok_or(EnvelopeError::Shape)?;
        let text = key.decrypt(&aad, body).ok_or(EnvelopeError::Opens)?;
        Ok(SecretValue::opened(text))
    }

    /// The same value under another project key.
    pub fn rewrap(
        &self,
        entropy: &dyn Entropy,
        subject: Subject<'_>,
        old: &Key,
        (kek_id, kek_version, new): ([u8; KEK_ID], u32, &Key),
    ) -> Result<Self, EnvelopeError> {
        let aad = subject.aad();
        let key = self.dek(&aad, old)?;
        let wrapped = new.wrap(entropy, &aad, &key).ok_or(EnvelopeError::Shape)?;
        let mut bytes = self.0.clone();
        for (at, part) in [
            (6, kek_id.as_slice()),
            (6 + KEK_ID, kek_version.to_be_bytes().as_slice()),
            (HEADER, wrapped.as_slice()),
        ] {
            let place = bytes.get_mut(at..at + part.len()).ok_or(EnvelopeError::Shape)?;
            place.copy_from_slice(part);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::tests::Dice;

    fn subject(project: &ProjectName) -> Subject<'_> {
        Subject {
            project,
            secret: SecretId([7; 16]),
            version: 3,
        }
    }

    #[test]
    fn the_layout_is_that_of_the_format() {
        let (dice, project) = (Dice::new(1), "shop".parse().unwrap());
        let kek = Key::new([5; 32]);
        let value = SecretValue::new("hunter2").unwrap();
        let sealed = Envelope::seal(&dice, subject(&project), ([9; 16], 0x0102_0304, &kek), &value).unwrap();
        let bytes = sealed.as_bytes();
        assert_eq!(&bytes[..6], b"NFS1\x01\x00");
        assert_eq!(&bytes[6..22], &[9; 16]);
        assert_eq!(&bytes[22..26], &[1, 2, 3, 4]);
        assert_eq!(bytes.len(), 26 + 72 + 24 + 7 + 16);
        assert_eq!(sealed.kek(), ([9; 16], 0x0102_0304));
        assert_eq!(
            Envelope::parse(bytes)
                .unwrap()
                .open(subject(&project), &kek)
                .unwrap(),
            value
        );
    }

    #[test]
    fn every_flipped_byte_and_every_other_place_is_refused() {
        let (dice, project) = (Dice::new(2), "shop".parse::<ProjectName>().unwrap());
        let kek = Key::new([5; 32]);
        let value = SecretValue::new("hunter2").unwrap();
        let sealed = Envelope::seal(&dice, subject(&project), ([9; 16], 1, &kek), &value).unwrap();
        for at in 0..sealed.as_bytes().len() {
            // the name of the key is for finding it; a wrong one finds another key
            if (6..26).contains(&at) {
                continue;
            }
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let opened = Envelope::parse(&bytes).and_then(|e| e.open(subject(&project), &kek));
            assert!(opened.is_err(), "byte {at}");
        }
        for cut in 0..sealed.as_bytes().len() {
            let opened =
                Envelope::parse(&sealed.as_bytes()[..cut]).and_then(|e| e.open(subject(&project), &kek));
            assert!(opened.is_err(), "cut at {cut}");
        }
        let other: ProjectName = "shop2".parse().unwrap();
        let elsewhere = [
            subject(&other),
            Subject {
                version: 4,
                ..subject(&project)
            },
            Subject {
                secret: SecretId([8; 16]),
                ..subject(&project)
            },
        ];
        for place in elsewhere {
            assert_eq!(sealed.open(place, &kek), Err(EnvelopeError::Opens));
        }
        assert_eq!(
            sealed.open(subject(&project), &Key::new([6; 32])),
            Err(EnvelopeError::Opens)
        );
    }

    #[test]
    fn rewrapping_touches_the_header_and_72_bytes_alone() {
        let (dice, project) = (Dice::new(3), "shop".parse().unwrap());
        let (old, new) = (Key::new([5; 32]), Key::new([6; 32]));
        let value = SecretValue::new("hunter2").unwrap();
        let sealed = Envelope::seal(&dice, subject(&project), ([9; 16], 1, &old), &value).unwrap();
        let moved = sealed
            .rewrap(&dice, subject(&project), &old, ([9; 16], 2, &new))
            .unwrap();
        assert_eq!(moved.as_bytes()[BODY..], sealed.as_bytes()[BODY..]);
        assert_ne!(moved.as_bytes()[HEADER..BODY], sealed.as_bytes()[HEADER..BODY]);
        assert_eq!(moved.kek().1, 2);
        assert_eq!(moved.open(subject(&project), &new).unwrap(), value);
        assert!(moved.open(subject(&project), &old).is_err());
    }
}
