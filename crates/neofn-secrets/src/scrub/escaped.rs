//! Percent escapes. Every writer has its own list of bytes that it escapes (`encodeURIComponent` keeps `!`, Python's `quote`
//! keeps `/`, a template may keep anything), so forms cannot be counted: the text is read back instead, and values are
//! looked for in what it says.

use std::ops::Range;

/// Escapes within escapes that are read back.
pub(super) const DEPTH_MAX: usize = 2;
/// The longest that a byte is written with [`DEPTH_MAX`] escapes within each other: `%252F`.
pub(super) const BYTES_PER_BYTE_MAX: usize = 3 + (DEPTH_MAX - 1) * 2;

/// Text with its escapes read back.
pub(super) struct Unescaped {
    pub(super) bytes: Vec<u8>,
    /// Where each byte begins in the text as it was given; one more, for its end.
    starts: Vec<usize>,
}

impl Unescaped {
    /// None when nothing in it is escaped.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        Self::read(text, |at| at, text.len())
    }
    /// What is escaped in what was escaped.
    pub(super) fn deeper(&self) -> Option<Self> {
        let end = self.starts.last().copied().unwrap_or_default();
        Self::read(&self.bytes, |at| self.starts.get(at).copied().unwrap_or(end), end)
    }
    fn read(text: &[u8], place: impl Fn(usize) -> usize, end: usize) -> Option<Self> {
        if !text.contains(&b'%') {
            return None;
        }
        let (mut bytes, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            starts.push(place(at));
            let digits = || Some((digit(*text.get(at + 1)?)?, digit(*text.get(at + 2)?)?));
            match (byte == b'%').then(digits).flatten() {
                Some((high, low)) => {
                    bytes.push(high * 16 + low);
                    at += 3;
                }
                None => {
                    bytes.push(byte);
                    at += 1;
                }
            }
        }
        starts.push(end);
        Some(Self { bytes, starts })
    }
    /// Where bytes of this stand in the text as it was given.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        let end = self.starts.last().copied().unwrap_or_default();
        let at = |n: usize| self.starts.get(n).copied().unwrap_or(end);
        at(range.start)..at(range.end)
    }
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
