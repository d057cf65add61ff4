//! What the shard knows that it lacks, and whom it tells: see the kernel's [`Ledger`].
//!
//! A doubt is on the disk before anything is answered or written on top of it. The worker is told
//! of it once there are trees to compare; it says what it found equal, and how much it knew then.

use std::{sync::Arc, time::Duration};

use actix::Handler;
use henge_kernel::{
    anti_entropy::{Ledger, Trust, ledger::Settled},
    id::NodeId,
    key::{Key, PartitionId, Token},
    membership::StorageState,
    time::Instant,
};
use tracing::{error, info};

use super::StorageShard;
use crate::{
    actor_ref::Told,
    commons::Commons,
    events::{ANTI_ENTROPY, STORAGE},
    ledger_file::{LedgerFile, OpenedLedger},
    messages::{
        anti_entropy_worker::{LedgerRead, PartitionDirty},
        gossip_membership::{StorageSample, StorageSampled},
        storage_shard::{ReadLedger, ReplicasEqual},
    },
    replica_trees::{BuildTrees, Scrubbed},
    storage::{Sequence, StorageError},
};

/// How long a shard is in doubt before its node says so.
const TELL_DOUBTS_AFTER: Duration = Duration::from_secs(2);

/// What may be missing in the shard, and what is owed to others.
pub(super) struct Standing {
    pub(super) ledger: Ledger,
    file: LedgerFile,
    /// Since when it is in doubt without a break, and whether the members were told.
    doubtful: Option<(Instant, bool)>,
}

impl Standing {
    pub(super) fn new(opened: OpenedLedger) -> Self {
        let OpenedLedger { file, ledger, .. } = opened;
        Self { ledger, file, doubtful: None }
    }

    /// What is to be done when the log is synced for the last time.
    pub(super) fn closing(&self) -> impl FnOnce(Sequence) -> Result<(), StorageError> + use<> {
        let (file, ledger) = (self.file.clone(), self.ledger.clone());
        move |last| file.write(&ledger, last, true)
    }
}

impl StorageShard {
    pub(super) fn trust(&self, token: Token, key: &Key) -> Trust {
        if self.standing.ledger.is_clear() {
            return Trust::Whole;
        }
        let partitions = self.shard.commons.cluster.load().ring.partitions();
        self.standing.ledger.trust(token.partition(partitions), key)
    }

    /// Whether this shard holds all that it ever acknowledged in a partition.
    pub(crate) fn is_complete(&self, partition: PartitionId) -> bool {
        !self.standing.ledger.is_incomplete(partition)
    }

    /// The record of a key turned out to be damaged: it is quarantined, and the trees of its
    /// partition are built anew, for nobody knows what they hold in its place.
    pub(super) fn distrust(&mut self, key: &Key) -> Result<(), StorageError> {
        let known = self.trees.is_damaged(key);
        let again = known && self.trust(key.token(), key) == Trust::Quarantined;
        if !again {
            self.quarantine(key)?;
        }
        if self.trees.distrust(&self.shard.commons.cluster.load(), key) {
            self.me.tell(BuildTrees);
        } else if known && !again {
            // The trees hold nothing in its place, and so nothing is built that would tell.
            self.tell_ledger(true);
        }
        Ok(())
    }

    /// A record turned out to be damaged: a home's is quarantined; that of any other node, which has
    /// nobody to ask, is lost.
    pub(super) fn meet_damage(&mut self, key: &Key) {
        if self.is_home(key) {
            // What cannot be noted is found again at the next look.
            let _ = self.distrust(key);
        } else {
            self.lose(key);
        }
    }

    /// Whoever could have had a damaged record was asked, and has none: told loudly, and taken out of
    /// the log, with the marks of those for whom it was kept. One that holds stays.
    pub(crate) fn lose(&mut self, key: &Key) {
        let damaged = self.engine.get(key.token(), key);
        if self.closed || !matches!(damaged, Err(StorageError::Corrupt { .. })) {
            return;
        }
        self.tell_lost(key);
        self.remove(key.clone(), None);
        self.write_batch();
    }

    /// Tells loudly that a damaged record is lost.
    pub(super) fn tell_lost(&self, key: &Key) {
        let (partition, home) = (self.partition_of(key.token()).0, self.is_home(key));
        error!(target: STORAGE, node = self.shard.commons.name(), shard = self.shard.index, partition, home, "a damaged record is lost: nobody else could give it");
        self.shard.commons.scrub.add_lost();
    }

    pub(crate) fn is_home(&self, key: &Key) -> bool {
        self.shard.commons.cluster.load().homes_of(key).contains(&self.shard.commons.node)
    }

    /// The record of a key is damaged. Durable when this returns; a copy that is kept for other
    /// nodes has nobody to ask.
    pub(crate) fn quarantine(&mut self, key: &Key) -> Result<(), StorageError> {
        if !self.is_home(key) {
            return Ok(());
        }
        error!(target: STORAGE, node = self.shard.commons.name(), shard = self.shard.index, "a record is damaged, and quarantined");
        let partition = self.partition_of(key.token());
        self.standing.ledger.quarantine(partition, key.clone());
        self.write_ledger()
    }

    /// The home whose mark a record is to bear here. If this node is a home itself there is none:
    /// what was kept for that one is with this one instead, and they are compared when it is back.
    /// That is durable when this returns.
    pub(super) fn take_duty(
        &mut self,
        key: &Key,
        stands_in_for: Option<NodeId>,
    ) -> Result<Option<NodeId>, StorageError> {
        let Some(node) = stands_in_for else { return Ok(None) };
        let cluster = self.shard.commons.cluster.load();
        if !cluster.homes_of(key).contains(&self.shard.commons.node) {
            return Ok(stands_in_for);
        }
        let partition = key.token().partition(cluster.ring.partitions());
        if self.standing.ledger.owe(node, partition) {
            self.write_ledger()?;
        }
        self.tell_ledger(true);
        Ok(None)
    }

    /// Any record of these partitions may be missing from now on. Durable when this returns.
    pub(super) fn doubt(&mut self, partitions: &[PartitionId]) -> Result<(), StorageError> {
        for partition in partitions {
            self.standing.ledger.doubt(*partition);
        }
        self.write_ledger()
    }

    fn write_ledger(&self) -> Result<(), StorageError> {
        if self.closed {
            return Ok(());
        }
        let synced = self.engine.counts().synced;
        let written = self.standing.file.write(&self.standing.ledger, synced, false);
        written.inspect_err(|error| {
            error!(target: STORAGE, shard = self.shard.index, %error, "the ledger was not written");
        })
    }

    /// Tells the worker what is to be compared; `news` says that there is more of it than before.
    pub(crate) fn tell_ledger(&self, news: bool) {
        if let Some(worker) = self.shard.anti_entropy() {
            worker.tell(LedgerRead {
                number: self.standing.ledger.number(),
                incomplete: self.standing.ledger.incomplete().collect(),
                doubted: self.standing.ledger.doubted(),
                quarantined: self.standing.ledger.quarantined().count(),
                owed: self.standing.ledger.owed().collect(),
                news,
            });
        }
    }

    /// Ends the doubts that have no reason any more.
    pub(super) fn settle(&mut self, paid: bool) {
        let settled = if self.standing.ledger.is_clear() {
            Settled::default()
        } else {
            settle(&mut self.standing.ledger, &self.shard.commons)
        };
        if settled.is_nothing() && !paid {
            return;
        }
        let Settled { partitions, keys, asked } = settled;
        info!(target: ANTI_ENTROPY, node = self.shard.commons.name(), shard = self.shard.index, partitions, keys, "complete again");
        for key in &asked {
            self.lose(key);
        }
        // Should this fail, the next start is in doubt for nothing.
        let _ = self.write_ledger();
        self.tell_ledger(false);
    }

    /// Doubts that last are told to the members; those of a new cluster end with its first exchange.
    pub(super) fn tell_doubts(&mut self) {
        let before = self.standing.doubtful.is_some_and(|(_, told)| told);
        let since = self.standing.doubtful.map_or_else(|| self.now(), |(since, _)| since);
        let told = self.now().since(since) >= TELL_DOUBTS_AFTER;
        self.standing.doubtful = (!self.standing.ledger.is_clear()).then_some((since, told));
        if before != self.standing.doubtful.is_some_and(|(_, told)| told) {
            self.judge();
        }
    }

    /// Reads a stretch of the records again, if clients leave time for it.
    pub(super) fn scrub(&mut self) {
        if self.shard.leisure().is_over() {
            return;
        }
        self.write_batch();
        let commons = Arc::clone(&self.shard.commons);
        let cluster = commons.cluster.load();
        let Scrubbed { records, damaged, mismatched } =
            self.trees.scrub(self.engine.as_ref(), &cluster);
        let news = damaged.iter().filter(|key| !self.trees.is_damaged(key)).count() as u64;
        commons.scrub.add(records, news, mismatched.len() as u64);
        for key in &damaged {
            self.meet_damage(key);
        }
        for partition in mismatched {
            error!(target: ANTI_ENTROPY, node = commons.name(), partition = partition.0, "a tree did not match its records");
            for peer in cluster.ring.homes(partition, cluster.n_max()) {
                if let Some(worker) = self.shard.anti_entropy() {
                    worker.tell(PartitionDirty { partition, peer: *peer });
                }
            }
        }
    }

    /// Tells the node what state the storage is in.
    pub(super) fn judge(&self) {
        let poisoned = self.engine.poisoned();
        if let Some(cause) = &poisoned {
            error!(target: STORAGE, shard = self.shard.index, %cause, "the log takes no more writes");
            self.shard.commons.poison_storage();
        }
        self.tell_sample();
    }

    /// Tells the node how the storage is.
    pub(super) fn tell_sample(&self) {
        let (counts, poisoned) = (self.engine.counts(), self.engine.poisoned().is_some());
        let sample = StorageSample {
            state: match self.standing.doubtful {
                _ if poisoned => StorageState::Poisoned,
                _ if self.room.is_full() => StorageState::Full,
                Some((_, true)) => StorageState::Incomplete,
                _ => StorageState::Ok,
            },
            keys: counts.keys,
            disk_bytes: counts.log_bytes,
            hints: self.hints.homes().collect(),
        };
        self.shard.tell_membership(StorageSampled { shard: self.shard.index, sample });
    }
}

fn settle(ledger: &mut Ledger, commons: &Commons) -> Settled {
    let (cluster, members) = (commons.cluster.load(), commons.members.load());
    let others = |partition: PartitionId, key: Option<&Key>| {
        let n = key.map_or(cluster.n_max(), |key| cluster.buckets.properties(key.bucket()).n);
        let homes = cluster.ring.homes(partition, n);
        let others = homes.iter().filter(|home| **home != commons.node).copied();
        if homes.contains(&commons.node) { others.collect() } else { Vec::new() }
    };
    ledger.settle(others, |node| members.is_down(node))
}

impl Handler<Told<ReadLedger>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ReadLedger>, _: &mut Self::Context) {
        let (ReadLedger, _handling) = self.me.open(told);
        self.tell_ledger(true);
    }
}

impl Handler<Told<ReplicasEqual>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ReplicasEqual>, _: &mut Self::Context) {
        let (ReplicasEqual { peer, partitions, through }, _handling) = self.me.open(told);
        let paid = self.standing.ledger.found_equal(peer, &partitions, through);
        self.settle(paid);
    }
}
