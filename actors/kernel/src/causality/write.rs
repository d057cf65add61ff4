//! Puts and deletes: how a record mints a version.

use smallvec::SmallVec;

use super::{Conflict, Content, Context, Dot, Minter, Record, Stamp, Version};
use crate::{
    id::WriteId,
    planted::{Defect, planted},
    time::WallMillis,
};

/// How many siblings, and how many bytes of them, a put may leave beside what it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Versions at which to warn.
    pub versions_warn: usize,
    /// Versions that a record may have after a put.
    pub versions_max: usize,
    /// Bytes that all values may have after a put; at least twice the greatest value.
    pub record_bytes_max: usize,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { versions_warn: 8, versions_max: 64, record_bytes_max: 4 * 1024 * 1024 }
    }
}

/// A put, or with [`Content::Tombstone`] a delete.
#[derive(Clone, Debug)]
pub struct Write {
    /// What the client had seen when it wrote.
    pub context: Context,
    /// What it wrote.
    pub content: Content,
    /// Its name of the write.
    pub write_id: WriteId,
    /// When the value ends; of no effect in a delete.
    pub expires_at: Option<WallMillis>,
    /// The minting node's wall clock.
    pub wall: WallMillis,
    /// The greatest stamp that was ever reaped in the key's partition.
    pub reaped_stamp: Stamp,
    /// The bucket's rule for concurrent writes.
    pub conflict: Conflict,
    /// How much the record may hold.
    pub limits: RecordLimits,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The write's dot: a new one, or that of a held version with the same write id.
    pub dot: Dot,
    /// The context for the answer: the client's own, and the dot.
    pub context: Context,
    /// False if the record held a version with this write id already. Then nothing has changed.
    pub minted: bool,
    /// Whether the context named dots that the record's right had yet to mint: the shard has
    /// forgotten something, and should ask its peers for it.
    pub amnesia: bool,
    /// How many versions the record has now.
    pub versions: usize,
}

/// A put that is refused; the record is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// What the put's context does not cover leaves no room for another sibling.
    #[error(
        "the key has {versions} siblings that the context does not cover (limit {versions_max}), \
         with the new value {record_bytes} bytes (limit {record_bytes_max})"
    )]
    TooManySiblings {
        /// Versions that the context does not cover.
        versions: usize,
        /// The limit of versions.
        versions_max: usize,
        /// Bytes of their values and of the refused one.
        record_bytes: usize,
        /// The limit of bytes.
        record_bytes_max: usize,
    },
}

impl Record {
    /// Mints a version that overwrites those which the context covers.
    ///
    /// The caller makes the record durable (as far as its mode asks for) before anything of it
    /// leaves the shard. A put that would take the record past its limits is refused, unless its
    /// context covers all there is; a delete never is.
    pub fn write(&mut self, minter: &mut Minter, write: Write) -> Result<Written, WriteRefused> {
        let seen = self.dots_covered_by(&write.context);
        if let Some(held) = self.versions.iter().find(|held| held.write_id == write.write_id) {
            return Ok(Written {
                dot: held.dot,
                context: write.context.with_write(held.dot, held.stamp, &seen),
                minted: false,
                amnesia: false,
                versions: self.versions.len(),
            });
        }
        let crowded = self.lacks_room_for(&write);
        if let (Some(refused), Content::Value(_)) = (crowded, &write.content) {
            return Err(refused);
        }
        let past = self.stamp().max(write.context.stamp()).max(write.reaped_stamp);
        let stamp = Stamp::after(write.wall, past);
        let all = !write.context.is_empty() && planted(Defect::StaleContextCoversAll)
            || !write.content.is_value() && planted(Defect::DeleteTakesAll);
        self.versions.retain(|version| {
            if all || planted(Defect::ContextIgnored) {
                return !all;
            }
            // Deletes must not pile up either: where there is no room, the new tombstone takes
            // the place of those that stand here. It says what they said.
            !(write.context.covers(version.dot) || crowded.is_some() && !version.content.is_value())
        });
        self.history.union(write.context.history());
        let (dot, amnesia) = self.mint(minter);
        self.place(Version::new(dot, write.content, stamp, write.write_id, write.expires_at));
        self.settle(write.conflict);
        let mut context = write.context.with_write(dot, stamp, &seen);
        if planted(Defect::FullHistoryOnPut) {
            context = Context::new(self.history.clone(), stamp);
        }
        Ok(Written { dot, context, minted: true, amnesia, versions: self.versions.len() })
    }

    fn dots_covered_by(&self, context: &Context) -> SmallVec<[Dot; 4]> {
        let dots = self.versions.iter().map(|version| version.dot);
        dots.filter(|dot| context.covers(*dot)).collect()
    }

    /// Why a put must not be added to what its context does not cover. That it covers *something*
    /// is not enough: two homes that overwrite the same version each add a sibling when they
    /// merge, so the limits would be passed again and again. Where concurrent writes do not stay,
    /// there is always room.
    fn lacks_room_for(&self, write: &Write) -> Option<WriteRefused> {
        let RecordLimits { versions_max, record_bytes_max, .. } = write.limits;
        let unseen = self.versions.iter().filter(|version| !write.context.covers(version.dot));
        let (versions, bytes) = unseen.fold((0, 0), |(versions, bytes), version| {
            (versions + 1, bytes + version.content.size())
        });
        let record_bytes = bytes + write.content.size();
        let full = versions >= versions_max || record_bytes > record_bytes_max;
        let full = full && !planted(Defect::SiblingsUnbounded);
        let too_many = write.conflict == Conflict::Siblings && versions > 0 && full;
        too_many.then_some(WriteRefused::TooManySiblings {
            versions,
            versions_max,
            record_bytes,
            record_bytes_max,
        })
    }

    /// A dot that nobody has ever seen, under the record's right if that is good; and whether the
    /// history proved it to be void.
    fn mint(&mut self, minter: &mut Minter) -> (Dot, bool) {
        let kept = planted(Defect::RightOfEarlierRun);
        self.right.take_if(|right| !kept && right.actor.uid != minter.uid());
        let amnesia = self.void_outrun_right();
        let history = &self.history;
        let dot = self.right.get_or_insert_with(|| minter.grant(history)).mint();
        self.history.insert(dot);
        (dot, amnesia)
    }

    fn place(&mut self, version: Version) {
        let at = self.versions.partition_point(|held| held.dot < version.dot);
        self.versions.insert(at, version);
    }
}
