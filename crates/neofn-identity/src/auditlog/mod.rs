//! The audit log: entries as leaves of a Merkle tree (RFC 6962), signed checkpoints of it, proofs, and an export that is
//! verified without the node. Knows no storage (see [`port`]) and no chain.

mod checkpoint;
mod entry;
mod export;
mod merkle;
pub mod port;
mod service;

pub use checkpoint::{Checkpoint, CheckpointError, LogKey, LogVerifier};
pub use entry::{Leaf, LoggedEntry};
pub use export::{Disagreement, Export, ExportError, ExportLine, Verified, verify_export};
pub use merkle::{
    Hash, MerkleError, Nodes, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash, root,
    verify_consistency, verify_inclusion,
};
pub use service::{AuditLog, AuditLogError, AuditLogOptions, Head};
