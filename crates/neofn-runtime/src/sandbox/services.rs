//! Synchronous services: what is slow in interpreted JavaScript and has no secret and no side effect.

use hmac::{Hmac, Mac};
use neofn_gas::{HostCharge, SCHEDULE_V1};
use p256::ecdsa::signature::Verifier;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256, Sha512};
use sha3::Keccak256;
use url::{Url, quirks};

/// Base58 takes quadratic time: enough for addresses and keys. Numbers as in prelude.js.
const BASE58_BYTES_MAX: usize = 128;
const BASE58_CHARACTERS_MAX: usize = 200;
/// Pairs of input bytes that base58 gets through in the time of one unit.
const BASE58_PAIRS_PER_UNIT: u64 = 64;
const URL_MAX: usize = 64 << 10;

/// Numbers as in prelude.js.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Done by the host itself: needs the seed.
    Random,
    Sha256,
    Sha512,
    Keccak256,
    Ripemd160,
    Hash160,
    Hash256,
    HmacSha256,
    VerifySecp256r1,
    Base58Encode,
    Base58Decode,
    Base58CheckEncode,
    Base58CheckDecode,
    Base64Encode,
    Base64Decode,
    HexDecode,
    ParseUrl,
    SetUrl,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not what the service understands.
    BadInput,
    /// More than it takes.
    TooLarge,
}

impl Op {
    /// By its number.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Random,
            1 => Self::Sha256,
            2 => Self::Sha512,
            3 => Self::Keccak256,
            4 => Self::Ripemd160,
            5 => Self::Hash160,
            6 => Self::Hash256,
            7 => Self::HmacSha256,
            8 => Self::VerifySecp256r1,
            9 => Self::Base58Encode,
            10 => Self::Base58Decode,
            11 => Self::Base58CheckEncode,
            12 => Self::Base58CheckDecode,
            13 => Self::Base64Encode,
            14 => Self::Base64Decode,
            15 => Self::HexDecode,
            20 => Self::ParseUrl,
            21 => Self::SetUrl,
            _ => return None,
        })
    }
    /// What it is charged as.
    const fn charge(self) -> HostCharge {
        match self {
            Self::Random => HostCharge::Random,
            Self::VerifySecp256r1 => HostCharge::Verify,
            _ => HostCharge::Digest,
        }
    }
    /// Units for `bytes` of input: by the table, and the quadratic part of what takes quadratic time.
    pub fn units(self, bytes: u64) -> u64 {
        let pairs = match self {
            Self::Base58Encode | Self::Base58Decode | Self::Base58CheckEncode | Self::Base58CheckDecode => {
                bytes.saturating_mul(bytes)
            }
            _ => 0,
        };
        let linear = SCHEDULE_V1.host_units(self.charge(), bytes);
        linear.saturating_add(pairs / BASE58_PAIRS_PER_UNIT)
    }
    /// Answers. `count` of the inputs were given; the others are empty.
    pub fn run(self, inputs: [&[u8]; 3], count: u32) -> Result<Vec<u8>, Refused> {
        let [a, b, c] = inputs;
        Ok(match self {
            Self::Random => return Err(Refused::BadInput),
            Self::Sha256 => Sha256::digest(a).to_vec(),
            Self::Sha512 => Sha512::digest(a).to_vec(),
            Self::Keccak256 => Keccak256::digest(a).to_vec(),
            Self::Ripemd160 => Ripemd160::digest(a).to_vec(),
            Self::Hash160 => Ripemd160::digest(Sha256::digest(a)).to_vec(),
            Self::Hash256 => Sha256::digest(Sha256::digest(a)).to_vec(),
            Self::HmacSha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(a).map_err(|_| Refused::BadInput)?;
                mac.update(b);
                mac.finalize().into_bytes().to_vec()
            }
            Self::VerifySecp256r1 => vec![u8::from(verify(a, b, c)?)],
            Self::Base58Encode => bs58::encode(at_most(a, BASE58_BYTES_MAX)?).into_vec(),
            Self::Base58Decode => base58_decode(a)?,
            Self::Base58CheckEncode => {
                let mut bytes = at_most(a, BASE58_BYTES_MAX)?.to_vec();
                bytes.extend_from_slice(&checksum(a));
                bs58::encode(bytes).into_vec()
            }
            Self::Base58CheckDecode => {
                let bytes = base58_decode(a)?;
                let at = bytes.len().checked_sub(4).ok_or(Refused::BadInput)?;
                let (payload, sum) = bytes.split_at(at);
                if checksum(payload) != sum {
                    return Err(Refused::BadInput);
                }
                payload.to_vec()
            }
            Self::Base64Encode => base64_engine::encode(a),
            Self::Base64Decode => base64_engine::decode(a)?,
            Self::HexDecode => hex::decode(a).map_err(|_| Refused::BadInput)?,
            Self::ParseUrl => {
                let base = match count {
                    0 | 1 => None,
                    _ => Some(Url::parse(as_text(b)?).map_err(|_| Refused::BadInput)?),
                };
                let url = Url::options().base_url(base.as_ref()).parse(as_text(a)?);
                url_parts(&url.map_err(|_| Refused::BadInput)?)
            }
            Self::SetUrl => {
                let mut url = Url::parse(as_text(a)?).map_err(|_| Refused::BadInput)?;
                set_url(&mut url, as_text(b)?, as_text(c)?)?;
                url_parts(&url)
            }
        })
    }
}

mod base64_engine {
    use super::Refused;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    pub fn encode(bytes: &[u8]) -> Vec<u8> {
        STANDARD.encode(bytes).into_bytes()
    }
    /// Both alphabets, with padding or without.
    pub fn decode(text: &[u8]) -> Result<Vec<u8>, Refused> {
        let end = text.iter().rposition(|b| *b != b'=').map_or(0, |i| i + 1);
        let text = text.get(..end).unwrap_or(text);
        STANDARD_NO_PAD
            .decode(text)
            .or_else(|_| URL_SAFE_NO_PAD.decode(text))
            .map_err(|_| Refused::BadInput)
    }
}

fn at_most(bytes: &[u8], most: usize) -> Result<&[u8], Refused> {
    if bytes.len() > most {
        Err(Refused::TooLarge)
    } else {
        Ok(bytes)
    }
}

fn as_text(bytes: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(at_most(bytes, URL_MAX)?).map_err(|_| Refused::BadInput)
}

fn base58_decode(text: &[u8]) -> Result<Vec<u8>, Refused> {
    bs58::decode(at_most(text, BASE58_CHARACTERS_MAX)?)
        .into_vec()
        .map_err(|_| Refused::BadInput)
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(Sha256::digest(payload)).into();
    [a, b, c, d]
}

/// A signature of Neo: SHA-256 of the message, r and s of 32 bytes each. A key or signature of the wrong form is an
/// error; one that does not match is `false`.
fn verify(key: &[u8], signature: &[u8], message: &[u8]) -> Result<bool, Refused> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| Refused::BadInput)?;
    if signature.len() != 64 {
        return Err(Refused::BadInput);
    }
    Ok(p256::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(message, &s).is_ok()))
}

fn url_parts(url: &Url) -> Vec<u8> {
    serde_json::json!({
        "href": quirks::href(url), "origin": quirks::origin(url), "protocol": quirks::protocol(url),
        "username": quirks::username(url), "password": quirks::password(url), "host": quirks::host(url),
        "hostname": quirks::hostname(url), "port": quirks::port(url), "pathname": quirks::pathname(url),
        "search": quirks::search(url), "hash": quirks::hash(url),
    })
    .to_string()
    .into_bytes()
}

/// The setters of the URL standard: what cannot be set is left as it was.
fn set_url(url: &mut Url, part: &str, value: &str) -> Result<(), Refused> {
    match part {
        "protocol" => drop(quirks::set_protocol(url, value)),
        "username" => drop(quirks::set_username(url, value)),
        "password" => drop(quirks::set_password(url, value)),
        "host" => drop(quirks::set_host(url, value)),
        "hostname" => drop(quirks::set_hostname(url, value)),
        "port" => drop(quirks::set_port(url, value)),
        "pathname" => quirks::set_pathname(url, value),
        "search" => quirks::set_search(url, value),
        "hash" => quirks::set_hash(url, value),
        _ => return Err(Refused::BadInput),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(op: Op, a: &[u8]) -> String {
        hex::encode(op.run([a, &[], &[]], 1).unwrap())
    }

    #[test]
    fn digests_of_published_vectors() {
        assert_eq!(
            hex_of(Op::Keccak256, b""),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
        assert_eq!(
            hex_of(Op::Ripemd160, b"abc"),
            "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"
        );
        // RFC 4231, test case 2
        assert_eq!(
            hex::encode(
                Op::HmacSha256
                    .run([b"Jefe", b"what do ya want for nothing?", &[]], 2)
                    .unwrap()
            ),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn base58_check_refuses_a_changed_letter() {
        let text = Op::Base58CheckEncode.run([&[0x35; 21], &[], &[]], 1).unwrap();
        assert_eq!(
            Op::Base58CheckDecode.run([&text, &[], &[]], 1).unwrap(),
            [0x35; 21]
        );
        let mut wrong = text.clone();
        wrong[5] = if wrong[5] == b'2' { b'3' } else { b'2' };
        assert_eq!(
            Op::Base58CheckDecode.run([&wrong, &[], &[]], 1),
            Err(Refused::BadInput)
        );
    }

    #[test]
    fn quadratic_work_is_bounded() {
        assert_eq!(
            Op::Base58Encode.run([&[1; 129], &[], &[]], 1),
            Err(Refused::TooLarge)
        );
        assert_eq!(
            Op::Base58Decode.run([&[b'2'; 201], &[], &[]], 1),
            Err(Refused::TooLarge)
        );
        let longest = Op::Base58CheckEncode.run([&[0xff; 128], &[], &[]], 1).unwrap();
        assert_eq!(
            Op::Base58CheckDecode.run([&longest, &[], &[]], 1).unwrap(),
            [0xff; 128]
        );
        // four times the input costs sixteen times the quadratic part
        let quadratic = |n| Op::Base58Encode.units(n) - Op::Sha256.units(n);
        assert_eq!((quadratic(32), quadratic(128)), (16, 256));
        assert_eq!(
            Op::ParseUrl.run([&[b'a'; 70_000], &[], &[]], 1),
            Err(Refused::TooLarge)
        );
    }
}
