//! What a script calls, as far as it can be known without running it: literal arguments, calls one after another.
//!
//! Anything else is unknown, and a policy that lists contracts refuses it.

use neofn_types::ScriptHash;
use num_bigint::BigInt;

/// The first four bytes of the hash of `System.Contract.Call`.
const CONTRACT_CALL: [u8; 4] = [0x62, 0x7d, 0x5b, 0x52];
/// Values on the stack at once.
const STACK_MAX: usize = 2_048;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) contract: ScriptHash,
    pub(crate) method: String,
    pub(crate) arguments: Vec<Literal>,
}

/// A value that stands in the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    Integer(BigInt),
    Bytes(Vec<u8>),
    Array(Vec<Literal>),
    /// A boolean, null or map: nothing that a policy looks into.
    Other,
    /// What an earlier call left.
    Result,
}

/// All calls of a script; none when it holds anything whose course is not plain.
pub(crate) fn calls(script: &[u8]) -> Option<Vec<Call>> {
    let mut rest = script;
    let mut stack: Vec<Literal> = Vec::new();
    let mut found = Vec::new();
    while let Some((op, after)) = rest.split_first() {
        rest = after;
        match op {
            0x00..=0x05 => {
                let (bytes, after) = rest.split_at_checked(1 << op)?;
                rest = after;
                stack.push(Literal::Integer(BigInt::from_signed_bytes_le(bytes)));
            }
            0x08 | 0x09 | 0x0b => stack.push(Literal::Other),
            0x0c => {
                let (n, after) = rest.split_first()?;
                rest = data(&mut stack, after, (*n).into())?;
            }
            0x0d => {
                let (n, after) = rest.split_first_chunk::<2>()?;
                rest = data(&mut stack, after, u16::from_le_bytes(*n).into())?;
            }
            0x0e => {
                let (n, after) = rest.split_first_chunk::<4>()?;
                rest = data(&mut stack, after, usize::try_from(u32::from_le_bytes(*n)).ok()?)?;
            }
            0x0f..=0x20 => stack.push(Literal::Integer((i16::from(*op) - 0x10).into())),
            // NOP, ABORT and RET at the end; ASSERT of what a call left; DROP
            0x21 => {}
            0x40 if rest.is_empty() => {}
            0x39 | 0x45 => drop(stack.pop()?),
            // CONVERT keeps the value for our purposes
            0xdb => rest = rest.get(1..)?,
            0xc2 | 0xc5 => stack.push(Literal::Array(Vec::new())),
            0xc8 => stack.push(Literal::Other),
            0xbe => {
                for _ in 0..count(&mut stack)?.checked_mul(2)? {
                    stack.pop()?;
                }
                stack.push(Literal::Other);
            }
            0xbf | 0xc0 => {
                let n = count(&mut stack)?;
                let mut items = Vec::new();
                for _ in 0..n {
                    items.push(stack.pop()?);
                }
                stack.push(Literal::Array(items));
            }
            0x41 => {
                rest = rest.strip_prefix(&CONTRACT_CALL)?;
                found.push(call(&mut stack)?);
                stack.push(Literal::Result);
            }
            _ => return None,
        }
        if stack.len() > STACK_MAX {
            return None;
        }
    }
    Some(found)
}

fn data<'s>(stack: &mut Vec<Literal>, script: &'s [u8], n: usize) -> Option<&'s [u8]> {
    let (bytes, after) = script.split_at_checked(n)?;
    stack.push(Literal::Bytes(bytes.to_vec()));
    Some(after)
}

fn count(stack: &mut Vec<Literal>) -> Option<usize> {
    match stack.pop()? {
        Literal::Integer(n) => usize::try_from(n).ok().filter(|n| *n <= STACK_MAX),
        _ => None,
    }
}

/// The top of the stack is the contract, then the method, the flags and the arguments.
fn call(stack: &mut Vec<Literal>) -> Option<Call> {
    let (Literal::Bytes(contract), Literal::Bytes(method)) = (stack.pop()?, stack.pop()?) else {
        return None;
    };
    let (Literal::Integer(_), Literal::Array(arguments)) = (stack.pop()?, stack.pop()?) else {
        return None;
    };
    Some(Call {
        contract: ScriptHash(contract.as_slice().try_into().ok()?),
        method: String::from_utf8(method).ok()?,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_plain_call_and_nothing_with_a_jump() {
        // transfer(0x01.., 0x02.., 5, null) of a contract
        let mut script = vec![
            0x0b, 0x15, 0x0c, 2, 9, 9, 0x0c, 2, 8, 8, 0x14, 0xc0, 0x1f, 0x0c, 8,
        ];
        script.extend(b"transfer");
        script.extend([0x0c, 20]);
        script.extend([3; 20]);
        script.push(0x41);
        script.extend(CONTRACT_CALL);
        let found = calls(&script).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].method.as_str(), found[0].contract),
            ("transfer", ScriptHash([3; 20]))
        );
        assert_eq!(found[0].arguments[0], Literal::Bytes(vec![8, 8]));
        assert_eq!(found[0].arguments[2], Literal::Integer(5.into()));
        script.push(0x39);
        assert_eq!(calls(&script).map(|c| c.len()), Some(1), "ASSERT of what it left");
        for op in [0x22u8, 0x34, 0x3b, 0x4a, 0x50, 0xff] {
            let mut other = script.clone();
            other.extend([op, 0, 0]);
            assert_eq!(calls(&other), None, "{op:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_read_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            drop(calls(&bytes));
        }
    }
}
