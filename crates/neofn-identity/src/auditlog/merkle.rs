//! The tree of RFC 6962: hashes, proofs, and their checks. Knows nothing of what its leaves mean.
//!
//! Only complete subtrees are stored: `(level, index)` is the one over the leaves `index << level .. (index + 1) << level`.
//! They never change once they are complete, so neither does anything that a proof was made of.

use sha2::{Digest as _, Sha256};

/// A node of the tree.
pub type Hash = [u8; 32];

/// A proof that does not prove it, or a question that the tree cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// There are fewer leaves.
    #[error("leaf {index} of a tree of {size}")]
    Range {
        /// What was asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// A stored subtree is not there.
    #[error("subtree {index} of level {level} is missing")]
    Missing {
        /// Its level.
        level: u32,
        /// Its place there.
        index: u64,
    },
    /// Too few or too many hashes, or the wrong ones.
    #[error("the proof does not prove it")]
    Proof,
}

/// Where complete subtrees are found.
pub trait Nodes {
    /// One of them; none: it is not stored.
    fn node(&self, level: u32, index: u64) -> Option<Hash>;
}
impl<F: Fn(u32, u64) -> Option<Hash> + ?Sized> Nodes for F {
    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self(level, index)
    }
}

/// The hash of a leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(entry)
        .finalize()
        .into()
}
/// The hash of two subtrees.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}
/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The largest power of two below `n`; `n` is above one.
const fn split(n: u64) -> u64 {
    1 << (u64::BITS - 1 - (n - 1).leading_zeros())
}

/// The root over `size` leaves from `start` on, where every left part is complete: as in every tree that begins at zero.
fn range(nodes: &(impl Nodes + ?Sized), start: u64, size: u64) -> Result<Hash, MerkleError> {
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        let index = start >> level;
        return nodes
            .node(level, index)
            .ok_or(MerkleError::Missing { level, index });
    }
    let k = split(size);
    let left = range(nodes, start, k)?;
    Ok(node_hash(&left, &range(nodes, start + k, size - k)?))
}

/// The root of the first `size` leaves.
pub fn root(nodes: &(impl Nodes + ?Sized), size: u64) -> Result<Hash, MerkleError> {
    if size == 0 {
        return Ok(empty_root());
    }
    range(nodes, 0, size)
}

/// Proves that leaf `index` is among the first `size`.
pub fn inclusion_proof(
    nodes: &(impl Nodes + ?Sized),
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, MerkleError> {
    if index >= size {
        return Err(MerkleError::Range { index, size });
    }
    let mut proof = Vec::new();
    path(nodes, index, 0, size, &mut proof)?;
    Ok(proof)
}
fn path(
    nodes: &(impl Nodes + ?Sized),
    index: u64,
    start: u64,
    size: u64,
    proof: &mut Vec<Hash>,
) -> Result<(), MerkleError> {
    if size == 1 {
        return Ok(());
    }
    let k = split(size);
    if index < k {
        path(nodes, index, start, k, proof)?;
        proof.push(range(nodes, start + k, size - k)?);
    } else {
        path(nodes, index - k, start + k, size - k, proof)?;
        proof.push(range(nodes, start, k)?);
    }
    Ok(())
}

/// Proves that the first `old` leaves of the first `new` are what they were.
pub fn consistency_proof(
    nodes: &(impl Nodes + ?Sized),
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, MerkleError> {
    if old > new {
        return Err(MerkleError::Range {
            index: old,
            size: new,
        });
    }
    let mut proof = Vec::new();
    if old > 0 {
        subproof(nodes, old, 0, new, true, &mut proof)?;
    }
    Ok(proof)
}
fn subproof(
    nodes: &(impl Nodes + ?Sized),
    old: u64,
    start: u64,
    size: u64,
    whole: bool,
    proof: &mut Vec<Hash>,
) -> Result<(), MerkleError> {
    if old == size {
        if !whole {
            proof.push(range(nodes, start, size)?);
        }
        return Ok(());
    }
    let k = split(size);
    if old <= k {
        subproof(nodes, old, start, k, whole, proof)?;
        proof.push(range(nodes, start + k, size - k)?);
    } else {
        subproof(nodes, old - k, start + k, size - k, false, proof)?;
        proof.push(range(nodes, start, k)?);
    }
    Ok(())
}

/// Whether `proof` shows that `leaf` is number `index` of the tree of `size` leaves with this root.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::Range { index, size });
    }
    let found = climb(leaf, index, size, proof)?;
    if found == *root {
        Ok(())
    } else {
        Err(MerkleError::Proof)
    }
}
/// At most 64 deep: every step halves the size.
fn climb(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Result<Hash, MerkleError> {
    if size == 1 {
        return if proof.is_empty() {
            Ok(*leaf)
        } else {
            Err(MerkleError::Proof)
        };
    }
    let (last, rest) = proof.split_last().ok_or(MerkleError::Proof)?;
    let k = split(size);
    if index < k {
        Ok(node_hash(&climb(leaf, index, k, rest)?, last))
    } else {
        Ok(node_hash(last, &climb(leaf, index - k, size - k, rest)?))
    }
}

/// Whether `proof` shows that the tree of `new` leaves begins with that of `old` leaves.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), MerkleError> {
    if old > new {
        return Err(MerkleError::Range {
            index: old,
            size: new,
        });
    }
    if old == 0 {
        let sound = proof.is_empty() && *old_root == empty_root();
        return if sound { Ok(()) } else { Err(MerkleError::Proof) };
    }
    let mut rest = proof;
    let (was, is) = both(old, new, true, old_root, &mut rest)?;
    if rest.is_empty() && was == *old_root && is == *new_root {
        Ok(())
    } else {
        Err(MerkleError::Proof)
    }
}
fn both(
    old: u64,
    size: u64,
    whole: bool,
    old_root: &Hash,
    proof: &mut &[Hash],
) -> Result<(Hash, Hash), MerkleError> {
    if old == size {
        if whole {
            return Ok((*old_root, *old_root));
        }
        let hash = pop(proof)?;
        return Ok((hash, hash));
    }
    let last = pop(proof)?;
    let k = split(size);
    if old <= k {
        let (was, is) = both(old, k, whole, old_root, proof)?;
        Ok((was, node_hash(&is, &last)))
    } else {
        let (was, is) = both(old - k, size - k, false, old_root, proof)?;
        Ok((node_hash(&last, &was), node_hash(&last, &is)))
    }
}
fn pop(proof: &mut &[Hash]) -> Result<Hash, MerkleError> {
    let (last, rest) = proof.split_last().ok_or(MerkleError::Proof)?;
    *proof = rest;
    Ok(*last)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "trees of tests are small")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The definition of the RFC, word for word.
    fn mth(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => leaf_hash(one),
            many => {
                let (left, right) = many.split_at(split(many.len() as u64) as usize);
                node_hash(&mth(left), &mth(right))
            }
        }
    }
    fn nodes(leaves: &[Vec<u8>]) -> HashMap<(u32, u64), Hash> {
        let mut all = HashMap::new();
        for (n, leaf) in leaves.iter().enumerate() {
            let (mut level, mut index, mut hash) = (0, n as u64, leaf_hash(leaf));
            all.insert((level, index), hash);
            while index % 2 == 1 {
                hash = node_hash(&all[&(level, index - 1)], &hash);
                (level, index) = (level + 1, index / 2);
                all.insert((level, index), hash);
            }
        }
        all
    }
    fn leaves(n: usize) -> Vec<Vec<u8>> {
        (0..n).map(|i| format!("entry {i}").into_bytes()).collect()
    }

    #[test]
    fn roots_are_those_of_the_rfc() {
        // the vectors of Certificate Transparency
        let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
        let leaves: Vec<Vec<u8>> = inputs.iter().map(|i| hex::decode(i).unwrap()).collect();
        let expected = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        for (n, root_hex) in expected.iter().enumerate() {
            assert_eq!(hex::encode(mth(&leaves[..=n])), *root_hex);
        }
        assert_eq!(
            hex::encode(empty_root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn every_proof_of_every_small_tree_holds_and_no_other() {
        let all = leaves(40);
        for size in 0..=all.len() {
            let stored = nodes(&all[..size]);
            let look = |level, index| stored.get(&(level, index)).copied();
            let (n, now) = (size as u64, mth(&all[..size]));
            assert_eq!(root(&look, n), Ok(now));
            for (index, leaf) in all[..size].iter().enumerate() {
                let proof = inclusion_proof(&look, index as u64, n).unwrap();
                let leaf = leaf_hash(leaf);
                verify_inclusion(&leaf, index as u64, n, &proof, &now).unwrap();
                for other in (0..n).filter(|o| *o != index as u64) {
                    assert!(verify_inclusion(&leaf, other, n, &proof, &now).is_err());
                }
            }
            for old in 0..=size {
                let was = mth(&all[..old]);
                let proof = consistency_proof(&look, old as u64, n).unwrap();
                verify_consistency((old as u64, &was), (n, &now), &proof).unwrap();
                if old > 0 && old < size {
                    let mut other = was;
                    other[0] ^= 1;
                    assert!(verify_consistency((old as u64, &other), (n, &now), &proof).is_err());
                    assert!(verify_consistency((old as u64, &was), (n, &other), &proof).is_err());
                    assert!(verify_consistency((old as u64, &was), (n, &now), &proof[1..]).is_err());
                }
            }
            assert!(inclusion_proof(&look, n, n).is_err());
            assert!(consistency_proof(&look, n + 1, n).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_proves_nothing(size in 2u64..200, at in any::<prop::sample::Index>(), bit in 0usize..256) {
            let all = leaves(size as usize);
            let stored = nodes(&all);
            let look = |level, index| stored.get(&(level, index)).copied();
            let index = at.index(size as usize) as u64;
            let mut proof = inclusion_proof(&look, index, size).unwrap();
            let n = at.index(proof.len());
            proof[n][bit / 8] ^= 1 << (bit % 8);
            let leaf = leaf_hash(&all[index as usize]);
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &mth(&all)).is_err());
        }
        #[test]
        fn no_input_makes_a_check_panic(
            a in any::<u64>(), b in any::<u64>(), proof in prop::collection::vec(any::<Hash>(), 0..70),
        ) {
            let h = [0; 32];
            let _ = verify_inclusion(&h, a, b, &proof, &h);
            let _ = verify_consistency((a, &h), (b, &h), &proof);
        }
    }
}
