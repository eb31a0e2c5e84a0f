//! Buckets, blobs and results inside a process.

use crate::port::{Blobs, DeadLetter, DeadLetters, Entry, Kv, LETTER_BYTES_MAX, LETTERS_MAX, Results};
use crate::{BusError, Message};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::Digest;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};

/// See [`Kv`]. Entries do not age here.
#[derive(Default)]
pub struct MemoryKv(Mutex<(u64, BTreeMap<String, Entry>)>);

impl MemoryKv {
    fn write(
        &self,
        key: &str,
        value: Bytes,
        allowed: impl FnOnce(Option<u64>) -> bool,
    ) -> Result<u64, BusError> {
        let mut table = self.0.lock();
        if !allowed(table.1.get(key).map(|e| e.revision)) {
            return Err(BusError::Conflict(key.to_owned()));
        }
        table.0 += 1;
        let revision = table.0;
        table.1.insert(
            key.to_owned(),
            Entry {
                key: key.to_owned(),
                value,
                revision,
            },
        );
        Ok(revision)
    }
}

#[async_trait]
impl Kv for MemoryKv {
    async fn get(&self, key: &str) -> Result<Option<Entry>, BusError> {
        Ok(self.0.lock().1.get(key).cloned())
    }
    async fn put(&self, key: &str, value: Bytes) -> Result<u64, BusError> {
        self.write(key, value, |_| true)
    }
    async fn create(&self, key: &str, value: Bytes) -> Result<u64, BusError> {
        self.write(key, value, |found| found.is_none())
    }
    async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, BusError> {
        self.write(key, value, |found| found == Some(revision))
    }
    async fn delete(&self, key: &str) -> Result<(), BusError> {
        self.0.lock().1.remove(key);
        Ok(())
    }
    async fn entries(&self) -> Result<Vec<Entry>, BusError> {
        Ok(self.0.lock().1.values().cloned().collect())
    }
}

/// See [`Blobs`].
#[derive(Default)]
pub struct MemoryBlobs(Mutex<HashMap<Digest, Bytes>>);

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn has(&self, digest: Digest) -> Result<bool, BusError> {
        Ok(self.0.lock().contains_key(&digest))
    }
    async fn put(&self, digest: Digest, bytes: Bytes) -> Result<(), BusError> {
        self.0.lock().insert(digest, bytes);
        Ok(())
    }
    async fn get(&self, digest: Digest) -> Result<Option<Bytes>, BusError> {
        let found = self.0.lock().get(&digest).cloned();
        match found {
            Some(bytes) if Digest::of(&bytes) != digest => Err(BusError::Damaged(digest.to_string())),
            found => Ok(found),
        }
    }
    async fn discard(&self, digest: Digest) -> Result<(), BusError> {
        self.0.lock().remove(&digest);
        Ok(())
    }
}

/// See [`Results`].
#[derive(Default)]
pub struct MemoryResults(Mutex<HashMap<String, Message>>);

#[async_trait]
impl Results for MemoryResults {
    async fn settle(&self, subject: &str, message: Message) -> Result<bool, BusError> {
        let mut said = self.0.lock();
        if said.contains_key(subject) {
            return Ok(false);
        }
        said.insert(subject.to_owned(), message);
        Ok(true)
    }
    async fn settled(&self, subject: &str) -> Result<Option<Message>, BusError> {
        Ok(self.0.lock().get(subject).cloned())
    }
}

/// See [`DeadLetters`]. They do not age here.
#[derive(Default)]
pub struct MemoryDead(Mutex<Vec<DeadLetter>>);

#[async_trait]
impl DeadLetters for MemoryDead {
    async fn keep(&self, mut letter: DeadLetter) -> Result<(), BusError> {
        letter.message.payload.truncate(LETTER_BYTES_MAX);
        let mut letters = self.0.lock();
        if !letters
            .iter()
            .any(|l| (&l.subject, &l.id) == (&letter.subject, &letter.id))
        {
            letters.push(letter);
        }
        let excess = letters.len().saturating_sub(LETTERS_MAX);
        letters.drain(..excess);
        Ok(())
    }
    async fn list(&self, project: &str, most: usize) -> Result<Vec<DeadLetter>, BusError> {
        let letters = self.0.lock();
        let of = letters
            .iter()
            .rev()
            .filter(|l| l.project.as_deref() == Some(project));
        Ok(of.take(most).cloned().collect())
    }
}
