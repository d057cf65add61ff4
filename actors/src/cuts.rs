//! Faults on purpose, for tests and demonstrations: links that a node cuts itself.

use std::net::SocketAddr;

use henge_kernel::{
    coordination::RequestError,
    id::{NodeId, NodeName},
};
use tokio::net::lookup_host;

use crate::{
    handle::NodeHandle,
    settings::ShardCount,
    transport::faults::{Cut, Faults},
};

impl NodeHandle {
    /// Cuts this node off from `peers`, as far as this node's socket goes: what it sends, and what
    /// it hears unless `one_way`. Refused unless faults were allowed at the start.
    pub async fn cut(&self, peers: &[NodeName], one_way: bool) -> Result<(), RequestError> {
        let faults = self.faults()?;
        let view = self.commons.cluster.load();
        let mut cuts = Vec::new();
        for peer in peers {
            let found = view.nodes.iter().find(|(_, site)| site.name == *peer);
            let other = found.filter(|(node, _)| **node != self.commons.node);
            let (node, site) = other.ok_or_else(|| RequestError::BadRequest {
                field: "cut".into(),
                value: peer.to_string(),
                limit: "the name of another node of the layout".to_owned(),
            })?;
            let resolved = lookup_host((site.host.as_str(), site.port)).await;
            let addresses: Vec<SocketAddr> = resolved
                .map_err(|error| RequestError::BadRequest {
                    field: "cut".into(),
                    value: peer.to_string(),
                    limit: format!("a node whose address resolves ({error})"),
                })?
                .flat_map(|first| self.ports_of_shards(*node, first))
                .collect();
            cuts.push((peer.clone(), addresses));
        }
        // All or none: only now is every name known to be one of a peer.
        let cut = if one_way { Cut::Outgoing } else { Cut::Both };
        for (peer, addresses) in cuts {
            faults.cut(peer, addresses, cut);
        }
        Ok(())
    }

    /// Ends all cuts made by [`NodeHandle::cut`].
    pub fn heal(&self) -> Result<(), RequestError> {
        self.faults()?.heal();
        Ok(())
    }

    /// A peer that was never met may have as many shards as any node can.
    fn ports_of_shards(
        &self,
        node: NodeId,
        first: SocketAddr,
    ) -> impl Iterator<Item = SocketAddr> + use<> {
        let known = self.commons.peer_shards.get(&node).map(|shards| *shards);
        let shards = known.unwrap_or(ShardCount::MAX.get());
        (0..shards).filter_map(move |shard| {
            let port = first.port().checked_add(shard)?;
            Some(SocketAddr::new(first.ip(), port))
        })
    }

    fn faults(&self) -> Result<&Faults, RequestError> {
        let allowed = self.commons.settings.allow_faults;
        let faults = self.commons.environment.faults.as_deref().filter(|_| allowed);
        faults.ok_or_else(|| RequestError::Forbidden {
            action: "faults are injected only into a node started with --allow-faults".into(),
        })
    }
}
