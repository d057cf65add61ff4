//! Writes that were overwritten lately: how a repetition that comes too late is known again.
//!
//! A write is known by its write id as long as a version of it lives. A client that heard nothing
//! of its first home repeats the write at another one, is answered, and overwrites it; then the
//! first home, which had only stood still or was killed behind its own log, brings up its copy.
//! Nobody has seen that version, so it would stand as a sibling of what had replaced it. Each
//! record therefore names the writes that were overwritten in it last. The names go wherever the
//! record goes; they are in no digest, since replicas that differ in them only have nothing to
//! tell each other. That is an aid and no promise: of many overwrites the oldest are forgotten,
//! and a repetition that is not known is a sibling, never a loss.

use smallvec::SmallVec;

use super::{Conflict, Dot, Merged, Minter, Record, Stamp, Version, Write, WriteRefused, Written};
use crate::{
    id::WriteId,
    planted::{Defect, planted},
};

/// How many overwritten writes a record names: each costs 42 bytes on every way that the record
/// goes. A key that is overwritten faster than a client repeats outruns any number.
pub const OVERWRITTEN_MAX: usize = 4;

/// Behind the record's newest stamp, in milliseconds: what was written earlier is named only if
/// it is the last that was overwritten. Repetitions come within seconds, and a record that is
/// seldom overwritten need not grow.
const LATELY_MS: u64 = 60_000;

/// The writes that were overwritten in a record last, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Overwritten(SmallVec<[Was; 1]>);

/// What a version was. Its dot is in the record's history, and no version bears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Was {
    pub(super) write_id: WriteId,
    pub(super) dot: Dot,
    pub(super) stamp: Stamp,
    pub(super) checksum: u128,
}

impl From<&Version> for Was {
    fn from(version: &Version) -> Self {
        let Version { write_id, dot, stamp, checksum, .. } = *version;
        Self { write_id, dot, stamp, checksum }
    }
}

impl Was {
    /// Newer ones first; of one write only one is named.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        (other.stamp, other.write_id) < (self.stamp, self.write_id)
    }
}

impl Overwritten {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Was> {
        self.0.iter()
    }

    /// Those that were read, which are in order.
    pub(super) fn from_ordered(read: SmallVec<[Was; 1]>) -> Self {
        Self(read)
    }

    /// Takes in the names that another replica has.
    pub(super) fn union(&mut self, other: &Self) {
        other.iter().for_each(|was| self.add(*was));
    }

    fn add(&mut self, was: Was) {
        if let Some(at) = self.0.iter().position(|held| held.write_id == was.write_id) {
            if !was.is_before(&self.0[at]) {
                return;
            }
            self.0.remove(at);
        }
        let at = self.0.partition_point(|held| held.is_before(&was));
        self.0.insert(at, was);
    }

    /// The greatest stamp among them.
    pub(super) fn stamp(&self) -> Stamp {
        self.0.first().map_or_else(Stamp::default, |newest| newest.stamp)
    }

    fn recall(&self, write_id: WriteId) -> Option<&Was> {
        self.iter().find(|was| was.write_id == write_id)
    }
}

impl Record {
    /// [`Record::write`], which a repetition of a write that was overwritten since does not reach:
    /// it is answered as it was answered then.
    pub fn write_once(
        &mut self,
        minter: &mut Minter,
        write: Write,
    ) -> Result<Written, WriteRefused> {
        if let Some(answer) = self.answer_of(&write) {
            return Ok(answer);
        }
        let before = versions_of(self);
        let written = self.write(minter, write)?;
        self.note(&before);
        self.trim_overwritten();
        // What the put covers by one name, it covers by all.
        self.fold();
        Ok(written)
    }

    /// [`Record::merge`], after which no repetition stands beside what replaced it.
    pub fn merge_once(&mut self, other: &Self, conflict: Conflict) -> Merged {
        let (mine, theirs) = (versions_of(self), versions_of(other));
        let mut merged = self.unite(other, conflict);
        self.note(&mine);
        // What comes after it was overwritten here may not have been here before.
        self.note(&theirs);
        if planted(Defect::TwinMergedAway) {
            let is_twin = |held: &Version| {
                mine.iter().any(|was| was.write_id == held.write_id && was.dot != held.dot)
            };
            self.versions.retain(|held| !is_twin(held));
        }
        self.trim_overwritten();
        merged.changed |= self.fold();
        merged
    }

    /// Drops what repeats a write that the record has seen overwritten; whether there was any. The
    /// dots stay in the history, as if whoever overwrote the write had seen them. One version
    /// always stays.
    fn fold(&mut self) -> bool {
        if self.versions.len() < 2 {
            return false;
        }
        let repeats = |version: &Version| {
            let was = self.overwritten.recall(version.write_id);
            was.is_some_and(|was| was.checksum == version.checksum())
        };
        let repeated: SmallVec<[Was; 4]> =
            self.versions.iter().filter(|one| repeats(one)).map(Was::from).collect();
        if repeated.is_empty() || repeated.len() == self.versions.len() {
            return false;
        }
        self.versions.retain(|version| repeated.iter().all(|was| was.dot != version.dot));
        // A repetition may bear the greatest stamp of all; the record does not forget it.
        repeated.into_iter().for_each(|was| self.overwritten.add(was));
        self.trim_overwritten();
        true
    }

    /// Names those of the versions `before` an operation that are gone after it.
    fn note(&mut self, before: &[Was]) {
        for was in before {
            if !self.versions.iter().any(|held| held.dot == was.dot) {
                self.overwritten.add(*was);
            }
        }
    }

    /// Leaves the names that are worth their bytes, and of dots that the history still has.
    pub(super) fn trim_overwritten(&mut self) {
        if self.overwritten.0.is_empty() {
            return;
        }
        let (history, versions, newest) = (&self.history, &self.versions, self.stamp());
        let Overwritten(names) = &mut self.overwritten;
        names.retain(|was| {
            history.contains(was.dot) && versions.iter().all(|held| held.dot != was.dot)
        });
        let lately = names
            .iter()
            .take_while(|was| was.stamp.0.saturating_add(LATELY_MS) >= newest.0)
            .count();
        names.truncate(lately.clamp(1, OVERWRITTEN_MAX));
    }

    /// The answer to a write that the record has seen overwritten: as it was answered then. A
    /// write id that comes with other content is another write.
    fn answer_of(&self, write: &Write) -> Option<Written> {
        let was = self.overwritten.recall(write.write_id)?;
        (was.checksum == write.content.checksum()).then(|| Written {
            dot: was.dot,
            context: write.context.clone().with_write(was.dot, was.stamp, &[]),
            minted: false,
            amnesia: false,
            versions: self.versions.len(),
        })
    }
}

fn versions_of(record: &Record) -> SmallVec<[Was; 2]> {
    record.versions.iter().map(Was::from).collect()
}
