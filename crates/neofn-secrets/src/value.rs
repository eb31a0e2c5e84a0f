//! A value in memory: wiped when it is dropped, and never printed.

use neofn_types::{Code, Error};
use std::fmt;
use zeroize::Zeroizing;

/// Shortest value. A shorter one would be found in text where it is not meant, so it could not be kept out of logs.
pub const VALUE_BYTES_MIN: usize = 6;
/// Longest value: a certificate with its key fits.
pub const VALUE_BYTES_MAX: usize = 16 << 10;

/// The value of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes a value over; refuses what is too short or too long.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let bytes = Zeroizing::new(bytes.into());
        if !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&bytes.len()) {
            return Err(Error::new(
                Code::SecretInvalid,
                format!(
                    "a value has {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} bytes, not {}",
                    bytes.len()
                ),
            )
            .hint("A shorter value could not be kept out of logs; join it with what it belongs to."));
        }
        Ok(Self(bytes))
    }
    /// What was decrypted; its length was checked when it was stored.
    pub(crate) fn opened(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
    /// The bytes. Do not copy them to where they are not wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// As text, if it is text.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_value_is_bounded_and_never_printed() {
        assert!(SecretValue::new("12345").is_err());
        assert!(SecretValue::new(vec![b'x'; VALUE_BYTES_MAX + 1]).is_err());
        let value = SecretValue::new("hunter2").unwrap();
        assert_eq!(format!("{value:?}"), "SecretValue(..)");
        assert_eq!(value.expose_text(), Some("hunter2"));
        assert_eq!(SecretValue::new(vec![0xff; 6]).unwrap().expose_text(), None);
    }
}
