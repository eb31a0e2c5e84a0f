//! Which versions a worker has ready. Does no I/O.
//!
//! A version goes by a digest of its name, not of its code: what two projects have in common is nobody's business, and
//! neither are names to those who merely hear what nodes say of themselves.

use neofn_types::{Digest, FunctionKey};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Most versions that a worker says it has; a worker that has more says the ones that ran last.
pub(crate) const SAID_MAX: usize = 256;

/// The name of a version in what workers say of themselves.
#[must_use]
pub fn warm_name(function: &FunctionKey, version: u32) -> String {
    name(function.project.as_str(), function.function.as_str(), version)
}

fn name(project: &str, function: &str, version: u32) -> String {
    let digest = Digest::of(format!("{project}/{function}/{version}").as_bytes());
    hex::encode(digest.0.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// What ran here, the last one first.
#[derive(Default)]
pub(crate) struct Ran(Mutex<VecDeque<(String, Digest)>>);

impl Ran {
    pub(crate) fn note(&self, project: &str, function: &str, version: u32, artifact: Digest) {
        let name = name(project, function, version);
        let mut ran = self.0.lock();
        if ran
            .front()
            .is_some_and(|first| *first == (name.clone(), artifact))
        {
            return;
        }
        ran.retain(|(known, _)| *known != name);
        ran.push_front((name, artifact));
        ran.truncate(SAID_MAX);
    }
    /// Those that are still `warm`.
    pub(crate) fn warm(&self, warm: impl Fn(&Digest) -> bool) -> Vec<String> {
        let ran = self.0.lock();
        let still = ran.iter().filter(|(_, artifact)| warm(artifact));
        still.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_said_once_each() {
        let (ran, code) = (Ran::default(), Digest::of(b"code"));
        for n in 0..300 {
            ran.note("p", &format!("f{n}"), 1, code);
        }
        ran.note("p", "f200", 1, code);
        // another project with the same code
        ran.note("q", "f", 1, Digest::of(b"other"));
        let key = |project: &str, function: &str| FunctionKey {
            project: project.parse().unwrap(),
            function: function.parse().unwrap(),
        };
        let all = ran.warm(|_| true);
        assert_eq!(all.len(), SAID_MAX);
        assert_eq!(all[0], warm_name(&key("q", "f"), 1));
        assert_eq!(all[1], warm_name(&key("p", "f200"), 1));
        assert_eq!(all.iter().filter(|n| **n == all[1]).count(), 1);
        assert!(
            !all.contains(&warm_name(&key("p", "f0"), 1)),
            "the oldest is not said"
        );
        assert!(!all.contains(&warm_name(&key("p", "f200"), 2)));
        assert_eq!(
            ran.warm(|artifact| *artifact != code),
            [warm_name(&key("q", "f"), 1)]
        );
    }
}
