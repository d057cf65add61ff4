//! Coordination of one request over the replicas of its key.
//!
//! Any node takes any request. [`PutCoordination`] has one home mint the write and the others store
//! it; [`GetCoordination`] asks as few replicas as the quorum needs, merges what they hold, and
//! repairs those that were behind. Both go on after the client has its answer: **reply is not
//! finish**. The design is Dynamo's ("Dynamo: Amazon's Highly Available Key-value Store",
//! §4.5 to 4.7), with a home that mints instead of a client's clock entry.
//!
//! | module | role |
//! | --- | --- |
//! | [`options`] | what a request may choose, checked against its bucket |
//! | [`outcome`] | answers and errors, with their numbers and the write's fate |
//! | [`quorum`] | who counts, and whether enough still can |
//! | [`hedge`] | when the next replica is asked although nobody failed |
//! | [`get`], [`put`] | the two machines |
//! | [`repair`] | the repairs that reads want, put together and bounded |
//! | [`list`] | listing the keys of a partition, from any one home |
//!
//! The machines know a replica by its [`NodeId`] and by what the member view says of it when the
//! request starts; the node's own shard is a replica like the others. A shell that carries out
//! [`get::GetEffect`] and [`put::PutEffect`] needs to know nothing about quorums.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{causality::Record, id::NodeId};

pub mod get;
pub mod hedge;
pub mod list;
pub mod options;
pub mod outcome;
pub mod put;
pub mod quorum;
pub mod repair;
mod roster;

pub use get::GetCoordination;
pub use options::{DeleteOptions, PutOptions, ReadOptions};
pub use outcome::{Fate, Replicas, RequestError};
pub use put::PutCoordination;

/// One home of a key, as the member view has it when the request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The node.
    pub node: NodeId,
    /// Whether it is known to be down.
    pub down: bool,
}

/// The homes of a key, the one to be asked first in front.
pub type Homes = SmallVec<[Home; 7]>;

/// How often a partition has been reaped: a shard refuses what was read under a lower one, so that
/// a late message cannot bring back what was deleted for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// A record on its way between shards.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaRecord {
    /// What was read.
    pub record: Arc<Record>,
    /// The lowest generation under which any of it was read from a shard.
    pub generation: Generation,
}

/// Why a replica does not answer as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// There is no link to the node: nothing was sent.
    Unreachable,
    /// The link closed before the answer: the node may have done what it was asked.
    Lost,
    /// The node, or this node's own outbox, had no room or no time; nothing was done.
    Refused,
    /// The replica's copy is damaged and set aside; it takes a repair.
    Corrupt,
}

impl Failure {
    /// Whether it shows that the node is down, as far as anybody can tell from here.
    fn shows_down(self) -> bool {
        matches!(self, Self::Unreachable | Self::Lost)
    }
}
