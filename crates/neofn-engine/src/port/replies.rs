//! Who is to be answered: requests that name themselves, and senders who were promised an end. Knows no database.

use super::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::{Digest, FunctionKey, InvocationId, UnixMillis};
use std::time::Duration;

/// The answer to a request that changed something, kept for when the request comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's.
    pub status: u16,
    /// Its body.
    pub body: Bytes,
}

/// What is known of a request that names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing, or its first try died: it is to be done, and then [`ReplyStore::end_reply`] called.
    Fresh,
    /// It was done.
    Done(Reply),
    /// It is being done.
    Running,
    /// Another request used this name.
    Other,
}

/// A request that names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedRequest {
    /// Of its caller and of the name that he gave it.
    pub name: Digest,
    /// Of all that makes it this request.
    pub request: Digest,
    /// Of this try alone: who was taken for dead and is not is told from who took over.
    pub doer: [u8; 16],
}

/// Remembers requests by the names that their callers gave them.
#[async_trait]
pub trait ReplyStore: Send + Sync + 'static {
    /// Notes that a request is being done, until `until` at the most; forgets those from before `kept_since`. Begun again by the
    /// same doer it is as fresh as at first.
    async fn begin_reply(
        &self,
        named: NamedRequest,
        now: UnixMillis,
        until: UnixMillis,
        kept_since: UnixMillis,
    ) -> Result<Begun, StoreError>;
    /// Keeps the answer, the first of them; without one the request is forgotten, and may be done again, unless somebody else
    /// does it by now.
    async fn end_reply(&self, named: NamedRequest, reply: Option<Reply>) -> Result<(), StoreError>;
}

/// Remembers who is to be told how an invocation ended. A promise outlives the node that gave it: whoever opens the store
/// next finds what is still to be told.
#[async_trait]
pub trait PromiseStore: Send + Sync + 'static {
    /// Notes that whoever named his request `token` is to be told the end of an invocation; durable when it returns. Noted
    /// again it is the same promise; noted again while somebody tells it, it is told once more, for whoever asks then may not
    /// have heard. `NotFound` when there is no such function.
    async fn promise(&self, key: &FunctionKey, id: InvocationId, token: &str) -> Result<(), StoreError>;
    /// Claims up to `limit` promises whose invocation has ended or is gone: nobody else is given them until the lease, counted
    /// from `now`, has ended. So of several nodes one tells, and what a node that died had claimed is told by another.
    async fn due_promises(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Promise>, StoreError>;
    /// They were kept, and are forgotten, but those that were asked for again since they were claimed: these are due again.
    async fn kept(&self, promises: &[Promise]) -> Result<(), StoreError>;
    /// They could not be kept yet, and are due again at once.
    async fn not_kept(&self, promises: &[Promise]) -> Result<(), StoreError>;
}

/// Somebody who is to be told how an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promise {
    /// Which invocation.
    pub id: InvocationId,
    /// How its sender named the request.
    pub token: String,
    /// How often it was asked for again while somebody told it.
    pub again: u32,
}
