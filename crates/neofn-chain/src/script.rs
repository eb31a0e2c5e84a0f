//! Scripts: a call of a contract's method as the machine runs it.

use crate::stack::StackItem;
use neofn_types::ScriptHash;
use num_bigint::BigInt;

const PUSHINT8: u8 = 0x00;
const PUSHT: u8 = 0x08;
const PUSHF: u8 = 0x09;
const PUSHNULL: u8 = 0x0b;
const PUSHDATA1: u8 = 0x0c;
const PUSHM1: u8 = 0x0f;
const PUSH0: u8 = 0x10;
const SYSCALL: u8 = 0x41;
const PACKMAP: u8 = 0xbe;
const PACKSTRUCT: u8 = 0xbf;
const PACK: u8 = 0xc0;
const NEWARRAY0: u8 = 0xc2;
const CONVERT: u8 = 0xdb;
const BUFFER: u8 = 0x30;
/// The first four bytes of the hash of `System.Contract.Call`.
const CONTRACT_CALL: [u8; 4] = [0x62, 0x7d, 0x5b, 0x52];

/// What a called contract may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFlags {
    /// Read states, and call others that do.
    ReadOnly,
    /// Everything.
    All,
}

/// A value that a script cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value of type {0} cannot be an argument")]
pub struct NotAnArgument(pub &'static str);

/// Writes a script.
#[derive(Debug, Clone, Default)]
pub struct ScriptBuilder(Vec<u8>);

impl ScriptBuilder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// The script.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
    /// One instruction without operand.
    pub fn op(&mut self, opcode: u8) -> &mut Self {
        self.0.push(opcode);
        self
    }
    /// Calls a method.
    pub fn call(
        &mut self,
        contract: ScriptHash,
        method: &str,
        flags: CallFlags,
        arguments: &[StackItem],
    ) -> Result<&mut Self, NotAnArgument> {
        self.list(arguments, PACK)?;
        let flags = match flags {
            CallFlags::ReadOnly => 0x05,
            CallFlags::All => 0x0f,
        };
        self.integer(&BigInt::from(flags))
            .bytes(method.as_bytes())
            .bytes(&contract.0)
            .op(SYSCALL);
        self.0.extend(CONTRACT_CALL);
        Ok(self)
    }
    /// Pushes a value.
    pub fn push(&mut self, item: &StackItem) -> Result<&mut Self, NotAnArgument> {
        match item {
            StackItem::Null => self.op(PUSHNULL),
            StackItem::Boolean(true) => self.op(PUSHT),
            StackItem::Boolean(false) => self.op(PUSHF),
            StackItem::Integer(n) => self.integer(n),
            StackItem::ByteString(bytes) => self.bytes(bytes),
            StackItem::Buffer(bytes) => self.bytes(bytes).op(CONVERT).op(BUFFER),
            StackItem::Array(items) => self.list(items, PACK)?,
            StackItem::Struct(items) => self.list(items, PACKSTRUCT)?,
            StackItem::Map(pairs) => {
                for (key, value) in pairs.iter().rev() {
                    self.push(value)?.push(key)?;
                }
                self.integer(&pairs.len().into()).op(PACKMAP)
            }
            StackItem::Pointer(_) | StackItem::Interop(_) => return Err(NotAnArgument(item.type_name())),
        };
        Ok(self)
    }
    fn list(&mut self, items: &[StackItem], pack: u8) -> Result<&mut Self, NotAnArgument> {
        if items.is_empty() && pack == PACK {
            return Ok(self.op(NEWARRAY0));
        }
        for item in items.iter().rev() {
            self.push(item)?;
        }
        Ok(self.integer(&items.len().into()).op(pack))
    }
    /// Pushes a number in the shortest form that the machine has.
    pub fn integer(&mut self, n: &BigInt) -> &mut Self {
        if let Ok(small @ -1..=16) = i8::try_from(n) {
            let opcode = if small < 0 {
                PUSHM1
            } else {
                PUSH0 + small.unsigned_abs()
            };
            return self.op(opcode);
        }
        let mut bytes = n.to_signed_bytes_le();
        let filler = if n.sign() == num_bigint::Sign::Minus {
            0xff
        } else {
            0
        };
        let (exponent, width) = (0u8..=5)
            .map(|e| (e, 1usize << e))
            .find(|(_, width)| *width >= bytes.len())
            .unwrap_or((5, 32));
        bytes.resize(width, filler);
        self.op(PUSHINT8 + exponent);
        self.0.extend(bytes);
        self
    }
    /// Pushes bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = bytes.len();
        if let Ok(length) = u8::try_from(length) {
            self.0.extend([PUSHDATA1, length]);
        } else if let Ok(length) = u16::try_from(length) {
            self.op(PUSHDATA1 + 1);
            self.0.extend(length.to_le_bytes());
        } else {
            self.op(PUSHDATA1 + 2);
            self.0
                .extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        self.0.extend(bytes);
        self
    }
}
