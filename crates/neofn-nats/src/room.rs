//! Room for messages in hand, by what they take up: whoever sends them chooses their size.

use neofn_bus::Message;
use neofn_types::{Code, Error};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place has so many bytes; a larger message takes several.
const PLACE_BYTES: usize = 16 << 10;
/// What a header takes beside its name and value.
const HEADER_BYTES: usize = 128;

/// So many places, of 16 KiB each.
pub(crate) struct Room {
    free: Arc<Semaphore>,
    places: usize,
}

impl Room {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(places)),
            places,
        }
    }

    pub(crate) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Room for a message now, or never (NF0305).
    pub(crate) fn take(&self, message: &Message) -> Result<OwnedSemaphorePermit, Error> {
        let taken = self.free.clone().try_acquire_many_owned(self.of(message));
        taken.map_err(|_| Error::new(Code::Overloaded, "too many requests at once"))
    }

    /// Room for a message once there is some.
    pub(crate) async fn wait(&self, message: &Message) -> Option<OwnedSemaphorePermit> {
        self.free.clone().acquire_many_owned(self.of(message)).await.ok()
    }

    /// Not more than all of it, or the message would wait for ever.
    fn of(&self, message: &Message) -> u32 {
        let headers: usize = message
            .iter()
            .map(|(name, value)| name.len() + value.len() + HEADER_BYTES)
            .sum();
        let places = (message.payload.len() + headers).div_ceil(PLACE_BYTES);
        u32::try_from(places.clamp(1, self.places)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_and_many_headers_take_more_places() {
        let room = Room::new(128);
        let fits = |message: &Message| {
            let taken: Vec<_> = std::iter::from_fn(|| room.take(message).ok()).collect();
            taken.len()
        };
        assert_eq!(fits(&Message::new("{}")), 128);
        assert_eq!(fits(&Message::new(vec![b' '; 1 << 20])), 2);
        let mut headers = Message::new("{}");
        headers.headers = vec![("a".to_owned(), "b".to_owned()); 8_000];
        assert_eq!(fits(&headers), 2);
        assert_eq!(fits(&Message::new(vec![b' '; 8 << 20])), 1);
        let all = room.take(&Message::new(vec![b' '; 8 << 20])).unwrap();
        let refused = room.take(&Message::new("{}")).unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        drop(all);
        assert_eq!(room.free(), 128);
    }
}
