//! Packets of the data socket: a fixed header, and a piece of one message.
//!
//! A message is a postcard head followed by raw bytes (an event, a result), so that payloads are never re-encoded.
//! One that exceeds a packet is cut; pieces are put together by byte count, because several threads of a child read
//! the same socket and may handle them out of order.

use bytes::Bytes;
use std::collections::HashMap;

/// Largest packet, header included.
pub const PACKET_BYTES_MAX: usize = 64 << 10;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;
/// Largest message: an event or a result of 1 MiB, logs, and its head.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Largest sum of unfinished messages that a side keeps.
const PARTIAL_BYTES_MAX: usize = 128 << 20;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Node: run this.
    Call = 1,
    /// Node: the answer to a host call.
    HostResult = 2,
    /// Node: stop the call; its deadline has passed or nobody waits for it. It is still answered. No head, no body.
    Cancel = 3,
    /// Child: a call has ended.
    Done = 16,
    /// Child: a call waits for these host calls.
    HostCalls = 17,
}

/// A packet that no correct peer sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet: {0}")]
pub struct Malformed(pub &'static str);

impl Kind {
    fn parse(b: u8) -> Result<Self, Malformed> {
        Ok(match b {
            1 => Self::Call,
            2 => Self::HostResult,
            3 => Self::Cancel,
            16 => Self::Done,
            17 => Self::HostCalls,
            _ => return Err(Malformed("unknown kind")),
        })
    }
}

/// The header of every packet, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Which call.
    pub id: u64,
    /// Which message of its kind within the call.
    pub index: u32,
    /// Bytes of the whole message.
    pub total: u32,
    /// Where this piece begins.
    pub offset: u32,
    /// Bytes of the message's head; the rest is its body.
    pub head: u32,
    /// What it is.
    pub kind: Kind,
}

impl FrameHeader {
    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0u8; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in out.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        put(0, &self.id.to_le_bytes());
        put(8, &self.index.to_le_bytes());
        put(12, &self.total.to_le_bytes());
        put(16, &self.offset.to_le_bytes());
        put(20, &self.head.to_le_bytes());
        put(24, &[self.kind as u8]);
        out
    }
    fn decode(b: &[u8; HEADER_BYTES]) -> Result<Self, Malformed> {
        let u32_at = |at: usize| {
            let mut v = [0u8; 4];
            for (to, from) in v.iter_mut().zip(b.iter().skip(at)) {
                *to = *from;
            }
            u32::from_le_bytes(v)
        };
        Ok(Self {
            id: u64::from(u32_at(0)) | (u64::from(u32_at(4)) << 32),
            index: u32_at(8),
            total: u32_at(12),
            offset: u32_at(16),
            head: u32_at(20),
            kind: Kind::parse(b[24])?,
        })
    }
}

/// A packet, checked.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// Its piece of the message.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a packet. Sizes are within bounds afterwards.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let Some((head, payload)) = packet.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Malformed("shorter than its header"));
        };
        let header = FrameHeader::decode(head)?;
        let total = usize::try_from(header.total).unwrap_or(usize::MAX);
        if total > MESSAGE_BYTES_MAX || header.head > header.total {
            return Err(Malformed("message too large"));
        }
        let end = usize::try_from(header.offset)
            .unwrap_or(usize::MAX)
            .saturating_add(payload.len());
        if end > total || (payload.is_empty() && total > 0) {
            return Err(Malformed("piece outside its message"));
        }
        Ok(Self { header, payload })
    }
    /// Whether the packet is the whole message.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.payload.len() == usize::try_from(self.header.total).unwrap_or(usize::MAX)
    }
}

/// A whole message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which call.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// Which of its kind.
    pub index: u32,
    /// postcard.
    pub head: &'a [u8],
    /// Raw bytes.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    fn of(header: &FrameHeader, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let at = usize::try_from(header.head).unwrap_or(usize::MAX);
        let (head, body) = bytes
            .split_at_checked(at)
            .ok_or(Malformed("head outside its message"))?;
        Ok(Self {
            id: header.id,
            kind: header.kind,
            index: header.index,
            head,
            body,
        })
    }
    /// The body, copied out of the packet buffer.
    #[must_use]
    pub fn body_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.body)
    }
}

struct Partial {
    bytes: Vec<u8>,
    received: usize,
    header: FrameHeader,
}

/// Messages of which pieces are still missing.
#[derive(Default)]
pub struct Reassembly {
    partial: HashMap<(u64, u8, u32), Partial>,
    bytes: usize,
}

/// A message put together from several packets.
pub struct Assembled {
    header: FrameHeader,
    bytes: Vec<u8>,
}

impl Assembled {
    /// The message.
    pub fn message(&self) -> Result<Message<'_>, Malformed> {
        Message::of(&self.header, &self.bytes)
    }
}

impl<'a> Frame<'a> {
    /// The message, when the packet is all of it.
    pub fn message(&self) -> Result<Message<'a>, Malformed> {
        Message::of(&self.header, self.payload)
    }
}

impl Reassembly {
    /// Takes a piece; answers the message that it completes.
    pub fn add(&mut self, frame: &Frame<'_>) -> Result<Option<Assembled>, Malformed> {
        let h = frame.header;
        let key = (h.id, h.kind as u8, h.index);
        let total = usize::try_from(h.total).unwrap_or(usize::MAX);
        if !self.partial.contains_key(&key) {
            if self.bytes.saturating_add(total) > PARTIAL_BYTES_MAX {
                return Err(Malformed("too many unfinished messages"));
            }
            self.bytes += total;
        }
        let entry = self.partial.entry(key).or_insert_with(|| Partial {
            bytes: vec![0; total],
            received: 0,
            header: h,
        });
        if entry.header.total != h.total || entry.header.head != h.head {
            return Err(Malformed("pieces of one message disagree"));
        }
        let at = usize::try_from(h.offset).unwrap_or(usize::MAX);
        let Some(room) = entry.bytes.get_mut(at..at.saturating_add(frame.payload.len())) else {
            return Err(Malformed("piece outside its message"));
        };
        room.copy_from_slice(frame.payload);
        entry.received += frame.payload.len();
        if entry.received < total {
            return Ok(None);
        }
        let Some(done) = self.partial.remove(&key) else {
            return Ok(None);
        };
        self.bytes = self.bytes.saturating_sub(total);
        Ok(Some(Assembled {
            header: done.header,
            bytes: done.bytes,
        }))
    }
    /// Forgets the pieces of a call that has ended. Answers whether the call itself had not come whole.
    pub fn forget(&mut self, id: u64) -> bool {
        if self.partial.is_empty() {
            return false;
        }
        let (bytes, mut cut) = (&mut self.bytes, false);
        self.partial.retain(|(of, kind, _), p| {
            if *of == id {
                *bytes = bytes.saturating_sub(p.bytes.len());
                cut |= *kind == Kind::Call as u8;
            }
            *of != id
        });
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets(header: FrameHeader, message: &[u8], piece: usize) -> Vec<Vec<u8>> {
        message
            .chunks(piece)
            .enumerate()
            .map(|(i, c)| {
                let h = FrameHeader {
                    offset: u32::try_from(i * piece).unwrap(),
                    ..header
                };
                [h.encode().as_slice(), c].concat()
            })
            .collect()
    }
    proptest! {
        #[test]
        fn pieces_in_any_order_give_the_message_back(message in prop::collection::vec(any::<u8>(), 1..4000), piece in 1usize..700, seed in any::<u64>()) {
            let header = FrameHeader { id: 7, index: 3, total: u32::try_from(message.len()).unwrap(), offset: 0, head: 1, kind: Kind::Done };
            let mut all = packets(header, &message, piece);
            let n = all.len();
            for i in 0..n {
                all.swap(i, usize::try_from(seed.wrapping_mul(i as u64 + 1) % n as u64).unwrap());
            }
            let mut r = Reassembly::default();
            let mut out = None;
            for p in &all {
                prop_assert!(out.is_none());
                out = r.add(&Frame::parse(p).unwrap()).unwrap();
            }
            let out = out.unwrap();
            let m = out.message().unwrap();
            prop_assert_eq!(m.head, &message[..1]);
            prop_assert_eq!(m.body, &message[1..]);
            prop_assert_eq!(r.bytes, 0);
        }
        #[test]
        fn any_bytes_are_refused_or_read_without_a_panic(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(f) = Frame::parse(&packet) {
                let _ = Reassembly::default().add(&f);
                let _ = f.message();
            }
        }
    }
    #[test]
    fn a_forgotten_message_leaves_nothing() {
        let mut r = Reassembly::default();
        let mut piece = |id, kind| {
            let h = FrameHeader {
                id,
                index: 0,
                total: u32::try_from(MESSAGE_BYTES_MAX).unwrap(),
                offset: 0,
                head: 0,
                kind,
            };
            let packet = [h.encode().as_slice(), b"x"].concat();
            assert!(r.add(&Frame::parse(&packet).unwrap()).unwrap().is_none());
            (r.forget(id + 1), r.forget(id), r.bytes)
        };
        for id in 0..100 {
            assert_eq!(piece(id, Kind::Call), (false, true, 0));
            assert_eq!(piece(id, Kind::HostResult), (false, false, 0));
        }
    }
    #[test]
    fn a_flood_of_unfinished_messages_is_refused() {
        let mut r = Reassembly::default();
        let refused = (0..100).find(|i| {
            let h = FrameHeader {
                id: *i,
                index: 0,
                total: u32::try_from(MESSAGE_BYTES_MAX).unwrap(),
                offset: 0,
                head: 0,
                kind: Kind::Done,
            };
            let packet = [h.encode().as_slice(), b"x"].concat();
            r.add(&Frame::parse(&packet).unwrap()).is_err()
        });
        assert_eq!(refused, Some((PARTIAL_BYTES_MAX / MESSAGE_BYTES_MAX) as u64));
    }
}
