//! What a cluster asks of a bus. Each port says what it promises, and what it does not.

use crate::{BusError, Message};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::Digest;
use std::sync::Arc;
use std::time::Duration;

/// All of them together, as a node is given them. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    /// Requests and announcements.
    pub rpc: Arc<dyn Rpc>,
    /// Invocations that wait to be taken over by a store.
    pub jobs: Arc<dyn JobQueue>,
    /// CloudEvents that wait to be taken over by a store.
    pub events: Arc<dyn JobQueue>,
    /// Ends of invocations, for those who asked for them over the bus.
    pub results: Arc<dyn Results>,
    /// Messages that could never work.
    pub dead: Arc<dyn DeadLetters>,
    /// Gateways, each under its id; an entry that is not renewed goes.
    pub leases: Arc<dyn Kv>,
    /// Compiled forms by digest.
    pub artifacts: Arc<dyn Blobs>,
}

/// Requests and announcements between processes that are there at the moment. Nothing is kept for those who are not.
#[async_trait]
pub trait Rpc: Send + Sync + 'static {
    /// Asks whoever listens, and waits for the first answer. [`BusError::NoResponders`] is certain: nobody has seen it.
    async fn request(&self, subject: &str, message: Message, within: Duration) -> Result<Message, BusError>;
    /// Tells whoever listens. Done when it is handed to the connection, not when somebody has it.
    async fn publish(&self, subject: &str, message: Message) -> Result<(), BusError>;
    /// Listens to a subject, which may have wildcards. Of those that name the same group one gets each message.
    async fn serve(&self, subject: &str, group: Option<&str>) -> Result<Box<dyn Incoming>, BusError>;
    /// The largest message, headers included.
    fn bytes_max(&self) -> usize;
    /// Whether there is a connection at the moment.
    fn is_connected(&self) -> bool;
}

/// A subscription. Dropped: ended at once.
#[async_trait]
pub trait Incoming: Send {
    /// The next message; `None` when the subscription has ended.
    async fn next(&mut self) -> Option<Received>;
    /// Takes no more; those that were received already still come.
    async fn stop(&mut self);
}

/// A message that came.
pub struct Received {
    /// Where it was sent to.
    pub subject: String,
    /// What was sent.
    pub message: Message,
    /// How to answer; none when nobody waits.
    pub reply: Option<Box<dyn Reply>>,
}

/// Somebody who waits for an answer.
#[async_trait]
pub trait Reply: Send + Sync {
    /// Answers.
    async fn send(self: Box<Self>, message: Message) -> Result<(), BusError>;
}

/// What a queue says of a message that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Its number in the queue.
    pub sequence: u64,
    /// Whether it was there already, by its id.
    pub duplicate: bool,
}

/// How much is in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that nobody has yet.
    pub waiting: u64,
    /// Messages that somebody works on.
    pub taken: u64,
    /// How long the oldest of all these has been there, by the clock of whoever keeps the queue; none: it is empty, or that
    /// is not known.
    pub oldest: Option<Duration>,
}

/// A durable queue: what it took is delivered at least once, to one of those who pull, until it is done.
#[async_trait]
pub trait JobQueue: Send + Sync + 'static {
    /// Puts a message in, on disk when this returns. The same id within the queue's window is taken once.
    /// [`BusError::Full`] when it holds as much as it may, in all or on this subject: nothing is ever pushed out.
    async fn push(&self, subject: &str, id: &str, message: Message) -> Result<Pushed, BusError>;
    /// Takes up to `most` messages; waits for the first one, at most `within`.
    async fn pull(&self, most: usize, within: Duration) -> Result<Vec<Box<dyn Delivery>>, BusError>;
    /// How much there is.
    async fn depth(&self) -> Result<Depth, BusError>;
    /// How long a message may go without [`Delivery::working`] before somebody else gets it.
    fn patience(&self) -> Duration;
}

/// A message of a queue, taken by us. Dropped without a word, it is delivered again.
#[async_trait]
pub trait Delivery: Send + Sync {
    /// Where it was sent to.
    fn subject(&self) -> &str;
    /// What was sent.
    fn message(&self) -> &Message;
    /// The sender's own id of it, else one made of its place in the queue: the same at each delivery.
    fn id(&self) -> &str;
    /// Deliveries so far, this one included.
    fn attempt(&self) -> u64;
    /// It is done, and gone when this returns.
    async fn done(self: Box<Self>) -> Result<(), BusError>;
    /// To be delivered again, not before `delay`.
    async fn later(self: Box<Self>, delay: Duration) -> Result<(), BusError>;
    /// Still being worked on.
    async fn working(&self) -> Result<(), BusError>;
    /// It will never work: taken out, with the reason for those who watch the queue.
    async fn give_up(self: Box<Self>, reason: &str) -> Result<(), BusError>;
}

/// Answers that are said once: the first one stays, and is kept for a day.
#[async_trait]
pub trait Results: Send + Sync + 'static {
    /// Says it; `false` when it was said before, and then that stays.
    async fn settle(&self, subject: &str, message: Message) -> Result<bool, BusError>;
    /// What was said.
    async fn settled(&self, subject: &str) -> Result<Option<Message>, BusError>;
}

/// A message that could never work, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it was sent to.
    pub subject: String,
    /// What its sender's id is called, as in the subject where the refusal is said.
    pub id: String,
    /// A code and a sentence.
    pub reason: String,
    /// Whose; none: its subject names nobody.
    pub project: Option<String>,
    /// When it was kept, Unix time in milliseconds; set by the keeper.
    pub at_ms: i64,
    /// What was sent, cut to [`LETTER_BYTES_MAX`]; without credentials.
    pub message: Message,
}

/// Most bytes that are kept of a message that could never work.
pub const LETTER_BYTES_MAX: usize = 64 << 10;
/// Most letters of a queue that are kept for a project; the oldest go first, and none stays longer than two weeks.
pub const LETTERS_MAX: usize = 1_000;

/// Keeps messages that could never work, for somebody to look at.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Keeps one; the same one within some minutes is kept once.
    async fn keep(&self, letter: DeadLetter) -> Result<(), BusError>;
    /// Those of a project, newest first, at most `most`.
    async fn list(&self, project: &str, most: usize) -> Result<Vec<DeadLetter>, BusError>;
}

/// An entry of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// What it holds.
    pub value: Bytes,
    /// Grows with every write of the bucket.
    pub revision: u64,
}

/// A small bucket of keys and values.
#[async_trait]
pub trait Kv: Send + Sync + 'static {
    /// An entry. It may be a little older than the newest one: for a compare-and-set use the revision of your own write.
    async fn get(&self, key: &str) -> Result<Option<Entry>, BusError>;
    /// Writes; its revision.
    async fn put(&self, key: &str, value: Bytes) -> Result<u64, BusError>;
    /// Writes if there is none; [`BusError::Conflict`] otherwise.
    async fn create(&self, key: &str, value: Bytes) -> Result<u64, BusError>;
    /// Writes if the entry still has this revision; [`BusError::Conflict`] otherwise.
    async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, BusError>;
    /// Removes; nothing is said when there is none.
    async fn delete(&self, key: &str) -> Result<(), BusError>;
    /// All of them, by name.
    async fn entries(&self) -> Result<Vec<Entry>, BusError>;
}

/// Bytes by their SHA-256. They never change, so putting them twice is harmless.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Whether they are there.
    async fn has(&self, digest: Digest) -> Result<bool, BusError>;
    /// Puts them there.
    async fn put(&self, digest: Digest, bytes: Bytes) -> Result<(), BusError>;
    /// Gets them, checked; [`BusError::Damaged`] when they are not what their name says, or not all there.
    async fn get(&self, digest: Digest) -> Result<Option<Bytes>, BusError>;
    /// Takes out what is there under this name, whatever it is: to be put there again by whoever has the bytes.
    async fn discard(&self, digest: Digest) -> Result<(), BusError>;
}
