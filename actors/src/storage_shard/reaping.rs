//! What this shard promises to a round, and drops when all have promised: see the kernel's
//! [`reaping`](henge_kernel::reaping).

use std::sync::Arc;

use actix::{Context, Handler};
use henge_kernel::{
    anti_entropy::Trust,
    causality::{Digest, Record, Stamp},
    id::NodeId,
    key::{Key, PartitionId},
    planted::{Defect, planted},
    reaping::{
        Ask, Due, Fence, KEYS_MAX, Purpose,
        fence::{Copy, Held, LeftBehind, Refusal, Standing},
        is_dead,
    },
    time::WallMillis,
};
use tracing::debug;

use super::{Answer, Loaded, StorageShard, Waiting, batch::stored_digest};
use crate::{
    actor_ref::Told,
    events::ANTI_ENTROPY,
    failpoint::{self, Site},
    fence_file::{Fences, Kept},
    messages::{
        reaper::{DueFetched, DueKeys},
        storage_shard::{AnswerFence, FetchDue, MeetFences, ReadFences},
    },
    view::ClusterView,
    wire::{FenceAnswer, FenceQuestion, PeerReply},
};

impl StorageShard {
    fn standing(&self, cluster: &ClusterView, partition: PartitionId) -> Standing {
        Standing {
            epoch: cluster.ring.epoch(),
            being_filled: !self.is_complete(partition) || self.fencing.kept(partition).clearing,
            suspect: self.closed || self.engine.poisoned().is_some(),
        }
    }

    /// What lies here of a key, by the clock of this node. What waits to be written must have been.
    fn held(&self, cluster: &ClusterView, wall: WallMillis, key: &Key) -> Held {
        let is_home = cluster.homes_of(key).contains(&self.shard.commons.node);
        let quarantined = self.trust(key.token(), key) == Trust::Quarantined;
        let copy = match self.engine.get(key.token(), key) {
            _ if quarantined => Copy::Quarantined,
            Ok(None) => Copy::Nothing,
            Ok(Some(payload)) => match self.decode(key, &payload) {
                Ok(record) if record.is_nothing() => Copy::Nothing,
                Ok(record) => {
                    Copy::Record { digest: record.digest(), dead: is_dead(&record, wall) }
                }
                Err(_) => Copy::Quarantined,
            },
            Err(_) => Copy::Quarantined,
        };
        Held { is_home, copy }
    }

    /// Promises, or says why not. The promise is written when this returns; it is given when the
    /// log is synced, too.
    fn promise(&mut self, ask: &Ask) -> Result<(), Refusal> {
        self.write_batch();
        let (cluster, wall) =
            (self.shard.commons.cluster.load(), self.shard.commons.environment.clock.wall());
        let standing = self.standing(&cluster, ask.partition);
        let kept = self.fencing.kept(ask.partition);
        let mut fence = kept.fence;
        fence.promise(ask, standing, |key| self.held(&cluster, wall, key))?;
        if ask.purpose == Purpose::Prune {
            self.void_idle_rights(ask);
        }
        let changed = Fences::from([(ask.partition, Kept { fence, ..kept })]);
        failpoint::pass(Site::BeforeReapPromise);
        if self.engine.poisoned().is_some() || self.write_fences(changed).is_err() {
            return Err(Refusal::Suspect);
        }
        self.fencing.promised.insert(ask.partition, ask.round);
        failpoint::pass(Site::AfterReapPromise);
        Ok(())
    }

    /// What may be pruned must not be minted any more.
    fn void_idle_rights(&mut self, ask: &Ask) {
        for (key, _) in &ask.keys {
            if let Ok(Loaded { mut record, payload: Some(payload) }) =
                self.load_to_write(key.token(), key)
                && record.void_idle_right()
            {
                let digest = stored_digest(Some(payload));
                self.rewrite(key, &record, digest);
            }
        }
        self.write_batch();
    }

    fn rewrite(&mut self, key: &Key, record: &Record, before: Option<Digest>) {
        let mut payload = Vec::new();
        let digest = record.encode_stored(&mut payload);
        let digests = (before, Some(digest));
        self.enqueue(Waiting::record(key.clone(), record, (payload, digests)), None);
    }

    /// All have promised: what is still the same goes, or is pruned. How many keys.
    fn drop_promised(&mut self, ask: &Ask) -> Result<usize, LeftBehind> {
        self.write_batch();
        let (cluster, wall) =
            (self.shard.commons.cluster.load(), self.shard.commons.environment.clock.wall());
        let kept = self.fencing.kept(ask.partition);
        let mut fence = kept.fence;
        let keys = fence.finish(ask, |key| self.held(&cluster, wall, key))?;
        // Somebody has asked since how far this shard is, and may rely on what it said.
        if self.fencing.promised.remove(&ask.partition) != Some(ask.round) || self.closed {
            return Ok(0);
        }
        if self.write_fences(Fences::from([(ask.partition, Kept { fence, ..kept })])).is_err() {
            return Ok(0);
        }
        let count = keys.len();
        failpoint::pass(Site::BeforeReapDrop);
        for key in keys {
            self.drop_one(ask.purpose, key);
        }
        self.write_batch();
        failpoint::pass(Site::AfterReapDrop);
        Ok(count)
    }

    fn drop_one(&mut self, purpose: Purpose, key: Key) {
        let Ok(Loaded { mut record, payload }) = self.load_to_write(key.token(), &key) else {
            return;
        };
        match purpose {
            Purpose::Reap => self.remove(key, payload),
            Purpose::Prune if record.prune() => {
                self.rewrite(&key, &record, stored_digest(payload));
            }
            Purpose::Prune => {}
        }
    }

    /// Keys of one partition that are due and that this node is to look after: of its own accord
    /// if it is the first home that is up, when told to if it is a home.
    fn fetch_due(&mut self, request: &FetchDue) -> Option<DueKeys> {
        let commons = Arc::clone(&self.shard.commons);
        let (cluster, members) = (commons.cluster.load(), commons.members.load());
        let (node, wall) = (commons.node, commons.environment.clock.wall());
        let is_up = |home: &&NodeId| **home == node || !members.is_down(**home);
        for partition in self.graves.partitions() {
            let homes = cluster.ring.homes(partition, cluster.n_max());
            let first = homes.iter().find(is_up) == Some(&node);
            let own = if request.forced { homes.contains(&node) } else { first };
            if !own || request.without.contains(&partition) {
                continue;
            }
            let age_min = Some(request.age_min).filter(|_| !request.forced);
            while let Some((purpose, keys)) = self.graves.due(partition, wall, age_min, KEYS_MAX) {
                let due = self.examine(&cluster, partition, (purpose, keys), wall);
                if planted(Defect::ReapByClock) && due.purpose == Purpose::Reap {
                    due.keys.into_iter().for_each(|(key, _)| self.drop_one(Purpose::Reap, key));
                    self.write_batch();
                    return None;
                }
                if !due.keys.is_empty() {
                    return Some(due);
                }
            }
        }
        None
    }

    /// Those keys that are what they are taken for; the others leave the index.
    fn examine(
        &mut self,
        cluster: &ClusterView,
        partition: PartitionId,
        (purpose, keys): (Purpose, Vec<Key>),
        wall: WallMillis,
    ) -> DueKeys {
        let epoch = cluster.ring.epoch();
        let mut found =
            DueKeys { partition, purpose, epoch, stamp: Stamp::default(), keys: Vec::new() };
        for key in keys {
            let record = self.load(key.token(), &key).unwrap_or_default();
            let due = Due::of(&record);
            let is_home = cluster.homes_of(&key).contains(&self.shard.commons.node);
            let is_due = due.is_some_and(|due| due.purpose == purpose && due.ends <= wall);
            if is_due && is_home {
                found.stamp = found.stamp.max(record.stamp());
                found.keys.push((key, record.digest()));
            } else {
                self.graves.note(partition, &key, due.filter(|_| is_home && !is_due));
            }
        }
        found
    }

    fn answer_fence(&mut self, request: AnswerFence) {
        let AnswerFence { question, reply, .. } = request;
        let says = match question {
            FenceQuestion::Fences => {
                self.fencing.promised.clear();
                let fences = self.fencing.all().map(|(partition, kept)| (partition, kept.fence));
                FenceAnswer::Fences(fences.collect())
            }
            FenceQuestion::Hear { partition } => {
                self.fencing.promised.remove(&partition);
                FenceAnswer::Heard(self.fencing.kept(partition).fence)
            }
            FenceQuestion::Meet { partition, fence } => {
                self.meet(&[(partition, fence)]);
                FenceAnswer::Heard(self.fencing.kept(partition).fence)
            }
            FenceQuestion::Promise(ask) => match self.promise(&ask) {
                Ok(()) => {
                    let says = PeerReply::Fence(FenceAnswer::Promised);
                    let durable = !planted(Defect::PromiseUnsynced);
                    return self.acknowledge(Answer { to: reply, says, durable });
                }
                Err(refusal) => {
                    if let Refusal::LeftBehind(left) = &refusal {
                        self.was_left(ask.partition, left);
                    }
                    FenceAnswer::Refused(refusal)
                }
            },
            FenceQuestion::Drop(ask) => match self.drop_promised(&ask) {
                Ok(keys) => {
                    debug!(target: ANTI_ENTROPY, node = self.shard.commons.name(), partition = ask.partition.0, keys, "dropped");
                    FenceAnswer::Dropped
                }
                Err(left) => {
                    self.was_left(ask.partition, &left);
                    FenceAnswer::Refused(Refusal::LeftBehind(left))
                }
            },
        };
        reply.answer(PeerReply::Fence(says));
    }

    fn was_left(&mut self, partition: PartitionId, left: &LeftBehind) {
        let fence =
            Fence { generation: left.finished, finished: left.finished, ..Default::default() };
        self.meet(&[(partition, fence)]);
    }
}

impl Handler<Told<AnswerFence>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<AnswerFence>, _: &mut Context<Self>) {
        let (request, _handling) = self.me.open(told);
        if self.is_late(request.deadline) {
            return request.reply.forget();
        }
        self.answer_fence(request);
    }
}

impl Handler<Told<MeetFences>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<MeetFences>, _: &mut Context<Self>) {
        let (MeetFences { from, fences }, _handling) = self.me.open(told);
        match from {
            Some(peer) => self.hear(peer, &fences),
            None => self.meet(&fences),
        }
    }
}

impl Handler<Told<FetchDue>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<FetchDue>, _: &mut Context<Self>) {
        let (request, _handling) = self.me.open(told);
        self.write_batch();
        let due = self.fetch_due(&request);
        let walked = self.graves.is_walked();
        if let Some(reaper) = self.shard.reaper() {
            reaper.tell(DueFetched { due, walked, kept: self.graves.count() });
        }
    }
}

impl Handler<Told<ReadFences>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ReadFences>, _: &mut Context<Self>) {
        let (ReadFences { outcome }, _handling) = self.me.open(told);
        let _ = outcome.send(self.fencing.all().collect());
    }
}
