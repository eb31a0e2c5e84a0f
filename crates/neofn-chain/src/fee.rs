//! Network fees, computed as nodes do: so much for each byte, so much for each witness's work.
//!
//! The prices of instructions are those of the virtual machine (neo-go `pkg/core/fee`, Neo `ApplicationEngine.OpCodePrices`),
//! the factors are the chain's and come from [`crate::model::Policy`].

use crate::model::Policy;
use crate::tx::{Attribute, Transaction, length_of_length};
use neofn_types::Datoshi;

const PUSHDATA: i64 = 8;
const PUSH: i64 = 1;
const CHECK_SIG: i64 = 1 << 15;
const SIGNATURE_BYTES: usize = 66;

/// A verification script whose work is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// One key.
    Single([u8; 33]),
    /// So many of these keys.
    Multi {
        /// How many.
        needed: usize,
        /// In the order of the script.
        keys: Vec<[u8; 33]>,
    },
}

impl Verification {
    /// Reads a verification script; none when it is neither of the two standard ones.
    #[must_use]
    pub fn read(script: &[u8]) -> Option<Self> {
        if let [0x0c, 33, key @ .., 0x41, 0x56, 0xe7, 0xb3, 0x27] = script {
            return Some(Self::Single(key.try_into().ok()?));
        }
        // PUSH m, n times PUSHDATA1 33 key, PUSH n, SYSCALL CheckMultisig
        let body = script.strip_suffix(&[0x41, 0x9e, 0xd0, 0xdc, 0x3a])?;
        let (needed, mut rest) = small(body)?;
        let mut keys = Vec::new();
        while let Some((key, after)) = rest
            .strip_prefix(&[0x0c, 33])
            .and_then(|after| after.split_first_chunk::<33>())
        {
            keys.push(*key);
            rest = after;
        }
        let (count, end) = small(rest)?;
        (end.is_empty() && count == keys.len() && (1..=count).contains(&needed))
            .then_some(Self::Multi { needed, keys })
    }
    fn signatures(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Multi { needed, .. } => *needed,
        }
    }
    /// What checking it costs, before the chain's factor.
    fn work(&self) -> i64 {
        match self {
            Self::Single(_) => PUSHDATA + PUSHDATA + CHECK_SIG,
            Self::Multi { needed, keys } => {
                let (m, n) = (count(*needed), count(keys.len()));
                PUSHDATA * m + PUSH + PUSHDATA * n + PUSH + CHECK_SIG * n
            }
        }
    }
}

/// Reads PUSH1 to PUSH16, PUSHINT8 or PUSHINT16.
fn small(script: &[u8]) -> Option<(usize, &[u8])> {
    match script {
        [op @ 0x11..=0x20, rest @ ..] => Some((usize::from(op - 0x10), rest)),
        [0x00, n, rest @ ..] => Some(((*n).into(), rest)),
        [0x01, low, high, rest @ ..] => Some((u16::from_le_bytes([*low, *high]).into(), rest)),
        _ => None,
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The network fee of `transaction` once signers with these verification scripts have signed it: none when one of
/// them is not a standard script, or the sum does not fit.
#[must_use]
pub fn network_fee(transaction: &Transaction, verifications: &[Vec<u8>], policy: &Policy) -> Option<Datoshi> {
    let mut bytes = transaction.unsigned_bytes().len() + length_of_length(verifications.len());
    let mut work = 0i64;
    for script in verifications {
        let read = Verification::read(script)?;
        let signatures = read.signatures().checked_mul(SIGNATURE_BYTES)?;
        bytes += length_of_length(signatures) + signatures + length_of_length(script.len()) + script.len();
        work = work.checked_add(read.work())?;
    }
    let conflicts = transaction
        .attributes
        .iter()
        .filter(|a| matches!(a, Attribute::Conflicts(_)))
        .count();
    let attributes = policy
        .conflicts_fee
        .checked_mul(count(conflicts).checked_mul(count(transaction.signers.len()))?)?;
    policy
        .fee_per_byte
        .checked_mul(count(bytes))?
        .checked_add(Datoshi(work.checked_mul(policy.exec_fee_factor.into())?))?
        .checked_add(attributes)
}

/// The verification script of so many of these keys, which it puts into the chain's order.
#[must_use]
pub fn multisig_script(needed: usize, keys: &[crate::key::PublicKey]) -> Option<Vec<u8>> {
    use num_bigint::BigUint;
    let mut sorted: Vec<[u8; 33]> = keys.iter().map(|k| k.to_bytes()).collect();
    // by x, then y, as numbers; the first byte says only whether y is odd
    sorted.sort_by_key(|k| {
        (
            BigUint::from_bytes_be(k.get(1..).unwrap_or_default()),
            k.first().copied(),
        )
    });
    let n = u8::try_from(sorted.len()).ok().filter(|n| (1..=16).contains(n))?;
    let m = u8::try_from(needed).ok().filter(|m| (1..=n).contains(m))?;
    let mut script = vec![0x10 + m];
    for key in sorted {
        script.extend([0x0c, 33]);
        script.extend(key);
    }
    script.push(0x10 + n);
    script.extend([0x41, 0x9e, 0xd0, 0xdc, 0x3a]);
    Some(script)
}
