//! Which node to ask for a key: its homes, at the port of its shard.

use henge_actors::{
    NodeName,
    reports::{RoutingNode, RoutingReport},
    transport::PeerAddress,
};
use henge_kernel::key::{PartitionCount, Token};

/// The ring as a node told it.
#[derive(Debug, Default)]
pub(super) struct Routes {
    epoch: u64,
    partitions: Option<PartitionCount>,
    nodes: Vec<RoutingNode>,
    homes: Vec<Vec<u16>>,
}

impl Routes {
    /// Takes in what a node told; says whether it was news.
    pub(super) fn learn(&mut self, report: RoutingReport) -> bool {
        if report.epoch < self.epoch {
            return false;
        }
        let known = std::mem::take(&mut self.nodes);
        *self = Self {
            epoch: report.epoch,
            partitions: PartitionCount::new(report.partitions.into()),
            nodes: report.nodes,
            homes: report.homes,
        };
        for RoutingNode { name, shards, .. } in known {
            if let Some(shards) = shards {
                self.learn_shards(&name, shards, false);
            }
        }
        true
    }

    /// A node has told how many shards it has; it knows better than others (`itself`).
    pub(super) fn learn_shards(&mut self, name: &str, shards: u16, itself: bool) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.name == name)
            && (itself || node.shards.is_none())
        {
            node.shards = Some(shards);
        }
    }

    /// The epoch of the ring.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The nodes in the order in which to ask them about the key of `token`: its homes first.
    pub(super) fn nodes_for(&self, token: Token) -> Vec<PeerAddress> {
        let Some(partitions) = self.partitions else { return self.all() };
        let partition = token.partition(partitions);
        let homes = self.homes.get(usize::from(partition.0)).map_or(&[][..], Vec::as_slice);
        let others = (0..self.nodes.len())
            .filter(|place| !homes.iter().any(|home| usize::from(*home) == *place));
        let places = homes.iter().map(|home| usize::from(*home)).chain(others);
        let shard =
            |node: &RoutingNode| node.shards.map_or(0, |shards| partition.shard(shards.max(1)));
        places
            .filter_map(|place| self.nodes.get(place))
            .filter_map(|node| address(node, shard(node)))
            .collect()
    }

    /// Shard 0 of every node.
    pub(super) fn all(&self) -> Vec<PeerAddress> {
        self.nodes.iter().filter_map(|node| address(node, 0)).collect()
    }
}

fn address(node: &RoutingNode, shard: u16) -> Option<PeerAddress> {
    Some(PeerAddress {
        name: Some(NodeName::new(&node.name).ok()?),
        host: node.host.clone(),
        port: node.port.checked_add(shard)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(epoch: u64, shards: [Option<u16>; 3]) -> RoutingReport {
        let node = |(name, shards): (&str, Option<u16>)| RoutingNode {
            name: name.to_owned(),
            host: "10.0.0.1".to_owned(),
            port: 7400,
            shards,
        };
        // Partition p has the homes p, p + 1.
        let homes = (0..8).map(|p| vec![p % 3, (p + 1) % 3]).collect();
        let nodes = ["a", "b", "c"].into_iter().zip(shards).map(node).collect();
        RoutingReport { epoch, partitions: 8, nodes, homes }
    }

    fn names(addresses: &[PeerAddress]) -> Vec<(&str, u16)> {
        let name = |address: &PeerAddress| address.name.as_ref().unwrap().as_str().to_owned();
        let all: Vec<_> = addresses.iter().map(|one| (name(one), one.port)).collect();
        all.into_iter().map(|(name, port)| (&*name.leak(), port)).collect()
    }

    #[test]
    fn homes_come_first_at_the_port_of_their_shard() {
        let mut routes = Routes::default();
        assert!(routes.nodes_for(Token(0)).is_empty(), "nothing is known yet");
        assert!(routes.learn(report(2, [Some(1), Some(2), Some(4)])));
        // Partition 7 of 8: homes b and c; shard 7 % 2 and 7 % 4.
        let order = routes.nodes_for(Token(u64::MAX));
        assert_eq!(names(&order), [("b", 7401), ("c", 7403), ("a", 7400)]);
    }

    #[test]
    fn an_older_ring_is_no_news_and_shards_are_not_forgotten() {
        let mut routes = Routes::default();
        routes.learn(report(2, [None; 3]));
        routes.learn_shards("b", 2, true);
        assert!(!routes.learn(report(1, [None; 3])));
        assert!(routes.learn(report(3, [None; 3])));
        assert_eq!(routes.epoch(), 3);
        assert_eq!(routes.nodes_for(Token(u64::MAX))[0].port, 7401);
    }
}
