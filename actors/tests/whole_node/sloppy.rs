//! Sloppy quorums: other nodes stand in for homes that are away, and say so.

use henge_actors::{
    api::{Got, KeyQuery},
    reports::ReplicaReport,
    settings::Settings,
};
use henge_kernel::coordination::{Fate, PutOptions, ReadOptions, Replicas, RequestError};

use crate::world::{Plan, World, get, key, name, put, simulate, texts};

pub fn five(seed: u64) -> Plan {
    Plan { nodes: 5, ..Plan::three(seed) }
}

/// The homes and the fallbacks of a key, in the order of the ring.
pub fn sides(world: &World, text: &str) -> (Vec<String>, Vec<String>) {
    let list = world.node("a").preference_list(&key(text));
    (list.homes, list.fallbacks)
}

/// Cuts these nodes off from all others, which know of it when this returns.
pub async fn cut_off(world: &World, nodes: &[String]) {
    for node in nodes {
        world.network.isolate(&name(node));
    }
    let others: Vec<_> =
        world.names().into_iter().filter(|name| !nodes.iter().any(|node| node == name)).collect();
    for node in nodes {
        world.until_seen(&others, node, "down").await;
    }
}

pub async fn replica(world: &World, node: &str, text: &str) -> ReplicaReport {
    world.node(node).replica(&key(text)).await.unwrap()
}

#[test]
fn two_homes_of_three_cut_off_and_writes_and_reads_go_on() {
    for seed in 0..3 {
        simulate(async {
            let world = World::start(five(seed)).await;
            let (homes, fallbacks) = sides(&world, "k");
            cut_off(&world, &homes[..2]).await;
            for node in [&homes[2], &fallbacks[0], &fallbacks[1]] {
                let node = world.node(node);
                let context = get(node, "k", ReadOptions::default().r(1)).await.context();
                let options = PutOptions::default().context(context);
                let written = put(node, "k", "v", options).await.unwrap();
                let Replicas { acks, fallbacks, homes } = written.replicas;
                assert_eq!((acks, fallbacks, homes), (2, 1, 3), "its acknowledgement counts");
                let read = node.get(&key("k"), ReadOptions::default()).await.unwrap();
                assert_eq!(texts(&read.body), ["v"]);
                assert_eq!((read.replicas.acks, read.replicas.fallbacks), (2, 1));
            }
            for fallback in &fallbacks {
                let report = replica(&world, fallback, "k").await;
                assert!(!report.home);
                assert_eq!(report.marks.len(), 1, "one home each: {report:?}");
                assert!(homes[..2].contains(&report.marks[0]), "{report:?}");
            }
            assert!(replica(&world, &homes[2], "k").await.marks.is_empty());
        });
    }
}

#[test]
fn a_strict_write_counts_homes_only_and_is_refused_before_it_is_minted() {
    simulate(async {
        let world = World::start(five(1)).await;
        let (homes, _) = sides(&world, "k");
        cut_off(&world, &homes[..2]).await;
        let node = world.node(&homes[2]);
        let strict = [
            PutOptions { sloppy: Some(false), ..PutOptions::default() },
            PutOptions { pw: Some(2), ..PutOptions::default() },
        ];
        for options in strict {
            let refused = put(node, "k", "v", options).await.unwrap_err();
            let fate = Fate::NotApplied;
            let expected = RequestError::QuorumNotMet { needed: 2, got: 0, homes_down: 2, fate };
            assert_eq!(refused, expected);
        }
        let options = PutOptions { pw: Some(1), ..PutOptions::default() };
        assert_eq!(put(node, "k", "v", options).await.unwrap().replicas.fallbacks, 1);
        let strict = ReadOptions { sloppy: Some(false), ..ReadOptions::default() };
        let refused = node.get(&key("k"), strict).await.unwrap_err();
        assert!(matches!(refused, RequestError::QuorumNotMet { needed: 2, .. }), "{refused:?}");
    });
}

#[test]
fn with_no_home_in_reach_a_fallback_mints_under_its_own_right() {
    simulate(async {
        let world = World::start(five(2)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes).await;
        let written = put(world.node(&fallbacks[1]), "k", "v", PutOptions::default()).await;
        let Replicas { acks, fallbacks: stood_in, .. } = written.unwrap().replicas;
        assert_eq!((acks, stood_in), (2, 2));
        for fallback in &fallbacks {
            let got = world.node(fallback).get(&key("k"), ReadOptions::default()).await.unwrap();
            assert_eq!(texts(&got.body), ["v"]);
            assert_eq!((got.replicas.acks, got.replicas.fallbacks), (2, 2));
        }
        let mut rights = Vec::new();
        for fallback in &fallbacks {
            let report = replica(&world, fallback, "k").await;
            assert!(!report.marks.is_empty(), "{report:?}");
            rights.push(report.has_right);
        }
        rights.sort_unstable();
        assert_eq!(rights, [false, true], "one of them has minted");
    });
}

#[test]
fn every_home_that_is_away_has_a_fallback_when_one_node_is_left() {
    simulate(async {
        let world = World::start(five(3)).await;
        let (homes, fallbacks) = sides(&world, "k");
        let gone: Vec<_> = homes.iter().chain(&fallbacks[1..]).cloned().collect();
        cut_off(&world, &gone).await;
        let node = world.node(&fallbacks[0]);
        let refused = put(node, "k", "v", PutOptions::default()).await.unwrap_err();
        assert_eq!(refused.fate(), Fate::NotApplied, "two are needed: {refused:?}");
        put(node, "k", "v", PutOptions::default().w(1)).await.unwrap();
        world.until_marked(&fallbacks[0], "k", 3).await;
        let got = get(node, "k", ReadOptions::default().r(1)).await;
        assert_eq!(texts(&got), ["v"]);
    });
}

#[test]
fn a_fallback_that_holds_nothing_makes_no_not_found() {
    simulate(async {
        let world = World::start(five(4)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..2]).await;
        // The last home alone serves what exists.
        let got = world.node(&fallbacks[0]).get(&key("k"), ReadOptions::default()).await.unwrap();
        assert_eq!(texts(&got.body), ["v"]);
        assert_eq!(got.replicas.acks - got.replicas.fallbacks, 1);
        cut_off(&world, &homes).await;
        for text in ["k", "never-written"] {
            let (_, fallbacks) = sides(&world, "k");
            let node = world.node(&fallbacks[0]);
            for r in [1, 2] {
                let outcome = node.get(&key(text), ReadOptions::default().r(r)).await;
                let found = outcome.as_ref().is_ok_and(|got| matches!(got.body, Got::NotFound));
                let shown = sides(&world, text).0.iter().any(|home| !homes.contains(home));
                assert!(shown || !found, "{text} with r = {r}: {outcome:?}");
                assert!(shown || outcome.is_err(), "nobody who knows is there: {outcome:?}");
            }
        }
    });
}

#[test]
fn a_home_that_is_silent_is_replaced_before_it_is_known_as_down() {
    simulate(async {
        let world = World::start(five(5)).await;
        let (homes, _) = sides(&world, "k");
        for home in &homes[..2] {
            world.network.pause(&name(home));
        }
        let written = put(world.node(&homes[2]), "k", "v", PutOptions::default()).await.unwrap();
        assert_eq!((written.replicas.acks, written.replicas.fallbacks), (2, 1));
        assert_eq!(world.sees(&homes[2], &homes[0]), "up", "nobody had the time to notice");
    });
}

#[test]
fn keys_that_a_node_keeps_for_others_are_not_listed_twice() {
    simulate(async {
        let world = World::start(five(6)).await;
        let (homes, _) = sides(&world, "k0");
        cut_off(&world, &homes[..1]).await;
        let node = world.node(&homes[1]);
        for round in 0..30 {
            put(node, &format!("k{round}"), "v", PutOptions::default()).await.unwrap();
        }
        let query = KeyQuery { prefix: "".into(), after: None, limit: 1000 };
        let page = node.keys(key("k").bucket(), query).await;
        assert_eq!(page.unwrap().keys.len(), 30);
    });
}

#[test]
fn past_the_bound_of_hints_new_copies_are_refused_and_those_that_are_there_stay() {
    simulate(async {
        let adjust = |_: &str, settings: &mut Settings| {
            settings.handoff.hint_bytes_max = 64 << 10;
        };
        let world = World::start(Plan { adjust, ..five(7) }).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes).await;
        let node = world.node(&fallbacks[0]);
        let content = "v".repeat(8 << 10);
        let (mut kept, mut overloaded) = (Vec::new(), 0);
        for round in 0..200 {
            let text = format!("k{round}");
            if sides(&world, &text).0.iter().any(|home| !homes.contains(home)) {
                continue;
            }
            match put(node, &text, &content, PutOptions::default()).await {
                Ok(_) => kept.push(text),
                Err(RequestError::Overloaded { .. }) => overloaded += 1,
                // One fallback had room for it, and the other one had none.
                Err(RequestError::QuorumNotMet { got: 1, fate: Fate::Unknown, .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(overloaded > 0 && !kept.is_empty(), "{overloaded} {}", kept.len());
        for text in kept {
            let got = get(node, &text, ReadOptions::default()).await;
            assert_eq!(texts(&got), [content.as_str()]);
        }
    });
}
