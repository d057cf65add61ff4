//! To [`Reaper`](crate::reaper::Reaper).

use henge_kernel::{
    causality::{Digest, Stamp},
    key::{Key, PartitionId},
    reaping::Purpose,
};
use tokio::sync::oneshot;

use crate::{links::PeerShard, reap_reports::ShardReaping, wire::PeerReply};

/// A shard of a peer is reached.
#[derive(Clone, Copy, Debug)]
pub struct PeerShardReached {
    /// Which.
    pub peer: PeerShard,
}

/// The storage has looked for keys that a round could do something about.
#[derive(Debug)]
pub struct DueFetched {
    /// Some of one partition, if there are any.
    pub due: Option<DueKeys>,
    /// Whether it knows all that it holds.
    pub walked: bool,
    /// How many keys will be due some day, those that are due included.
    pub kept: usize,
}

/// Keys of one partition for one round.
#[derive(Debug)]
pub struct DueKeys {
    /// The partition.
    pub partition: PartitionId,
    /// What is to be done about them.
    pub purpose: Purpose,
    /// The epoch of the ring in which this node is a home of them.
    pub epoch: u64,
    /// The greatest stamp of their records.
    pub stamp: Stamp,
    /// The keys, and the digests of their records.
    pub keys: Vec<(Key, Digest)>,
}

/// What was asked under a ticket is answered, or surely will not be.
#[derive(Debug)]
pub struct FenceAnswered {
    /// Which question.
    pub ticket: u64,
    /// The answer.
    pub reply: PeerReply,
}

/// Run rounds now, whatever the age of what is deleted, and say what came of them.
#[derive(Debug)]
pub struct ReapNow {
    /// Told when nothing is due any more, or all that is due is blocked.
    pub outcome: oneshot::Sender<ShardReaping>,
}

/// Say what was reaped, and what is blocked.
#[derive(Debug)]
pub struct ReadReaping {
    /// Who waits.
    pub outcome: oneshot::Sender<ShardReaping>,
}
