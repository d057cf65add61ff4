//! Records as plain sets of numbered writes, for the rules that look right and are not.

use std::collections::{BTreeMap, BTreeSet};

/// A version as the naive rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naive {
    pub stamp: u64,
    pub is_value: bool,
    pub write_id: u32,
}

/// A record: the writes that it has seen, and those that live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NaiveRecord {
    pub seen: BTreeSet<u32>,
    pub live: BTreeMap<u32, Naive>,
}

impl NaiveRecord {
    /// A record of these versions.
    pub fn of(versions: &[(u32, Naive)]) -> Self {
        let live: BTreeMap<_, _> = versions.iter().copied().collect();
        Self { seen: live.keys().copied().collect(), live }
    }

    /// The plain merge; `self`'s version stays where both have one.
    pub fn merge(&self, other: &Self) -> Self {
        let new_to = |to: &Self, dot: &u32| to.live.contains_key(dot) || !to.seen.contains(dot);
        let mut live = other.live.clone();
        live.retain(|dot, _| new_to(self, dot));
        live.extend(self.live.iter().filter(|(dot, _)| new_to(other, dot)));
        Self { seen: self.seen.union(&other.seen).copied().collect(), live }
    }

    /// Leaves only the greatest live version by `rank`.
    pub fn keep_greatest<R: Ord>(mut self, rank: impl Fn(u32, Naive) -> R) -> Self {
        let greatest = self.live.iter().map(|(dot, version)| rank(*dot, *version)).max();
        self.live.retain(|dot, version| Some(rank(*dot, *version)) == greatest);
        self
    }

    /// A history without a version: what must never be.
    pub fn is_hollow(&self) -> bool {
        self.live.is_empty() && !self.seen.is_empty()
    }
}
