//! Hints: which records are kept for which homes.

use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeMap;

use crate::{
    causality::{Digest, Record},
    id::NodeId,
    key::Key,
    planted::{Defect, planted},
    time::WallMillis,
};

/// What an entry of the index costs beside the record that it names: what is added to its bytes.
pub const HINT_BYTES: u64 = 256;

/// One record kept for one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Since when it is kept for this home, by the clock of the node that keeps it.
    pub since: WallMillis,
    /// Bytes of the stored record.
    pub bytes: u64,
}

impl Hint {
    fn cost(&self) -> u64 {
        self.bytes.saturating_add(HINT_BYTES)
    }
}

/// How much is kept, for one home or for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HintTotals {
    /// Hints; a record that is kept for two homes has two.
    pub count: u64,
    /// Their bytes, [`HINT_BYTES`] each included.
    pub bytes: u64,
    /// Since when the oldest is kept, to the second.
    pub oldest: Option<WallMillis>,
}

impl HintTotals {
    /// Both together.
    pub fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.oldest = self.oldest.into_iter().chain(more.oldest).min();
    }
}

/// There is no room for another copy: the fallback refuses it, and does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hints take {bytes} bytes, with this one {wanted}; the limit is {bytes_max}")]
pub struct HintsFull {
    /// Bytes of all hints.
    pub bytes: u64,
    /// What they would become.
    pub wanted: u64,
    /// The limit.
    pub bytes_max: u64,
}

/// All hints of one shard. It mirrors the marks of the stored records: the shard changes both in
/// one step, and builds the index anew when it opens its log.
#[derive(Clone, Debug, Default)]
pub struct HintIndex {
    homes: BTreeMap<NodeId, Kept>,
    bytes: u64,
    bytes_max: u64,
}

/// What is kept for one home.
#[derive(Clone, Debug, Default)]
struct Kept {
    hints: BTreeMap<Key, Hint>,
    bytes: u64,
    /// How many hints are kept since which second.
    seconds: BTreeMap<u64, u64>,
}

impl HintIndex {
    /// An empty index that takes up to so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Whether a record of so many bytes may be kept for a home, in place of what is kept already.
    /// Asked before a copy is acknowledged, never about one that was.
    pub fn admit(&self, home: NodeId, key: &Key, bytes: u64) -> Result<(), HintsFull> {
        let held = self.get(home, key).map_or(0, Hint::cost);
        let rest = self.bytes.saturating_sub(held);
        let wanted = rest.saturating_add(bytes).saturating_add(HINT_BYTES);
        if wanted > self.bytes_max && wanted > self.bytes {
            return Err(HintsFull { bytes: self.bytes, wanted, bytes_max: self.bytes_max });
        }
        Ok(())
    }

    /// Notes that a record is kept for a home. If it was already, it stays as old as it was. The
    /// bound is not looked at: the copy is on the disk.
    pub fn insert(&mut self, home: NodeId, key: Key, mut hint: Hint) {
        if let Some(held) = self.remove(home, &key) {
            hint.since = hint.since.min(held.since);
        }
        let kept = self.homes.entry(home).or_default();
        *kept.seconds.entry(hint.since.0 / 1_000).or_default() += 1;
        kept.bytes = kept.bytes.saturating_add(hint.cost());
        self.bytes = self.bytes.saturating_add(hint.cost());
        kept.hints.insert(key, hint);
    }

    /// Notes that a record is no longer kept for a home; what was known of it.
    pub fn remove(&mut self, home: NodeId, key: &Key) -> Option<Hint> {
        let kept = self.homes.get_mut(&home)?;
        let hint = kept.hints.remove(key)?;
        kept.bytes = kept.bytes.saturating_sub(hint.cost());
        self.bytes = self.bytes.saturating_sub(hint.cost());
        let second = hint.since.0 / 1_000;
        if let Some(count) = kept.seconds.get_mut(&second) {
            *count -= 1;
            if *count == 0 {
                kept.seconds.remove(&second);
            }
        }
        if kept.hints.is_empty() {
            self.homes.remove(&home);
        }
        Some(hint)
    }

    /// Notes that a record is gone, for whomever it was kept.
    pub fn forget(&mut self, key: &Key) {
        let homes: Vec<NodeId> = self.homes.keys().copied().collect();
        for home in homes {
            self.remove(home, key);
        }
    }

    /// Keeps a record for those who are homes now instead of one that left. The marks of the stored
    /// record are changed in the same step.
    pub fn readdress(&mut self, from: NodeId, key: &Key, to: &[NodeId]) {
        if let Some(hint) = self.remove(from, key) {
            for home in to {
                self.insert(*home, key.clone(), hint);
            }
        }
    }

    /// What is known of one hint.
    pub fn get(&self, home: NodeId, key: &Key) -> Option<&Hint> {
        self.homes.get(&home)?.hints.get(key)
    }

    /// The hints of a home in the order of keys, behind `after` if that is given.
    pub fn of(&self, home: NodeId, after: Option<&Key>) -> impl Iterator<Item = (&Key, &Hint)> {
        let start = after.map_or(Unbounded, Excluded);
        let kept = self.homes.get(&home).into_iter();
        kept.flat_map(move |kept| kept.hints.range((start, Unbounded)))
    }

    /// For whom something is kept, and how much.
    pub fn homes(&self) -> impl Iterator<Item = (NodeId, HintTotals)> {
        self.homes.iter().map(|(home, kept)| (*home, kept.totals()))
    }

    /// How much is kept for all homes together.
    pub fn totals(&self) -> HintTotals {
        let all = self.homes.values().map(Kept::totals);
        let count = all.clone().map(|totals| totals.count).sum();
        let oldest = all.filter_map(|totals| totals.oldest).min();
        HintTotals { count, bytes: self.bytes, oldest }
    }
}

impl Kept {
    fn totals(&self) -> HintTotals {
        let oldest = self.seconds.keys().next();
        HintTotals {
            count: self.hints.len() as u64,
            bytes: self.bytes,
            oldest: oldest.map(|second| WallMillis(second.saturating_mul(1_000))),
        }
    }
}

/// What became of a mark whose home has acknowledged the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The record has changed since it was sent, or bears no such mark: all stays as it is.
    Kept,
    /// The mark is gone. The record stays: it has other marks, or this node is a home of the key.
    Unmarked,
    /// The mark was the last: the whole record goes.
    Dropped,
}

/// Takes the mark of `home` off a record that was acknowledged as `delivered`, after fdatasync.
/// `is_home` says whether this node is a home of the key in any live epoch of the ring.
///
/// Compares and changes in one step of the shard. A record that took in another write after it was
/// sent must be sent again: its mark is all that remembers that.
pub fn release(record: &mut Record, home: NodeId, delivered: Digest, is_home: bool) -> Released {
    let changed = record.digest() != delivered && !planted(Defect::ChangedHintReleased);
    let first = planted(Defect::FirstMarkDropsRecord);
    if changed || !record.unmark(home) {
        Released::Kept
    } else if (record.marks().is_empty() || first) && !is_home {
        Released::Dropped
    } else {
        Released::Unmarked
    }
}
