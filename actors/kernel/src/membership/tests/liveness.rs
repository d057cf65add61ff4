//! How fast a member is known as down, and as up again.

use core::time::Duration;

use super::world::{World, millis, spread};
use crate::{
    id::{Incarnation, NodeId},
    machine::Machine,
    membership::{Liveness, SwimEffect, SwimEvent},
};

const SEEDS: u64 = 20;
const SIZES: [u64; 3] = [3, 5, 15];
const FIRST: NodeId = NodeId(1);

fn measure(what: &str, count: u64, limit: Duration, run: impl Fn(u64) -> Option<Duration>) {
    let times: Vec<Duration> =
        (0..SEEDS).map(|seed| run(seed).unwrap_or_else(|| panic!("{what}, seed {seed}"))).collect();
    println!("{what}, {count} nodes, {SEEDS} seeds: {}", spread(times.clone()));
    assert!(times.iter().all(|time| *time <= limit), "{what}, {count} nodes");
}

#[test]
fn all_meet_within_a_second_of_their_start() {
    for count in SIZES {
        measure("all up after start", count, millis(1_000), |seed| {
            World::new(count, seed).run_until(millis(5_000), World::all_up)
        });
    }
}

#[test]
fn a_dead_member_is_known_as_down_within_two_seconds() {
    for count in SIZES {
        // With many members it takes longer, once in a hundred, until anybody probes the dead one.
        let limit = if count == 15 { 2_400 } else { 2_000 };
        measure("down known everywhere", count, millis(limit), |seed| {
            let mut world = World::settled(count, seed);
            world.nodes.remove(&FIRST);
            let took = world.run_until(millis(5_000), |world| world.down_everywhere(FIRST));
            assert_eq!(world.downs_reported() as u64, count - 1, "nobody else");
            took
        });
    }
}

fn return_after_a_cut(count: u64, seed: u64) -> Option<Duration> {
    let mut world = World::settled(count, seed);
    world.cut_off(FIRST);
    world.run(millis(20_000 + 37 * seed % 500));
    assert!(world.down_everywhere(FIRST));
    world.reports.clear();
    world.cuts.clear();
    let took = world.run_until(millis(10_000), World::all_up);
    world.run(millis(5_000));
    assert!(world.nodes.values().all(|member| member.counters().protocol_errors == 0));
    assert_eq!(world.downs_reported(), 0, "the return of one takes nobody else down, seed {seed}");
    took
}

#[test]
fn a_member_that_was_cut_off_is_up_everywhere_within_a_second() {
    for count in SIZES {
        let limit = if count == 15 { 2_500 } else { 1_000 };
        measure("up everywhere after a 20 s cut", count, millis(limit), |seed| {
            return_after_a_cut(count, seed)
        });
    }
}

#[test]
fn a_finished_handshake_makes_the_return_immediate() {
    measure("up everywhere after a handshake", 3, millis(20), |seed| {
        let mut world = World::settled(3, seed);
        world.cut_off(FIRST);
        world.run(millis(20_000));
        world.cuts.clear();
        for node in [NodeId(2), NodeId(3)] {
            world.event(FIRST, SwimEvent::PeerConnected { node });
            world.event(node, SwimEvent::PeerConnected { node: FIRST });
        }
        world.run_until(millis(5_000), World::all_up)
    });
}

#[test]
fn two_halves_that_were_cut_apart_find_each_other() {
    for count in SIZES {
        measure("all up after a split in halves", count, millis(1_500), |seed| {
            let mut world = World::settled(count, seed);
            let members = world.members();
            let (left, right) = members.split_at(members.len() / 2);
            world.cut(left, right);
            world.run(millis(20_000));
            assert!(left.iter().all(|l| right.iter().all(|r| world.nodes[l].view().is_down(*r))));
            world.cuts.clear();
            world.run_until(millis(10_000), World::all_up)
        });
    }
}

#[test]
fn all_alone_find_each_other() {
    for count in SIZES {
        measure("all up after a cut of everything", count, millis(1_000), |seed| {
            let mut world = World::settled(count, seed);
            let members = world.members();
            world.cut(&members, &members);
            world.run(millis(20_000));
            world.cuts.clear();
            world.run_until(millis(10_000), World::all_up)
        });
    }
}

#[test]
fn a_restarted_member_is_up_everywhere_within_a_second() {
    let lives = [("a later life", 9), ("the same life", 0)];
    for (what, life) in lives {
        for (gap, incarnation) in [(100, 1), (100, 99), (5_000, 1), (5_000, 99), (5_000, 0)] {
            let what = format!("{what}, incarnation {incarnation}, gap {gap} ms");
            measure(&what, 3, millis(1_000), |seed| {
                let mut world = World::settled(3, seed);
                world.nodes.remove(&FIRST);
                world.run(millis(gap));
                world.start(FIRST, Incarnation(incarnation), life);
                let took = world.run_until(millis(10_000), |world| {
                    let knows = |member: &crate::membership::Swim| {
                        let state = member.view().get(FIRST).unwrap();
                        state.incarnation == Some(Incarnation(incarnation))
                    };
                    world.all_up() && world.nodes.values().all(knows)
                });
                world.reports.clear();
                world.run(millis(5_000));
                assert_eq!(world.downs_reported(), 0, "and stays up");
                took
            });
        }
    }
}

#[test]
fn a_quick_restart_is_noticed() {
    let mut world = World::settled(3, 7);
    world.nodes.remove(&FIRST);
    world.run(millis(50));
    world.start(FIRST, Incarnation(1), 10);
    world.run(millis(1_000));
    let renewed = SwimEffect::MemberRenewed { node: FIRST, incarnation: Incarnation(1) };
    let who: Vec<_> = world.reports.iter().filter(|(_, _, what)| *what == renewed).collect();
    assert_eq!(who.len(), 2);
}

#[test]
fn false_suspicion_under_loss_does_not_persist() {
    for count in SIZES {
        let (mut downs, mut suspicions, mut member_seconds) = (0, 0, 0);
        for seed in 0..6 {
            let mut world = World::settled(count, seed);
            world.loss = 5;
            world.run(millis(60_000));
            downs += world.downs_reported();
            let suspected = |what: &SwimEffect| matches!(what, SwimEffect::MemberSuspected { .. });
            suspicions += world.reports.iter().filter(|(_, _, what)| suspected(what)).count();
            member_seconds += 60 * count;
            let healed = world.run_until(millis(2_000), World::all_up);
            assert!(healed.is_some(), "{count} nodes, seed {seed}");
        }
        println!(
            "5 % loss, {count} nodes: {suspicions} suspicions, {downs} downs in {member_seconds} member-seconds"
        );
        assert!(downs <= 5, "{downs} false downs");
    }
}

#[test]
fn a_pair_cut_one_way_stays_up_by_the_others() {
    for seed in 0..SEEDS {
        let mut world = World::settled(3, seed);
        world.cuts.insert((FIRST, NodeId(2)));
        world.run(millis(30_000));
        assert_eq!(world.downs_reported(), 0, "seed {seed}");
        assert!(world.all_up());
    }
}

#[test]
fn a_member_that_can_only_hear_does_not_swing_between_up_and_down() {
    for count in SIZES {
        measure("up everywhere after a one-way cut", count, millis(1_000), |seed| {
            let mut world = World::settled(count, seed);
            for node in world.members() {
                world.cuts.insert((FIRST, node));
            }
            let took = world.run_until(millis(5_000), |world| world.down_everywhere(FIRST));
            assert!(took.unwrap() <= millis(2_400));
            world.run(millis(5_000));
            world.reports.clear();
            world.run(millis(10_000));
            assert_eq!(world.reports, [], "seed {seed}: nothing happens while nothing changes");
            world.cuts.clear();
            world.run_until(millis(5_000), World::all_up)
        });
    }
}

#[test]
fn a_member_that_leaves_is_known_as_down_at_once() {
    for count in SIZES {
        measure("down known after leaving", count, millis(700), |seed| {
            let mut world = World::settled(count, seed);
            world.event(FIRST, SwimEvent::Left);
            assert_eq!(world.nodes[&FIRST].deadline(), None);
            let took = world.run_until(millis(5_000), |world| world.down_everywhere(FIRST));
            world.nodes.remove(&FIRST);
            world.start(FIRST, Incarnation(1), 0);
            assert!(world.run_until(millis(1_000), World::all_up).is_some(), "and returns");
            took
        });
    }
}

#[test]
fn a_member_that_was_stopped_blames_nobody_and_returns() {
    for count in SIZES {
        measure("up everywhere after a pause of 20 s", count, millis(1_000), |seed| {
            let mut world = World::settled(count, seed);
            let stopped = world.nodes.remove(&FIRST).unwrap();
            world.run(millis(20_000));
            world.reports.clear();
            world.nodes.insert(FIRST, stopped);
            let took = world.run_until(millis(5_000), World::all_up);
            world.run(millis(3_000));
            assert_eq!(world.downs_reported(), 0, "seed {seed}");
            assert_eq!(world.nodes[&FIRST].counters().pauses, 1);
            took
        });
    }
}

#[test]
fn a_member_that_never_answered_is_down_after_five_seconds() {
    let mut world = World::new(3, 1);
    world.nodes.remove(&FIRST);
    world.run(millis(4_900));
    let view = world.nodes[&NodeId(2)].view();
    assert_eq!(view.get(FIRST).unwrap().liveness, Liveness::Unknown);
    assert!(!view.all_known() && !view.known(FIRST));
    world.run(millis(200));
    let view = world.nodes[&NodeId(2)].view();
    assert!(view.all_known() && view.is_down(FIRST));
    world.start(FIRST, Incarnation(1), 0);
    assert!(world.run_until(millis(1_000), World::all_up).is_some());
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    let run = |seed| {
        let mut world = World::new(5, seed);
        world.loss = 5;
        world.run(millis(5_000));
        world.cut_off(FIRST);
        world.run(millis(5_000));
        world.cuts.clear();
        world.run(millis(5_000));
        world.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn timers_and_traffic_stay_bounded() {
    for count in SIZES {
        let mut world = World::settled(count, 3);
        world.loss = 30;
        for _ in 0..60 {
            world.run(millis(1_000));
            assert!(world.nodes.values().all(|member| member.timers() <= 16));
        }
        world.loss = 0;
        world.run(millis(5_000));
        assert!(world.all_up());
        let before = world.packets_sent();
        world.run(millis(10_000));
        let per_member = (world.packets_sent() - before) / (10 * count);
        println!("{count} nodes at rest: {per_member} packets a second and member");
        assert!(per_member <= 20);
    }
}
