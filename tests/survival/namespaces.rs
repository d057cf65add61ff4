//! Five processes on five hosts, each a network namespace: addresses, links and losses of their own.

use crate::{
    faults::{Cuts, killed, majority_ring, one_way, sides, stopped},
    lab,
    scenario::{Fault, length, survive},
};

fn survive_cuts(test: &str, name: &'static str, cuts: Cuts) {
    let fault = Fault {
        name,
        strike: Box::new(move |_| lab::cut(&cuts)),
        mend: Box::new(|_| lab::heal()),
        length: length(),
        leaves_hints: true,
    };
    lab::play(test, |cluster| survive(cluster, fault));
}

#[test]
fn halves_lose_nothing() {
    let test = "namespaces::halves_lose_nothing";
    survive_cuts(test, "halves of five hosts", sides(&[&[0, 1], &[2, 3, 4]]));
}

#[test]
fn a_one_way_cut_loses_nothing() {
    let test = "namespaces::a_one_way_cut_loses_nothing";
    survive_cuts(test, "one-way cut between hosts", one_way(&[0, 1], &[2, 3, 4]));
}

#[test]
fn a_bridge_loses_nothing() {
    let test = "namespaces::a_bridge_loses_nothing";
    survive_cuts(test, "bridge of hosts", sides(&[&[0, 1, 2], &[2, 3, 4]]));
}

#[test]
fn a_majority_ring_loses_nothing() {
    let test = "namespaces::a_majority_ring_loses_nothing";
    survive_cuts(test, "majority ring of hosts", majority_ring());
}

#[test]
fn every_fifth_frame_lost_loses_no_write() {
    let fault = Fault {
        name: "20 % loss between hosts",
        strike: Box::new(|_| lab::lose(20)),
        mend: Box::new(|_| lab::heal()),
        length: length(),
        leaves_hints: false,
    };
    let test = "namespaces::every_fifth_frame_lost_loses_no_write";
    lab::play(test, |cluster| survive(cluster, fault));
}

#[test]
fn a_process_that_stands_still_for_ten_seconds_loses_nothing() {
    let test = "namespaces::a_process_that_stands_still_for_ten_seconds_loses_nothing";
    lab::play(test, |cluster| survive(cluster, stopped()));
}

#[test]
fn a_process_that_is_killed_and_restarted_loses_nothing() {
    let test = "namespaces::a_process_that_is_killed_and_restarted_loses_nothing";
    lab::play(test, |cluster| survive(cluster, killed()));
}
