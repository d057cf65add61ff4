//! To [`RingManager`](crate::ring_manager::RingManager).

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketRegister},
    coordination::RequestError,
    id::NodeId,
};
use tokio::sync::oneshot;

/// Set properties of a bucket, cluster-wide.
#[derive(Debug)]
pub struct SetBucket {
    /// Which.
    pub bucket: Bytes,
    /// What changes.
    pub change: BucketChange,
    /// Who waits.
    pub outcome: oneshot::Sender<Result<BucketRegister, RequestError>>,
}

/// Registers of a peer came in: its whole table when two nodes meet, one on each change.
#[derive(Debug)]
pub struct RegistersArrived {
    /// From whom.
    pub from: NodeId,
    /// The registers.
    pub registers: Vec<BucketRegister>,
    /// The peer waits for an answer under this ticket, unless it is 0.
    pub ticket: u64,
}

/// A peer stored a register, or refused it.
#[derive(Debug)]
pub struct RegisterAnswered {
    /// Which peer.
    pub from: NodeId,
    /// Under which ticket it was asked.
    pub ticket: u64,
    /// Why it refused, in words.
    pub refused: Option<RegisterRefused>,
}

/// Why a peer did not store a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterRefused {
    /// `n` or `conflict`, fixed by data that the peer holds.
    pub field: String,
    /// The value in force there.
    pub fixed: String,
    /// The value asked for.
    pub value: String,
}

/// A link to a peer's shard 0 is up: send it what it may not know.
#[derive(Clone, Copy, Debug)]
pub struct PeerReached {
    /// Which peer.
    pub node: NodeId,
}
