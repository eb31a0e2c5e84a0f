//! Scripts as people read them: instructions with what they push, and the calls that are written in them.
//!
//! <https://github.com/neo-project/neo/blob/master/src/Neo.VM/OpCode.cs>

use neofn_types::ScriptHash;
use num_bigint::BigInt;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Longest script that is read: as long as one may be in a transaction.
pub const SCRIPT_BYTES_MAX: usize = 65_536;
/// How much of pushed text is shown.
const TEXT_CHARS_MAX: usize = 200;

const PUSHINT8: u8 = 0x00;
const PUSHINT256: u8 = 0x05;
const PUSHDATA1: u8 = 0x0c;
const PUSHDATA4: u8 = 0x0e;
const PUSHNULL: u8 = 0x0b;
const PACK: u8 = 0xc0;
const PUSHM1: u8 = 0x0f;
const PUSH16: u8 = 0x20;
const SYSCALL: u8 = 0x41;

/// Opcodes from 0x00; an empty name is none.
const NAMES: [&str; 0xe2] = [
    "PUSHINT8",
    "PUSHINT16",
    "PUSHINT32",
    "PUSHINT64",
    "PUSHINT128",
    "PUSHINT256",
    "",
    "",
    "PUSHT",
    "PUSHF",
    "PUSHA",
    "PUSHNULL",
    "PUSHDATA1",
    "PUSHDATA2",
    "PUSHDATA4",
    "PUSHM1",
    "PUSH0",
    "PUSH1",
    "PUSH2",
    "PUSH3",
    "PUSH4",
    "PUSH5",
    "PUSH6",
    "PUSH7",
    "PUSH8",
    "PUSH9",
    "PUSH10",
    "PUSH11",
    "PUSH12",
    "PUSH13",
    "PUSH14",
    "PUSH15",
    "PUSH16",
    "NOP",
    "JMP",
    "JMP_L",
    "JMPIF",
    "JMPIF_L",
    "JMPIFNOT",
    "JMPIFNOT_L",
    "JMPEQ",
    "JMPEQ_L",
    "JMPNE",
    "JMPNE_L",
    "JMPGT",
    "JMPGT_L",
    "JMPGE",
    "JMPGE_L",
    "JMPLT",
    "JMPLT_L",
    "JMPLE",
    "JMPLE_L",
    "CALL",
    "CALL_L",
    "CALLA",
    "CALLT",
    "ABORT",
    "ASSERT",
    "THROW",
    "TRY",
    "TRY_L",
    "ENDTRY",
    "ENDTRY_L",
    "ENDFINALLY",
    "RET",
    "SYSCALL",
    "",
    "DEPTH",
    "",
    "DROP",
    "NIP",
    "",
    "XDROP",
    "CLEAR",
    "DUP",
    "OVER",
    "",
    "PICK",
    "TUCK",
    "",
    "SWAP",
    "ROT",
    "ROLL",
    "REVERSE3",
    "REVERSE4",
    "REVERSEN",
    "INITSSLOT",
    "INITSLOT",
    "LDSFLD0",
    "LDSFLD1",
    "LDSFLD2",
    "LDSFLD3",
    "LDSFLD4",
    "LDSFLD5",
    "LDSFLD6",
    "LDSFLD",
    "STSFLD0",
    "STSFLD1",
    "STSFLD2",
    "STSFLD3",
    "STSFLD4",
    "STSFLD5",
    "STSFLD6",
    "STSFLD",
    "LDLOC0",
    "LDLOC1",
    "LDLOC2",
    "LDLOC3",
    "LDLOC4",
    "LDLOC5",
    "LDLOC6",
    "LDLOC",
    "STLOC0",
    "STLOC1",
    "STLOC2",
    "STLOC3",
    "STLOC4",
    "STLOC5",
    "STLOC6",
    "STLOC",
    "LDARG0",
    "LDARG1",
    "LDARG2",
    "LDARG3",
    "LDARG4",
    "LDARG5",
    "LDARG6",
    "LDARG",
    "STARG0",
    "STARG1",
    "STARG2",
    "STARG3",
    "STARG4",
    "STARG5",
    "STARG6",
    "STARG",
    "NEWBUFFER",
    "MEMCPY",
    "",
    "CAT",
    "SUBSTR",
    "LEFT",
    "RIGHT",
    "",
    "INVERT",
    "AND",
    "OR",
    "XOR",
    "",
    "",
    "",
    "EQUAL",
    "NOTEQUAL",
    "SIGN",
    "ABS",
    "NEGATE",
    "INC",
    "DEC",
    "ADD",
    "SUB",
    "MUL",
    "DIV",
    "MOD",
    "POW",
    "SQRT",
    "MODMUL",
    "MODPOW",
    "",
    "SHL",
    "SHR",
    "NOT",
    "BOOLAND",
    "BOOLOR",
    "",
    "",
    "",
    "",
    "NZ",
    "",
    "NUMEQUAL",
    "NUMNOTEQUAL",
    "LT",
    "LE",
    "GT",
    "GE",
    "MIN",
    "MAX",
    "WITHIN",
    "",
    "",
    "PACKMAP",
    "PACKSTRUCT",
    "PACK",
    "UNPACK",
    "NEWARRAY0",
    "NEWARRAY",
    "NEWARRAY_T",
    "NEWSTRUCT0",
    "NEWSTRUCT",
    "",
    "NEWMAP",
    "",
    "SIZE",
    "HASKEY",
    "KEYS",
    "VALUES",
    "PICKITEM",
    "APPEND",
    "SETITEM",
    "REVERSEITEMS",
    "REMOVE",
    "CLEARITEMS",
    "POPITEM",
    "",
    "",
    "",
    "ISNULL",
    "ISTYPE",
    "",
    "CONVERT",
    "",
    "",
    "",
    "",
    "ABORTMSG",
    "ASSERTMSG",
];

/// Services of the machine; the operand of SYSCALL is the beginning of the name's hash.
const SERVICES: [&str; 39] = [
    "Contract.Call",
    "Contract.CallNative",
    "Contract.GetCallFlags",
    "Contract.CreateStandardAccount",
    "Contract.CreateMultisigAccount",
    "Contract.NativeOnPersist",
    "Contract.NativePostPersist",
    "Crypto.CheckSig",
    "Crypto.CheckMultisig",
    "Iterator.Next",
    "Iterator.Value",
    "Runtime.Platform",
    "Runtime.GetTrigger",
    "Runtime.GetTime",
    "Runtime.GetScriptContainer",
    "Runtime.GetExecutingScriptHash",
    "Runtime.GetCallingScriptHash",
    "Runtime.GetEntryScriptHash",
    "Runtime.CheckWitness",
    "Runtime.GetInvocationCounter",
    "Runtime.Log",
    "Runtime.Notify",
    "Runtime.GetNotifications",
    "Runtime.GasLeft",
    "Runtime.BurnGas",
    "Runtime.GetNetwork",
    "Runtime.GetRandom",
    "Runtime.GetAddressVersion",
    "Runtime.LoadScript",
    "Runtime.CurrentSigners",
    "Storage.GetContext",
    "Storage.GetReadOnlyContext",
    "Storage.AsReadOnly",
    "Storage.Get",
    "Storage.Find",
    "Storage.Put",
    "Storage.Delete",
    "Storage.Local.Get",
    "Storage.Local.Put",
];

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// Where it stands, in bytes.
    pub offset: usize,
    /// `PUSHDATA1`; `0xff` for a byte that is no opcode.
    pub opcode: String,
    /// What follows the opcode, hexadecimal, without the length in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operand: Option<String>,
    /// What it pushes or calls, as people read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

/// A call that is written in a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Of which contract.
    pub contract: ScriptHash,
    /// Of which method.
    pub method: String,
}

/// A script that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Decoded {
    /// In order.
    pub instructions: Vec<Instruction>,
    /// In order.
    pub calls: Vec<Call>,
    /// Whether the last instruction lacks its operand: this is no script.
    pub broken: bool,
}

/// Bytes of the operand; of those with a length in front, the bytes of the length.
fn operand(opcode: u8) -> (usize, bool) {
    match opcode {
        0x00 => (1, false),
        0x01 => (2, false),
        0x02 | 0x0a => (4, false),
        0x03 => (8, false),
        0x04 => (16, false),
        PUSHINT256 => (32, false),
        PUSHDATA1 => (1, true),
        0x0d => (2, true),
        PUSHDATA4 => (4, true),
        // jumps and calls: short ones are even, long ones odd
        0x22..=0x35 => (if opcode.is_multiple_of(2) { 1 } else { 4 }, false),
        0x37 | 0x3b | 0x57 => (2, false),
        0x3c => (8, false),
        0x3d | 0x56 | 0x5f | 0x67 | 0x6f | 0x77 | 0x7f | 0x87 | 0xc4 | 0xd9 | 0xdb => (1, false),
        0x3e | SYSCALL => (4, false),
        _ => (0, false),
    }
}

fn service(operand: &[u8]) -> Option<String> {
    SERVICES
        .iter()
        .map(|name| format!("System.{name}"))
        .find(|name| Sha256::digest(name.as_bytes()).starts_with(operand))
}

fn bytes_meaning(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|t| !t.is_empty() && !t.chars().any(char::is_control));
    if let Some(text) = text {
        return Some(format!(
            "{:?}",
            text.chars().take(TEXT_CHARS_MAX).collect::<String>()
        ));
    }
    let hash = ScriptHash(bytes.try_into().ok()?);
    Some(format!("{hash} {}", hash.to_address()))
}

fn meaning(opcode: u8, payload: &[u8]) -> Option<String> {
    match opcode {
        PUSHINT8..=PUSHINT256 => Some(BigInt::from_signed_bytes_le(payload).to_string()),
        PUSHDATA1..=PUSHDATA4 => bytes_meaning(payload),
        PUSHM1..=PUSH16 => Some((i16::from(opcode) - 0x10).to_string()),
        SYSCALL => service(payload),
        _ => None,
    }
}

/// Reads a script. Whatever is in it, this ends: bytes that are no opcode are shown as they are.
#[must_use]
pub fn decode(script: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let script = script.get(..SCRIPT_BYTES_MAX).unwrap_or(script);
    let (mut rest, mut pushed): (&[u8], Vec<&[u8]>) = (script, Vec::new());
    while let Some((&opcode, after)) = rest.split_first() {
        let offset = script.len() - rest.len();
        let (size, prefixed) = operand(opcode);
        let parts = after.split_at_checked(size).and_then(|(head, tail)| {
            if !prefixed {
                return Some((head, tail));
            }
            let length = head.iter().rev().fold(0usize, |n, b| (n << 8) | usize::from(*b));
            tail.split_at_checked(length)
        });
        let Some((payload, tail)) = parts else {
            decoded.broken = true;
            break;
        };
        let known = NAMES.get(usize::from(opcode)).filter(|n| !n.is_empty());
        let meaning = meaning(opcode, payload);
        if opcode == SYSCALL && meaning.as_deref() == Some("System.Contract.Call") {
            decoded.calls.extend(call(&pushed));
        }
        if !(PUSHDATA1..=PUSHDATA4).contains(&opcode) {
            pushed.clear();
        } else {
            pushed.push(payload);
        }
        decoded.instructions.push(Instruction {
            offset,
            opcode: known.map_or_else(|| format!("{opcode:#04x}"), |name| (*name).to_owned()),
            operand: (size > 0).then(|| hex::encode(payload)),
            meaning,
        });
        rest = tail;
    }
    decoded
}

/// A transfer of a token as a script asks for it (NEP-17): what no notification tells is what was given along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferCall {
    /// Of which token.
    pub token: ScriptHash,
    /// From whom.
    pub from: ScriptHash,
    /// To whom.
    pub to: ScriptHash,
    /// How much, in the token's smallest unit.
    pub amount: BigInt,
    /// What is given along; none for nothing, and for what is no plain text or bytes.
    pub data: Option<Vec<u8>>,
}

/// What an instruction leaves for the call after it.
enum Pushed<'a> {
    Bytes(&'a [u8]),
    Integer(BigInt),
    Null,
    Pack,
}

/// The transfers that are written in a script with plain arguments, in order. A script that makes its arguments in other
/// ways has none here, whatever it moves.
#[must_use]
pub fn transfer_calls(script: &[u8]) -> Vec<TransferCall> {
    let (mut rest, mut pushed, mut found) = (script, Vec::new(), Vec::new());
    while let Some((&opcode, after)) = rest.split_first() {
        let (size, prefixed) = operand(opcode);
        let parts = after.split_at_checked(size).and_then(|(head, tail)| {
            if !prefixed {
                return Some((head, tail));
            }
            let length = head.iter().rev().fold(0usize, |n, b| (n << 8) | usize::from(*b));
            tail.split_at_checked(length)
        });
        let Some((payload, tail)) = parts else { break };
        rest = tail;
        match opcode {
            PUSHINT8..=PUSHINT256 => pushed.push(Pushed::Integer(BigInt::from_signed_bytes_le(payload))),
            PUSHM1..=PUSH16 => pushed.push(Pushed::Integer(BigInt::from(i16::from(opcode) - 0x10))),
            PUSHDATA1..=PUSHDATA4 => pushed.push(Pushed::Bytes(payload)),
            PUSHNULL => pushed.push(Pushed::Null),
            PACK => pushed.push(Pushed::Pack),
            SYSCALL => {
                found.extend(transfer_call(&pushed));
                pushed.clear();
            }
            _ => pushed.clear(),
        }
    }
    found
}

fn transfer_call(pushed: &[Pushed<'_>]) -> Option<TransferCall> {
    let [
        ..,
        data,
        Pushed::Integer(amount),
        Pushed::Bytes(to),
        Pushed::Bytes(from),
        Pushed::Integer(four),
        Pushed::Pack,
        Pushed::Integer(_),
        Pushed::Bytes(b"transfer"),
        Pushed::Bytes(token),
    ] = pushed
    else {
        return None;
    };
    if *four != BigInt::from(4) {
        return None;
    }
    Some(TransferCall {
        token: ScriptHash((*token).try_into().ok()?),
        from: ScriptHash((*from).try_into().ok()?),
        to: ScriptHash((*to).try_into().ok()?),
        amount: amount.clone(),
        data: match data {
            Pushed::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        },
    })
}

/// The method and the contract are the last things that were pushed.
fn call(pushed: &[&[u8]]) -> Option<Call> {
    let [.., method, contract] = pushed else {
        return None;
    };
    Some(Call {
        contract: ScriptHash((*contract).try_into().ok()?),
        method: std::str::from_utf8(method).ok()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn a_transfer_reads_as_one() {
        // from a block of a real node
        let script = "CwHoAwwUUeBzMiWYhXLMzFT2IN/+O/t312oMFFDgczIlmIVyzMxU9iDf/jv7d9dqFMAfDAh0cmFuc2ZlcgwUz3bii9AGLEpHjuNVYQETGfPPpNJBYn1bUg==";
        let script = base64::engine::general_purpose::STANDARD.decode(script).unwrap();
        let decoded = decode(&script);
        let shown: Vec<String> = decoded
            .instructions
            .iter()
            .map(|i| {
                format!("{} {}", i.opcode, i.meaning.as_deref().unwrap_or_default())
                    .trim()
                    .to_owned()
            })
            .collect();
        assert_eq!(
            shown,
            [
                "PUSHNULL",
                "PUSHINT16 1000",
                "PUSHDATA1 0x6ad777fb3bfedf20f654cccc728598253273e051 NTNtoMQ49eW2ejJL3pVe2oQuVHMrxGpBzV",
                "PUSHDATA1 0x6ad777fb3bfedf20f654cccc728598253273e050 NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd",
                "PUSH4 4",
                "PACK",
                "PUSH15 15",
                "PUSHDATA1 \"transfer\"",
                "PUSHDATA1 0xd2a4cff31913016155e38e474a2c06d08be276cf NepwUjd9GhqgNkrfXaxj9mmsFhFzGoFuWM",
                "SYSCALL System.Contract.Call",
            ]
        );
        assert_eq!(decoded.calls.len(), 1);
        assert_eq!(
            (
                decoded.calls[0].method.as_str(),
                decoded.calls[0].contract.to_string().as_str()
            ),
            ("transfer", "0xd2a4cff31913016155e38e474a2c06d08be276cf")
        );
        assert!(!decoded.broken && decode(&script[..script.len() - 1]).broken);
    }

    #[test]
    fn a_transfer_says_what_is_given_along() {
        use crate::script::{CallFlags, ScriptBuilder};
        use crate::stack::StackItem;
        let (token, from, to) = (ScriptHash([1; 20]), ScriptHash([2; 20]), ScriptHash([3; 20]));
        let mut builder = ScriptBuilder::new();
        let account = |h: ScriptHash| StackItem::ByteString(h.0.to_vec());
        for (amount, data) in [
            (5i64, StackItem::ByteString(b"neofn:shop:1".to_vec())),
            (100_000_000, StackItem::Null),
        ] {
            let arguments = [
                account(from),
                account(to),
                StackItem::Integer(amount.into()),
                data,
            ];
            builder
                .call(token, "transfer", CallFlags::All, &arguments)
                .unwrap()
                .op(0x39);
        }
        let script = builder.into_bytes();
        let calls = transfer_calls(&script);
        assert_eq!(calls.len(), 2);
        assert_eq!(
            (calls[0].token, calls[0].from, calls[0].to, &calls[0].amount),
            (token, from, to, &BigInt::from(5))
        );
        assert_eq!(calls[0].data.as_deref(), Some(b"neofn:shop:1".as_slice()));
        assert_eq!(
            (&calls[1].amount, &calls[1].data),
            (&BigInt::from(100_000_000), &None)
        );
        // without the last instruction's end, and all before it
        for cut in 0..script.len() - 1 {
            assert!(transfer_calls(&script[..cut]).len() < 2, "{cut}");
        }
    }

    #[test]
    fn names_stand_at_their_opcodes() {
        for (opcode, name) in [
            (0x40, "RET"),
            (0x41, "SYSCALL"),
            (0x45, "DROP"),
            (0x57, "INITSLOT"),
            (0x78, "LDARG0"),
            (0x87, "STARG"),
            (0x8b, "CAT"),
            (0x97, "EQUAL"),
            (0x9e, "ADD"),
            (0xb1, "NZ"),
            (0xbb, "WITHIN"),
            (0xc0, "PACK"),
            (0xc8, "NEWMAP"),
            (0xd8, "ISNULL"),
            (0xdb, "CONVERT"),
            (0xe0, "ABORTMSG"),
            (0xe1, "ASSERTMSG"),
        ] {
            assert_eq!(NAMES[opcode], name, "{opcode:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(script in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let decoded = decode(&script);
            proptest::prop_assert!(decoded.broken || !decoded.instructions.is_empty() || script.is_empty());
        }
    }
}
