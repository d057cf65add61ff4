//! What this shard keeps for homes that are away.
//!
//! The marks in a stored record are the durable index of hints: record and marks are one entry of
//! the log, so there is nothing that could come apart. The index in memory mirrors them, and
//! changes only when the entry is written.

use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

use actix::{AsyncContext as _, Handler};
use henge_kernel::{
    causality::Record,
    coordination::RequestError,
    handoff::{
        HintIndex,
        delivery::AGE_MAX,
        hint::{Hint, Released, release},
    },
    id::{NodeId, ShardUid},
    key::Key,
    reaping::Due,
    time::WallMillis,
};
use tracing::{error, info, warn};

use super::{StorageShard, Waiting, WriteBatch};
use crate::{
    actor_ref::Told,
    events::STORAGE,
    failpoint::{self, Site},
    messages::{
        hinted_handoff_queue::{
            HintChanged, HintUnreleased, Hinted, HintsFetched, HintsRead, ReadHint,
        },
        storage_shard::{CountHints, FetchHints, ListHinted, ReadHints, ReleaseHint},
    },
    shard::Shard,
    storage::{Engine, KeyRange, StorageError},
    wire::PeerReply,
};

/// What is said of a write that finds no room among what is kept for others. Room is made as soon
/// as a home is back.
pub(super) const NO_ROOM: PeerReply =
    PeerReply::Refused(RequestError::Overloaded { retry_after: Duration::from_secs(1) });

impl StorageShard {
    /// Whether there is no room for another copy of so many bytes, what waits to be written
    /// included.
    pub(super) fn is_full_of_hints(&self, home: Option<NodeId>, key: &Key, bytes: usize) -> bool {
        let waiting = self.batch.hint_bytes;
        let admit = |home| self.hints.admit(home, key, waiting.saturating_add(bytes as u64));
        let Some(Err(full)) = home.map(admit) else { return false };
        warn!(target: STORAGE, shard = self.shard.index, %full, "a copy for another node is refused");
        true
    }

    /// A record without content in the place of one that is damaged or missing, with the marks that
    /// the index knows: what is merged into it goes to those homes all the same.
    pub(super) fn marked_as_known(&self, key: &Key) -> Record {
        let mut record = Record::default();
        let homes = self.hints.homes().map(|(home, _)| home);
        for home in homes.filter(|home| self.hints.get(*home, key).is_some()) {
            record.mark(home);
        }
        record
    }

    /// Takes in what was written, and says so to the queue.
    pub(super) fn index_hints(&mut self, written: Vec<Waiting>) {
        let since = self.shard.commons.environment.clock.wall();
        let mut hinted = BTreeSet::new();
        for waiting in written {
            let bytes = waiting.hint_bytes();
            let Waiting { key, payload, kept_for, released, .. } = waiting;
            if payload.is_none() {
                self.hints.forget(&key);
            } else if let Some(home) = released {
                self.hints.remove(home, &key);
            }
            for home in kept_for {
                self.hints.insert(home, key.clone(), Hint { since, bytes });
                hinted.extend(released.is_none().then_some(home));
            }
        }
        self.tell_queue(hinted);
    }

    /// Says to the queue whose marks stay, since it could not be written that they go. Whatever a
    /// poisoned log keeps stays until the node is started anew.
    pub(super) fn tell_unreleased(&self, unwritten: &[Waiting]) {
        let homes: BTreeSet<NodeId> =
            unwritten.iter().filter_map(|waiting| waiting.released).collect();
        let Some(queue) = self.shard.handoff() else { return };
        if self.engine.poisoned().is_none() {
            for home in homes {
                queue.tell(HintUnreleased { home });
            }
        }
    }

    /// Says for whom something is kept.
    pub(super) fn tell_hinted(&self) {
        self.tell_queue(self.hints.homes().map(|(home, _)| home));
    }

    fn tell_queue(&self, homes: impl IntoIterator<Item = NodeId>) {
        if let Some(queue) = self.shard.handoff() {
            homes.into_iter().for_each(|home| queue.tell(Hinted { home }));
        }
    }

    fn fetch(&self, request: FetchHints) -> HintsFetched {
        let FetchHints { home, after, limit, aged } = request;
        let age_min = if aged { AGE_MAX } else { Duration::ZERO };
        let now = self.shard.commons.environment.clock.wall();
        let age = |since: WallMillis| Duration::from_millis(now.0.saturating_sub(since.0));
        let is_due = |since| age(since) >= age_min;
        let oldest = self.hints.homes().find(|(node, _)| *node == home);
        let any = oldest.and_then(|(_, totals)| totals.oldest).is_some_and(is_due);
        let hints =
            self.hints.of(home, after.as_ref()).filter(|(_, hint)| any && is_due(hint.since));
        let hints = hints.take(limit);
        let hints = hints.map(|(key, hint)| (key.clone(), hint.bytes)).collect();
        HintsFetched { home, after, aged, hints }
    }

    /// A record as it goes to a home, if it is there and holds, and its generation.
    fn read_hint(&mut self, key: &Key) -> Option<ReadHint> {
        let token = key.token();
        let kept = self.fencing.kept(self.partition_of(token));
        self.write_if_waiting(token);
        let payload = match self.engine.get(token, key) {
            Err(StorageError::Corrupt { .. }) => {
                self.meet_damage(key);
                return None;
            }
            read => read.ok().flatten()?,
        };
        let record = Record::replicated_part(&payload).ok()?;
        let digest = Record::digest_of_replicated(&record).ok()??;
        let generation = kept.fence.generation;
        (!kept.clearing).then_some(ReadHint { record, digest, generation })
    }

    /// Takes a mark off; `None` if the record is to be sent again, or cannot be read.
    fn release(&mut self, request: &ReleaseHint) -> Option<Waiting> {
        let ReleaseHint { home, key, digest } = request;
        let token = key.token();
        let mut record = self.load(token, key).ok()?;
        if !record.marks().contains(home) {
            self.hints.remove(*home, key);
            return None;
        }
        let payload = match release(&mut record, *home, *digest, self.is_home(key)) {
            Released::Kept => {
                if let Some(queue) = self.shard.handoff() {
                    queue.tell(HintChanged { home: *home });
                }
                return None;
            }
            Released::Dropped => None,
            Released::Unmarked => {
                let mut payload = Vec::new();
                record.encode_stored(&mut payload);
                Some(payload)
            }
        };
        let (key, kept_for, released) = (key.clone(), record.marks().to_vec(), Some(*home));
        let digests = (Some(*digest), payload.is_some().then_some(*digest));
        let due = payload.is_some().then(|| Due::of(&record)).flatten();
        Some(Waiting { token, key, payload, digests, kept_for, released, due })
    }
}

impl Handler<Told<ListHinted>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ListHinted>, _: &mut Self::Context) {
        let (ListHinted, _handling) = self.me.open(told);
        self.tell_hinted();
    }
}

impl Handler<Told<CountHints>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<CountHints>, _: &mut Self::Context) {
        let (CountHints { outcome }, _handling) = self.me.open(told);
        let _ = outcome.send(self.hints.homes().collect());
    }
}

impl Handler<Told<FetchHints>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<FetchHints>, _: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        if let Some(queue) = self.shard.handoff() {
            queue.tell(self.fetch(request));
        }
    }
}

impl Handler<Told<ReadHints>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ReadHints>, _: &mut Self::Context) {
        let (ReadHints { home, to, keys }, _handling) = self.me.open(told);
        let read = |key: Key| {
            let record = self.read_hint(&key);
            (key, record)
        };
        let records = keys.into_iter().map(read).collect();
        if let Some(queue) = self.shard.handoff() {
            queue.tell(HintsRead { home, to, records });
        }
    }
}

impl Handler<Told<ReleaseHint>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ReleaseHint>, context: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        if self.closed {
            return;
        }
        let first = self.batch.writes.is_empty();
        failpoint::pass(Site::BeforeHintRelease);
        if let Some(waiting) = self.release(&request) {
            self.enqueue(waiting, None);
            failpoint::pass(Site::AfterHintRelease);
        }
        if first {
            context.notify(WriteBatch);
        }
    }
}

/// The index of the marks in a log. Walks the directory, which is in memory, and reads the records
/// of which this node is no home: nothing else bears marks, as the layout is fixed. So it costs the
/// walk and a read a hinted copy. How long each has been kept is not stored: they begin to age
/// anew.
pub(super) fn rebuild(shard: &Shard, engine: &dyn Engine) -> HintIndex {
    let commons = &shard.commons;
    let mut index = HintIndex::new(commons.settings.handoff.hint_bytes_max);
    let (cluster, since) = (commons.cluster.load(), commons.environment.clock.wall());
    engine.keys(KeyRange::ALL, usize::MAX, &mut |listed| {
        let partition = listed.token.partition(cluster.ring.partitions());
        let n = cluster.buckets.properties(listed.bucket).n;
        let is_home = cluster.ring.homes(partition, n).contains(&commons.node);
        // What the directory holds was a key once.
        if let Some(key) = (!is_home).then(|| listed.to_key().ok()).flatten() {
            insert(&mut index, engine, &key, since);
        }
        ControlFlow::Continue(())
    });
    let totals = index.totals();
    if totals.count > 0 {
        info!(target: STORAGE, shard = shard.index, hints = totals.count, bytes = totals.bytes, "hints found");
    }
    index
}

fn insert(index: &mut HintIndex, engine: &dyn Engine, key: &Key, since: WallMillis) {
    let payload = match engine.get(key.token(), key) {
        Ok(Some(payload)) => payload,
        Ok(None) => return,
        Err(error) => {
            return error!(target: STORAGE, %error, "a record kept for another node is damaged");
        }
    };
    match Record::decode_stored(&payload, ShardUid(0)) {
        Ok(record) => {
            let hint = Hint { since, bytes: payload.len() as u64 };
            for home in record.marks() {
                index.insert(*home, key.clone(), hint);
            }
        }
        Err(error) => {
            error!(target: STORAGE, %error, "a record kept for another node does not decode");
        }
    }
}
