//! Which contracts a script calls by itself: the calls that are written in it, not those that contracts make in turn.

use neofn_types::ScriptHash;

/// `System.Contract.Call`, the first four bytes of its SHA-256.
const CONTRACT_CALL: [u8; 4] = [0x62, 0x7d, 0x5b, 0x52];
const PUSHDATA1: u8 = 0x0c;
const SYSCALL: u8 = 0x41;
/// Most contracts of one script that are looked at; a script has 64 KiB at the most.
const CALLS_MAX: usize = 256;

/// Bytes of the operand behind an opcode; of those with a length in front, the bytes of the length.
/// <https://github.com/neo-project/neo/blob/master/src/Neo.VM/OpCode.cs>
fn operand(opcode: u8) -> (usize, bool) {
    match opcode {
        0x00 => (1, false),
        0x01 => (2, false),
        0x02 | 0x0a => (4, false),
        0x03 => (8, false),
        0x04 => (16, false),
        0x05 => (32, false),
        PUSHDATA1 => (1, true),
        0x0d => (2, true),
        0x0e => (4, true),
        // jumps and calls: short ones are even, long ones odd
        0x22..=0x35 => (if opcode.is_multiple_of(2) { 1 } else { 4 }, false),
        0x37 | 0x3b | 0x57 => (2, false),
        0x3c => (8, false),
        0x3d | 0x56 | 0x5f | 0x67 | 0x6f | 0x77 | 0x7f | 0x87 | 0xc4 | 0xd9 | 0xdb => (1, false),
        0x3e | SYSCALL => (4, false),
        _ => (0, false),
    }
}

/// The contracts that `script` calls, each once, in order. A script that cannot be read to its end gives those before.
#[must_use]
pub fn called_contracts(script: &[u8]) -> Vec<ScriptHash> {
    let mut found = Vec::new();
    let mut pushed: Option<ScriptHash> = None;
    let mut rest = script;
    while let Some((&opcode, after)) = rest.split_first() {
        let (size, prefixed) = operand(opcode);
        let Some((head, tail)) = after.split_at_checked(size) else {
            break;
        };
        let (payload, tail) = if prefixed {
            let length = head.iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
            match tail.split_at_checked(length) {
                Some(parts) => parts,
                None => break,
            }
        } else {
            (head, tail)
        };
        if opcode == SYSCALL && payload == CONTRACT_CALL {
            // the contract is the last thing on the stack
            if let Some(contract) = pushed.filter(|c| !found.contains(c)) {
                found.push(contract);
                if found.len() == CALLS_MAX {
                    break;
                }
            }
        }
        pushed = (opcode == PUSHDATA1)
            .then(|| payload.try_into().ok().map(ScriptHash))
            .flatten();
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::called_contracts;
    use base64::Engine as _;
    use proptest::prelude::*;

    #[test]
    fn a_transfer_calls_its_token() {
        // from a block of a real node
        let script = "CwHoAwwUUeBzMiWYhXLMzFT2IN/+O/t312oMFFDgczIlmIVyzMxU9iDf/jv7d9dqFMAfDAh0cmFuc2ZlcgwUz3bii9AGLEpHjuNVYQETGfPPpNJBYn1bUg==";
        let script = base64::engine::general_purpose::STANDARD
            .decode(script)
            .expect("base64");
        let calls: Vec<String> = called_contracts(&script)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(calls, ["0xd2a4cff31913016155e38e474a2c06d08be276cf"]);
        for cut in 0..script.len() {
            assert!(called_contracts(&script[..cut]).is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_script_makes_it_panic(script in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = called_contracts(&script);
        }
    }
}
