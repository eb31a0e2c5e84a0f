//! Answers that a worker gave lately, for a gateway that did not get one: a message may be lost with a server or a connection,
//! and a server that knows of a request from an earlier connection alone refuses its answer.

use crate::wire::CallId;
use bytes::Bytes;
use std::collections::VecDeque;

/// Most answers kept.
const ANSWERS_MAX: usize = 32_768;
/// And most bytes of them.
const BYTES_MAX: usize = 32 << 20;

/// The last ones.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    answers: VecDeque<(CallId, Bytes)>,
    bytes: usize,
}

impl Kept {
    pub(crate) fn keep(&mut self, call: CallId, answer: Bytes) {
        self.bytes += answer.len();
        self.answers.push_back((call, answer));
        while self.bytes > BYTES_MAX || self.answers.len() > ANSWERS_MAX {
            let Some((_, oldest)) = self.answers.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
        }
    }

    pub(crate) fn get(&self, call: &CallId) -> Option<Bytes> {
        let mut newest_first = self.answers.iter().rev();
        let found = newest_first.find(|(kept, _)| kept == call);
        found.map(|(_, answer)| answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_within_bounds() {
        let mut kept = Kept::default();
        let large = Bytes::from(vec![0; BYTES_MAX / 4]);
        for n in 0..6 {
            kept.keep([n; 16], large.clone());
        }
        assert!(kept.get(&[1; 16]).is_none() && kept.get(&[2; 16]).is_some());
        for _ in 0..ANSWERS_MAX {
            kept.keep([9; 16], Bytes::new());
        }
        assert_eq!((kept.answers.len(), kept.bytes), (ANSWERS_MAX, 0));
        kept.keep([7; 16], Bytes::from(vec![0; BYTES_MAX + 1]));
        assert_eq!(
            (kept.answers.len(), kept.bytes),
            (0, 0),
            "what is too large is not kept"
        );
    }
}
