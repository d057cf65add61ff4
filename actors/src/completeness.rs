//! Whether a node may be called ready although its disk is new.
//!
//! A disk that holds nothing is that of a new cluster, or of an old member that lost its own. The
//! first look at the peers tells: in a new cluster they are found equal, and from then on each node
//! answers for what was never written; an old member is filled while the others answer.

use std::collections::BTreeSet;

use henge_kernel::{id::NodeId, key::PartitionId};

use crate::{anti_entropy_report::ShardSync, commons::Commons, view::ClusterView};

/// The peers that are up and with which an empty shard of this node has yet to be found equal, as
/// far as nothing says that they hold what it lacks.
pub fn yet_to_compare(commons: &Commons) -> BTreeSet<NodeId> {
    let (cluster, members) = (commons.cluster.load(), commons.members.load());
    let mut awaited = BTreeSet::new();
    for shown in &commons.anti_entropy {
        let sync = shown.load();
        // A partition that is found equal is incomplete no more.
        for partition in sync.incomplete.iter().filter(|_| sync.was_empty) {
            let differs = |home: &NodeId| differs(commons, &sync, *home, *partition);
            let up = others(&cluster, *partition, commons.node);
            let up: Vec<_> = up.filter(|home| members.is_up(*home)).collect();
            if !up.iter().any(differs) {
                awaited.extend(up);
            }
        }
    }
    awaited
}

/// The nodes beside this one, if it is one, that are homes of keys in a partition.
fn others(
    cluster: &ClusterView,
    partition: PartitionId,
    own: NodeId,
) -> impl Iterator<Item = NodeId> {
    let homes = cluster.ring.homes(partition, cluster.n_max());
    let homes = if homes.contains(&own) { homes } else { &[] };
    homes.iter().copied().filter(move |home| *home != own)
}

fn differs(commons: &Commons, sync: &ShardSync, peer: NodeId, partition: PartitionId) -> bool {
    let shards = commons.peer_shards.get(&peer).map(|shards| *shards);
    let lane = shards.map(|shards| (peer, partition.shard(shards)));
    let peer = lane.and_then(|lane| sync.peers.get(&lane));
    peer.is_some_and(|peer| peer.diverged.contains_key(&partition))
}
