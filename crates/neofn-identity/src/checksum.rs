//! The checksum at the end of every credential of ours: finds typing errors, and lets scanners tell a real one from
//! a look-alike. Knows no credential.

/// CRC-32 (IEEE 802.3), bit by bit: a credential is about a hundred bytes long.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| {
            if c & 1 == 1 {
                (c >> 1) ^ 0xEDB8_8320
            } else {
                c >> 1
            }
        })
    })
}

/// The body of `text` when the checksum at its end is right. The one spelling is eight digits in lower case: two
/// texts for one credential would be one too many.
pub(crate) fn body(text: &str) -> Option<&str> {
    let (body, crc) = text.rsplit_once('_')?;
    (format!("{:08x}", crc32(body.as_bytes())) == crc).then_some(body)
}

/// Bytes from their one spelling: lower case.
pub(crate) fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (!text.bytes().any(|b| b.is_ascii_uppercase())).then_some(bytes)
}

/// Whether two hashes are the same, in constant time.
pub(crate) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0u8, |acc, (a, b)| acc | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_alone() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(body("123456789_cbf43926"), Some("123456789"));
        for bad in [
            "123456789_CBF43926",
            "123456789_+bf43926",
            "123456788_cbf43926",
            "cbf43926",
            "",
        ] {
            assert_eq!(body(bad), None, "{bad}");
        }
        assert_eq!(lower_hex("0aff"), Some([10, 255]));
        assert_eq!(lower_hex::<2>("0aFf"), None);
        assert_eq!(lower_hex::<2>("0aff00"), None);
    }
}
