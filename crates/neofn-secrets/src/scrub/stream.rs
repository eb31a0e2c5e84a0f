//! Text that comes in pieces: a value that runs over from one piece into the next is found too.

use super::{Scrubber, mark};

/// One text, from its beginning to its end.
#[derive(Debug)]
pub struct Scrub {
    scrubber: Scrubber,
    /// What may still become a value with what comes; never longer than the longest form.
    held: Vec<u8>,
    /// Whether a value was found so far.
    found: bool,
}

impl Scrub {
    pub(super) fn new(scrubber: Scrubber) -> Self {
        Self {
            scrubber,
            held: Vec::new(),
            found: false,
        }
    }
    /// Takes the next piece, and appends what is clean for sure to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(found) = &self.scrubber.0 else {
            out.extend_from_slice(piece);
            return;
        };
        self.held.extend_from_slice(piece);
        // a form that begins before here is in `held` whole
        let decided = self.held.len().saturating_sub(found.longest.saturating_sub(1));
        self.emit(decided, out);
    }
    /// Appends the rest; call once, at the end.
    pub fn finish(mut self, out: &mut Vec<u8>) -> bool {
        self.emit(self.held.len(), out);
        self.found
    }
    fn emit(&mut self, decided: usize, out: &mut Vec<u8>) {
        let Some(found) = &self.scrubber.0 else { return };
        let mut done = 0;
        for (hit, name) in found.hits(&self.held) {
            if hit.start >= decided {
                break;
            }
            // of two that overlap, the second has its mark in the first one's
            if hit.start >= done {
                out.extend_from_slice(self.held.get(done..hit.start).unwrap_or_default());
                out.extend_from_slice(mark(name).as_bytes());
            }
            self.found = true;
            done = done.max(hit.end);
        }
        let clean = decided.max(done);
        out.extend_from_slice(self.held.get(done..clean).unwrap_or_default());
        self.held.drain(..clean);
    }
}
