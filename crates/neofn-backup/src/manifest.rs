//! What a backup says of itself. It is inside the encryption, before the files.

use neofn_types::{Digest, UnixMillis};
use serde::{Deserialize, Serialize};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Relative to the data directory, with `/`.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub digest: Digest,
}

/// How far things had come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// The database's layout.
    pub schema: u32,
    /// Transfers in the ledger.
    pub transfers: u64,
    /// Entries of the audit log.
    pub audit_size: u64,
    /// Its signed checkpoint of that size.
    pub checkpoint: Option<String>,
    /// The chain's network and the next block that the ledger needs.
    pub chain: Option<(u32, u64)>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`Manifest::FORMAT`].
    pub format: String,
    /// When it was made.
    pub at: UnixMillis,
    /// By which neofn.
    pub version: String,
    /// How far things had come.
    pub heads: Heads,
    /// The files, in the order in which they follow.
    pub files: Vec<FileEntry>,
}
impl Manifest {
    /// What it says that it is.
    pub const FORMAT: &str = "neofn/backup/v1";
    /// Longest manifest that is read.
    pub const BYTES_MAX: u64 = 64 << 20;

    /// Whether every path stays within a directory and comes once.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        self.format == Self::FORMAT
            && self.files.iter().all(|file| {
                let parts = file.path.split('/');
                let plain = parts.clone().all(|p| !p.is_empty() && p != "." && p != "..");
                plain && !file.path.contains(['\\', '\0']) && seen.insert(&file.path)
            })
    }
}
