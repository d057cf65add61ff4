//! The laws of placement over random histories, and named cases of them.

use super::*;

/// The weighted share of a node, rounded down and up.
fn share(layout: &Layout, partitions: PartitionCount, id: NodeId) -> (usize, usize) {
    let weight = |node: &LayoutNode| usize::try_from(node.weight.get()).unwrap();
    let total: usize = layout.nodes().map(|(_, node)| weight(node)).sum();
    let parts = layout.node(id).map_or(0, weight) * usize::from(partitions.get());
    (parts / total, parts.div_ceil(total))
}

/// How many owners no placement could leave: the sum of what nodes have above their new share, or
/// of what they have below it.
fn necessary(previous: &Ring, layout: &Layout) -> usize {
    let ids: BTreeSet<NodeId> =
        previous.nodes().iter().copied().chain(layout.nodes().map(|(id, _)| id)).collect();
    let bounds = ids.iter().map(|id| {
        let (low, high) = share(layout, previous.partitions(), *id);
        let owned = previous.owned_by(*id);
        (owned.saturating_sub(high), low.saturating_sub(owned))
    });
    let (above, below) = bounds.fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
    above.max(below)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_node_owns_its_weighted_share(history in histories(8, WEIGHT_MAX)) {
        for (layout, ring) in history.rings() {
            for (id, _) in layout.nodes() {
                let (low, high) = share(&layout, ring.partitions(), id);
                prop_assert!((low..=high).contains(&ring.owned_by(id)));
            }
        }
    }

    #[test]
    fn every_list_names_every_node_once_and_its_owner_first(history in histories(8, WEIGHT_MAX)) {
        for (layout, ring) in history.rings() {
            let all: BTreeSet<NodeId> = layout.nodes().map(|(id, _)| id).collect();
            for partition in ring.partitions().all() {
                let list = ring.preference_list(partition);
                prop_assert_eq!(list.len(), all.len());
                prop_assert_eq!(&list.iter().copied().collect::<BTreeSet<_>>(), &all);
                prop_assert_eq!(ring.owner(partition), Some(list[0]));
                for n in 1..=HOMES_MAX {
                    prop_assert_eq!(ring.homes(partition, n), &list[..all.len().min(n.into())]);
                }
            }
        }
    }

    #[test]
    fn homes_stand_in_distinct_zones_while_there_are_enough(history in histories(8, WEIGHT_MAX)) {
        for (layout, ring) in history.rings() {
            let enough = zones(&layout, &owning(&ring));
            for partition in ring.partitions().all() {
                let list = ring.preference_list(partition);
                for n in 1..=enough {
                    prop_assert_eq!(zones(&layout, &list[..n]), n);
                }
            }
        }
    }

    #[test]
    fn nodes_that_own_nothing_come_last_in_seeded_order(history in histories(8, WEIGHT_MAX)) {
        for (_, ring) in history.rings() {
            let owning = owning(&ring);
            for partition in ring.partitions().all() {
                let (front, idle) = ring.preference_list(partition).split_at(owning.len());
                prop_assert!(front.iter().all(|id| owning.contains(id)));
                prop_assert!(idle.is_sorted_by_key(|id| placement::seeded(partition, id.0)));
            }
        }
    }

    #[test]
    fn any_change_moves_exactly_the_owners_that_it_must(history in histories(1, WEIGHT_MAX)) {
        let rings = history.rings();
        for ((_, previous), (layout, next)) in rings.iter().zip(&rings[1..]) {
            prop_assert_eq!(moves(previous, next, 1).owners, necessary(previous, layout));
        }
    }

    /// A zone that gets its first owner, or keeps its last, can cost more than the bare minimum.
    #[test]
    fn with_zones_a_join_or_leave_moves_at_most_its_share_more(history in histories(8, WEIGHT_MAX)) {
        let rings = history.rings();
        for ((before, previous), (layout, next)) in rings.iter().zip(&rings[1..]) {
            let ids = |layout: &Layout| layout.nodes().map(|(id, _)| id).collect::<BTreeSet<_>>();
            for id in &ids(before) ^ &ids(layout) {
                let of = |layout| share(layout, history.partitions, id).1;
                let allowed = necessary(previous, layout) + of(before).max(of(layout));
                prop_assert!(moves(previous, next, 1).owners <= allowed);
            }
        }
    }

    #[test]
    fn equal_nodes_are_homes_equally_often(history in histories(1, 1)) {
        for (_, ring) in history.rings() {
            let owning = owning(&ring);
            for n in 1..=HOMES_MAX {
                let homes = usize::from(history.partitions.get()) * owning.len().min(n.into());
                let fair = homes / owning.len()..=homes.div_ceil(owning.len());
                for id in &owning {
                    // Where some own nothing, an idle node is a home only beyond the owning ones.
                    prop_assert!(fair.contains(&ring.home_of(*id, n)));
                }
            }
        }
    }

    #[test]
    fn a_ring_is_a_function_of_the_history(history in histories(8, WEIGHT_MAX)) {
        prop_assert_eq!(history.rings(), history.rings());
    }
}

/// Riak's default claim, of 64 partitions on 3 nodes, leaves 32 lists with two nodes only.
#[test]
fn three_nodes_are_the_three_homes_of_every_partition() {
    let rings = [Ring::first(partitions(64), &equal_nodes(3)), grown(64, 3)];
    for ring in rings {
        for partition in ring.partitions().all() {
            let homes: BTreeSet<&NodeId> = ring.homes(partition, 3).iter().collect();
            assert_eq!(homes.len(), 3);
        }
    }
}

/// Riak's greedy claim left 6, 6, 6, 8, 6 of 32 partitions on 5 nodes.
#[test]
fn five_nodes_own_six_or_seven_of_32_partitions() {
    let ring = grown(32, 5);
    let mut owned: Vec<usize> = ring.nodes().iter().map(|id| ring.owned_by(*id)).collect();
    owned.sort_unstable();
    assert_eq!(owned, [6, 6, 6, 7, 7]);
}

#[test]
fn a_light_zone_has_an_owner_and_so_a_home_of_every_partition() {
    let heavy = (0..6).map(|number| node(number, u8::try_from(number % 2).unwrap(), 100));
    let two_zones = layout(heavy);
    let three_zones = two_zones.with(node(6, 2, 1)).unwrap();
    let ring = Ring::first(partitions(64), &two_zones).next(&three_zones);
    for partition in ring.partitions().all() {
        assert_eq!(zones(&three_zones, ring.homes(partition, 3)), 3);
    }
}

#[test]
fn an_unchanged_layout_moves_nothing() {
    let five = equal_nodes(5);
    let ring = Ring::first(partitions(256), &five);
    let next = ring.next(&five.next(five.nodes().map(|(_, node)| node.clone())).unwrap());
    assert_eq!(moves(&ring, &next, HOMES_MAX), Moves::default());
    assert_eq!((ring.epoch(), next.epoch(), next.layout_version()), (1, 2, 2));
    assert_ne!(ring.digest(), next.digest());
}

#[test]
fn the_order_in_which_nodes_are_named_changes_nothing() {
    let backwards = layout((0..5).rev().map(|number| node(number, 0, 1)));
    assert_eq!(
        Ring::first(partitions(64), &backwards),
        Ring::first(partitions(64), &equal_nodes(5))
    );
}

#[test]
fn a_partition_that_the_ring_does_not_have_has_no_homes() {
    let ring = Ring::first(partitions(16), &equal_nodes(3));
    for foreign in [16, 17, u16::MAX] {
        assert_eq!(ring.owner(PartitionId(foreign)), None);
        assert!(ring.homes(PartitionId(foreign), 3).is_empty());
    }
}

#[test]
fn the_shares_of_all_nodes_are_the_ring() {
    let ring = Ring::first(partitions(256), &layout([node(0, 0, 2), node(1, 0, 1), node(2, 0, 1)]));
    let shares: f64 = ring.nodes().iter().map(|id| ring.share(*id)).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    assert!(ring.nodes().iter().any(|id| ring.owned_by(*id) == 128));
    assert!(ring.share(NodeId(0)).abs() < 1e-9);
}
