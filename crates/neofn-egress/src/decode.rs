//! Decompression that ends where the limit is, whatever the compressed bytes promise.

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use neofn_types::{Code, Error};
use std::cell::Cell;
use std::io::{self, Write};

/// Takes so much and no more, as long as there is room.
struct Bounded<'d> {
    bytes: Vec<u8>,
    max: usize,
    more: &'d mut dyn FnMut(usize) -> bool,
    /// Why it takes no more; decoders do not hand errors on as they are.
    full: &'d Cell<Option<Code>>,
}

impl Write for Bounded<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let length = self.bytes.len().saturating_add(piece.len());
        if length > self.max {
            self.full.set(Some(Code::EgressTooLarge));
        } else if !(self.more)(length) {
            self.full.set(Some(Code::EgressBusy));
        }
        if self.full.get().is_some() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that are handed to a decoder at once; what they expand to is bounded, and the limit is met soon after.
const PIECE: usize = 4 << 10;

/// The body behind a Content-Encoding, and whether anything was done. Encodings that were not asked for stay. `more` says
/// whether there is room for so many bytes in all.
pub(crate) fn decode(
    body: &[u8],
    encoding: Option<&str>,
    max: usize,
    more: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(encoding) = encoding else { return Ok(None) };
    let mut real = encoding
        .split(',')
        .map(|e| e.trim().to_ascii_lowercase())
        .filter(|e| !e.is_empty() && e != "identity");
    let (first, second) = (real.next(), real.next());
    let Some(first) = first else { return Ok(None) };
    if second.is_some() {
        return Err(Error::new(
            Code::EgressProtocol,
            "fetch: the answer is compressed more than once",
        ));
    }
    if body.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let full = Cell::new(None);
    let bounded = Bounded {
        bytes: Vec::new(),
        max,
        more,
        full: &full,
    };
    let decoded = match first.as_str() {
        "gzip" | "x-gzip" => run(MultiGzDecoder::new(bounded), body, MultiGzDecoder::finish),
        // the standard means zlib; some servers send it without zlib's header
        "deflate" if zlib_header(body) => run(ZlibDecoder::new(bounded), body, ZlibDecoder::finish),
        "deflate" => run(DeflateDecoder::new(bounded), body, DeflateDecoder::finish),
        _ => return Ok(None),
    };
    match (full.get(), decoded) {
        (Some(Code::EgressTooLarge), _) => Err(Error::new(
            Code::EgressTooLarge,
            "fetch: the answer is too large after decompression",
        )),
        (Some(code), _) => Err(code.into()),
        (None, Ok(bounded)) => Ok(Some(bounded.bytes)),
        (None, Err(_)) => Err(Error::new(
            Code::EgressProtocol,
            "fetch: the answer does not decompress",
        )),
    }
}

fn zlib_header(body: &[u8]) -> bool {
    match body {
        [a, b, ..] => a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0,
        _ => false,
    }
}

fn run<'d, D: Write>(
    mut decoder: D,
    body: &[u8],
    finish: impl FnOnce(D) -> io::Result<Bounded<'d>>,
) -> io::Result<Bounded<'d>> {
    for piece in body.chunks(PIECE) {
        decoder.write_all(piece)?;
    }
    finish(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn decode(body: &[u8], encoding: Option<&str>, max: usize) -> Result<Option<Vec<u8>>, Error> {
        super::decode(body, encoding, max, &mut |_| true)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::best());
        e.write_all(text).unwrap();
        e.finish().unwrap()
    }

    #[test]
    fn each_encoding_is_read() {
        let text = b"hello hello hello".repeat(100);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(&text).unwrap();
        for (encoding, body) in [
            ("gzip", gzip(&text)),
            ("X-GZIP", gzip(&text)),
            ("identity, gzip", gzip(&text)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
        ] {
            assert_eq!(
                decode(&body, Some(encoding), 1 << 20).unwrap().unwrap(),
                text,
                "{encoding}"
            );
        }
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(decode(&two, Some("gzip"), 100).unwrap().unwrap(), b"one two");
        for as_it_is in [None, Some(""), Some("identity"), Some("br"), Some("zstd")] {
            assert_eq!(decode(b"body", as_it_is, 100).unwrap(), None);
        }
        assert_eq!(decode(b"", Some("gzip"), 100).unwrap().unwrap(), b"");
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = gzip(&vec![0u8; 3 << 20]);
        assert!(bomb.len() < 100 << 10);
        assert_eq!(
            decode(&bomb, Some("gzip"), 1 << 20).unwrap_err().code,
            Code::EgressTooLarge
        );
        let twice = gzip(&bomb);
        assert_eq!(
            decode(&twice, Some("gzip, gzip"), 1 << 20).unwrap_err().code,
            Code::EgressProtocol
        );
        let exact = gzip(&[7; 1000]);
        assert_eq!(decode(&exact, Some("gzip"), 1000).unwrap().unwrap().len(), 1000);
        assert_eq!(
            decode(&exact, Some("gzip"), 999).unwrap_err().code,
            Code::EgressTooLarge
        );
    }

    #[test]
    fn it_ends_where_there_is_no_room() {
        let body = gzip(&vec![0u8; 1 << 20]);
        let mut asked = 0;
        let mut more = |bytes: usize| {
            asked = bytes;
            bytes <= 100 << 10
        };
        let refused = super::decode(&body, Some("gzip"), 4 << 20, &mut more).unwrap_err();
        assert_eq!(refused.code, Code::EgressBusy);
        assert!(asked < 1 << 20, "{asked}");
    }

    #[test]
    fn broken_bytes_are_an_error() {
        let good = gzip(b"hello hello");
        for bad in [&good[..good.len() - 1], &good[..12], b"no gzip at all"] {
            assert_eq!(
                decode(bad, Some("gzip"), 100).unwrap_err().code,
                Code::EgressProtocol
            );
        }
        let mut flipped = good.clone();
        flipped[12] ^= 0xff;
        assert!(decode(&flipped, Some("gzip"), 100).is_err());
    }
}
