//! The signer's one file: keys in encrypted form, policies and signatures, one line each, in the order in which they
//! came. Each line carries a MAC over itself and the line before, so that nobody who lacks the secret can add, change,
//! drop or reorder one. (What was cut off at the end cannot be told from never written.)

use super::policy::SigningPolicy;
use super::wire::Signature;
use hmac::{Hmac, Mac as _};
use neofn_types::{ScriptHash, UnixMillis};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, Write as _};

/// Digits of a MAC at the beginning of a line.
const MAC_DIGITS: usize = 64;
/// The longest line.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The first: how the secret becomes keys (Argon2id).
    Header {
        version: u32,
        salt: String,
        memory_kib: u32,
        passes: u32,
    },
    /// A private key, sealed with XChaCha20-Poly1305.
    Key {
        account: ScriptHash,
        nonce: String,
        sealed: String,
        at: UnixMillis,
    },
    /// An account that can be signed for, and what it may be used for: in one line, so that there is never one without
    /// the other. (Those that were written without may do nothing before the line with their policy.)
    Account {
        account: ScriptHash,
        verification: String,
        label: String,
        #[serde(default)]
        policy: Option<SigningPolicy>,
        at: UnixMillis,
    },
    /// What it may be used for, from now on.
    Policy {
        account: ScriptHash,
        policy: SigningPolicy,
        at: UnixMillis,
    },
    /// The account that pays where nobody says otherwise, from now on.
    Payer { account: ScriptHash, at: UnixMillis },
    /// A signature.
    Signed(Signature),
}

/// The open file. Whoever has it is the only one.
pub(super) struct Journal {
    file: File,
    mac: [u8; 32],
}

impl Journal {
    pub(super) fn new(file: File) -> Self {
        Self { file, mac: [0; 32] }
    }

    /// The first line without its MAC checked: it says how to make the key that checks it.
    pub(super) fn header(&mut self) -> io::Result<Option<Entry>> {
        self.file.rewind()?;
        let mut reader = BufReader::new(&self.file);
        match next_line(&mut reader)? {
            Some(line) => Ok(Some(parse(&line)?.1)),
            None => Ok(None),
        }
    }

    /// Reads and checks all lines. A last one that was not finished when the power went is cut off: nothing that it
    /// says was ever answered.
    pub(super) fn read(
        &mut self,
        key: &[u8],
        mut each: impl FnMut(Entry) -> io::Result<()>,
    ) -> io::Result<()> {
        self.file.rewind()?;
        let mut reader = BufReader::new(&self.file);
        let (mut mac, mut good, mut number) = ([0u8; 32], 0u64, 0u64);
        while let Some(line) = next_line(&mut reader)? {
            number += 1;
            let bad = |why: &str| io::Error::other(format!("line {number} of the signer's journal {why}"));
            let (written, entry) = parse(&line).map_err(|e| bad(&format!("cannot be read: {e}")))?;
            let text = line.get(MAC_DIGITS + 1..).unwrap_or_default();
            mac = chain(key, &mac, text)
                .and_then(|m| m.verify_slice(&written).ok().map(|()| written))
                .ok_or_else(|| bad("was not written with this secret, or was changed"))?;
            each(entry)?;
            good += u64::try_from(line.len()).unwrap_or(0) + 1;
        }
        drop(reader);
        if self.file.metadata()?.len() > good {
            self.file.set_len(good)?;
            self.file.sync_data()?;
        }
        self.mac = mac;
        Ok(())
    }

    /// Appends a line; it is on disk when this returns. After an error the file may end in half a line: the caller
    /// must not go on.
    pub(super) fn append(&mut self, key: &[u8], entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_vec(entry)?;
        let mac: [u8; 32] = chain(key, &self.mac, &text)
            .ok_or_else(|| io::Error::other("no key"))?
            .finalize()
            .into_bytes()
            .into();
        let mut line = hex::encode(mac).into_bytes();
        line.push(b' ');
        line.extend(text);
        line.push(b'\n');
        if u64::try_from(line.len()).unwrap_or(u64::MAX) >= LINE_BYTES_MAX {
            return Err(io::Error::other(
                "the entry is too long for a line of the signer's journal",
            ));
        }
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.mac = mac;
        Ok(())
    }
}

fn chain(key: &[u8], before: &[u8; 32], text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(before);
    mac.update(text);
    Some(mac)
}

/// A whole line without its end; none at the end of the file or in half a line.
fn next_line(reader: &mut BufReader<&File>) -> io::Result<Option<Vec<u8>>> {
    use io::Read as _;
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        Some(_) if u64::try_from(line.len()).unwrap_or(0) + 1 >= LINE_BYTES_MAX => {
            Err(io::Error::other("a line of the signer's journal is too long"))
        }
        _ => Ok(None),
    }
}

fn parse(line: &[u8]) -> io::Result<([u8; 32], Entry)> {
    let bad = || io::Error::other("not a line of the signer's journal");
    let (mac, text) = line.split_at_checked(MAC_DIGITS).ok_or_else(bad)?;
    let mut bytes = [0u8; 32];
    hex::decode_to_slice(mac, &mut bytes).map_err(io::Error::other)?;
    let text = text.strip_prefix(b" ").ok_or_else(bad)?;
    Ok((bytes, serde_json::from_slice(text)?))
}
