//! Backups: one encrypted file with a manifest, and its way back into an empty directory. Encrypted to a recipient's key in
//! the age format, so that a node can make backups that it cannot read, and tools that are not ours can open them.
//!
//! Knows no database: whoever makes a backup hands over files and what they stand for.

mod archive;
mod error;
mod keys;
mod manifest;
mod restore;

pub use age::x25519::{Identity, Recipient};
pub use archive::{Source, create, verify};
pub use error::BackupError;
pub use keys::generate;
pub use manifest::{FileEntry, Heads, Manifest};
pub use restore::{Known, MARK_FILE, RestoreMark, Rollback, SeenHeads, judge, restore};
