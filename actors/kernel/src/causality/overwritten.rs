//! Writes that were overwritten lately: how a repetition that comes too late is known again.
//!
//! A write is known by its write id as long as a version of it lives. A client that heard nothing
//! of its first home repeats the write at another one, is answered, and overwrites it; then the
//! first home, which had only stood still, mints it as well. Nobody has seen that version, so it
//! would stand as a sibling of what had replaced it. Each shard therefore remembers for a while
//! what was overwritten in its records. That is an aid and no promise: the memory is bounded and
//! dies with the run, and a repetition that is not known is a sibling, never a loss.

use smallvec::SmallVec;

use super::{Conflict, Dot, Merged, Minter, Record, Stamp, Version, Write, WriteRefused, Written};
use crate::id::WriteId;

/// How many writes a shard remembers by default: the last seconds of a busy one, in 5 MiB.
const REMEMBERED_MAX: usize = 1 << 16;

/// The writes that were overwritten in a shard's records, the latest ones. Each has one place, by
/// its id, and keeps it until another one needs it: to remember costs a put no search.
#[derive(Clone, Debug)]
pub struct Overwritten {
    /// A power of two; empty until there is something to remember.
    places: Vec<Option<Was>>,
    most: usize,
}

/// What a version was.
#[derive(Clone, Copy, Debug)]
struct Was {
    write_id: WriteId,
    dot: Dot,
    stamp: Stamp,
    checksum: u128,
}

impl From<&Version> for Was {
    fn from(version: &Version) -> Self {
        let Version { write_id, dot, stamp, checksum, .. } = *version;
        Self { write_id, dot, stamp, checksum }
    }
}

impl Default for Overwritten {
    fn default() -> Self {
        Self::remembering(REMEMBERED_MAX)
    }
}

impl Overwritten {
    /// A memory of so many writes, or up to the next power of two.
    pub fn remembering(most: usize) -> Self {
        Self { places: Vec::new(), most: most.next_power_of_two() }
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
        let before = versions_of(record);
        let written = record.write(minter, write)?;
        self.note(&before, record);
        // What the put covers by one name, it covers by all.
        self.fold(record);
        Ok(written)
    }

    /// [`Record::merge`], after which no repetition stands beside what replaced it.
    pub fn merge(&mut self, record: &mut Record, other: &Record, conflict: Conflict) -> Merged {
        let (mine, theirs) = (versions_of(record), versions_of(other));
        let mut merged = record.merge(other, conflict);
        self.note(&mine, record);
        // What comes after it was overwritten here may not have been here before.
        self.note(&theirs, record);
        merged.changed |= self.fold(record);
        merged
    }

    /// Remembers those of the versions `before` an operation that are in `after` no more.
    fn note(&mut self, before: &[Was], after: &Record) {
        for was in before {
            if !after.versions.iter().any(|held| held.dot == was.dot) {
                self.remember(*was);
            }
        }
    }

    fn remember(&mut self, was: Was) {
        if self.places.is_empty() {
            self.places = vec![None; self.most];
        }
        let place = self.place_of(was.write_id);
        if let Some(place) = self.places.get_mut(place) {
            *place = Some(was);
        }
    }

    fn recall(&self, write_id: WriteId) -> Option<&Was> {
        let place = self.places.get(self.place_of(write_id))?.as_ref();
        place.filter(|was| was.write_id == write_id)
    }

    /// Ids are drawn at random; those that clients choose badly only forget each other sooner.
    fn place_of(&self, write_id: WriteId) -> usize {
        let bytes = write_id.0.to_le_bytes();
        let low = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        low as usize & (self.most - 1)
    }

    /// Drops from `record` what repeats a write that it has seen overwritten; whether there was
    /// any. The dots stay in the history, as if whoever overwrote the write had seen them. One
    /// version always stays.
    pub fn fold(&self, record: &mut Record) -> bool {
        let Record { history, versions, .. } = record;
        if versions.len() < 2 {
            return false;
        }
        let gone = |dot| history.contains(dot) && !versions.iter().any(|held| held.dot == dot);
        let repeats = |version: &Version| {
            let was = self.recall(version.write_id);
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
        let was = self.recall(write.write_id)?;
        let known = record.history.contains(was.dot) && was.checksum == write.content.checksum();
        known.then(|| Written {
            dot: was.dot,
            context: write.context.clone().with_write(was.dot, was.stamp, &[]),
            minted: false,
            amnesia: false,
            versions: record.versions.len(),
        })
    }
}

fn versions_of(record: &Record) -> SmallVec<[Was; 2]> {
    record.versions.iter().map(Was::from).collect()
}
