//! What the writes of an invocation make of a namespace, before anything is written: expectations, counters, quota.

use bytes::Bytes;
use neofn_engine::port::{COUNTER_MAX, KvEntry, KvExpect, KvQuota, KvWrite, StoreError};
use neofn_types::UnixMillis;
use std::collections::BTreeMap;

/// Counters of a project's key-value namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Of the newest write.
    pub revision: u64,
    /// Keys that are stored, expired ones too.
    pub keys: u64,
    /// Bytes of their names and values.
    pub bytes: u64,
}

/// What a key holds, or will hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// JSON.
    pub value: Bytes,
    /// Of its last write.
    pub revision: u64,
    /// When it goes away.
    pub expires_at: Option<UnixMillis>,
}

/// A key that the writes touch: the row as it is on disk, expired or not, and what is to become of it.
#[derive(Debug, Default)]
pub struct Touched {
    stored_bytes: Option<u64>,
    expired: bool,
    /// What it holds after the writes so far.
    pub now: Option<Slot>,
    /// Whether a write changed it.
    pub changed: bool,
}

/// The keys that the writes of an invocation touch.
pub type Keys<'a> = BTreeMap<&'a str, Touched>;

/// The key of a write.
#[must_use]
pub fn key_of(write: &KvWrite) -> &str {
    let (KvWrite::Put { key, .. } | KvWrite::Delete { key, .. } | KvWrite::Add { key, .. }) = write;
    key
}

impl Touched {
    /// A key before the writes; `stored` is its row, expired or not.
    #[must_use]
    pub fn load(key: &str, stored: Option<KvEntry>, now: UnixMillis) -> Self {
        let Some(entry) = stored else {
            return Self::default();
        };
        Self {
            stored_bytes: Some(size(key, entry.value.len())),
            expired: !live(&entry, now),
            now: live(&entry, now).then_some(Slot {
                value: entry.value,
                revision: entry.revision,
                expires_at: entry.expires_at,
            }),
            changed: false,
        }
    }
    /// One write on the key.
    pub fn step(&mut self, write: &KvWrite, revision: &mut u64) -> Result<(), StoreError> {
        let next = match write {
            KvWrite::Put {
                key,
                value,
                expect,
                expires_at,
            } => {
                check(self.now.as_ref(), *expect, key)?;
                Some((value.clone(), *expires_at))
            }
            KvWrite::Delete { key, expect } => {
                check(self.now.as_ref(), *expect, key)?;
                if self.now.is_none() {
                    return Ok(()); // nothing to remove, nothing written
                }
                None
            }
            KvWrite::Add { key, by } => Some(
                self.sum(*by)
                    .ok_or_else(|| StoreError::KvNotCounter(key.clone()))?,
            ),
        };
        *revision += 1;
        self.changed = true;
        self.now = next.map(|(value, expires_at)| Slot {
            value,
            revision: *revision,
            expires_at,
        });
        Ok(())
    }
    fn sum(&self, by: i64) -> Option<(Bytes, Option<UnixMillis>)> {
        let (sum, expires_at) = match &self.now {
            None => (by, None),
            Some(slot) => (
                counter(&slot.value)?
                    .checked_add(by)
                    .filter(|n| (-COUNTER_MAX..=COUNTER_MAX).contains(n))?,
                slot.expires_at,
            ),
        };
        Some((Bytes::from(sum.to_string()), expires_at))
    }
}

fn check(now: Option<&Slot>, expect: KvExpect, key: &str) -> Result<(), StoreError> {
    let holds = match expect {
        KvExpect::Any => true,
        KvExpect::Absent => now.is_none(),
        KvExpect::Revision(revision) => now.is_some_and(|slot| slot.revision == revision),
    };
    if holds {
        Ok(())
    } else {
        Err(StoreError::KvConflict(key.to_owned()))
    }
}

/// A counter is a JSON integer.
fn counter(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// What a key and its value count.
#[must_use]
pub fn size(key: &str, value_bytes: usize) -> u64 {
    u64::try_from(key.len() + value_bytes).unwrap_or(u64::MAX)
}

/// Whether an entry is still there.
#[must_use]
pub fn live(entry: &KvEntry, now: UnixMillis) -> bool {
    entry.expires_at.is_none_or(|end| now < end)
}

/// The counters after the writes.
#[must_use]
pub fn measure(mut space: Space, keys: &Keys<'_>) -> Space {
    for (key, touched) in keys.iter().filter(|(_, t)| t.changed) {
        if let Some(bytes) = touched.stored_bytes {
            space.keys = space.keys.saturating_sub(1);
            space.bytes = space.bytes.saturating_sub(bytes);
        }
        if let Some(slot) = &touched.now {
            space.keys += 1;
            space.bytes += size(key, slot.value.len());
        }
    }
    space
}

/// The counters without so many keys and bytes.
#[must_use]
pub fn less(space: Space, (keys, bytes): (u64, u64)) -> Space {
    Space {
        keys: space.keys.saturating_sub(keys),
        bytes: space.bytes.saturating_sub(bytes),
        ..space
    }
}

/// Keys and bytes of expired rows that the writes replace anyway.
#[must_use]
pub fn rewritten(keys: &Keys<'_>) -> (u64, u64) {
    keys.values()
        .filter(|t| t.expired && t.changed)
        .fold((0, 0), |(keys, bytes), t| {
            (keys + 1, bytes + t.stored_bytes.unwrap_or(0))
        })
}

/// Whether the writes make a namespace too large; one that is too large already may still shrink.
#[must_use]
pub fn exceeds(before: Space, after: Space, quota: KvQuota) -> bool {
    (after.keys > quota.keys_max && after.keys > before.keys)
        || (after.bytes > quota.bytes_max && after.bytes > before.bytes)
}
