//! Five processes on loopback; each drops at its own socket what a cut takes.

use crate::{
    faults::{Cuts, killed, majority_ring, one_way, sides, stopped},
    processes::{Cluster, Plan, Site},
    scenario::{Fault, length, survive},
};

fn five() -> Cluster {
    let sites: Vec<_> = (0..5).map(|_| Site::loopback(1)).collect();
    let mut cluster = Cluster::planned_at(&Plan::default(), &sites);
    cluster.start();
    cluster
}

fn survive_cuts(name: &'static str, cuts: Cuts) {
    let strike = move |cluster: &mut Cluster| {
        for (from, node) in cluster.nodes.iter().enumerate() {
            let deaf = cuts.iter().filter(|(one, _)| *one == from);
            let deaf: Vec<_> = deaf.map(|(_, to)| cluster.nodes[*to].name).collect();
            if !deaf.is_empty() {
                node.cut_one_way(&deaf);
            }
        }
    };
    let mend = |cluster: &mut Cluster| cluster.nodes.iter().for_each(|node| node.heal());
    let (strike, mend) = (Box::new(strike), Box::new(mend));
    survive(five(), Fault { name, strike, mend, length: length(), leaves_hints: true });
}

#[test]
fn halves_lose_nothing() {
    survive_cuts("halves", sides(&[&[0, 1], &[2, 3, 4]]));
}

#[test]
fn a_one_way_cut_loses_nothing() {
    survive_cuts("one-way cut", one_way(&[0, 1], &[2, 3, 4]));
}

#[test]
fn a_bridge_loses_nothing() {
    survive_cuts("bridge", sides(&[&[0, 1, 2], &[2, 3, 4]]));
}

#[test]
fn a_majority_ring_loses_nothing() {
    survive_cuts("majority ring", majority_ring());
}

#[test]
fn a_process_that_stands_still_for_ten_seconds_loses_nothing() {
    survive(five(), stopped());
}

#[test]
fn a_process_that_is_killed_and_restarted_loses_nothing() {
    survive(five(), killed());
}
