//! Merging: how replicas become equal.

use core::mem;

use super::{Conflict, Record, Version};
use crate::planted::{Defect, planted};

/// What came of a merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Whether the replicated part of the record is another than before.
    pub changed: bool,
    /// Whether the other record named dots that this one's right had yet to mint: the shard has
    /// forgotten something. The right is void now.
    pub amnesia: bool,
    /// Dots under which the two records held different versions. It cannot happen, so each one is
    /// an alarm; every replica settles it for the same one.
    pub clashes: u32,
}

impl Record {
    /// Takes in what another replica knows: a version stays if both records have it, or if the
    /// other one has not seen its dot.
    ///
    /// Commutative, associative, idempotent and monotone in the replicated part; marks and a good
    /// right stay as they are. Nothing is ever refused: replicas may pass the limits here, so that
    /// they always converge.
    pub fn merge(&mut self, other: &Self, conflict: Conflict) -> Merged {
        let merged = self.unite(other, conflict);
        self.trim_overwritten();
        merged
    }

    /// [`Record::merge`] that leaves more names of overwritten writes than are worth their bytes.
    pub(super) fn unite(&mut self, other: &Self, conflict: Conflict) -> Merged {
        let mut merged = Merged::default();
        let mine = mem::take(&mut self.versions);
        let mut theirs = other.versions.iter().peekable();
        for version in mine {
            while let Some(new) = theirs.next_if(|new| new.dot < version.dot) {
                self.adopt(new);
            }
            if let Some(same) = theirs.next_if(|same| same.dot == version.dot) {
                let kept = merged.keep_one(version, same);
                self.versions.push(kept);
            } else if other.history.contains(version.dot) && !planted(Defect::MergeByUnion) {
                merged.changed = true;
            } else {
                self.versions.push(version);
            }
        }
        theirs.for_each(|new| self.adopt(new));
        merged.changed |= self.history.union(&other.history);
        merged.amnesia = self.void_outrun_right();
        self.overwritten.union(&other.overwritten);
        let count = self.versions.len();
        self.settle(conflict);
        merged.changed |= self.versions.len() != count;
        merged
    }

    /// A version that only the other record has: new here, or overwritten here.
    fn adopt(&mut self, new: &Version) {
        if !self.history.contains(new.dot) || planted(Defect::MergeByUnion) {
            self.versions.push(new.clone());
        }
    }
}

impl Merged {
    fn keep_one(&mut self, mine: Version, theirs: &Version) -> Version {
        if mine.fingerprint() == theirs.fingerprint() {
            return mine;
        }
        self.clashes = self.clashes.saturating_add(1);
        if mine.fingerprint() > theirs.fingerprint() {
            return mine;
        }
        self.changed = true;
        theirs.clone()
    }
}
