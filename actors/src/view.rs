//! What every request needs to know of the cluster, as immutable snapshots.
//!
//! A request never asks an actor who its homes are or who is up: `RingManager` and
//! `GossipMembership` publish what they know, and readers hold the `Arc` of that moment.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use henge_kernel::{
    bucket::BucketTable,
    id::{NodeId, NodeName},
    key::Key,
    ring::Ring,
};

/// A snapshot that one actor replaces and everybody reads.
#[derive(Debug)]
pub struct Published<T>(ArcSwap<T>);

impl<T> Published<T> {
    /// Publishes the first snapshot.
    pub fn new(first: T) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// The snapshot of this moment.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the snapshot.
    pub fn publish(&self, next: T) {
        self.0.store(Arc::new(next));
    }
}

/// The ring, the bucket properties and the addresses of the nodes.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Partitions to homes.
    pub ring: Arc<Ring>,
    /// Bucket properties.
    pub buckets: Arc<BucketTable>,
    /// Buckets that may be about to get an `n` or `conflict` of their own: until it is known
    /// whether they hold data, no shard here mints for them.
    pub examined: Arc<Vec<Bytes>>,
    /// Every node of the layout.
    pub nodes: Arc<BTreeMap<NodeId, Site>>,
    /// Whether `buckets` came from the node's own disk or from its peers. Until then it serves no
    /// client.
    pub learned: bool,
}

/// A node of the layout and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: NodeName,
    /// Host of its endpoints.
    pub host: String,
    /// UDP port of its shard 0; shard k listens on this port plus k.
    pub port: u16,
    /// Its zone.
    pub zone: Box<str>,
    /// Its weight.
    pub weight: u32,
}

impl ClusterView {
    /// The homes of a key, in the order of the ring.
    pub fn homes_of(&self, key: &Key) -> &[NodeId] {
        let partition = key.token().partition(self.ring.partitions());
        self.ring.homes(partition, self.buckets.properties(key.bucket()).n)
    }

    /// The greatest `n` that a bucket has.
    pub fn n_max(&self) -> u8 {
        let own = self.buckets.iter().map(|register| register.properties.n);
        own.fold(self.buckets.defaults().n, u8::max)
    }

    /// The name of a node, or its id if the layout does not know it.
    pub fn name_of(&self, node: NodeId) -> String {
        self.nodes.get(&node).map_or_else(|| node.to_string(), |site| site.name.to_string())
    }
}
