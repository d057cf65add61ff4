//! What placement promises, and the random histories over which it has to keep it.

mod figures;
mod golden;
mod laws;
mod layouts;

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::id::{ClusterId, NodeName};

const HOMES_MAX: u8 = 7;

fn node(number: usize, zone: u8, weight: u32) -> LayoutNode {
    LayoutNode {
        name: NodeName::new(&format!("node-{number}")).unwrap(),
        zone: Zone::new(&format!("zone-{zone}")).unwrap(),
        weight: Weight::new(weight).unwrap(),
    }
}

fn layout(nodes: impl IntoIterator<Item = LayoutNode>) -> Layout {
    Layout::first(ClusterId::of("test"), nodes).unwrap()
}

fn equal_nodes(count: usize) -> Layout {
    layout((0..count).map(|number| node(number, 0, 1)))
}

/// A ring of equal nodes that joined one by one.
fn grown(partition_count: u32, nodes: usize) -> Ring {
    let alone = Ring::first(partitions(partition_count), &equal_nodes(1));
    (2..=nodes).fold(alone, |ring, count| ring.next(&equal_nodes(count)))
}

fn partitions(count: u32) -> PartitionCount {
    PartitionCount::new(count).unwrap()
}

fn owning(ring: &Ring) -> BTreeSet<NodeId> {
    ring.partitions().all().filter_map(|partition| ring.owner(partition)).collect()
}

fn zones<'a>(layout: &Layout, nodes: impl IntoIterator<Item = &'a NodeId>) -> usize {
    let zones: BTreeSet<&Zone> =
        nodes.into_iter().map(|id| &layout.node(*id).unwrap().zone).collect();
    zones.len()
}

/// A cluster's birth, and what its operator does to it.
#[derive(Clone, Debug)]
struct History {
    partitions: PartitionCount,
    born: Vec<(u8, u32)>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Join { zone: u8, weight: u32 },
    Leave(Index),
    Alter { which: Index, zone: u8, weight: u32 },
}

/// Histories of 1 to 60 nodes at birth, 16 to 1,024 partitions and up to 5 changes, with at most
/// so many zones and so great weights.
fn histories(zones: u8, weight: u32) -> impl Strategy<Value = History> {
    let weights = prop_oneof![Just(1), Just(weight.min(4)), Just(weight)];
    (1..=zones, weights).prop_flat_map(|(zones, weight)| {
        let bits = prop_oneof![4 => 4..=8u32, 1 => 9..=10u32];
        let partitions = bits.prop_map(|bits| partitions(1 << bits));
        let born = prop::collection::vec((0..zones, 1..=weight), 1..=60);
        let changes = prop::collection::vec(change(zones, weight), 0..=5);
        (partitions, born, changes).prop_map(|(partitions, born, changes)| History {
            partitions,
            born,
            changes,
        })
    })
}

fn change(zones: u8, weight: u32) -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (0..zones, 1..=weight).prop_map(|(zone, weight)| Change::Join { zone, weight }),
        2 => any::<Index>().prop_map(Change::Leave),
        1 => (any::<Index>(), 0..zones, 1..=weight)
            .prop_map(|(which, zone, weight)| Change::Alter { which, zone, weight }),
    ]
}

impl Change {
    /// The layout after it; `None` if the last node would leave.
    fn apply(&self, layout: &Layout, number: usize) -> Option<Layout> {
        let pick = |which: &Index| {
            let at = which.index(layout.node_count());
            layout.nodes().nth(at).unwrap().1.name.clone()
        };
        let next = match self {
            Self::Join { zone, weight } => layout.with(node(number, *zone, *weight)),
            Self::Leave(which) => layout.without(&pick(which)),
            Self::Alter { which, zone, weight } => {
                layout.with_changed(LayoutNode { name: pick(which), ..node(0, *zone, *weight) })
            }
        };
        next.ok()
    }
}

impl History {
    /// Each layout of the history with its ring.
    fn rings(&self) -> Vec<(Layout, Ring)> {
        let born = self.born.iter().enumerate();
        let first = layout(born.map(|(number, (zone, weight))| node(number, *zone, *weight)));
        let ring = Ring::first(self.partitions, &first);
        let mut rings = vec![(first, ring)];
        for (step, change) in self.changes.iter().enumerate() {
            let (layout, ring) = rings.last().unwrap();
            if let Some(next) = change.apply(layout, self.born.len() + step) {
                let ring = ring.next(&next);
                rings.push((next, ring));
            }
        }
        rings
    }
}
