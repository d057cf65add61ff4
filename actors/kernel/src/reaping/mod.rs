//! Reaping: how a deleted key goes for good, and a history loses what nobody needs.
//!
//! A tombstone that is dropped too early lets an old value come back: from a message that was stuck,
//! a disk that was rolled back, a backup. Neither waiting nor asking is enough, so each partition has
//! a **generation** on every member. What carries a record names the lowest generation under which
//! it was read from a shard, and a member refuses what was read under a lower one than its own. A
//! round asks every member of the layout to promise, in one durable step, that it is at the next
//! generation *and* holds exactly this record, or, if it is no home of the key, this one or none.
//! When all have promised, nothing else exists and nothing else will be taken: each drops what is
//! still the same. A history is pruned by the same promise.
//!
//! | module | role |
//! | --- | --- |
//! | [`fence`] | one member's side: what it takes, promises and drops |
//! | [`round`] | the machine that asks all members, and tells them to drop |

pub mod fence;
pub mod round;

pub use fence::Fence;
pub use round::Round;

use core::time::Duration;

use crate::{
    causality::{Digest, Record, Stamp, Version},
    coordination::Generation,
    key::{Key, PartitionId},
    time::{WallMillis, whole_millis},
};

/// Keys in one round, at most.
pub const KEYS_MAX: usize = 256;
/// A history of so many actors is due to be pruned.
pub const ACTORS_MAX: usize = 64;
/// How old a tombstone becomes before it is reaped, unless the node is told otherwise. It only
/// gathers work: no promise rests on it.
pub const TOMBSTONE_MIN_AGE: Duration = Duration::from_hours(1);

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Records go whose versions are all tombstones, or have expired.
    Reap,
    /// Histories lose the actors that name no live version.
    Prune,
}

/// What every member of the layout is asked to promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Names the round, unlike every other of this node: drawn at random. A promise that was given
    /// to another round says nothing about these keys.
    pub round: u64,
    /// Where the keys lie.
    pub partition: PartitionId,
    /// What for.
    pub purpose: Purpose,
    /// The generation to be raised to: greater than that of every member. Set by the round.
    pub generation: Generation,
    /// The greatest generation that any member knows as finished. Set by the round.
    pub finished: Generation,
    /// The epoch of the ring in which it was decided who is a home.
    pub epoch: u64,
    /// The greatest stamp of what goes.
    pub stamp: Stamp,
    /// The keys and the digests of their records; at most [`KEYS_MAX`].
    pub keys: Vec<(Key, Digest)>,
}

/// Whether a record holds nothing that is alive by the clock of this node.
pub fn is_dead(record: &Record, wall: WallMillis) -> bool {
    !record.is_nothing() && record.versions().iter().all(|one| one.live_value(wall).is_none())
}

/// What a round could do about a record, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// What for.
    pub purpose: Purpose,
    /// When the record is dead: when the last of its values has expired. Long ago for tombstones.
    pub ends: WallMillis,
    /// When it was last written.
    pub written: WallMillis,
}

impl Due {
    /// What a record is due for, now or when its time has come; `None` for one that lives on. A
    /// history is pruned at once, whatever becomes of the record later.
    pub fn of(record: &Record) -> Option<Self> {
        let written = WallMillis(record.stamp().0);
        if record.history().actor_count() >= ACTORS_MAX && record.has_idle_actors() {
            return Some(Self { purpose: Purpose::Prune, ends: WallMillis(0), written });
        }
        let end = |version: &Version| match version.value() {
            Some(_) => version.expires_at,
            None => Some(WallMillis(0)),
        };
        let mut all = record.versions().iter().map(end);
        let first = all.next()??;
        let ends = all.try_fold(first, |latest, end| Some(latest.max(end?)))?;
        Some(Self { purpose: Purpose::Reap, ends, written })
    }

    /// From when on it is due, if what is reaped was written at least `age_min` ago; without one, as
    /// soon as it is dead.
    pub fn since(&self, age_min: Option<Duration>) -> WallMillis {
        let aged = |age| WallMillis(self.written.0.saturating_add(whole_millis(age)));
        let aged = age_min.filter(|_| self.purpose == Purpose::Reap).map(aged);
        aged.map_or(self.ends, |aged| aged.max(self.ends))
    }
}
