//! Writes that were overwritten lately: how a repetition that comes too late is known again.
//!
//! A write is known by its write id as long as a version of it lives. A client that heard nothing
//! of its first home repeats the write at another one, is answered, and overwrites it; then the
//! first home, which had only stood still, mints it as well. Nobody has seen that version, so it
//! would stand as a sibling of what had replaced it. Each shard therefore remembers for a while
//! what was overwritten in its records. That is an aid and no promise: the memory is bounded and
//! dies with the run, and a repetition that is not known is a sibling, never a loss.

use std::collections::{BTreeMap, VecDeque};

use smallvec::SmallVec;

use super::{Conflict, Dot, Merged, Minter, Record, Version, Write, WriteRefused, Written};
use crate::id::WriteId;

/// How many writes a shard remembers by default: the last seconds of a busy one.
const REMEMBERED_MAX: usize = 1 << 16;

/// The writes that were overwritten in a shard's records, the latest ones.
#[derive(Clone, Debug)]
pub struct Overwritten {
    writes: BTreeMap<WriteId, Was>,
    order: VecDeque<WriteId>,
    most: usize,
}

/// What an overwritten version was.
#[derive(Clone, Copy, Debug)]
struct Was {
    dot: Dot,
    checksum: u128,
}

impl Default for Overwritten {
    fn default() -> Self {
        Self::remembering(REMEMBERED_MAX)
    }
}

impl Overwritten {
    /// A memory of that many writes; at least one.
    pub fn remembering(most: usize) -> Self {
        Self { writes: BTreeMap::new(), order: VecDeque::new(), most: most.max(1) }
    }

    /// [`Record::write`], which a repetition of a write that was overwritten since does not reach:
    /// it is answered as it was answered then.
    pub fn write(
        &mut self,
        record: &mut Record,
        minter: &mut Minter,
        write: Write,
    ) -> Result<Written, WriteRefused> {
        if let Some(answer) = self.answer(record, &write) {
            return Ok(answer);
        }
        let before = record.versions.clone();
        let written = record.write(minter, write)?;
        self.note(&before, record);
        Ok(written)
    }

    /// [`Record::merge`], after which no repetition stands beside what replaced it.
    pub fn merge(&mut self, record: &mut Record, other: &Record, conflict: Conflict) -> Merged {
        let before = record.versions.clone();
        let mut merged = record.merge(other, conflict);
        self.note(&before, record);
        merged.changed |= self.fold(record);
        merged
    }

    /// Remembers those of the versions `before` an operation that are in `after` no more.
    fn note(&mut self, before: &[Version], after: &Record) {
        for version in before {
            if !after.versions.iter().any(|held| held.write_id == version.write_id) {
                self.remember(version);
            }
        }
    }

    fn remember(&mut self, version: &Version) {
        let was = Was { dot: version.dot, checksum: version.checksum() };
        if self.writes.insert(version.write_id, was).is_some() {
            return;
        }
        self.order.push_back(version.write_id);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.writes.remove(&oldest);
        }
    }

    /// Drops from `record` what repeats a write that it has seen overwritten; whether there was
    /// any. The dots stay in the history, as if whoever overwrote the write had seen them. One
    /// version always stays.
    pub fn fold(&self, record: &mut Record) -> bool {
        let Record { history, versions, .. } = record;
        if versions.len() < 2 || self.writes.is_empty() {
            return false;
        }
        let gone = |dot| history.contains(dot) && !versions.iter().any(|held| held.dot == dot);
        let repeats = |version: &Version| {
            let was = self.writes.get(&version.write_id);
            was.is_some_and(|was| was.checksum == version.checksum() && gone(was.dot))
        };
        let repeated: SmallVec<[Dot; 4]> =
            versions.iter().filter(|one| repeats(one)).map(|one| one.dot).collect();
        if repeated.is_empty() || repeated.len() == versions.len() {
            return false;
        }
        versions.retain(|version| !repeated.contains(&version.dot));
        true
    }

    /// The answer to a write that `record` has seen overwritten: as it was answered then. A write
    /// id that comes with other content is another write.
    fn answer(&self, record: &Record, write: &Write) -> Option<Written> {
        let was = self.writes.get(&write.write_id)?;
        let known = record.history.contains(was.dot) && was.checksum == write.content.checksum();
        known.then(|| Written {
            dot: was.dot,
            context: write.context.clone().with_write(was.dot, write.context.stamp(), &[]),
            minted: false,
            amnesia: false,
            versions: record.versions.len(),
        })
    }
}
