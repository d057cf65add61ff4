//! Which keys a round could do something about: deleted ones, those whose values expire, and those
//! with long histories.
//!
//! An index in memory that each write keeps, so that nobody has to look through the log for a few
//! deleted keys. It only says where to look: whether a key is due is read from its record. What was
//! there before the start, and what did not fit, is found by walking through partitions a bounded
//! step at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::Duration,
};

use actix::{Context, Handler};
use bytes::Bytes;
use henge_kernel::{
    causality::Record,
    key::{Key, PartitionId, Token},
    reaping::{Due, Purpose},
    time::WallMillis,
};

use super::StorageShard;
use crate::{
    actor_ref::Told,
    commons::Commons,
    ledger_file::own_partitions,
    storage::{KeyRange, Start, Visited},
};

/// Keys that the index of a shard holds at most: some 10 MB.
const GRAVES_MAX: usize = 65_536;
/// Records and bytes that one step of the walk reads at most.
const STEP_RECORDS: usize = 256;
const STEP_BYTES: usize = 1 << 20;

/// To itself: walk on through the partitions that may hold more than the index knows.
#[derive(Debug)]
pub struct WalkGraves;

/// The index.
pub(super) struct Graves {
    partitions: BTreeMap<PartitionId, Graveyard>,
    count: usize,
    /// Partitions that may hold more.
    unwalked: BTreeSet<PartitionId>,
    /// How far the walk through the first of them is.
    through: Option<(Token, Key)>,
}

#[derive(Default)]
struct Graveyard {
    keys: BTreeMap<Key, Due>,
    /// Nothing is due before, so that nobody looks in vain.
    earliest: WallMillis,
}

impl Graves {
    /// Nothing is known yet.
    pub(super) fn new(commons: &Commons, shard: u16) -> Self {
        let partitions = commons.cluster.load().ring.partitions();
        Self {
            partitions: BTreeMap::new(),
            count: 0,
            unwalked: own_partitions(partitions, shard, commons.shards).collect(),
            through: None,
        }
    }

    /// Notes what a key is due for by now.
    pub(super) fn note(&mut self, partition: PartitionId, key: &Key, due: Option<Due>) {
        let yard = self.partitions.get_mut(&partition);
        let held = yard.is_some_and(|yard| yard.keys.remove(key).is_some());
        self.count -= usize::from(held);
        match due {
            Some(_) if self.count >= GRAVES_MAX => {
                self.unwalked.insert(partition);
            }
            Some(due) => {
                let yard = self.partitions.entry(partition).or_default();
                yard.keys.insert(key.clone(), due);
                // Before the age is known that makes it due.
                yard.earliest = WallMillis(0);
                self.count += 1;
            }
            None => {}
        }
    }

    /// How many keys it holds, due or not.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The partitions that hold some.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.keys().copied().collect()
    }

    /// Up to `most` keys of a partition that are due at `wall`, all for one purpose.
    pub(super) fn due(
        &mut self,
        partition: PartitionId,
        wall: WallMillis,
        age_min: Option<Duration>,
        most: usize,
    ) -> Option<(Purpose, Vec<Key>)> {
        let yard = self.partitions.get_mut(&partition)?;
        if age_min.is_some() && wall < yard.earliest {
            return None;
        }
        let mut due = yard.keys.iter().filter(|(_, due)| due.since(age_min) <= wall).peekable();
        let Some(purpose) = due.peek().map(|(_, due)| due.purpose) else {
            if age_min.is_some() {
                let earliest = yard.keys.values().map(|due| due.since(age_min)).min();
                yard.earliest = earliest.unwrap_or(WallMillis(u64::MAX));
            }
            return None;
        };
        let keys = due.filter(|(_, due)| due.purpose == purpose).map(|(key, _)| key.clone());
        Some((purpose, keys.take(most).collect()))
    }

    /// Whether nothing of the shard is unknown to the index, as far as it has room.
    pub(super) fn is_walked(&self) -> bool {
        self.unwalked.is_empty() || self.count >= GRAVES_MAX
    }
}

impl StorageShard {
    fn walk(&mut self) {
        let Some(partition) = self.graves.unwalked.first().copied() else { return };
        let partitions = self.shard.commons.cluster.load().ring.partitions();
        // Another partition may have come before the one that was being walked through.
        let here = |(token, _): &(Token, Key)| token.partition(partitions) == partition;
        let from = self.graves.through.take().filter(here);
        let start = from.as_ref().map_or_else(
            || Start::At(partition.first_token(partitions)),
            |(token, key)| Start::After(*token, key),
        );
        let range = KeyRange { start, through: partition.last_token(partitions) };
        let (mut found, mut through, mut bytes) = (Vec::new(), None, 0);
        let visited = self.engine.scan(range, STEP_RECORDS, &mut |listed, payload| {
            bytes += payload.as_ref().map_or(0, Bytes::len);
            // What the engine holds was a key once; a damaged record is nobody's to reap.
            if let Ok(key) = listed.to_key() {
                through = Some((listed.token, key.clone()));
                found.extend(
                    payload.ok().and_then(|payload| due_of(&payload)).map(|due| (key, due)),
                );
            }
            if bytes < STEP_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if visited == Visited::All {
            self.graves.unwalked.remove(&partition);
        } else {
            self.graves.through = through;
        }
        for (key, due) in found {
            self.graves.note(partition, &key, Some(due));
        }
    }
}

fn due_of(payload: &Bytes) -> Option<Due> {
    let part = Record::replicated_part(payload).ok()?;
    Due::of(&Record::decode_replicated(&part).ok()?)
}

impl Handler<Told<WalkGraves>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<WalkGraves>, _: &mut Context<Self>) {
        let (WalkGraves, _handling) = self.me.open(told);
        self.write_batch();
        self.walk();
        if !self.graves.is_walked() {
            self.me.tell(WalkGraves);
        }
    }
}
