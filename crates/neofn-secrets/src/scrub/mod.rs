//! Keeps values out of text: of logs, results, errors and answers that a run leaves behind.
//!
//! A value is looked for as it is and in the encodings that programs put it into without meaning to hide it. Whoever
//! means to hide it can: that is why functions get handles and not values.

mod encodings;
mod escaped;
mod stream;

pub use stream::Scrub;

use self::escaped::Unescaped;
use crate::value::SecretValue;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use neofn_types::SecretName;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Finds values in all their encodings, in one pass. Cheap to clone.
#[derive(Clone)]
pub struct Scrubber(Option<Arc<Found>>);

struct Found {
    automaton: AhoCorasick,
    /// Of each pattern.
    names: Vec<SecretName>,
    longest: usize,
    /// For the ends of texts that were cut.
    patterns: Vec<Zeroizing<Vec<u8>>>,
    /// For text whose escapes were read back.
    read: Option<Box<Found>>,
}

impl Found {
    /// Looks for `patterns`; they are of the secrets `names`, one by one.
    fn new(names: Vec<SecretName>, patterns: Vec<Zeroizing<Vec<u8>>>) -> Option<Self> {
        // made for one run, whose logs are small: being ready soon is worth more than being fast
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns.iter().map(|p| p.as_slice()))
            .ok()?;
        Some(Self {
            longest: patterns.iter().map(|p| p.len()).max().unwrap_or(0),
            automaton,
            names,
            patterns,
            read: None,
        })
    }
    fn matches(&self, bytes: &[u8]) -> impl Iterator<Item = (Range<usize>, &SecretName)> {
        let hits = self.automaton.find_iter(bytes);
        hits.filter_map(|hit| Some((hit.range(), self.names.get(hit.pattern().as_usize())?)))
    }
    /// Those that escapes hide, in the bytes as they are; in no order.
    fn escaped(&self, bytes: &[u8]) -> Vec<(Range<usize>, &SecretName)> {
        let mut hits = Vec::new();
        let Some(read) = &self.read else { return hits };
        for text in self.unescaped(bytes) {
            hits.extend(read.matches(&text.bytes).map(|(at, name)| (text.place(at), name)));
        }
        hits
    }
    /// Every place of a value, in order of where they begin; they may overlap.
    fn hits(&self, bytes: &[u8]) -> Vec<(Range<usize>, &SecretName)> {
        let mut hits = self.escaped(bytes);
        hits.extend(self.matches(bytes));
        hits.sort_by_key(|(at, _)| (at.start, std::cmp::Reverse(at.end)));
        hits
    }
    /// Whose value a text ends with the beginning of, and where that begins.
    fn part_at_end(&self, bytes: &[u8]) -> Option<(usize, &SecretName)> {
        let from = bytes.len().saturating_sub(self.longest);
        (from..bytes.len().saturating_sub(PART_BYTES_MIN - 1)).find_map(|at| {
            let tail = bytes.get(at..)?;
            let pattern = self.patterns.iter().position(|p| p.starts_with(tail))?;
            Some((at, self.names.get(pattern)?))
        })
    }
    fn unescaped(&self, bytes: &[u8]) -> Vec<Unescaped> {
        let mut all = Vec::new();
        let mut next = Unescaped::of(bytes);
        while let Some(text) = next {
            next = (all.len() + 1 < escaped::DEPTH_MAX)
                .then(|| text.deeper())
                .flatten();
            all.push(text);
        }
        all
    }
}

/// Of a value that was cut off by the end of a text, so much must stand there to be taken for it.
const PART_BYTES_MIN: usize = 4;

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrubber(..)")
    }
}

impl Default for Scrubber {
    fn default() -> Self {
        Self::none()
    }
}

impl Scrubber {
    /// Finds nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }
    /// Finds the values. None, if they are too many to be looked for at once.
    #[must_use]
    pub fn new<'v>(values: impl IntoIterator<Item = (&'v SecretName, &'v SecretValue)>) -> Option<Self> {
        let (mut names, mut patterns) = (Vec::new(), Vec::new());
        let (mut read_names, mut read_patterns) = (Vec::new(), Vec::new());
        for (name, value) in values {
            for pattern in encodings::of(value.expose()) {
                names.push(name.clone());
                patterns.push(pattern);
            }
            for pattern in encodings::read_back(value.expose()) {
                read_names.push(name.clone());
                read_patterns.push(pattern);
            }
        }
        if patterns.is_empty() {
            return Some(Self::none());
        }
        let read = Found::new(read_names, read_patterns)?;
        let mut found = Found::new(names, patterns)?;
        found.longest = found.longest.max(read.longest * escaped::BYTES_PER_BYTE_MAX);
        found.read = Some(Box::new(read));
        Some(Self(Some(Arc::new(found))))
    }
    /// Whether there is anything to be found at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
    /// The secret whose value the bytes contain, the first of them; one that escapes hide only when there is no other.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<&SecretName> {
        let found = self.0.as_ref()?;
        if let Some((_, name)) = found.matches(bytes).next() {
            return Some(name);
        }
        let hidden = found.escaped(bytes).into_iter();
        hidden.min_by_key(|(at, _)| at.start).map(|(_, name)| name)
    }
    /// Text that comes piece by piece.
    #[must_use]
    pub fn stream(&self) -> Scrub {
        Scrub::new(self.clone())
    }
    /// The bytes with every value replaced by `[secret NAME]`; the same bytes when there is none.
    #[must_use]
    pub fn bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        if self.find(bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let (mut scrub, mut out) = (self.stream(), Vec::with_capacity(bytes.len()));
        scrub.push(bytes, &mut out);
        scrub.finish(&mut out);
        Cow::Owned(out)
    }
    /// As [`Self::bytes`], for text.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // a value need not end where a character does
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
    /// As [`Self::text`], for text whose end was cut off: the beginning of a value at its very end goes too.
    #[must_use]
    pub fn cut_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let clean = self.text(text);
        let Some(found) = &self.0 else { return clean };
        let bytes = clean.as_bytes();
        let part = found.part_at_end(bytes).or_else(|| {
            let read = found.read.as_ref()?;
            // the last escape may itself be cut
            let whole = bytes.len()
                - bytes
                    .iter()
                    .rev()
                    .take(2)
                    .position(|b| *b == b'%')
                    .map_or(0, |n| n + 1);
            found.unescaped(bytes.get(..whole)?).iter().find_map(|text| {
                let (at, name) = read.part_at_end(&text.bytes)?;
                Some((text.place(at..at).start, name))
            })
        });
        let Some((at, name)) = part else { return clean };
        let kept = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default()).into_owned();
        Cow::Owned(kept + &mark(name))
    }
    /// JSON without values, and still JSON: a value may be a number, or stand in the name of a member.
    /// None when what is given is no JSON and contains a value; then nothing of it may be used.
    #[must_use]
    pub fn json<'t>(&self, json: &'t [u8]) -> Option<Cow<'t, [u8]>> {
        if self.find(json).is_none() {
            return Some(Cow::Borrowed(json));
        }
        let clean = self.bytes(json);
        // the marks are plain text: within a string they change nothing of the structure
        if serde_json::from_slice::<&serde_json::value::RawValue>(&clean).is_ok() {
            return Some(clean);
        }
        let mut value: serde_json::Value = serde_json::from_slice(json).ok()?;
        self.value(&mut value, 0)?;
        let text = serde_json::to_vec(&value).ok()?;
        // what runs over from one string into the next cannot be mended
        self.find(&text).is_none().then_some(Cow::Owned(text))
    }
    fn value(&self, value: &mut serde_json::Value, depth: u32) -> Option<()> {
        use serde_json::Value;
        /// Deeper JSON is refused long before it gets here.
        const DEPTH_MAX: u32 = 256;
        if depth > DEPTH_MAX {
            return None;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Number(number) => {
                let text = number.to_string();
                if let Cow::Owned(clean) = self.text(&text) {
                    *value = Value::String(clean);
                }
            }
            Value::Array(list) => list.iter_mut().try_for_each(|v| self.value(v, depth + 1))?,
            Value::Object(map) => {
                let members = std::mem::take(map);
                for (name, mut member) in members {
                    self.value(&mut member, depth + 1)?;
                    map.insert(self.text(&name).into_owned(), member);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        Some(())
    }
}

/// What stands where a value stood.
fn mark(name: &SecretName) -> String {
    format!("[secret {name}]")
}

#[cfg(test)]
mod tests;
