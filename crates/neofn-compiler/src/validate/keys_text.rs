//! Keys and tokens that are recognised by their own shape, anywhere in the text, comments included.

use super::Finding;
use neofn_types::Code;
use sha2::{Digest, Sha256};

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_KEY: &str = "PRIVATE KEY-----";

struct Token {
    prefix: &'static str,
    /// Characters after the prefix.
    length_min: usize,
    what: &'static str,
}

const TOKENS: &[Token] = &[
    Token {
        prefix: "AKIA",
        length_min: 16,
        what: "an AWS access key",
    },
    Token {
        prefix: "ASIA",
        length_min: 16,
        what: "an AWS access key",
    },
    Token {
        prefix: "ghp_",
        length_min: 36,
        what: "a GitHub token",
    },
    Token {
        prefix: "gho_",
        length_min: 36,
        what: "a GitHub token",
    },
    Token {
        prefix: "ghs_",
        length_min: 36,
        what: "a GitHub token",
    },
    Token {
        prefix: "github_pat_",
        length_min: 40,
        what: "a GitHub token",
    },
    Token {
        prefix: "glpat-",
        length_min: 20,
        what: "a GitLab token",
    },
    Token {
        prefix: "npm_",
        length_min: 36,
        what: "an npm token",
    },
    Token {
        prefix: "xoxb-",
        length_min: 20,
        what: "a Slack token",
    },
    Token {
        prefix: "xoxp-",
        length_min: 20,
        what: "a Slack token",
    },
    Token {
        prefix: "sk_live_",
        length_min: 20,
        what: "a Stripe key",
    },
    Token {
        prefix: "AIza",
        length_min: 35,
        what: "a Google API key",
    },
    Token {
        prefix: "nfk_",
        length_min: 24,
        what: "a neofn API key",
    },
];

/// Adds what is found. Private keys are errors everywhere, tokens are warned of in the user's own files.
pub(crate) fn scan(source: &str, is_own: bool, findings: &mut Vec<Finding>) {
    pem(source, findings);
    wif(source, findings);
    if is_own {
        tokens(source, findings);
        jwt(source, findings);
        nep2(source, findings);
    }
}

fn found(code: Code, start: usize, length: usize, message: String) -> Finding {
    Finding {
        code,
        start,
        end: start.saturating_add(length),
        message,
        hint: String::new(),
    }
}

fn pem(source: &str, findings: &mut Vec<Finding>) {
    for (start, _) in source.match_indices(PEM_BEGIN).take(20) {
        let line = source
            .get(start..)
            .unwrap_or("")
            .split(['\n', '\\'])
            .next()
            .unwrap_or("");
        // The header alone is what a parser of PEM files has in its source; a key goes on.
        if let Some(end) = line.find(PEM_KEY) {
            let length = end.saturating_add(PEM_KEY.len());
            let body = source.get(start.saturating_add(length)..).unwrap_or("");
            let body =
                body.trim_start_matches(['\\', 'n', 'r', '\n', '\r', ' ', '\t', '"', '\'', '+', ',', '`']);
            if body
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
                .count()
                >= 24
            {
                findings.push(found(
                    Code::PrivateKeyInSource,
                    start,
                    length,
                    "a PEM private key".to_owned(),
                ));
            }
        }
    }
}

/// Runs of base58 characters of a length, with nothing of the alphabet around them.
fn base58_runs(
    source: &str,
    lengths: std::ops::RangeInclusive<usize>,
) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0_usize;
    source
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(move |run| {
            let start = at;
            at = at
                .saturating_add(run.len())
                .saturating_add(separator(source, at.saturating_add(run.len())));
            lengths.contains(&run.len()).then_some((start, run))
        })
}

fn separator(source: &str, at: usize) -> usize {
    source
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8)
}

fn wif(source: &str, findings: &mut Vec<Finding>) {
    for (start, run) in base58_runs(source, 51..=52) {
        let Some((0x80, key)) =
            checked(run).and_then(|bytes| Some((*bytes.first()?, bytes.get(1..)?.to_vec())))
        else {
            continue;
        };
        if key.len() == 32 || (key.len() == 33 && key.last() == Some(&1)) {
            findings.push(found(
                Code::PrivateKeyInSource,
                start,
                run.len(),
                "a WIF: a private key, with a valid checksum".to_owned(),
            ));
        }
    }
}

fn nep2(source: &str, findings: &mut Vec<Finding>) {
    for (start, run) in base58_runs(source, 58..=58) {
        if run.starts_with("6P") && checked(run).is_some() {
            findings.push(found(
                Code::SecretInSource,
                start,
                run.len(),
                "an encrypted private key (NEP-2)".to_owned(),
            ));
        }
    }
}

/// The payload of base58check.
fn checked(text: &str) -> Option<Vec<u8>> {
    let mut bytes = bs58::decode(text).into_vec().ok()?;
    let sum = bytes.split_off(bytes.len().checked_sub(4)?);
    let twice = Sha256::digest(Sha256::digest(&bytes));
    (twice.get(..4) == Some(sum.as_slice())).then_some(bytes)
}

fn tokens(source: &str, findings: &mut Vec<Finding>) {
    for token in TOKENS {
        for (start, _) in source.match_indices(token.prefix).take(20) {
            let body = source
                .get(start.saturating_add(token.prefix.len())..)
                .unwrap_or("");
            let length = body
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
                .count();
            let before = source.get(..start).and_then(|s| s.chars().next_back());
            let is_whole = before.is_none_or(|c| !c.is_ascii_alphanumeric());
            let random = body
                .get(..length)
                .is_some_and(|b| super::keys::entropy_bits(b) >= 2.5);
            if is_whole && length >= token.length_min && length <= 255 && random {
                let length = token.prefix.len().saturating_add(length);
                findings.push(found(
                    Code::SecretInSource,
                    start,
                    length,
                    format!("this looks like {}", token.what),
                ));
            }
        }
    }
}

fn jwt(source: &str, findings: &mut Vec<Finding>) {
    for (start, _) in source.match_indices("eyJ").take(100) {
        let body = source.get(start..).unwrap_or("");
        let length = body
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            .count();
        let mut parts = body.get(..length).unwrap_or("").split('.');
        let long = |part: Option<&str>, least: usize| part.is_some_and(|p| p.len() >= least);
        if long(parts.next(), 15)
            && parts.next().is_some_and(|p| p.starts_with("eyJ"))
            && long(parts.next(), 20)
        {
            findings.push(found(
                Code::SecretInSource,
                start,
                length,
                "this looks like a JSON Web Token".to_owned(),
            ));
        }
    }
}
