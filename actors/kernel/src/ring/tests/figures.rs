//! How even and how sticky the homes are: measured, printed, and held to an honest bound.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use super::*;

/// How much the busiest node is above the mean, in percent.
fn above_mean(ring: &Ring) -> f64 {
    let busiest = ring.nodes().iter().map(|id| ring.home_of(*id, 3)).max().unwrap();
    let mean = float(usize::from(ring.partitions().get()) * 3) / float(ring.nodes().len());
    (float(busiest) / mean - 1.0) * 100.0
}

/// Copies that move when one node joins or leaves, as a multiple of its share of all copies.
fn copies_moved(previous: &Ring, next: &Ring) -> f64 {
    let nodes = previous.nodes().len().max(next.nodes().len());
    let share = float(usize::from(next.partitions().get()) * 3) / float(nodes);
    float(moves(previous, next, 3).homes) / share
}

/// Equal nodes in one zone, three homes. Below eight partitions a node, whole partitions are
/// coarse: the copies of a newcomer come from nodes of which each may give one only.
#[test]
fn homes_are_even_and_few_copies_move() {
    println!("    Q    nodes  above the mean  moved by a join  by a leave  (the greatest of all)");
    for (q, nodes) in [(64, 4..=8), (256, 4..=32), (1024, 4..=60)] {
        assert_moves(q, nodes, 1.25);
    }
    for (q, nodes) in [(64, 9..=16), (256, 33..=60)] {
        assert_moves(q, nodes, 1.75);
    }
}

/// A cluster of equal nodes that grows one by one; from each size of `nodes` one leaves again.
fn assert_moves(q: u32, nodes: RangeInclusive<usize>, bound: f64) {
    let mut ring = grown(q, nodes.start() - 1);
    let (mut above, mut join, mut leave) = (above_mean(&ring), 0.0_f64, 0.0_f64);
    for count in nodes.clone() {
        let joined = ring.next(&equal_nodes(count));
        let left = joined.next(&equal_nodes(count - 1));
        above = above.max(above_mean(&joined)).max(above_mean(&left));
        join = join.max(copies_moved(&ring, &joined));
        leave = leave.max(copies_moved(&joined, &left));
        ring = joined;
    }
    let nodes = format!("{nodes:?}");
    println!("{q:>5}  {nodes:>7}  {above:>11.1} %  {join:>13.2} x  {leave:>8.2} x");
    assert!(above <= 15.0 && join <= bound && leave <= bound);
}

/// Zones of unequal size cannot load all nodes alike, but each zone can divide its part.
#[test]
fn equal_nodes_of_a_zone_share_its_part() {
    println!("  zones  nodes  most and least of a zone differ by, for 1 to 7 homes");
    for (zone_count, nodes) in [(2, 5), (3, 7), (3, 8), (4, 9), (5, 13), (6, 33)] {
        let zoned = layout((0..nodes).map(|number| node(number.into(), number % zone_count, 1)));
        let ring = Ring::first(partitions(256), &zoned);
        let spread: Vec<usize> =
            (1..=HOMES_MAX).map(|n| spread_in_zones(&zoned, &ring, n)).collect();
        println!("{zone_count:>7}  {nodes:>5}  {spread:?}");
        assert!(spread.iter().all(|spread| *spread <= 1));
    }
}

fn spread_in_zones(layout: &Layout, ring: &Ring, n: u8) -> usize {
    let mut loads: BTreeMap<&Zone, Vec<usize>> = BTreeMap::new();
    for (id, node) in layout.nodes() {
        loads.entry(&node.zone).or_default().push(ring.home_of(id, n));
    }
    let spread = |loads: &Vec<usize>| loads.iter().max().unwrap() - loads.iter().min().unwrap();
    loads.values().map(spread).max().unwrap()
}

/// When a node fails, the others take over its work: none should take much more than the rest,
/// however the cluster came to be. (If the partitions chose in the same order at every change, a
/// cluster grown to five would send the work of one node to one other.)
#[test]
fn the_work_of_a_failed_node_is_spread_however_the_cluster_grew() {
    println!(
        "    Q nodes       most by one node / mean: as second, as home beside it, as fallback"
    );
    for (q, nodes) in [(256, 5), (256, 10), (1024, 20)] {
        let born = Ring::first(partitions(q), &equal_nodes(nodes));
        for (how, ring) in [("born", born), ("grown", grown(q, nodes))] {
            let second = |list: &[NodeId], failed, other| list[0] == failed && list[1] == other;
            let beside = |list: &[NodeId], failed, other| {
                list[..3].contains(&failed) && list[..3].contains(&other)
            };
            let fallback =
                |list: &[NodeId], failed, other| list[..3].contains(&failed) && list[3] == other;
            let loads = [pairs(&ring, second), pairs(&ring, beside), pairs(&ring, fallback)];
            print!("{q:>5} {nodes:>5} {how:<6}");
            for (most, mean) in loads {
                print!("{most:>8}/{mean:.1}");
                assert!(most < mean + 4.0 * mean.sqrt() + 2.0, "{most} {mean}");
            }
            println!();
        }
    }
}

/// In how many lists two nodes meet as `meets` says: the most and the mean over all pairs.
fn pairs(ring: &Ring, meets: impl Fn(&[NodeId], NodeId, NodeId) -> bool) -> (f64, f64) {
    let mut counts = Vec::new();
    for &failed in ring.nodes() {
        for &other in ring.nodes().iter().filter(|other| **other != failed) {
            let lists = ring.partitions().all().map(|partition| ring.preference_list(partition));
            counts.push(lists.filter(|list| meets(list, failed, other)).count());
        }
    }
    let counts: Vec<f64> = counts.into_iter().map(float).collect();
    let most = counts.iter().copied().fold(0.0, f64::max);
    (most, counts.iter().sum::<f64>() / float(counts.len()))
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
