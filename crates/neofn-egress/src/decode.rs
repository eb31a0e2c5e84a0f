//! Decompression that ends where the limit is, whatever the compressed bytes promise.

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use neofn_types::{Code, Error};
use std::io::{self, Write};

/// Takes so much and no more.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(piece.len()) > self.max {
            self.full = true;
            return Err(io::Error::other("more than the limit"));
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

/// The body behind a Content-Encoding, and whether anything was done. Encodings that were not asked for stay.
pub(crate) fn decode(body: &[u8], encoding: Option<&str>, max: usize) -> Result<Option<Vec<u8>>, Error> {
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
    let bounded = Bounded {
        bytes: Vec::new(),
        max,
        full: false,
    };
    match first.as_str() {
        "gzip" | "x-gzip" => run(
            MultiGzDecoder::new(bounded),
            body,
            |d| d.get_ref().full,
            MultiGzDecoder::finish,
        ),
        // the standard means zlib; some servers send it without zlib's header
        "deflate" if zlib_header(body) => run(
            ZlibDecoder::new(bounded),
            body,
            |d| d.get_ref().full,
            ZlibDecoder::finish,
        ),
        "deflate" => run(
            DeflateDecoder::new(bounded),
            body,
            |d| d.get_ref().full,
            DeflateDecoder::finish,
        ),
        _ => return Ok(None),
    }
    .map(Some)
}

fn zlib_header(body: &[u8]) -> bool {
    match body {
        [a, b, ..] => a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0,
        _ => false,
    }
}

fn run<D: Write>(
    mut decoder: D,
    body: &[u8],
    full: impl Fn(&D) -> bool,
    finish: impl FnOnce(D) -> io::Result<Bounded>,
) -> Result<Vec<u8>, Error> {
    let broken = || Error::new(Code::EgressProtocol, "fetch: the answer does not decompress");
    let large = || {
        Error::new(
            Code::EgressTooLarge,
            "fetch: the answer is too large after decompression",
        )
    };
    for piece in body.chunks(PIECE) {
        if decoder.write_all(piece).is_err() {
            return Err(if full(&decoder) { large() } else { broken() });
        }
    }
    match finish(decoder) {
        Ok(bounded) if bounded.full => Err(large()),
        Ok(bounded) => Ok(bounded.bytes),
        Err(e) if e.to_string().contains("more than the limit") => Err(large()),
        Err(_) => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

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
        let bomb = gzip(&vec![0u8; 64 << 20]);
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
