//! The ring: which nodes are the homes of which partition (Dynamo, SOSP 2007, §4.2, §4.3 and the
//! equal-sized partitions of its strategy 3, §6.2).
//!
//! A [`Ring`] is a pure function of the history of [`Layout`]s: `Ring::first(partitions, layout)`,
//! then `ring.next(layout)` for each new version. Every node that knows the history computes the
//! same ring, which its [`RingDigest`] proves.

mod assignment;
mod layout;
mod placement;
mod share;
#[cfg(test)]
mod tests;

use core::fmt;

pub use layout::{
    InvalidWeight, InvalidZone, Layout, LayoutError, LayoutNode, NODES_MAX, WEIGHT_MAX, Weight,
    ZONE_BYTES_MAX, Zone,
};

use crate::{
    id::NodeId,
    key::{PartitionCount, PartitionId},
};

/// Version of the placement: another number may place the same layouts elsewhere. Nodes that place
/// differently must not serve one cluster, so it is part of every [`RingDigest`].
pub const PLACEMENT_VERSION: u32 = 1;

/// Partitions and their preference lists, at one epoch. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    epoch: u64,
    layout_version: u64,
    partitions: PartitionCount,
    /// In the order of their identities.
    nodes: Vec<NodeId>,
    /// All preference lists, one after the other; each names all nodes.
    lists: Vec<NodeId>,
    digest: RingDigest,
}

impl Ring {
    /// The ring with which a cluster is born; its epoch is 1.
    pub fn first(partitions: PartitionCount, layout: &Layout) -> Self {
        Self::place(partitions, None, layout)
    }

    /// The ring that follows this one when `layout` is committed; its epoch is one more.
    #[must_use]
    pub fn next(&self, layout: &Layout) -> Self {
        Self::place(self.partitions, Some(self), layout)
    }

    fn place(partitions: PartitionCount, previous: Option<&Self>, layout: &Layout) -> Self {
        let mut ring = Self {
            epoch: previous.map_or(1, |ring| ring.epoch.saturating_add(1)),
            layout_version: layout.version(),
            partitions,
            nodes: layout.nodes().map(|(id, _)| id).collect(),
            lists: placement::place(partitions, previous, layout),
            digest: RingDigest(0),
        };
        ring.digest = RingDigest::of(&ring, layout);
        ring
    }

    /// How many rings the cluster has had, this one included. Orders the rings of one cluster.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version of the layout that this ring was placed for.
    pub fn layout_version(&self) -> u64 {
        self.layout_version
    }

    /// A hash of everything that says where data lies.
    pub fn digest(&self) -> RingDigest {
        self.digest
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// All nodes, in the order of their identities.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// All nodes in the order of preference for `partition`, its owner first. Empty only for a
    /// partition that this ring does not have.
    pub fn preference_list(&self, partition: PartitionId) -> &[NodeId] {
        let start = usize::from(partition.0) * self.nodes.len();
        self.lists.get(start..start + self.nodes.len()).unwrap_or(&[])
    }

    /// The first `n` nodes of the preference list: fewer only if there are fewer nodes.
    pub fn homes(&self, partition: PartitionId, n: u8) -> &[NodeId] {
        let list = self.preference_list(partition);
        &list[..list.len().min(usize::from(n))]
    }

    /// First of the preference list; `None` for a partition that this ring does not have.
    pub fn owner(&self, partition: PartitionId) -> Option<NodeId> {
        self.preference_list(partition).first().copied()
    }

    /// How many partitions `node` owns.
    pub fn owned_by(&self, node: NodeId) -> usize {
        self.home_of(node, 1)
    }

    /// Of how many partitions `node` is one of the first `n` homes.
    pub fn home_of(&self, node: NodeId, n: u8) -> usize {
        self.partitions.all().filter(|&p| self.homes(p, n).contains(&node)).count()
    }

    /// The part of all partitions that `node` owns, 0 to 1.
    pub fn share(&self, node: NodeId) -> f64 {
        let owned = u32::try_from(self.owned_by(node)).unwrap_or(u32::MAX);
        f64::from(owned) / f64::from(self.partitions.get())
    }
}

/// A hash over placement version, epoch, partitions, layout and preference lists: rings with the
/// same digest send every key to the same nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingDigest(pub u128);

impl RingDigest {
    fn of(ring: &Ring, layout: &Layout) -> Self {
        let mut facts = Vec::new();
        facts.extend_from_slice(&PLACEMENT_VERSION.to_le_bytes());
        facts.extend_from_slice(&ring.epoch.to_le_bytes());
        facts.extend_from_slice(&ring.partitions.get().to_le_bytes());
        layout.encode(&mut facts);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&facts);
        for node in &ring.lists {
            hasher.update(&node.0.to_le_bytes());
        }
        let mut first = [0; 16];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(first))
    }
}

impl fmt::Debug for RingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingDigest({self})")
    }
}

impl fmt::Display for RingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a change of the ring moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Partitions that have another owner.
    pub owners: usize,
    /// Pairs (partition, home) that are new: each is one copy of a partition to be transferred.
    pub homes: usize,
}

/// What changes between two rings, when every partition has `n` homes.
pub fn moves(previous: &Ring, next: &Ring, n: u8) -> Moves {
    let mut moves = Moves::default();
    for partition in next.partitions.all() {
        let before = previous.homes(partition, n);
        moves.owners += usize::from(previous.owner(partition) != next.owner(partition));
        moves.homes += next.homes(partition, n).iter().filter(|&n| !before.contains(n)).count();
    }
    moves
}
