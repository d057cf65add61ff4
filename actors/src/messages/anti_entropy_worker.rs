//! To [`AntiEntropyWorker`](crate::anti_entropy_worker::AntiEntropyWorker).

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
    /// Where it may be another; `None` for all its homes.
    pub peer: Option<NodeId>,
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
