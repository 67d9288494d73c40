//! The Merkle tree of RFC 6962 (and RFC 9162) over SHA-256, as it grows by one leaf after another.
//!
//! A leaf is hashed behind a byte 0, two subtrees behind a byte 1, so that neither can be taken for
//! the other. A leaf's data are the SHA-256 of a journal's line; see [`crate::sign`].

use sha2::{Digest, Sha256};

/// A hash of the tree's.
pub type Hash = [u8; 32];

/// The hash of the leaf that a line is: its seal included, its newline not.
#[must_use]
pub fn leaf(line: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(Sha256::digest(line)).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A tree of which only the path to its right edge is kept: as many hashes as its size has bits.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Roots of whole subtrees from left to right, each with its height; heights fall.
    subtrees: Vec<(u32, Hash)>,
}

impl Tree {
    /// Adds a leaf on the right.
    pub fn push(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.subtrees.pop_if(|(other, _)| *other == height) {
            hash = node(&left, &hash);
            height += 1;
        }
        self.subtrees.push((height, hash));
    }

    /// The root; of a tree without leaves the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev();
        let Some((_, last)) = subtrees.next() else { return Sha256::digest([]).into() };
        subtrees.fold(*last, |right, (_, left)| node(left, &right))
    }
}

/// What a verifier needs beside the leaf at `index` to compute the root over all `leaves`: the
/// sibling of each subtree that the leaf is in, from the leaf upwards.
///
/// # Panics
///
/// When there is no leaf at `index`.
#[must_use]
pub fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    assert!(index < leaves.len(), "the path starts at a leaf of the tree");
    let root = |leaves: &[Hash]| {
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    };
    let (mut leaves, mut index, mut path) = (leaves, index, Vec::new());
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        if index < left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    path.reverse();
    path
}

/// The root of a tree of `size` leaves that has `leaf` at `index`, if `path` belongs to it; `None`
/// where a path of this length cannot.
#[must_use]
pub fn root_of_path(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    // RFC 9162, section 2.1.3.2.
    let (mut index, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            hash = node(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    fn lines(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|line| format!("{{\"line\":{line}}}").into_bytes()).collect()
    }

    #[test]
    fn the_root_is_that_of_another_implementation_at_every_size() {
        let mut theirs = MemoryBackedTree::<Sha256, Hash>::new();
        let mut ours = Tree::default();
        for line in lines(130) {
            assert_eq!(ours.root()[..], theirs.root().as_bytes()[..]);
            theirs.push(Sha256::digest(&line).into());
            ours.push(leaf(&line));
        }
    }

    #[test]
    fn a_path_leads_from_every_leaf_to_the_root_and_nowhere_else() {
        for size in 1..40 {
            let leaves: Vec<Hash> = lines(size).iter().map(|line| leaf(line)).collect();
            let mut tree = Tree::default();
            leaves.iter().for_each(|leaf| tree.push(*leaf));
            let size = size as u64;
            for (index, hash) in leaves.iter().enumerate() {
                let path = path(&leaves, index);
                let index = index as u64;
                let root = |index, size, path: &[Hash]| root_of_path(hash, index, size, path);
                assert_eq!(root(index, size, &path), Some(tree.root()));
                for other in (0..size).filter(|other| *other != index) {
                    assert_ne!(root(other, size, &path), Some(tree.root()), "{other} of {size}");
                }
                assert_eq!(root(size, size, &path), None);
                let longer = [&path[..], &[[0; 32]]].concat();
                assert_ne!(root(index, size, &longer), Some(tree.root()));
                if let Some((_, shorter)) = path.split_last() {
                    assert_ne!(root(index, size, shorter), Some(tree.root()));
                }
            }
        }
    }

    #[test]
    fn a_path_is_that_of_another_implementation() {
        let mut theirs = MemoryBackedTree::<Sha256, Hash>::new();
        let lines = lines(23);
        let leaves: Vec<Hash> = lines.iter().map(|line| leaf(line)).collect();
        lines.iter().for_each(|line| theirs.push(Sha256::digest(line).into()));
        for index in 0..lines.len() {
            let proof = theirs.prove_inclusion(index);
            assert_eq!(path(&leaves, index).concat(), proof.as_bytes());
        }
    }
}
