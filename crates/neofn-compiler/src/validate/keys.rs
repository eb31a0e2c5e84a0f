//! Judging a string by the name it is given to: private keys and secrets.

use neofn_types::Code;

/// What a string under a name looks like.
pub(crate) fn judge(name: &str, value: &str) -> Option<Code> {
    if !value.is_ascii() || value.len() > 512 {
        return None;
    }
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect::<String>()
        .to_ascii_lowercase();
    if is_private_key_name(&name) && is_hex_key(value) {
        return Some(Code::PrivateKeyInSource);
    }
    (is_secret_name(&name) && looks_random(value)).then_some(Code::SecretInSource)
}

fn is_private_key_name(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "privatekey",
        "privkey",
        "secretkey",
        "signingkey",
        "walletkey",
        "accountkey",
        "wif",
        "seed",
    ];
    PARTS.iter().any(|part| name.contains(part)) || matches!(name, "key" | "priv" | "sk")
}

fn is_hex_key(value: &str) -> bool {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) && entropy_bits(digits) > 2.0
}

fn is_secret_name(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "apikey",
        "secret",
        "password",
        "passwd",
        "accesstoken",
        "authtoken",
        "accesskey",
        "clientsecret",
        "bearer",
        "credential",
    ];
    PARTS.iter().any(|part| name.contains(part)) || matches!(name, "token" | "auth" | "pwd")
}

/// Not a sentence, not a path, not a placeholder: letters and digits without a pattern.
fn looks_random(value: &str) -> bool {
    let plain = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_+/=.~!@#$%^&*".contains(&b));
    let mixed = value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic());
    (12..=512).contains(&value.len()) && plain && mixed && entropy_bits(value) >= 3.0
}

/// Shannon entropy of the bytes, in bits for each.
pub(crate) fn entropy_bits(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    counts
        .iter()
        .filter(|c| **c > 0)
        .map(|c| f64::from(*c) / total)
        .map(|p| -p * p.log2())
        .sum()
}

/// A name fit for a message.
pub(crate) fn shorten(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_decide_together() {
        let key = "c7134d6fd8e73d819e82755c64c93788d8db0961929e025a53363c4cc02a6962";
        assert_eq!(judge("privateKey", key), Some(Code::PrivateKeyInSource));
        assert_eq!(
            judge("PRIVATE_KEY", &format!("0x{key}")),
            Some(Code::PrivateKeyInSource)
        );
        assert_eq!(judge("txHash", key), None);
        assert_eq!(judge("publicKey", key), None);
        assert_eq!(judge("privateKey", &"0".repeat(64)), None);
        assert_eq!(
            judge("apiKey", "q8Zr2LmX0vT5nWc7Yb4KdPf9"),
            Some(Code::SecretInSource)
        );
        assert_eq!(judge("apiKey", "your-api-key-here"), None);
        assert_eq!(judge("apiKey", "{{secret:API_KEY}}"), None);
        assert_eq!(judge("passwordLabel", "Enter your password"), None);
    }
}
