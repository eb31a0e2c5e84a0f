//! Keys that are worked out.

use neofn_types::{Digest, UnixMillis};

/// The key under which an event has its effect once. No text that a caller sends as Idempotency-Key hashes to it.
#[must_use]
pub fn effect_key(effect: &Digest, epoch: u32) -> Digest {
    Digest::of_parts(&[b"neofn/effect-key/v1", &effect.0, &epoch.to_le_bytes()])
}

/// Below every id of that time: ids begin with the time of admission.
#[must_use]
pub fn first_id_at(at: UnixMillis) -> [u8; 16] {
    let mut top = [0u8; 16];
    let millis = u64::try_from(at.0).unwrap_or(0).to_be_bytes();
    for (to, from) in top.iter_mut().zip(millis.iter().skip(2)) {
        *to = *from;
    }
    top
}

/// The event of a batch: a JSON array of events.
#[must_use]
pub fn joined(events: &[&[u8]]) -> Vec<u8> {
    let mut array = vec![b'['];
    array.extend(events.join(&b','));
    array.push(b']');
    array
}
