//! The way from the roots down to the keys.

use std::collections::{BTreeSet, VecDeque};

use super::{
    BRANCHES_MAX, ExchangeEffect, ExchangeEvent, KEYS_MAX, LEAVES_MAX, Listing, ROOTS_MAX,
};
use crate::{
    anti_entropy::tree::{Brief, FANOUT, Place, Summary, TreeId, differing},
    causality::Digest,
    key::{Key, PartitionCount, Token},
};

/// What the walk has asked for and not yet heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Roots(BTreeSet<TreeId>),
    Branches,
    Leaves(Vec<u8>),
    Keys { leaves: Vec<Place>, after: Option<Key> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    partitions: PartitionCount,
    /// Of the briefs.
    salt: u64,
    /// Roots to be compared.
    roots: VecDeque<(TreeId, Summary)>,
    /// Trees that were found to differ, until they are told of.
    found: Option<Vec<TreeId>>,
    /// Trees that differ and are still to be walked.
    trees: VecDeque<TreeId>,
    /// The one that is being walked.
    tree: Option<TreeId>,
    branches: VecDeque<u8>,
    leaves: VecDeque<Place>,
    /// The leaves whose keys did not fit into one message, and behind which key to go on.
    rest: Option<(Vec<Place>, Key)>,
    asked: Asked,
}

impl Walk {
    pub(super) fn new(
        (partitions, salt): (PartitionCount, u64),
        roots: Vec<(TreeId, Summary)>,
    ) -> Self {
        Self {
            partitions,
            salt,
            roots: roots.into(),
            found: Some(Vec::new()),
            trees: VecDeque::new(),
            tree: None,
            branches: VecDeque::new(),
            leaves: VecDeque::new(),
            rest: None,
            asked: Asked::Nothing,
        }
    }

    /// The next thing to ask; `None` at the end of the way.
    pub(super) fn next(&mut self) -> Option<ExchangeEffect> {
        if !self.roots.is_empty() {
            return Some(self.ask_roots());
        }
        if let Some(found) = self.found.take() {
            self.trees = found.iter().copied().collect();
            return Some(ExchangeEffect::Compared(found));
        }
        self.ask_keys().or_else(|| self.ask_leaves()).or_else(|| self.ask_branches())
    }

    fn ask_roots(&mut self) -> ExchangeEffect {
        let count = self.roots.len().min(ROOTS_MAX);
        let roots: Vec<_> = self.roots.drain(..count).collect();
        self.asked = Asked::Roots(roots.iter().map(|(tree, _)| *tree).collect());
        ExchangeEffect::CompareRoots(roots)
    }

    fn ask_branches(&mut self) -> Option<ExchangeEffect> {
        self.tree = self.trees.pop_front();
        let tree = self.tree?;
        self.asked = Asked::Branches;
        Some(ExchangeEffect::GetBranches { tree, salt: self.salt })
    }

    fn ask_leaves(&mut self) -> Option<ExchangeEffect> {
        let tree = self.tree.filter(|_| !self.branches.is_empty())?;
        let count = self.branches.len().min(BRANCHES_MAX);
        let branches: Vec<_> = self.branches.drain(..count).collect();
        self.asked = Asked::Leaves(branches.clone());
        Some(ExchangeEffect::GetLeaves { tree, branches, salt: self.salt })
    }

    fn ask_keys(&mut self) -> Option<ExchangeEffect> {
        let tree = self.tree?;
        let (leaves, after) = if let Some((leaves, after)) = self.rest.take() {
            (leaves, Some(after))
        } else {
            let count = self.leaves.len().min(LEAVES_MAX);
            (self.leaves.drain(..count).collect(), None)
        };
        if leaves.is_empty() {
            return None;
        }
        self.asked = Asked::Keys { leaves: leaves.clone(), after: after.clone() };
        Some(ExchangeEffect::GetKeys { tree, leaves, after })
    }

    /// Whether that is an answer to what was asked, and not a late one to something else.
    pub(super) fn awaits(&self, event: &ExchangeEvent) -> bool {
        matches!(
            (event, &self.asked),
            (ExchangeEvent::Roots { .. }, Asked::Roots(_))
                | (ExchangeEvent::Branches { .. }, Asked::Branches)
                | (ExchangeEvent::Leaves { .. }, Asked::Leaves(_))
                | (ExchangeEvent::Keys { .. }, Asked::Keys { .. })
        )
    }

    /// Takes the answer to what was asked: the keys that it shows to differ, or `None` if it cannot
    /// be true.
    pub(super) fn take(&mut self, event: ExchangeEvent) -> Option<Vec<Key>> {
        let asked = core::mem::replace(&mut self.asked, Asked::Nothing);
        match (event, asked) {
            (ExchangeEvent::Roots { differing }, Asked::Roots(asked)) => {
                self.take_roots(differing, asked)
            }
            (ExchangeEvent::Branches { own, peer }, Asked::Branches) => {
                self.take_branches(&own, &peer)
            }
            (ExchangeEvent::Leaves { own, peer }, Asked::Leaves(asked)) => {
                self.take_leaves(&own, &peer, &asked)
            }
            (ExchangeEvent::Keys { own, peer }, Asked::Keys { leaves, after }) => {
                self.take_keys(own, peer, leaves, after.as_ref())
            }
            _ => None,
        }
    }

    fn take_roots(
        &mut self,
        differing: Vec<TreeId>,
        mut asked: BTreeSet<TreeId>,
    ) -> Option<Vec<Key>> {
        // Each that was asked for, and once.
        let known = differing.iter().all(|tree| asked.remove(tree));
        self.found.as_mut().filter(|_| known)?.extend(differing);
        Some(Vec::new())
    }

    fn take_branches(&mut self, own: &[(u8, Brief)], peer: &[(u8, Brief)]) -> Option<Vec<Key>> {
        let sound = is_sorted(peer) && peer.iter().all(|(branch, _)| *branch < FANOUT);
        let branches = sound.then(|| differing(own, peer))?;
        // Of a sparse tree all keys below are asked for at once: most branches hold one.
        if own.len().max(peer.len()) <= BRANCHES_MAX {
            let leaves = |branch| (0..FANOUT).filter_map(move |leaf| Place::new(branch, leaf));
            self.leaves.extend(branches.into_iter().flat_map(leaves));
        } else {
            self.branches = branches.into();
        }
        Some(Vec::new())
    }

    fn take_leaves(
        &mut self,
        own: &[(Place, Brief)],
        peer: &[(Place, Brief)],
        asked: &[u8],
    ) -> Option<Vec<Key>> {
        let known = |(place, _): &(Place, Brief)| asked.contains(&place.branch());
        let sound = is_sorted(peer) && peer.iter().all(known);
        self.leaves.extend(sound.then(|| differing(own, peer))?);
        Some(Vec::new())
    }

    /// Compares two listings as far as both go. The rest is asked for again.
    fn take_keys(
        &mut self,
        own: Listing,
        peer: Listing,
        leaves: Vec<Place>,
        after: Option<&Key>,
    ) -> Option<Vec<Key>> {
        let after = after.map(|key| (key.token(), key.clone()));
        let sides = [Side::new(own), Side::new(peer)];
        let sound = sides.iter().all(|side| side.is_sound(after.as_ref()));
        let known = |(order, _): &(Order, Digest)| self.holds(order, &leaves);
        if !sound || !sides.iter().all(|side| side.keys.iter().all(known)) {
            return None;
        }
        let end = sides.iter().filter_map(Side::end).min().cloned();
        let within = |side: &Side| {
            let reached =
                |(order, _): &(Order, Digest)| end.as_ref().is_none_or(|end| order <= end);
            side.keys.partition_point(reached)
        };
        let [mine, theirs] = &sides;
        let found = differing(&mine.keys[..within(mine)], &theirs.keys[..within(theirs)]);
        self.rest = end.map(|(_, key)| (leaves, key));
        Some(found.into_iter().map(|(_, key)| key).collect())
    }

    /// Whether a key lies in one of some leaves of the tree that is walked.
    fn holds(&self, (token, _): &Order, leaves: &[Place]) -> bool {
        let partition = self.tree.map(|tree| tree.partition);
        partition == Some(token.partition(self.partitions))
            && leaves.binary_search(&Place::of(*token, self.partitions)).is_ok()
    }
}

/// The order in which keys are listed.
type Order = (Token, Key);

/// A listing, with its keys in their order.
struct Side {
    keys: Vec<(Order, Digest)>,
    more: bool,
}

impl Side {
    fn new(listing: Listing) -> Self {
        let keys = listing.keys.into_iter();
        let keys = keys.map(|(key, digest)| ((key.token(), key), digest)).collect();
        Self { keys, more: listing.more }
    }

    /// Whether it is bounded, in order, behind `after`, and goes on only behind something: else the
    /// walk might never end.
    fn is_sound(&self, after: Option<&Order>) -> bool {
        let behind = self.keys.first().is_none_or(|(first, _)| after.is_none_or(|at| at < first));
        let goes_on = !self.more || !self.keys.is_empty();
        self.keys.len() <= KEYS_MAX && is_sorted(&self.keys) && behind && goes_on
    }

    /// Up to where it goes; `None` if it is complete.
    fn end(&self) -> Option<&Order> {
        self.keys.last().filter(|_| self.more).map(|(order, _)| order)
    }
}

/// Whether all are in their order, and each there once.
fn is_sorted<I: Ord, V>(items: &[(I, V)]) -> bool {
    items.is_sorted_by(|(one, _), (next, _)| one < next)
}
