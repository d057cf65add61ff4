//! To [`GossipMembership`](crate::gossip_membership::GossipMembership).

use std::collections::BTreeMap;

use bytes::Bytes;
use henge_kernel::{handoff::hint::HintTotals, id::NodeId, membership::StorageState};

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

/// How a shard's storage is: told now and then, and at once when its state changes.
#[derive(Debug)]
pub struct StorageSampled {
    /// Which shard.
    pub shard: u16,
    /// How it is.
    pub sample: StorageSample,
}

/// How a shard's storage is.
#[derive(Clone, Debug)]
pub struct StorageSample {
    /// Whether it takes writes.
    pub state: StorageState,
    /// Keys, tombstones and hinted copies included.
    pub keys: u64,
    /// Bytes on the disk.
    pub disk_bytes: u64,
    /// What it keeps for homes that are away.
    pub hints: BTreeMap<NodeId, HintTotals>,
}

impl Default for StorageSample {
    fn default() -> Self {
        Self { state: StorageState::Ok, keys: 0, disk_bytes: 0, hints: BTreeMap::new() }
    }
}

/// The node stops: tell the others.
#[derive(Clone, Copy, Debug)]
pub struct LeaveCluster;
