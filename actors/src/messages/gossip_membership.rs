//! To [`GossipMembership`](crate::gossip_membership::GossipMembership).

use bytes::Bytes;
use henge_kernel::{id::NodeId, membership::StorageState};

/// A gossip packet came in.
#[derive(Debug)]
pub struct GossipArrived {
    /// From whom.
    pub from: NodeId,
    /// The packet.
    pub packet: Bytes,
}

/// A handshake with a peer was finished.
#[derive(Clone, Copy, Debug)]
pub struct PeerMet {
    /// Which.
    pub node: NodeId,
    /// How many shards it has.
    pub shards: u16,
}

/// The state of a shard's storage changed.
#[derive(Clone, Copy, Debug)]
pub struct StorageChanged {
    /// Which shard.
    pub shard: u16,
    /// Its state.
    pub state: StorageState,
}

/// The node stops: tell the others.
#[derive(Clone, Copy, Debug)]
pub struct LeaveCluster;
