//! How far the replicas of a node and its peers are the same: what each shard publishes, and the
//! report that is made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use henge_kernel::{
    id::NodeId,
    key::PartitionId,
    time::{Instant, whole_millis},
};
use serde::{Deserialize, Serialize};

use crate::{
    commons::Commons, handle::NodeHandle, links::PeerShard,
    messages::anti_entropy_worker::CompareNow, read_repairer::RepairCounts,
};

/// What one shard knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSync {
    /// Each shard of a peer that it shares partitions with.
    pub peers: BTreeMap<PeerShard, PeerSync>,
    /// Exchanges that came to their end.
    pub exchanges: u64,
    /// Questions below the roots that peers were asked.
    pub questions: u64,
    /// Keys that were mended.
    pub mended: u64,
    /// Bytes of records that were moved.
    pub bytes: u64,
    /// Dots that named two values.
    pub clashes: u64,
    /// Partitions of which any record may be missing here.
    pub incomplete: BTreeSet<PartitionId>,
    /// Records that were damaged, and are not made up for.
    pub quarantined: usize,
    /// Nodes that are to be compared with as soon as they are back.
    pub owed: BTreeSet<NodeId>,
    /// Whether its log held nothing when it was opened.
    pub was_empty: bool,
}

/// What one shard knows of one shard of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSync {
    /// When this node last compared all that they share.
    pub compared: Option<Instant>,
    /// When the peer last did.
    pub served: Option<Instant>,
    /// Keys that this node mended with it.
    pub mended: u64,
    /// Partitions that differ, and since when that is known.
    pub diverged: BTreeMap<PartitionId, Instant>,
}

/// How far the replicas of one node and its peers are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AntiEntropyReport {
    /// The node that answers.
    pub node: String,
    /// The peers with which it shares partitions and was ever linked, by name.
    pub peers: Vec<PeerSyncReport>,
    /// Exchanges that this node led and that came to their end, since its start.
    pub exchanges: u64,
    /// Questions that led below the roots of the trees: none, as long as replicas are the same.
    pub questions: u64,
    /// Keys that were mended.
    pub mended: u64,
    /// Bytes of records that were moved to mend them.
    pub bytes: u64,
    /// Bytes of all frames, both ways, with which this node brought replicas together: hints that
    /// it delivered, and exchanges that it led, questions and answers.
    pub traffic_bytes: u64,
    /// Bytes that the trees of digests take in memory.
    pub tree_bytes: u64,
    /// Dots that named two values: each is an alarm.
    pub clashes: u64,
    /// Partitions of which this node may lack any record: its answers to reads do not count until
    /// it has been compared with the other homes.
    pub incomplete: usize,
    /// Records that this node found damaged, and that are not yet made up for.
    pub quarantined: usize,
    /// Nodes that are away, and for which this one took over what others had kept for them: they
    /// are compared as soon as they are back.
    pub owed: Vec<String>,
    /// What reads found homes to lack, and had sent to them.
    pub read_repairs: ReadRepairReport,
    /// What it found when it read its own records again.
    pub scrub: ScrubReport,
}

/// What a node found since its start when it read its own records again, unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Records that were read.
    pub records: u64,
    /// Records of which it was news that they do not hold.
    pub damaged: u64,
    /// Partitions whose trees did not match their records: each is an alarm.
    pub mismatched: u64,
    /// Damaged records, however they were found, that no other home had, or that were kept here for
    /// other nodes: each is a loss.
    pub lost: u64,
}

/// The numbers of a [`ScrubReport`], as the shards count them.
#[derive(Debug, Default)]
pub struct ScrubCounts {
    records: AtomicU64,
    damaged: AtomicU64,
    mismatched: AtomicU64,
    lost: AtomicU64,
}

impl ScrubCounts {
    /// Counts what one step found.
    pub fn add(&self, records: u64, damaged: u64, mismatched: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.damaged.fetch_add(damaged, Ordering::Relaxed);
        self.mismatched.fetch_add(mismatched, Ordering::Relaxed);
    }

    /// Counts a damaged record that nobody could give.
    pub fn add_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Read repairs that a node wanted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRepairReport {
    /// Sent to a home.
    pub sent: u64,
    /// Wanted while one to the same home for the same key was under way, and put together with it.
    pub joined: u64,
    /// Not sent, because clients or other repairs left no room: anti-entropy mends these keys.
    pub shed: u64,
}

/// How far the replicas of two nodes are the same, as one of them knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSyncReport {
    /// The peer.
    pub name: String,
    /// How long ago all that is shared was last compared by this node, in milliseconds; `None` if
    /// the peer has led all comparisons so far.
    pub compared_ms: Option<u64>,
    /// How long ago it was last compared by either of the two, in milliseconds.
    pub exchanged_ms: Option<u64>,
    /// Keys that were mended in exchanges that this node led, since its start.
    pub mended: u64,
    /// Partitions that differ.
    pub diverged: Vec<DivergedReport>,
}

/// A partition that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivergedReport {
    /// The partition.
    pub partition: u16,
    /// For how long that has been known, in milliseconds.
    pub since_ms: u64,
}

impl AntiEntropyReport {
    fn of(commons: &Commons) -> Self {
        let cluster = commons.cluster.load();
        let now = commons.environment.clock.now();
        let mut report = Self {
            node: commons.name().to_owned(),
            peers: Vec::new(),
            exchanges: 0,
            questions: 0,
            mended: 0,
            bytes: 0,
            traffic_bytes: commons.background_bytes.load(Ordering::Relaxed),
            tree_bytes: commons.tree_bytes.iter().map(|one| one.load(Ordering::Relaxed)).sum(),
            clashes: 0,
            incomplete: 0,
            quarantined: 0,
            owed: Vec::new(),
            read_repairs: ReadRepairReport::of(&commons.read_repairs),
            scrub: ScrubReport::of(&commons.scrub),
        };
        let mut peers: BTreeMap<String, PeerSyncReport> = BTreeMap::new();
        let mut owed = BTreeSet::new();
        for shown in &commons.anti_entropy {
            let shard = shown.load();
            report.exchanges += shard.exchanges;
            report.questions += shard.questions;
            report.mended += shard.mended;
            report.bytes += shard.bytes;
            report.clashes += shard.clashes;
            report.incomplete += shard.incomplete.len();
            report.quarantined += shard.quarantined;
            owed.extend(shard.owed.iter().map(|node| cluster.name_of(*node)));
            for ((node, _), sync) in &shard.peers {
                let name = cluster.name_of(*node);
                let peer = peers.entry(name.clone()).or_insert_with(|| PeerSyncReport::of(name));
                peer.add(sync, now);
            }
        }
        report.peers = peers.into_values().collect();
        report.owed = owed.into_iter().collect();
        report
    }
}

impl ReadRepairReport {
    fn of(counts: &RepairCounts) -> Self {
        let RepairCounts { sent, joined, shed } = counts;
        Self { sent: count(sent), joined: count(joined), shed: count(shed) }
    }
}

impl ScrubReport {
    fn of(counts: &ScrubCounts) -> Self {
        let ScrubCounts { records, damaged, mismatched, lost } = counts;
        Self {
            records: count(records),
            damaged: count(damaged),
            mismatched: count(mismatched),
            lost: count(lost),
        }
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl PeerSyncReport {
    fn of(name: String) -> Self {
        Self { name, compared_ms: None, exchanged_ms: None, mended: 0, diverged: Vec::new() }
    }

    /// Adds what one shard knows; the comparison that is longest ago counts.
    fn add(&mut self, sync: &PeerSync, now: Instant) {
        let ago = |at: Instant| whole_millis(now.since(at));
        self.compared_ms = self.compared_ms.max(sync.compared.map(ago));
        self.exchanged_ms = self.exchanged_ms.max(sync.compared.max(sync.served).map(ago));
        self.mended += sync.mended;
        let diverged = sync.diverged.iter().map(|(partition, since)| DivergedReport {
            partition: partition.0,
            since_ms: whole_millis(now.since(*since)),
        });
        self.diverged.extend(diverged);
    }
}

impl NodeHandle {
    /// How far this node's replicas and those of its peers are the same.
    pub fn anti_entropy(&self) -> AntiEntropyReport {
        AntiEntropyReport::of(&self.commons)
    }

    /// Compares all replicas with their peers' now, instead of when it is time; what differs is
    /// mended. [`NodeHandle::anti_entropy`] shows how far it is.
    pub fn compare_replicas(&self) {
        for worker in self.commons.workers.get().into_iter().flatten() {
            worker.tell(CompareNow);
        }
    }
}
