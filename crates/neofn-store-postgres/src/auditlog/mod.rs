//! The audit log's rows. What a hash is over, and how proofs are made of subtrees, is `neofn_identity::auditlog`'s.

mod port;
mod rows;

pub(crate) use rows::{append, read_from};
