//! Records: everything that one shard stores of one key.

use smallvec::SmallVec;

use super::{History, MintRight, Stamp, Version, overwritten::Overwritten};
use crate::id::NodeId;

/// Versions sorted by dot. One is the rule, and lies inline.
pub(super) type Versions = SmallVec<[Version; 1]>;

/// What settles concurrent writes of a bucket's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Both stay, until somebody who has seen both writes.
    #[default]
    Siblings,
    /// The greater stamp stays (last writer wins).
    Lww,
}

/// Everything that one shard stores of one key; by default nothing.
///
/// History and versions are replicated, as a whole; with them go the names of the last writes that
/// were overwritten, in no digest. The right to mint and the marks belong to the
/// shard: they are in no digest, and no merge takes them over. Three operations change or show a
/// record, all pure: [`Record::write`], [`Record::merge`], [`Record::read`].
///
/// A record that has a history has a version, and each version's dot is in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(super) history: History,
    pub(super) versions: Versions,
    pub(super) overwritten: Overwritten,
    pub(super) right: Option<MintRight>,
    pub(super) marks: Vec<NodeId>,
}

impl Record {
    /// The dots that this record has seen.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What was written and not yet overwritten, tombstones and expired values too, by dot.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The right to mint, if the record has one.
    pub fn right(&self) -> Option<MintRight> {
        self.right
    }

    /// The homes that this copy stands in for, sorted; empty for a home's own copy.
    pub fn marks(&self) -> &[NodeId] {
        &self.marks
    }

    /// Stands in for `home` from now on; whether that is new.
    pub fn mark(&mut self, home: NodeId) -> bool {
        let place = self.marks.binary_search(&home);
        place.map_err(|at| self.marks.insert(at, home)).is_err()
    }

    /// Stands in for `home` no longer; whether it did.
    pub fn unmark(&mut self, home: NodeId) -> bool {
        self.marks.binary_search(&home).map(|at| self.marks.remove(at)).is_ok()
    }

    /// Whether the record knows of no write.
    pub fn is_nothing(&self) -> bool {
        self.history.is_empty()
    }

    /// Whether a merge with `other` brings a value that was never here.
    pub fn lacks_a_value_of(&self, other: &Self) -> bool {
        let values = other.versions.iter().filter(|version| version.content.is_value());
        values.into_iter().any(|version| !self.history.contains(version.dot))
    }

    /// The greatest stamp that the record has seen: a version that went had a lesser one than
    /// what overwrote it, or, if it repeated a write that had been overwritten, is named.
    pub fn stamp(&self) -> Stamp {
        let live = self.versions.iter().map(|version| version.stamp).max();
        live.unwrap_or_default().max(self.overwritten.stamp())
    }

    /// Bytes of all values, their media types and metadata.
    pub fn value_bytes(&self) -> usize {
        self.versions.iter().map(|version| version.content.size()).sum()
    }

    /// Voids the right if no version was minted under it, so that its actor can be pruned; whether
    /// it did. Part of a promise to prune: see [`crate::reaping`].
    pub fn void_idle_right(&mut self) -> bool {
        let versions = &self.versions;
        let names =
            |right: &MintRight| versions.iter().any(|version| version.dot.actor == right.actor());
        self.right.take_if(|right| !names(right)).is_some()
    }

    /// Whether its history has actors that name no version: those that could be pruned.
    pub fn has_idle_actors(&self) -> bool {
        let versions = &self.versions;
        let names = |actor| versions.iter().any(|version| version.dot.actor == actor);
        self.history.actors().any(|actor| !names(actor))
    }

    /// Forgets the actors that name no version; whether there were any. Only after every member has
    /// promised to hold just this record, and has voided its idle right: else what they minted
    /// could come back.
    pub fn prune(&mut self) -> bool {
        let versions = &self.versions;
        let names = |actor| versions.iter().any(|version| version.dot.actor == actor);
        let pruned = self.history.retain(names);
        self.trim_overwritten();
        pruned
    }

    /// Voids the right if the history names a dot that it has yet to mint; whether it did.
    pub(super) fn void_outrun_right(&mut self) -> bool {
        let history = &self.history;
        self.right.take_if(|right| right.is_outrun_by(history)).is_some()
    }

    /// Under `lww`, leaves only the greatest of the concurrent versions. The dots of the others
    /// stay in the history, so they cannot come back.
    pub(super) fn settle(&mut self, conflict: Conflict) {
        if conflict == Conflict::Lww && self.versions.len() > 1 {
            let greatest = self.versions.iter().map(Version::rank).max();
            self.versions.retain(|version| Some(version.rank()) == greatest);
        }
    }
}
