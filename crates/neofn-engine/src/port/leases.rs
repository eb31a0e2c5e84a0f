//! What nodes of one store have of each other: leases, and news. Knows no database.

use super::StoreError;
use async_trait::async_trait;
use neofn_types::{Fence, FunctionKey, UnixMillis};
use std::time::Duration;

/// Who does what only one node may do at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub holder: String,
    /// Grows each time that it goes to another holder, or back to one who had let it end.
    pub fence: Fence,
    /// Until when, unless it is renewed.
    pub until: UnixMillis,
}

/// Leases: reading a chain, making runs of time and following transactions is done by one node at a time, and another
/// one goes on within seconds when that one is gone. A lease saves work and keeps nodes out of each other's way; that
/// nothing is done twice is seen to where it is written down.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Takes a lease that is free or has ended, or renews the holder's own; answers whose it is now.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: UnixMillis,
        until: UnixMillis,
    ) -> Result<Lease, StoreError>;
    /// Gives a lease back; nothing happens when it is another's by now.
    async fn give_lease(&self, name: &str, holder: &str) -> Result<(), StoreError>;
    /// The leases that hold, by name.
    async fn leases(&self, now: UnixMillis) -> Result<Vec<(String, Lease)>, StoreError>;
    /// Forgets the leases whose names begin so and that ended longer ago than `age`; answers how many. The next fence of such a
    /// name is the first one again: whoever compares its fences must not have been away for so long.
    async fn forget_leases(&self, prefix: &str, now: UnixMillis, age: Duration) -> Result<u64, StoreError>;
}

/// Something that another node did, as far as this one must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A function's live version moved, or it was switched on or off.
    Live(FunctionKey),
    /// A function is gone; its version numbers begin anew if it comes back.
    Gone(FunctionKey),
    /// States of triggers changed.
    Triggers,
    /// Invocations wait.
    Queue,
    /// Nobody knows what was missed.
    Anything,
}

/// The other nodes of a shared store. A wake-up and no more: whatever is due is found without it, only later.
#[async_trait]
pub trait Neighbours: Send + Sync + 'static {
    /// The next news.
    async fn news(&self) -> News;
}
