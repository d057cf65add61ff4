//! To [`AntiEntropyWorker`](crate::anti_entropy_worker::AntiEntropyWorker).

use std::collections::BTreeSet;

use henge_kernel::{id::NodeId, key::PartitionId};

use crate::{links::PeerShard, wire::PeerReply};

/// A shard of a peer is reached, or no longer.
#[derive(Clone, Copy, Debug)]
pub struct LinkChanged {
    /// Which.
    pub peer: PeerShard,
    /// Whether there is a link.
    pub up: bool,
}

/// A partition may not be the same here and elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct PartitionDirty {
    /// The partition, of this shard.
    pub partition: PartitionId,
    /// Where it may be another.
    pub peer: NodeId,
}

/// A shard of a peer has compared its trees with those of this shard.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeServed {
    /// Which.
    pub peer: PeerShard,
}

/// What was asked under a ticket is answered, or surely will not be.
#[derive(Debug)]
pub struct ExchangeAnswered {
    /// Which question.
    pub ticket: u64,
    /// The answer.
    pub reply: PeerReply,
}

/// Compare everything with every peer, now.
#[derive(Clone, Copy, Debug)]
pub struct CompareNow;

/// What the shard lacks and what it owes, all of it.
#[derive(Clone, Debug, Default)]
pub struct LedgerRead {
    /// The number of the latest entry.
    pub number: u64,
    /// Partitions of which any record may be missing.
    pub incomplete: BTreeSet<PartitionId>,
    /// Partitions that are to be compared with all their other homes: those, and those in which a
    /// record was damaged.
    pub doubted: BTreeSet<PartitionId>,
    /// How many records were damaged.
    pub quarantined: usize,
    /// Whom to compare with in which partition as soon as it is back.
    pub owed: Vec<(NodeId, PartitionId)>,
    /// Whether there is more to compare than before.
    pub news: bool,
}
