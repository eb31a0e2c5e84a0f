//! Bytes by their SHA-256, in the object store.

use crate::failure::{FailureLog, unavailable};
use crate::streams::ARTIFACTS;
use async_nats::connection::State;
use async_nats::jetstream::context::Context;
use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectStore};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use neofn_bus::BusError;
use neofn_bus::port::Blobs;
use neofn_types::Digest;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Largest object that is read.
const BYTES_MAX: u64 = 1 << 30;
/// Any server of a cluster answers what it has, and one may be a moment behind the one that took the bytes: whoever asks
/// for bytes knows of them, so it is looked for again after these pauses, each twice the one before.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(640);
/// A stream whose leader died has another one by then: servers wait four to nine seconds before they elect one.
const ELECTED_WITHIN: Duration = Duration::from_secs(12);
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// The next piece of an object is there by then.
const PIECE_WITHIN: Duration = Duration::from_secs(3);

/// See [`Blobs`]. The bucket is looked up when it is first needed: a worker may be there before the first gateway.
pub(crate) struct NatsBlobs {
    context: Context,
    denied: Arc<FailureLog>,
    store: OnceCell<ObjectStore>,
}

impl NatsBlobs {
    pub(crate) fn new(context: Context, denied: Arc<FailureLog>) -> Self {
        Self {
            context,
            denied,
            store: OnceCell::new(),
        }
    }
    async fn store(&self) -> Result<&ObjectStore, BusError> {
        self.store.get_or_try_init(|| self.open()).await
    }

    /// Nobody answers while the stream has no leader, and what was asked then is never answered.
    async fn open(&self) -> Result<ObjectStore, BusError> {
        let until = Instant::now() + ELECTED_WITHIN;
        loop {
            let opening = tokio::time::timeout(ASKED_AGAIN, self.context.get_object_store(ARTIFACTS));
            let error = match opening.await {
                Ok(Ok(store)) => return Ok(store),
                Ok(Err(error)) => unavailable(error),
                Err(_) => BusError::TimedOut(format!("the bucket {ARTIFACTS}")),
            };
            if Instant::now() >= until || !matches!(error, BusError::TimedOut(_)) {
                return Err(error);
            }
        }
    }

    /// Looks the bucket up, so that nobody has to who finds it without a leader.
    pub(crate) async fn look_up(&self) -> Result<(), BusError> {
        self.store().await.map(drop)
    }
}

/// Whether a subject is one of the bucket.
fn is_ours(subject: &str) -> bool {
    let api = subject.starts_with("$JS.") && subject.split('.').any(|token| token == "OBJ_artifacts");
    api || subject.starts_with("$O.artifacts.")
}

#[async_trait]
impl Blobs for NatsBlobs {
    async fn has(&self, digest: Digest) -> Result<bool, BusError> {
        self.denied.unless_refused(is_ours, self.find(digest)).await
    }
    async fn put(&self, digest: Digest, bytes: Bytes) -> Result<(), BusError> {
        self.denied
            .unless_refused(is_ours, self.write(digest, bytes))
            .await
    }
    async fn get(&self, digest: Digest) -> Result<Option<Bytes>, BusError> {
        self.denied.unless_refused(is_ours, self.read(digest)).await
    }
    async fn discard(&self, digest: Digest) -> Result<(), BusError> {
        self.denied.unless_refused(is_ours, self.remove(digest)).await
    }
}

impl NatsBlobs {
    async fn find(&self, digest: Digest) -> Result<bool, BusError> {
        match self.store().await?.info(digest.to_string()).await {
            Ok(info) => Ok(!info.deleted),
            Err(e) if e.kind() == InfoErrorKind::NotFound => Ok(false),
            // something is there; who reads it will see what it is
            Err(e) if e.kind() == InfoErrorKind::Other => Ok(true),
            Err(e) => Err(unavailable(e)),
        }
    }
    async fn write(&self, digest: Digest, bytes: Bytes) -> Result<(), BusError> {
        let name = digest.to_string();
        // what is there already stays: to write it again would take away the pieces that somebody may be reading, which is
        // more than a worker may do
        let whole = format!("SHA-256={}", URL_SAFE.encode(Digest::of(&bytes).0));
        match self.store().await?.info(name.as_str()).await {
            Ok(info) if !info.deleted && info.digest.as_deref() == Some(&*whole) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == InfoErrorKind::NotFound => {}
            Err(e) => return Err(unavailable(e)),
        }
        let mut reader: &[u8] = &bytes;
        let put = self.store().await?.put(name.as_str(), &mut reader).await;
        put.map(|_| ()).map_err(unavailable)
    }
    /// Pieces are read through a consumer, which only a leader makes: without one it is tried again, until there is one, and
    /// once more then.
    async fn read(&self, digest: Digest) -> Result<Option<Bytes>, BusError> {
        let until = Instant::now() + ELECTED_WITHIN;
        let mut led = false;
        loop {
            match self.read_once(digest).await {
                Err(BusError::Unavailable(error)) if !led && Instant::now() < until => {
                    tracing::debug!(error, %digest, "the object store is asked again");
                    led = self.is_led().await;
                }
                read => return read,
            }
        }
    }
    async fn is_led(&self) -> bool {
        let asked = self.context.get_stream(format!("OBJ_{ARTIFACTS}"));
        matches!(tokio::time::timeout(ASKED_AGAIN, asked).await, Ok(Ok(_)))
    }
    async fn read_once(&self, digest: Digest) -> Result<Option<Bytes>, BusError> {
        let store = self.store().await?;
        let mut pause = FIRST_LOOK;
        let object = loop {
            match store.get(digest.to_string()).await {
                Ok(object) => break object,
                Err(e) if e.kind() == GetErrorKind::NotFound && pause <= LAST_LOOK => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(e) if e.kind() == GetErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(unavailable(e)),
            }
        };
        let mut bytes = Vec::new();
        let mut object = object.take(BYTES_MAX);
        // pieces that are missing are waited for by the library for ever
        loop {
            match tokio::time::timeout(PIECE_WITHIN, object.read_buf(&mut bytes)).await {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) if self.context.client().connection_state() != State::Connected => {
                    return Err(unavailable(error));
                }
                // the library looks at the whole, too
                Ok(Err(_)) => return Err(BusError::Damaged(digest.to_string())),
                Err(_) => return Err(BusError::Unavailable(format!("pieces of {digest} do not come"))),
            }
        }
        if Digest::of(&bytes) != digest {
            return Err(BusError::Damaged(digest.to_string()));
        }
        Ok(Some(bytes.into()))
    }
    /// Its pieces stay: which they are is what somebody wrote, who may have named another's.
    async fn remove(&self, digest: Digest) -> Result<(), BusError> {
        let name = format!("OBJ_{ARTIFACTS}");
        let stream = self.context.get_stream_no_info(name).await.map_err(unavailable)?;
        let entry = format!("$O.{ARTIFACTS}.M.{}", URL_SAFE.encode(digest.to_string()));
        stream
            .purge()
            .filter(entry)
            .await
            .map(|_| ())
            .map_err(unavailable)
    }
}
