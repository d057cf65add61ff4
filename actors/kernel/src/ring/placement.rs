//! Where partitions go: the preference lists, filled place by place, each place at least cost.
//!
//! The first place (the owners) has exact quotas. Each further place has a band of loads for every
//! node, so that all places up to it load the nodes by weight and zone; a node costs nothing in a
//! list that named it up to that place in the previous ring, and one move in another. What comes
//! after the balanced places is a seeded order.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Layout, LayoutNode, Ring, Zone,
    assignment::{Band, FORBIDDEN, Problem},
    share::{Member, bands, quotas},
};
use crate::{
    id::NodeId,
    key::{PartitionCount, PartitionId},
};

/// The places of a list that are balanced: as many as a bucket can have homes.
const BALANCED_PLACES: u8 = 7;

/// All preference lists, one after the other.
pub(super) fn place(
    partitions: PartitionCount,
    previous: Option<&Ring>,
    layout: &Layout,
) -> Vec<NodeId> {
    let mut draft = Draft::new(partitions, previous, layout);
    draft.choose_owners();
    draft.choose_homes();
    draft.append_the_rest();
    draft.lists.iter().flatten().map(|node| draft.nodes[*node]).collect()
}

/// Lists in the making. Nodes are indexes.
struct Draft<'a> {
    partitions: PartitionCount,
    previous: Option<&'a Ring>,
    nodes: Vec<NodeId>,
    members: Vec<Member>,
    /// Per partition: all nodes, the homes in the previous ring first, the others in seeded order.
    liking: Vec<Vec<usize>>,
    lists: Vec<Vec<usize>>,
}

impl<'a> Draft<'a> {
    fn new(partitions: PartitionCount, previous: Option<&'a Ring>, layout: &Layout) -> Self {
        let nodes: Vec<NodeId> = layout.nodes().map(|(id, _)| id).collect();
        let liking = |partition| {
            let before = previous.map_or(&[][..], |ring| ring.homes(partition, BALANCED_PLACES));
            let place = |node| before.iter().position(|home| *home == node);
            let mut all: Vec<usize> = (0..nodes.len()).collect();
            all.sort_by_cached_key(|i| {
                (place(nodes[*i]).unwrap_or(usize::MAX), seeded(partition, nodes[*i].0))
            });
            all
        };
        Self {
            partitions,
            previous,
            members: members_of(layout),
            liking: partitions.all().map(liking).collect(),
            lists: vec![Vec::with_capacity(nodes.len()); usize::from(partitions.get())],
            nodes,
        }
    }

    fn choose_owners(&mut self) {
        let owned = |node: &NodeId| self.previous.map_or(0, |ring| ring.owned_by(*node));
        let before: Vec<usize> = self.nodes.iter().map(owned).collect();
        let quotas = quotas(&self.members, self.lists.len(), &before);
        let exact: Vec<Band> = quotas.iter().map(|quota| Band::exactly(*quota)).collect();
        self.fill_place(0, &exact);
        for (member, quota) in self.members.iter_mut().zip(quotas) {
            member.weight *= u64::from(quota > 0);
        }
    }

    fn choose_homes(&mut self) {
        for place in 1..self.owning().count().min(usize::from(BALANCED_PLACES)) {
            let mut held = vec![0; self.nodes.len()];
            self.lists.iter().flatten().for_each(|node| held[*node] += 1);
            let apart = place < self.zone_count();
            let bands = bands(&self.members, self.lists.len(), &held, apart);
            self.fill_place(place, &bands);
        }
    }

    /// Names a node in this place of each list.
    fn fill_place(&mut self, place: usize, bands: &[Band]) {
        let zones = self.zone_count();
        let near = u8::try_from(place + 1).unwrap_or(u8::MAX);
        let mut costs = Vec::with_capacity(self.lists.len() * self.nodes.len());
        for (partition, list) in self.partitions.all().zip(&self.lists) {
            let before = self.previous.map(|ring| ring.homes(partition, near));
            costs.extend(self.nodes.iter().enumerate().map(|(node, id)| {
                let stays = before.is_none_or(|homes| homes.contains(id));
                if self.may_follow(list, node, zones) { u8::from(!stays) } else { FORBIDDEN }
            }));
        }
        let order = self.turn_order(place);
        let (liking, order) = (&self.liking, &order);
        let chosen = Problem { bands, costs: &costs, liking, order }.solve();
        self.lists.iter_mut().zip(chosen).for_each(|(list, node)| list.push(node));
    }

    /// The partitions in the order in which they choose: another one in each place and epoch.
    /// Else the same partitions would always come last and take the newcomers, and nodes would
    /// end up in pairs which share most of their lists.
    fn turn_order(&self, place: usize) -> Vec<usize> {
        let epoch = self.previous.map_or(0, Ring::epoch);
        let turn = epoch.wrapping_mul(u64::from(BALANCED_PLACES)).wrapping_add(place as u64);
        let mut order: Vec<PartitionId> = self.partitions.all().collect();
        order.sort_by_cached_key(|partition| seeded(*partition, turn));
        order.into_iter().map(|partition| usize::from(partition.0)).collect()
    }

    /// The other owning nodes, zones apart as long as possible; then those that own nothing.
    fn append_the_rest(&mut self) {
        let (owning, zones) = (self.owning().count(), self.zone_count());
        for partition in self.partitions.all() {
            let p = usize::from(partition.0);
            let mut list = core::mem::take(&mut self.lists[p]);
            let mut rest: Vec<usize> = self.liking[p].clone();
            rest.retain(|node| !list.contains(node));
            rest.sort_by_cached_key(|node| seeded(partition, self.nodes[*node].0));
            while list.len() < owning {
                let next = rest.iter().position(|node| self.may_follow(&list, *node, zones));
                let Some(next) = next else { break };
                list.push(rest.remove(next));
            }
            list.extend(rest);
            self.lists[p] = list;
        }
    }

    /// Whether `node` may come next in `list`: once, and away from its zone while there are others.
    fn may_follow(&self, list: &[usize], node: usize, zones: usize) -> bool {
        let apart = list.len() < zones;
        let clash = |&other: &usize| {
            other == node || apart && self.members[other].zone == self.members[node].zone
        };
        self.members[node].weight > 0 && !list.iter().any(clash)
    }

    fn owning(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.weight > 0)
    }

    /// How many zones own something.
    fn zone_count(&self) -> usize {
        let zones: BTreeSet<usize> = self.owning().map(|member| member.zone).collect();
        zones.len()
    }
}

fn members_of(layout: &Layout) -> Vec<Member> {
    let zones: BTreeSet<&Zone> = layout.nodes().map(|(_, node)| &node.zone).collect();
    let number = |zone: &Zone| zones.iter().take_while(|other| **other < zone).count();
    let member = |node: &LayoutNode| Member {
        zone: number(&node.zone),
        weight: u64::from(node.weight.get()),
    };
    layout.nodes().map(|(_, node)| member(node)).collect()
}

/// A random number for each pair, the same on every machine and for ever.
pub(super) fn seeded(partition: PartitionId, what: u64) -> u64 {
    xxh3_64_with_seed(&what.to_le_bytes(), u64::from(partition.0))
}
