//! What an invocation has written to ctx.kv so far, and how its own reads see it. Pure: does no I/O.

use crate::port::{COUNTER_MAX, KvEntry, KvExpect, KvWrite};
use bytes::Bytes;
use neofn_types::{Code, UnixMillis};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Longest key, bytes.
pub(crate) const KEY_BYTES_MAX: usize = 512;
/// Largest value, bytes of JSON.
pub(crate) const VALUE_BYTES_MAX: usize = 256 << 10;
/// Most bytes that one invocation may write.
const WRITES_BYTES_MAX: usize = 8 << 20;

/// A refused call: what its promise rejects with.
pub(crate) type Refusal = (Code, String);

/// The local state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Local {
    /// Has this value at the commit.
    Put(Bytes),
    /// Is gone at the commit.
    Deleted,
    /// Is what it is at the commit plus this.
    Added(i64),
}

/// The condition of a write, as the function gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    Absent,
    Revision(u64),
}

/// The writes of one invocation.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    local: BTreeMap<String, Local>,
    writes: Vec<KvWrite>,
    bytes: usize,
}

/// An entry as a list shows it; own writes have no revision yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: String,
    pub(crate) value: Bytes,
    pub(crate) revision: Option<u64>,
}

impl From<KvEntry> for Seen {
    fn from(entry: KvEntry) -> Self {
        Self {
            key: entry.key,
            value: entry.value,
            revision: Some(entry.revision),
        }
    }
}

pub(crate) fn check_key(key: &str) -> Result<(), Refusal> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        Ok(())
    } else {
        Err((
            Code::KvKey,
            format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len()),
        ))
    }
}

/// The integer in a counter's value.
pub(crate) fn integer(key: &str, value: &[u8]) -> Result<i64, Refusal> {
    serde_json::from_slice::<i64>(value)
        .ok()
        .filter(|n| (-COUNTER_MAX..=COUNTER_MAX).contains(n))
        .ok_or_else(|| (Code::KvCounter, format!("key {key:?} is not a counter")))
}

fn sum(key: &str, a: i64, b: i64) -> Result<i64, Refusal> {
    a.checked_add(b)
        .filter(|n| (-COUNTER_MAX..=COUNTER_MAX).contains(n))
        .ok_or_else(|| (Code::KvCounter, format!("counter {key:?} would leave ±2^53")))
}

fn conflict(key: &str) -> Refusal {
    (Code::KvConflict, format!("key {key:?} is not as ifRevision says"))
}

impl Overlay {
    /// The key as this invocation sees it, given what is stored.
    pub(crate) fn see(&self, key: &str, stored: Option<KvEntry>) -> Result<Option<Seen>, Refusal> {
        match (self.local.get(key), stored) {
            (None, stored) => Ok(stored.map(Seen::from)),
            (Some(Local::Deleted), _) => Ok(None),
            (Some(Local::Put(value)), _) => Ok(Some(Seen {
                key: key.to_owned(),
                value: value.clone(),
                revision: None,
            })),
            (Some(Local::Added(by)), stored) => {
                let base = stored.map_or(Ok(0), |s| integer(key, &s.value))?;
                Ok(Some(Seen {
                    key: key.to_owned(),
                    value: Bytes::from(sum(key, base, *by)?.to_string()),
                    revision: None,
                }))
            }
        }
    }
    /// Checks a condition against what is seen now; answers what must still hold at the commit.
    fn expect(&self, key: &str, condition: Condition, stored: Option<&KvEntry>) -> Result<KvExpect, Refusal> {
        let local = self.local.get(key);
        match (condition, local) {
            (Condition::None, _) | (Condition::Absent, Some(Local::Deleted)) => Ok(KvExpect::Any),
            (_, Some(_)) => Err(conflict(key)),
            (Condition::Absent, None) if stored.is_none() => Ok(KvExpect::Absent),
            (Condition::Revision(revision), None) if stored.is_some_and(|s| s.revision == revision) => {
                Ok(KvExpect::Revision(revision))
            }
            (_, None) => Err(conflict(key)),
        }
    }
    fn room(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.bytes.saturating_add(bytes) > WRITES_BYTES_MAX {
            return Err((
                Code::KvValue,
                format!(
                    "one invocation may write {} MiB at the most",
                    WRITES_BYTES_MAX >> 20
                ),
            ));
        }
        self.bytes += bytes;
        Ok(())
    }
    pub(crate) fn put(
        &mut self,
        key: &str,
        value: Bytes,
        expires_at: Option<UnixMillis>,
        condition: Condition,
        stored: Option<&KvEntry>,
    ) -> Result<(), Refusal> {
        if value.len() > VALUE_BYTES_MAX {
            return Err((
                Code::KvValue,
                format!(
                    "a value may have {VALUE_BYTES_MAX} bytes as JSON, this one has {}",
                    value.len()
                ),
            ));
        }
        let expect = self.expect(key, condition, stored)?;
        self.room(key.len() + value.len())?;
        self.local.insert(key.to_owned(), Local::Put(value.clone()));
        self.writes.push(KvWrite::Put {
            key: key.to_owned(),
            value,
            expect,
            expires_at,
        });
        Ok(())
    }
    /// Answers whether there was something to delete.
    pub(crate) fn delete(
        &mut self,
        key: &str,
        condition: Condition,
        stored: Option<&KvEntry>,
    ) -> Result<bool, Refusal> {
        let expect = self.expect(key, condition, stored)?;
        let there = match self.local.get(key) {
            None => stored.is_some(),
            Some(local) => *local != Local::Deleted,
        };
        self.room(key.len())?;
        self.local.insert(key.to_owned(), Local::Deleted);
        self.writes.push(KvWrite::Delete {
            key: key.to_owned(),
            expect,
        });
        Ok(there)
    }
    /// Answers the sum as seen now; others may add before the commit.
    pub(crate) fn add(&mut self, key: &str, by: i64, stored: Option<&KvEntry>) -> Result<i64, Refusal> {
        let (value, local) = match self.local.get(key) {
            Some(Local::Put(value)) => {
                let value = sum(key, integer(key, value)?, by)?;
                (value, Local::Put(Bytes::from(value.to_string())))
            }
            Some(Local::Deleted) => (sum(key, 0, by)?, Local::Put(Bytes::from(by.to_string()))),
            local => {
                let before = match local {
                    Some(Local::Added(n)) => *n,
                    _ => 0,
                };
                let base = stored.map_or(Ok(0), |s| integer(key, &s.value))?;
                let added = sum(key, before, by)?;
                (sum(key, base, added)?, Local::Added(added))
            }
        };
        self.room(key.len() + 8)?;
        self.local.insert(key.to_owned(), local);
        self.writes.push(KvWrite::Add {
            key: key.to_owned(),
            by,
        });
        Ok(value)
    }
    /// Lays own writes over a page of stored entries that covers `after` (excluded) to `upto` (included; `None`
    /// for the end of the prefix).
    pub(crate) fn merge(
        &self,
        prefix: &str,
        after: Option<&str>,
        upto: Option<&str>,
        page: Vec<KvEntry>,
    ) -> Result<Vec<Seen>, Refusal> {
        let mut merged: BTreeMap<String, Option<KvEntry>> =
            page.into_iter().map(|e| (e.key.clone(), Some(e))).collect();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        for key in self
            .local
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(k, _)| k)
        {
            if !key.starts_with(prefix) || upto.is_some_and(|upto| key.as_str() > upto) {
                break;
            }
            merged.entry(key.clone()).or_insert(None);
        }
        merged
            .into_iter()
            .filter_map(|(key, stored)| self.see(&key, stored).transpose())
            .collect()
    }
    pub(crate) fn into_writes(self) -> Vec<KvWrite> {
        self.writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(key: &str, value: &str, revision: u64) -> KvEntry {
        KvEntry {
            key: key.into(),
            value: Bytes::from(value.to_owned()),
            revision,
            expires_at: None,
        }
    }
    fn json(s: &'static str) -> Bytes {
        Bytes::from_static(s.as_bytes())
    }

    #[test]
    fn reads_see_own_writes() {
        let mut o = Overlay::default();
        o.put("a", json("1"), None, Condition::None, None).unwrap();
        let seen = o.see("a", Some(stored("a", "9", 4))).unwrap().unwrap();
        assert_eq!((&seen.value[..], seen.revision), (&b"1"[..], None));
        assert!(o.delete("a", Condition::None, None).unwrap());
        assert_eq!(o.see("a", Some(stored("a", "9", 4))), Ok(None));
        assert!(
            !o.delete("a", Condition::None, Some(&stored("a", "9", 4)))
                .unwrap()
        );
    }

    #[test]
    fn only_the_first_conditional_write_is_checked_at_the_commit() {
        let mut o = Overlay::default();
        let s = stored("a", "9", 4);
        assert_eq!(
            o.put("a", json("1"), None, Condition::Revision(3), Some(&s))
                .unwrap_err()
                .0,
            Code::KvConflict
        );
        o.put("a", json("1"), None, Condition::Revision(4), Some(&s))
            .unwrap();
        assert!(
            o.put("a", json("2"), None, Condition::Revision(4), Some(&s))
                .is_err()
        );
        assert!(o.put("a", json("2"), None, Condition::Absent, None).is_err());
        o.delete("a", Condition::None, Some(&s)).unwrap();
        o.put("a", json("3"), None, Condition::Absent, Some(&s)).unwrap();
        let expects: Vec<_> = o
            .into_writes()
            .into_iter()
            .map(|w| match w {
                KvWrite::Put { expect, .. } | KvWrite::Delete { expect, .. } => expect,
                KvWrite::Add { .. } => KvExpect::Any,
            })
            .collect();
        assert_eq!(expects, [KvExpect::Revision(4), KvExpect::Any, KvExpect::Any]);
    }

    #[test]
    fn counters_add_up_and_refuse_other_values() {
        let mut o = Overlay::default();
        let s = stored("n", "40", 1);
        assert_eq!(o.add("n", 1, Some(&s)), Ok(41));
        assert_eq!(o.add("n", 1, Some(&s)), Ok(42));
        assert_eq!(&o.see("n", Some(s)).unwrap().unwrap().value[..], b"42");
        assert_eq!(
            o.add("t", 1, Some(&stored("t", "\"x\"", 1))).unwrap_err().0,
            Code::KvCounter
        );
        assert!(o.add("m", COUNTER_MAX, None).is_ok());
        assert_eq!(o.add("m", 1, None).unwrap_err().0, Code::KvCounter);
        o.put("p", json("5"), None, Condition::None, None).unwrap();
        assert_eq!(o.add("p", -2, None), Ok(3));
        assert_eq!(o.local.get("p"), Some(&Local::Put(Bytes::from_static(b"3"))));
    }

    #[test]
    fn lists_merge_in_order_within_the_page() {
        let mut o = Overlay::default();
        o.put("p/b", json("2"), None, Condition::None, None).unwrap();
        o.delete("p/c", Condition::None, None).unwrap();
        o.put("p/z", json("26"), None, Condition::None, None).unwrap();
        o.put("q", json("0"), None, Condition::None, None).unwrap();
        let page = vec![stored("p/a", "1", 1), stored("p/c", "3", 2)];
        let keys = |seen: Vec<Seen>| seen.into_iter().map(|s| s.key).collect::<Vec<_>>();
        assert_eq!(
            keys(o.merge("p/", None, Some("p/c"), page.clone()).unwrap()),
            ["p/a", "p/b"]
        );
        assert_eq!(
            keys(o.merge("p/", None, None, page).unwrap()),
            ["p/a", "p/b", "p/z"]
        );
        assert_eq!(keys(o.merge("p/", Some("p/b"), None, vec![]).unwrap()), ["p/z"]);
    }

    #[test]
    fn writes_are_bounded() {
        let mut o = Overlay::default();
        let big = Bytes::from(vec![b'1'; VALUE_BYTES_MAX]);
        let refused = (0..64).find_map(|i| {
            o.put(&format!("k{i}"), big.clone(), None, Condition::None, None)
                .err()
        });
        assert_eq!(refused.unwrap().0, Code::KvValue);
        let over = Bytes::from(vec![b'1'; VALUE_BYTES_MAX + 1]);
        assert_eq!(
            Overlay::default()
                .put("k", over, None, Condition::None, None)
                .unwrap_err()
                .0,
            Code::KvValue
        );
        assert!(check_key("").is_err() && check_key(&"k".repeat(513)).is_err() && check_key("é").is_ok());
    }
}
