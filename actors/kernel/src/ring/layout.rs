//! The layout: which nodes there are, in which zone, with which weight.
//!
//! Only an operator changes it; a failure never does. Each change makes a new layout with the next
//! version.

use core::fmt;
use std::collections::BTreeMap;

use crate::id::{ClusterId, NodeId, NodeName, is_label};

/// The most nodes of a layout: it bounds the preference lists, which name all nodes.
pub const NODES_MAX: usize = 128;
/// The greatest weight of a node.
pub const WEIGHT_MAX: u32 = 1_000;
/// The longest zone name, in bytes.
pub const ZONE_BYTES_MAX: usize = 32;

/// Format of [`Layout::encode`].
const FORMAT: u8 = 1;

/// A zone: nodes that are likely to fail together (a rack, a data centre). `[a-z0-9-]{1,32}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Box<str>);

impl Zone {
    /// Checks `zone` and takes it.
    pub fn new(zone: &str) -> Result<Self, InvalidZone> {
        if is_label(zone, ZONE_BYTES_MAX) {
            Ok(Self(zone.into()))
        } else {
            Err(InvalidZone { zone: zone.to_owned() })
        }
    }

    /// The zone as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A zone name that breaks the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("zone {zone:?} is not 1 to {ZONE_BYTES_MAX} characters of a-z, 0-9 and '-'")]
pub struct InvalidZone {
    /// The refused name.
    pub zone: String,
}

/// How much of the ring a node takes, relative to the others: 1 to [`WEIGHT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Default for Weight {
    /// 100: there is room below for smaller machines.
    fn default() -> Self {
        Self(100)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Weight {
    /// The least weight.
    pub const ONE: Self = Self(1);

    /// Takes a weight within the limits.
    pub fn new(weight: u32) -> Result<Self, InvalidWeight> {
        if (1..=WEIGHT_MAX).contains(&weight) {
            Ok(Self(weight))
        } else {
            Err(InvalidWeight { weight })
        }
    }

    /// The weight as a number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A weight of 0 or beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weight {weight} is not within 1 to {WEIGHT_MAX}")]
pub struct InvalidWeight {
    /// The refused weight.
    pub weight: u32,
}

/// What the layout says of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutNode {
    /// The node's name, unique in the cluster.
    pub name: NodeName,
    /// Where it stands.
    pub zone: Zone,
    /// How much of the ring it takes.
    pub weight: Weight,
}

/// All nodes of a cluster: 1 to [`NODES_MAX`], no two of one name. Its version counts the changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    cluster: ClusterId,
    version: u64,
    nodes: BTreeMap<NodeId, LayoutNode>,
}

impl Layout {
    /// The layout with which a cluster is born; its version is 1.
    pub fn first(
        cluster: ClusterId,
        nodes: impl IntoIterator<Item = LayoutNode>,
    ) -> Result<Self, LayoutError> {
        Self::build(cluster, 1, nodes)
    }

    /// The next version, which has `node` too.
    pub fn with(&self, node: LayoutNode) -> Result<Self, LayoutError> {
        self.next(self.nodes.values().cloned().chain([node]))
    }

    /// The next version, in which the node called `node.name` has another zone or weight.
    pub fn with_changed(&self, node: LayoutNode) -> Result<Self, LayoutError> {
        self.next(self.others(&node.name)?.chain([node]))
    }

    /// The next version, without the node called `name`.
    pub fn without(&self, name: &NodeName) -> Result<Self, LayoutError> {
        self.next(self.others(name)?)
    }

    /// The next version, with exactly these nodes: several changes at once.
    pub fn next(&self, nodes: impl IntoIterator<Item = LayoutNode>) -> Result<Self, LayoutError> {
        Self::build(self.cluster, self.version.saturating_add(1), nodes)
    }

    /// All nodes but the one called `name`, which must be a member.
    fn others(
        &self,
        name: &NodeName,
    ) -> Result<impl Iterator<Item = LayoutNode> + use<>, LayoutError> {
        let mut nodes = self.nodes.clone();
        match nodes.remove(&NodeId::of(self.cluster, name)) {
            Some(_) => Ok(nodes.into_values()),
            None => Err(LayoutError::UnknownNode { name: name.clone() }),
        }
    }

    fn build(
        cluster: ClusterId,
        version: u64,
        nodes: impl IntoIterator<Item = LayoutNode>,
    ) -> Result<Self, LayoutError> {
        let mut map: BTreeMap<NodeId, LayoutNode> = BTreeMap::new();
        for node in nodes {
            let id = NodeId::of(cluster, &node.name);
            if let Some(other) = map.get(&id) {
                return Err(LayoutError::clash(&other.name, &node.name));
            }
            if map.len() == NODES_MAX {
                return Err(LayoutError::TooManyNodes { max: NODES_MAX });
            }
            map.insert(id, node);
        }
        if map.is_empty() {
            return Err(LayoutError::Empty);
        }
        Ok(Self { cluster, version, nodes: map })
    }

    /// The cluster that this is the layout of.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// 1 for the first layout, one more with each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many nodes there are; at least one.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes, in the order of their identities.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &LayoutNode)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// What the layout says of `node`; `None` if it is no member.
    pub fn node(&self, node: NodeId) -> Option<&LayoutNode> {
        self.nodes.get(&node)
    }

    /// Appends the canonical bytes: equal layouts have equal bytes, different ones different bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.cluster.0.to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&(self.nodes.len() as u64).to_le_bytes());
        for node in self.nodes.values() {
            encode_text(node.name.as_str(), out);
            encode_text(node.zone.as_str(), out);
            out.extend_from_slice(&node.weight.get().to_le_bytes());
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Why there is no such layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No node at all.
    #[error("a layout needs at least one node")]
    Empty,
    /// More nodes than [`NODES_MAX`].
    #[error("a layout has at most {max} nodes")]
    TooManyNodes {
        /// The limit.
        max: usize,
    },
    /// Two nodes of one name.
    #[error("two nodes are called {name}")]
    DuplicateName {
        /// The name.
        name: NodeName,
    },
    /// Two names with one [`NodeId`]: a collision of 64-bit hashes. One must take another name.
    #[error(
        "the names {first} and {second} have the same identity; choose another for one of them"
    )]
    SameIdentity {
        /// The name that came first.
        first: NodeName,
        /// The name that came second.
        second: NodeName,
    },
    /// A change to a node that is no member.
    #[error("no node is called {name}")]
    UnknownNode {
        /// The name.
        name: NodeName,
    },
}

impl LayoutError {
    fn clash(first: &NodeName, second: &NodeName) -> Self {
        if first == second {
            Self::DuplicateName { name: first.clone() }
        } else {
            Self::SameIdentity { first: first.clone(), second: second.clone() }
        }
    }
}
