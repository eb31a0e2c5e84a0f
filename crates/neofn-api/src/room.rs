//! Memory for what is being received, before anybody has looked at credentials: shared by all, whoever sends.

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Nobody has any of it yet.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }
    /// For one who will take of it as bytes come, not as they are announced.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            room: self.clone(),
            held: None,
        }
    }
    /// Bytes that nobody has.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

/// What one has taken; it goes back when this is dropped.
#[derive(Debug)]
pub struct Place {
    room: Room,
    held: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Takes so many bytes more, or none; whether there were.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else {
            return false;
        };
        let Ok(more) = self.room.0.clone().try_acquire_many_owned(bytes) else {
            return false;
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        true
    }
    /// The body, which keeps what was taken for it for as long as anybody has a part of it.
    #[must_use]
    pub fn around(self, body: Bytes) -> Bytes {
        match self.held {
            None => body,
            Some(held) => Bytes::from_owner(Kept { body, _held: held }),
        }
    }
}

struct Kept {
    body: Bytes,
    _held: OwnedSemaphorePermit,
}
impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
