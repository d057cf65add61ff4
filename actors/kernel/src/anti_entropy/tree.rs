//! Trees of digests, two levels deep, kept up to date in the step that writes a record.
//!
//! The digests of the records in a leaf are combined by XOR, the leaves of a branch and the
//! branches of the root likewise. So an update takes the old record out and the new one in, at the
//! same cost whatever the tree holds, and the order of updates does not matter.
//!
//! Memory: an empty tree takes 64 bytes, a branch 64 and a leaf 16, and only those exist that hold
//! something: 26 KB for 1,000 records, 264 KiB if all 16,384 leaves do.

use core::fmt;
use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::{
    causality::Digest,
    key::{PartitionCount, PartitionId, Token},
};

/// Branches of a tree, and leaves of a branch.
pub const FANOUT: u8 = 128;
/// Bits of a token that choose a branch, and a leaf of it.
const FANOUT_BITS: u32 = 7;

/// The records that one tree covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId {
    /// Where their keys lie.
    pub partition: PartitionId,
    /// How many homes they have.
    pub n: u8,
}

/// Everything below one node of a tree. Equal if the records are; [`Summary::NOTHING`] if there are
/// none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Summary(pub u128);

impl Summary {
    /// Of no record at all.
    pub const NOTHING: Self = Self(0);

    /// Of one record. The token is part of it: two records that change places are a difference.
    pub fn of(token: Token, digest: Digest) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&token.0.to_be_bytes());
        bytes[8..].copy_from_slice(&digest.0.to_be_bytes());
        Self(xxh3_128(&bytes))
    }

    /// What of it travels, in an exchange that has drawn `salt`.
    #[expect(clippy::cast_possible_truncation, reason = "a part of a hash")]
    pub fn brief(self, salt: u64) -> Brief {
        Brief(xxh3_64_with_seed(&self.0.to_be_bytes(), salt) as u32)
    }

    fn toggle(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

/// A summary in 32 bits, for comparisons below the root: they make up most of what travels where
/// few keys differ. Two summaries that differ have the same brief once in four thousand million
/// times. Then what lies below is missed, but the roots still differ, and the next exchange has
/// another salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Brief(pub u32);

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Summary({:032x})", self.0)
    }
}

/// A leaf of a tree, in token order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    branch: u8,
    leaf: u8,
}

impl Place {
    /// The leaf of a branch; `None` unless both are below [`FANOUT`].
    pub fn new(branch: u8, leaf: u8) -> Option<Self> {
        (branch < FANOUT && leaf < FANOUT).then_some(Self { branch, leaf })
    }

    /// The leaf in which a token lies, within its partition.
    pub fn of(token: Token, partitions: PartitionCount) -> Self {
        let bits = partitions.get().trailing_zeros();
        let within = token.0 << bits;
        let (branch, leaf) = (within, within << FANOUT_BITS);
        let top = |bits: u64| u8::try_from(bits >> (64 - FANOUT_BITS)).unwrap_or(FANOUT - 1);
        Self { branch: top(branch), leaf: top(leaf) }
    }

    /// The first and the last token that lie in this leaf of a partition's trees.
    pub fn tokens(self, partition: PartitionId, partitions: PartitionCount) -> (Token, Token) {
        let bits = partitions.get().trailing_zeros();
        let width = 64 - bits - 2 * FANOUT_BITS;
        let place = u64::from(self.branch) << FANOUT_BITS | u64::from(self.leaf);
        let first = partition.first_token(partitions).0 | place << width;
        (Token(first), Token(first | ((1 << width) - 1)))
    }

    /// The branch, below [`FANOUT`].
    pub fn branch(self) -> u8 {
        self.branch
    }

    /// The leaf of the branch, below [`FANOUT`].
    pub fn leaf(self) -> u8 {
        self.leaf
    }
}

/// Up to 128 things by number, of which only those take room that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sparse<T> {
    present: u128,
    items: Vec<T>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { present: 0, items: Vec::new() }
    }
}

impl<T: Default + PartialEq> Sparse<T> {
    /// How many are there with a lower number.
    fn rank(&self, index: u8) -> usize {
        let below = self.present & ((1 << index) - 1);
        usize::try_from(below.count_ones()).unwrap_or(0)
    }

    fn has(&self, index: u8) -> bool {
        self.present & (1 << index) != 0
    }

    fn get(&self, index: u8) -> Option<&T> {
        self.has(index).then(|| self.items.get(self.rank(index))).flatten()
    }

    /// Puts one there if there is none, and changes it; one of nothing is not there.
    fn change(&mut self, index: u8, change: impl FnOnce(&mut T)) {
        let rank = self.rank(index);
        if !self.has(index) {
            self.present |= 1 << index;
            self.items.insert(rank, T::default());
        }
        change(&mut self.items[rank]);
        if self.items[rank] == T::default() {
            self.present &= !(1 << index);
            self.items.remove(rank);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u8, &T)> {
        let numbers = (0..FANOUT).filter(|index| self.has(*index));
        numbers.zip(&self.items)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Branch {
    summary: Summary,
    leaves: Sparse<Summary>,
}

/// What a home holds of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    root: Summary,
    branches: Sparse<Branch>,
}

impl Tree {
    /// Notes that a record has changed: `None` before it was there, or after it has gone.
    pub fn update(
        &mut self,
        (token, place): (Token, Place),
        old: Option<Digest>,
        new: Option<Digest>,
    ) {
        let mut change = Summary::NOTHING;
        for digest in [old, new].into_iter().flatten() {
            change.toggle(Summary::of(token, digest));
        }
        if change == Summary::NOTHING {
            return;
        }
        self.root.toggle(change);
        self.branches.change(place.branch, |branch| {
            branch.summary.toggle(change);
            branch.leaves.change(place.leaf, |leaf| leaf.toggle(change));
        });
    }

    /// Of all records.
    pub fn root(&self) -> Summary {
        self.root
    }

    /// Of the branches that hold something, in token order.
    pub fn branches(&self) -> impl Iterator<Item = (u8, Summary)> {
        self.branches.iter().map(|(index, branch)| (index, branch.summary))
    }

    /// Of the leaves of a branch that hold something, in token order.
    pub fn leaves(&self, branch: u8) -> impl Iterator<Item = (Place, Summary)> {
        let found = Some(branch).filter(|branch| *branch < FANOUT);
        let found = found.and_then(|branch| self.branches.get(branch)).into_iter();
        found.flat_map(move |held| {
            held.leaves.iter().map(move |(leaf, summary)| (Place { branch, leaf }, *summary))
        })
    }

    /// Bytes that the tree takes.
    pub fn memory_bytes(&self) -> usize {
        let leaves = |branch: &Branch| branch.leaves.items.capacity() * size_of::<Summary>();
        size_of::<Self>()
            + self.branches.items.capacity() * size_of::<Branch>()
            + self.branches.items.iter().map(leaves).sum::<usize>()
    }
}

/// The trees of one shard. A tree that is not there is one of no records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trees {
    trees: BTreeMap<TreeId, Tree>,
}

impl Trees {
    /// See [`Tree::update`].
    pub fn update(
        &mut self,
        tree: TreeId,
        at: (Token, Place),
        old: Option<Digest>,
        new: Option<Digest>,
    ) {
        let held = self.trees.entry(tree).or_default();
        held.update(at, old, new);
        if held.branches.present == 0 {
            self.trees.remove(&tree);
        }
    }

    /// One tree, if it holds something.
    pub fn get(&self, tree: TreeId) -> Option<&Tree> {
        self.trees.get(&tree)
    }

    /// The root of a tree.
    pub fn root(&self, tree: TreeId) -> Summary {
        self.get(tree).map_or(Summary::NOTHING, Tree::root)
    }

    /// Puts a tree that was computed anew in the place of the one that is there; whether they
    /// differed.
    pub fn replace(&mut self, id: TreeId, tree: Tree) -> bool {
        let differ = self.root(id) != tree.root();
        if tree.branches.present == 0 {
            self.trees.remove(&id);
        } else {
            self.trees.insert(id, tree);
        }
        differ
    }

    /// All trees that hold something.
    pub fn iter(&self) -> impl Iterator<Item = (TreeId, &Tree)> {
        self.trees.iter().map(|(id, tree)| (*id, tree))
    }

    /// Bytes that all trees take.
    pub fn memory_bytes(&self) -> usize {
        self.trees.values().map(Tree::memory_bytes).sum()
    }
}

/// What is not the same in two sorted lists: in one of them only, or with another value.
pub fn differing<I: Ord + Clone, V: PartialEq>(own: &[(I, V)], peer: &[(I, V)]) -> Vec<I> {
    let (mut own, mut peer) = (own.iter().peekable(), peer.iter().peekable());
    let mut found = Vec::new();
    loop {
        let next = match (own.peek(), peer.peek()) {
            (None, None) => return found,
            (Some((mine, _)), Some((theirs, _))) => mine.min(theirs).clone(),
            (Some((index, _)), None) | (None, Some((index, _))) => index.clone(),
        };
        let mine = own.next_if(|(index, _)| *index == next).map(|(_, value)| value);
        let theirs = peer.next_if(|(index, _)| *index == next).map(|(_, value)| value);
        if mine != theirs {
            found.push(next);
        }
    }
}
