//! The log as a file of lines, and its check without the node. Knows no file and no network.
//!
//! One JSON value a line: a header, then every entry from 0 on as it was hashed, then checkpoints and anchors in order of
//! size.

use super::checkpoint::{CheckpointError, LogVerifier};
use super::merkle::{Hash, empty_root, leaf_hash, node_hash};
use super::port::AnchorRow;
use super::{LoggedEntry, port::StoredEntry};
use neofn_types::Hash256;
use serde::{Deserialize, Serialize};

/// What the header says that it is.
const FORMAT: &str = "neofn/audit-export/v1";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExportLine {
    /// The first.
    Header {
        /// [`FORMAT`].
        format: String,
        /// The log's key, as [`LogVerifier`] is written.
        key: String,
    },
    /// An entry: the very text that is hashed.
    Entry(String),
    /// A signed checkpoint.
    Checkpoint(String),
    /// Where a root is on chain.
    Anchor {
        /// Of so many entries.
        size: u64,
        /// In this transaction.
        tx: Hash256,
        /// In this block.
        height: u64,
    },
}

/// Writes the lines of an export.
#[derive(Debug)]
pub struct Export;
impl Export {
    /// The first line.
    #[must_use]
    pub fn header(key: &LogVerifier) -> ExportLine {
        ExportLine::Header {
            format: FORMAT.to_owned(),
            key: key.to_string(),
        }
    }
    /// An entry; none when it is not text, which no entry of ours is.
    #[must_use]
    pub fn entry(entry: StoredEntry) -> Option<ExportLine> {
        String::from_utf8(entry.bytes).ok().map(ExportLine::Entry)
    }
    /// An anchor; none while it is not on chain.
    #[must_use]
    pub fn anchor(row: &AnchorRow) -> Option<ExportLine> {
        let (tx, height) = row.tx?;
        Some(ExportLine::Anchor {
            size: row.size,
            tx,
            height,
        })
    }
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key of the export: worth as much as the way by which it was compared.
    pub key: String,
    /// Entries.
    pub entries: u64,
    /// The root over all of them.
    pub root: Hash,
    /// Checkpoints whose signature and root hold; the sizes.
    pub checkpoints: Vec<u64>,
    /// Anchors that the export claims, with the root that the chain must show: size, root, transaction, block.
    pub anchors: Vec<(u64, Hash, Hash256, u64)>,
    /// The root of the first `n` entries at place `n`.
    roots: Vec<Hash>,
}
impl Verified {
    /// Whether a signature covers the last entry. What none covers may have been cut off or added, and a header alone is
    /// signed by nobody.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.checkpoints.contains(&self.entries)
    }
    /// Whether a signed checkpoint that came another way is of this log: by its key, with its root, as far as this export
    /// reaches.
    pub fn is_of(&self, note: &str) -> Result<(), String> {
        let key: LogVerifier = self.key.parse().map_err(|e: CheckpointError| e.to_string())?;
        let checkpoint = key.open(note).map_err(|e| e.to_string())?;
        if checkpoint.size > self.entries {
            return Ok(());
        }
        self.agrees(checkpoint.size, &checkpoint.root)
            .map_err(|e| e.to_string())
    }
    /// Whether the log has a root that somebody read elsewhere, on the chain or in a witness's notes: that alone shows
    /// that nothing was cut off or written anew by who has the key.
    pub fn agrees(&self, size: u64, root: &Hash) -> Result<(), Disagreement> {
        let known = usize::try_from(size).ok().and_then(|n| self.roots.get(n));
        match known {
            None => Err(Disagreement::CutOff {
                size,
                entries: self.entries,
            }),
            Some(known) if known == root => Ok(()),
            Some(_) => Err(Disagreement::Other { size }),
        }
    }
}

/// A root from elsewhere that the export does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// Entries are missing at the end.
    #[error("a root is known of {size} entries, but there are {entries}: the end was cut off")]
    CutOff {
        /// Of the root.
        size: u64,
        /// Of the export.
        entries: u64,
    },
    /// Other entries.
    #[error("the first {size} entries are not those of the root that is known")]
    Other {
        /// Of the root.
        size: u64,
    },
}

/// Why an export does not verify, with the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ExportError {
    /// From 1.
    pub line: u64,
    /// What is wrong there.
    pub what: String,
}

/// The roots of a growing tree: the complete subtrees along its right edge.
#[derive(Default)]
struct Growing {
    size: u64,
    edge: Vec<Hash>,
}
impl Growing {
    fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut n = self.size;
        while n % 2 == 1 {
            if let Some(left) = self.edge.pop() {
                hash = node_hash(&left, &hash);
            }
            n /= 2;
        }
        self.edge.push(hash);
        self.size += 1;
    }
    fn root(&self) -> Hash {
        let mut parts = self.edge.iter().rev();
        match parts.next() {
            None => empty_root(),
            Some(last) => parts.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// Checks an export line by line. With `key` it must be of that log; without, of the one that it names itself, which
/// shows only that it was not damaged.
pub fn verify_export<'a>(
    lines: impl Iterator<Item = &'a str>,
    key: Option<&LogVerifier>,
) -> Result<Verified, ExportError> {
    let mut tree = Growing::default();
    // checkpoints come after the entries, so that roots of every size that may be asked for are kept: 32 bytes each
    let mut roots = vec![tree.root()];
    let mut verifier: Option<LogVerifier> = None;
    let (mut checkpoints, mut anchors) = (Vec::new(), Vec::new());
    for (number, text) in (1u64..).zip(lines) {
        let fail = |what: String| ExportError { line: number, what };
        let line: ExportLine = serde_json::from_str(text).map_err(|e| fail(e.to_string()))?;
        let root_of = |size: u64, roots: &[Hash]| {
            let found = usize::try_from(size).ok().and_then(|n| roots.get(n).copied());
            found.ok_or_else(|| ExportError {
                line: number,
                what: format!(
                    "of {size} entries, but there are {}",
                    roots.len().saturating_sub(1)
                ),
            })
        };
        match (line, &verifier) {
            (ExportLine::Header { format, key: named }, None) => {
                if format != FORMAT {
                    return Err(fail(format!("format {format:?} is not known")));
                }
                let named: LogVerifier = named.parse().map_err(|e: CheckpointError| fail(e.to_string()))?;
                if key.is_some_and(|key| *key != named) {
                    return Err(fail("it is of another log".to_owned()));
                }
                verifier = Some(named);
            }
            (ExportLine::Header { .. }, Some(_)) => return Err(fail("a second header".to_owned())),
            (_, None) => return Err(fail("the header is missing".to_owned())),
            (ExportLine::Entry(text), Some(_)) => {
                let entry: LoggedEntry = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
                if entry.seq != tree.size {
                    return Err(fail(format!("entry {} where {} should be", entry.seq, tree.size)));
                }
                tree.push(leaf_hash(text.as_bytes()));
                roots.push(tree.root());
            }
            (ExportLine::Checkpoint(note), Some(verifier)) => {
                let checkpoint = verifier.open(&note).map_err(|e| fail(e.to_string()))?;
                if root_of(checkpoint.size, &roots)? != checkpoint.root {
                    let size = checkpoint.size;
                    return Err(fail(format!(
                        "the first {size} entries are not those that were signed"
                    )));
                }
                checkpoints.push(checkpoint.size);
            }
            (ExportLine::Anchor { size, tx, height }, Some(_)) => {
                anchors.push((size, root_of(size, &roots)?, tx, height));
            }
        }
    }
    let Some(verifier) = verifier else {
        return Err(ExportError {
            line: 1,
            what: "it is empty".to_owned(),
        });
    };
    Ok(Verified {
        key: verifier.to_string(),
        entries: tree.size,
        root: tree.root(),
        checkpoints,
        anchors,
        roots,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditEntry;
    use crate::auditlog::LogKey;
    use neofn_types::UnixMillis;

    fn export(n: u64) -> (LogVerifier, Vec<String>) {
        let key = LogKey::from_seed("log.example/audit", &[7; 32]).unwrap();
        let mut tree = Growing::default();
        let mut lines = vec![Export::header(&key.verifier())];
        let mut notes = Vec::new();
        for seq in 0..n {
            let entry = AuditEntry::new(UnixMillis(1), "account:N1", "member.set", format!("t{seq}"));
            let leaf = LoggedEntry::new(seq, &entry).leaf().unwrap();
            tree.push(leaf.hash);
            lines.extend(Export::entry(StoredEntry {
                seq,
                bytes: leaf.bytes,
            }));
            notes.push(ExportLine::Checkpoint(key.sign(
                seq + 1,
                tree.root(),
                UnixMillis(2),
            )));
        }
        lines.extend(notes);
        lines.push(ExportLine::Anchor {
            size: n,
            tx: Hash256([1; 32]),
            height: 9,
        });
        let text = lines.iter().map(|l| serde_json::to_string(l).unwrap()).collect();
        (key.verifier(), text)
    }
    fn check(lines: &[String], key: &LogVerifier) -> Result<Verified, ExportError> {
        verify_export(lines.iter().map(String::as_str), Some(key))
    }

    #[test]
    fn an_export_verifies_and_a_changed_one_does_not() {
        let (key, lines) = export(9);
        let verified = check(&lines, &key).unwrap();
        assert_eq!(
            (
                verified.entries,
                verified.checkpoints.len(),
                verified.anchors.len()
            ),
            (9, 9, 1)
        );
        assert_eq!(verified.anchors[0].1, verified.root);

        let mut changed = lines.clone();
        changed[4] = changed[4].replace("member.set", "member.get");
        assert!(
            check(&changed, &key)
                .unwrap_err()
                .what
                .contains("not those that were signed")
        );
        let mut missing = lines.clone();
        missing.remove(3);
        assert!(check(&missing, &key).is_err());
        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        assert!(check(&swapped, &key).is_err());
        let (_, other) = (
            0,
            LogKey::from_seed("log.example/audit", &[8; 32])
                .unwrap()
                .verifier(),
        );
        assert!(check(&lines, &other).is_err());
        assert!(check(&lines[1..], &key).is_err());
        assert!(check(&[], &key).is_err());
    }

    #[test]
    fn a_header_alone_is_signed_by_nobody() {
        let (key, lines) = export(3);
        assert!(check(&lines, &key).unwrap().whole());
        assert!(!check(&lines[..1], &key).unwrap().whole());
        assert!(!check(&lines[..4], &key).unwrap().whole());
        // the entries, and checkpoints of all but the last
        assert!(!check(&lines[..6], &key).unwrap().whole());
    }

    #[test]
    fn a_checkpoint_from_elsewhere_is_of_this_log_or_not() {
        let note = |seed: u8, size: u64, root: Hash| {
            let key = LogKey::from_seed("log.example/audit", &[seed; 32]).unwrap();
            key.sign(size, root, UnixMillis(2))
        };
        let (key, lines) = export(3);
        let whole = check(&lines, &key).unwrap();
        assert_eq!(whole.is_of(&note(7, 3, whole.root)), Ok(()));
        // the backup may be newer than the export
        assert_eq!(whole.is_of(&note(7, 9, [1; 32])), Ok(()));
        for other in [
            note(8, 3, whole.root),
            note(7, 3, [1; 32]),
            note(7, 2, whole.root),
            String::new(),
        ] {
            assert!(whole.is_of(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_root_from_elsewhere_finds_what_signatures_cannot() {
        let (key, lines) = export(8);
        let whole = check(&lines, &key).unwrap();
        let known = whole.root;
        assert_eq!(whole.agrees(8, &known), Ok(()));
        assert_eq!(whole.agrees(8, &[9; 32]), Err(Disagreement::Other { size: 8 }));
        // the header, two entries and the checkpoint over them: signed, and shorter than it was
        let cut: Vec<String> = [&lines[0], &lines[1], &lines[2], &lines[10]]
            .into_iter()
            .cloned()
            .collect();
        let cut = check(&cut, &key).unwrap();
        assert_eq!((cut.entries, cut.checkpoints.as_slice()), (2, [2].as_slice()));
        assert_eq!(
            cut.agrees(8, &known),
            Err(Disagreement::CutOff { size: 8, entries: 2 })
        );
    }
}
