//! Where partitions go. Pure and deterministic: integers only, ties broken by a seeded order.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Layout, Ring};
use crate::id::NodeId;
use crate::key::{PartitionCount, PartitionId};

/// All preference lists, one after the other.
pub(super) fn place(
    partitions: PartitionCount,
    _previous: Option<&Ring>,
    layout: &Layout,
) -> Vec<NodeId> {
    let mut lists = Vec::with_capacity(usize::from(partitions.get()) * layout.node_count());
    for partition in partitions.all() {
        let mut list: Vec<NodeId> = layout.nodes().map(|(id, _)| id).collect();
        list.sort_by_key(|node| (rank(partition, *node), *node));
        lists.extend(list);
    }
    lists
}

/// A number that orders the nodes differently for each partition, the same on every machine.
fn rank(partition: PartitionId, node: NodeId) -> u64 {
    xxh3_64_with_seed(&node.0.to_le_bytes(), u64::from(partition.0))
}
