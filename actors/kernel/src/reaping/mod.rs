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
    causality::{Digest, Record, Stamp},
    coordination::Generation,
    key::{Key, PartitionId},
    time::{WallMillis, whole_millis},
};

/// Keys in one round, at most.
pub const KEYS_MAX: usize = 256;
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

/// Whether it is time to reap a record: it is dead, and what it holds was written long enough ago.
pub fn is_due(record: &Record, wall: WallMillis, age_min: Duration) -> bool {
    is_dead(record, wall) && record.stamp().0.saturating_add(whole_millis(age_min)) <= wall.0
}
