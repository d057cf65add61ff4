//! To [`StorageShard`](crate::storage_shard::StorageShard).

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use henge_kernel::{
    bucket::RegisterVersion,
    causality::{Conflict, Content, Context, Digest, RecordLimits},
    coordination::{Generation, RequestError},
    handoff::hint::HintTotals,
    id::{NodeId, WriteId},
    key::{Key, PartitionId},
    reaping::Fence,
    time::{Instant, WallMillis},
};
use tokio::sync::oneshot;

use crate::{
    api::KeyRange, fence_file::Kept, links::PeerShard, messages::coordinator::ReplyTo,
    reports::ReplicaReport, storage::StorageError, wire::FenceQuestion,
};

/// Read the record of a key.
#[derive(Debug)]
pub struct ReadRecord {
    /// Which.
    pub key: Key,
    /// The digest of the record that the asker has already: if it is the same, no body comes.
    pub known: Option<Digest>,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// Who waits.
    pub reply: ReplyTo,
}

/// Mint a write: this node is a home of the key, or a fallback and no home answers.
#[derive(Debug)]
pub struct MintRecord {
    /// Which key.
    pub key: Key,
    /// What the client has seen.
    pub context: Context,
    /// The value or tombstone.
    pub content: Content,
    /// Names the write across retries.
    pub write_id: WriteId,
    /// When the version expires.
    pub expires_at: Option<WallMillis>,
    /// The home for which this node, a fallback, keeps the record.
    pub stands_in_for: Option<NodeId>,
    /// The generation under which the write was planned.
    pub generation: Generation,
    /// The bucket properties under which the write was planned.
    pub properties: Option<RegisterVersion>,
    /// What becomes of concurrent versions in this bucket.
    pub conflict: Conflict,
    /// Bounds of the record.
    pub limits: RecordLimits,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// Who waits.
    pub reply: ReplyTo,
}

/// Merge a record that another node minted or had.
#[derive(Debug)]
pub struct StoreRecord {
    /// Which key.
    pub key: Key,
    /// The record in its replicated form.
    pub record: Bytes,
    /// The lowest generation under which it was read from a shard.
    pub generation: Generation,
    /// The home for which this node, a fallback, keeps the record; or, if it is a home itself, to
    /// which it owes the record from now on.
    pub stands_in_for: Option<NodeId>,
    /// Whether to answer only after fdatasync.
    pub durable: bool,
    /// What becomes of concurrent versions in this bucket.
    pub conflict: Conflict,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// Who waits.
    pub reply: ReplyTo,
}

/// List live keys of one partition, in token order.
#[derive(Debug)]
pub struct ListKeys {
    /// The partition.
    pub partition: PartitionId,
    /// Which keys of it.
    pub range: KeyRange,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// Who waits.
    pub reply: ReplyTo,
}

/// Show the record of a key as it lies here.
#[derive(Debug)]
pub struct InspectRecord {
    /// Which.
    pub key: Key,
    /// Who waits.
    pub outcome: oneshot::Sender<Result<ReplicaReport, RequestError>>,
}

/// Count the keys of each bucket.
#[derive(Debug)]
pub struct CountBuckets {
    /// Who waits.
    pub outcome: oneshot::Sender<Vec<(Bytes, u64)>>,
}

/// Say for which homes records are kept.
#[derive(Clone, Copy, Debug)]
pub struct ListHinted;

/// Say which records are kept for a home.
#[derive(Debug)]
pub struct FetchHints {
    /// The home.
    pub home: NodeId,
    /// Only behind this key.
    pub after: Option<Key>,
    /// How many at most.
    pub limit: usize,
    /// Only those that are old enough for the other homes.
    pub aged: bool,
}

/// Read records that are kept for a home.
#[derive(Debug)]
pub struct ReadHints {
    /// The home.
    pub home: NodeId,
    /// To whom they are to be sent.
    pub to: NodeId,
    /// Whose records.
    pub keys: Vec<Key>,
}

/// Take a home's mark off a record, unless it has changed since it was sent.
#[derive(Debug)]
pub struct ReleaseHint {
    /// The home, which has the record on its disk.
    pub home: NodeId,
    /// Whose record.
    pub key: Key,
    /// What was acknowledged.
    pub digest: Digest,
}

/// Count what is kept for each home.
#[derive(Debug)]
pub struct CountHints {
    /// Who waits.
    pub outcome: oneshot::Sender<Vec<(NodeId, HintTotals)>>,
}

/// Say what is to be compared with other homes.
#[derive(Clone, Copy, Debug)]
pub struct ReadLedger;

/// These partitions are the same here and at a peer.
#[derive(Debug)]
pub struct ReplicasEqual {
    /// The peer.
    pub peer: NodeId,
    /// The partitions.
    pub partitions: Vec<PartitionId>,
    /// The number of the latest entry of the ledger that was known when they began to be compared.
    pub through: u64,
}

/// Write out what waits and sync the log; the shard takes no more writes.
#[derive(Debug)]
pub struct CloseShard {
    /// Told when all is durable.
    pub outcome: oneshot::Sender<Result<(), StorageError>>,
}

/// Answer a member that reaps, or that wants to know how far this shard is.
#[derive(Debug)]
pub struct AnswerFence {
    /// What is asked.
    pub question: FenceQuestion,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// Who waits.
    pub reply: ReplyTo,
}

/// Others are so far.
#[derive(Debug)]
pub struct MeetFences {
    /// The shard of a peer that has told all of its fences, if so.
    pub from: Option<PeerShard>,
    /// How far.
    pub fences: Vec<(PartitionId, Fence)>,
}

/// Look for keys that a round could do something about.
#[derive(Debug)]
pub struct FetchDue {
    /// Whether this node is to look after all of which it is a home, whatever their age.
    pub forced: bool,
    /// How long ago a record must have been written to be reaped.
    pub age_min: Duration,
    /// Partitions that are to be left alone for now.
    pub without: BTreeSet<PartitionId>,
}

/// Say what is kept of each partition.
#[derive(Debug)]
pub struct ReadFences {
    /// Who waits.
    pub outcome: oneshot::Sender<Vec<(PartitionId, Kept)>>,
}
