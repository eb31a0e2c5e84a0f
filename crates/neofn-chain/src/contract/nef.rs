//! Compiled contracts: the NEF container. Read to be checked before anybody pays for it.
//!
//! <https://github.com/neo-project/neo/blob/master/src/Neo/SmartContract/NefFile.cs>

use sha2::{Digest as _, Sha256};

const MAGIC: [u8; 4] = *b"NEF3";
const COMPILER_BYTES: usize = 64;
const SOURCE_BYTES_MAX: usize = 256;
const TOKENS_MAX: usize = 128;
const METHOD_BYTES_MAX: usize = 32;
/// Longest script of a contract.
const SCRIPT_BYTES_MAX: usize = 512 * 1024;

/// A compiled contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nef {
    /// What made it.
    pub compiler: String,
    /// Where its source is.
    pub source: String,
    /// Its code.
    pub script: Vec<u8>,
    /// Over everything before it; part of the contract's hash.
    pub checksum: u32,
    bytes: Vec<u8>,
}

/// Bytes that are no compiled contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a compiled contract (NEF): {0}")]
pub struct NefError(&'static str);

impl Nef {
    /// Reads all of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, NefError> {
        let mut rest = Reader(bytes);
        if rest.take(4)? != MAGIC {
            return Err(NefError("it does not begin with NEF3"));
        }
        let compiler = text(
            rest.take(COMPILER_BYTES)?
                .split(|b| *b == 0)
                .next()
                .unwrap_or_default(),
        )?;
        let source = text(rest.var_bytes(SOURCE_BYTES_MAX)?)?;
        rest.zeroes(1)?;
        for _ in 0..rest.var_length(TOKENS_MAX)? {
            rest.take(20)?;
            rest.var_bytes(METHOD_BYTES_MAX)?;
            // parameters, whether it answers, call flags
            rest.take(4)?;
        }
        rest.zeroes(2)?;
        let script = rest.var_bytes(SCRIPT_BYTES_MAX)?.to_vec();
        if script.is_empty() {
            return Err(NefError("it has no script"));
        }
        let covered = bytes.len() - rest.0.len();
        let said = rest.take(4)?;
        if !rest.0.is_empty() {
            return Err(NefError("there is more after its end"));
        }
        let checksum = checksum(bytes.get(..covered).unwrap_or_default());
        if said != checksum.to_le_bytes() {
            return Err(NefError("its checksum is wrong: the file is damaged"));
        }
        Ok(Self {
            compiler,
            source,
            script,
            checksum,
            bytes: bytes.to_vec(),
        })
    }
    /// The container of a script that was made by other means than a compiler.
    pub fn of_script(compiler: &str, script: &[u8]) -> Result<Self, NefError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(compiler.as_bytes());
        if compiler.len() > COMPILER_BYTES {
            return Err(NefError("the compiler's name is longer than 64 bytes"));
        }
        bytes.resize(MAGIC.len() + COMPILER_BYTES, 0);
        // no source, a reserved byte, no tokens, two reserved bytes
        bytes.extend([0; 5]);
        bytes.extend(var_length(script.len())?);
        bytes.extend_from_slice(script);
        bytes.extend(checksum(&bytes).to_le_bytes());
        Self::read(&bytes)
    }
    /// As it was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let hash: [u8; 32] = Sha256::digest(Sha256::digest(bytes)).into();
    let [a, b, c, d, ..] = hash;
    u32::from_le_bytes([a, b, c, d])
}

/// The shortest form; the chain takes no other.
fn var_length(length: usize) -> Result<Vec<u8>, NefError> {
    let too_long = |_| NefError("its script is too long");
    Ok(match length {
        0..=0xfc => vec![u8::try_from(length).map_err(too_long)?],
        0xfd..=0xffff => [
            &[0xfd][..],
            &u16::try_from(length).map_err(too_long)?.to_le_bytes(),
        ]
        .concat(),
        _ => [
            &[0xfe][..],
            &u32::try_from(length).map_err(too_long)?.to_le_bytes(),
        ]
        .concat(),
    })
}

fn text(bytes: &[u8]) -> Result<String, NefError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| NefError("a name in it is not text"))
}

struct Reader<'a>(&'a [u8]);
impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], NefError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(NefError("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }
    fn number(&mut self, width: usize) -> Result<usize, NefError> {
        let bytes = self.take(width)?.iter().rev();
        Ok(bytes.fold(0usize, |n, byte| n << 8 | usize::from(*byte)))
    }
    fn var_length(&mut self, max: usize) -> Result<usize, NefError> {
        let (length, least) = match self.number(1)? {
            0xfd => (self.number(2)?, 0xfd),
            0xfe => (self.number(4)?, 0x1_0000),
            0xff => return Err(NefError("a length in it is too large")),
            short => (short, 0),
        };
        // nodes check the sum over what they would have written themselves
        if length < least {
            return Err(NefError("a length in it is not in its shortest form"));
        }
        if length > max {
            Err(NefError("a part of it is too large"))
        } else {
            Ok(length)
        }
    }
    fn var_bytes(&mut self, max: usize) -> Result<&'a [u8], NefError> {
        let length = self.var_length(max)?;
        self.take(length)
    }
    fn zeroes(&mut self, count: usize) -> Result<(), NefError> {
        if self.take(count)?.iter().any(|b| *b != 0) {
            return Err(NefError("a reserved byte is not zero"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_and_refuses_damage() {
        let nef = Nef::of_script("neofn", &[0x00, 0x2a, 0x40]).unwrap();
        assert_eq!((nef.compiler.as_str(), nef.script.len()), ("neofn", 3));
        assert_eq!(Nef::read(nef.bytes()).unwrap(), nef);
        for at in 0..nef.bytes().len() {
            let mut damaged = nef.bytes().to_vec();
            damaged[at] ^= 1;
            assert!(Nef::read(&damaged).is_err(), "byte {at}");
            assert!(Nef::read(&nef.bytes()[..at]).is_err(), "only {at} bytes");
        }
        let longer = [nef.bytes(), &[0]].concat();
        assert_eq!(Nef::read(&longer), Err(NefError("there is more after its end")));
        for length in [1, 0xfc, 0xfd, 0xffff, 0x1_0000, SCRIPT_BYTES_MAX] {
            assert_eq!(
                Nef::of_script("x", &vec![0x40; length]).unwrap().script.len(),
                length
            );
        }
        for length in [0, SCRIPT_BYTES_MAX + 1] {
            assert!(Nef::of_script("x", &vec![0x40; length]).is_err());
        }
    }
}
