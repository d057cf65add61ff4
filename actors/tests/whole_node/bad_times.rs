//! Handoff where things stay bad: full disks, homes that never return, other work on the same keys.

use std::time::Duration;

use henge_actors::{api::Got, settings::Settings};
use henge_kernel::coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError};

use crate::{
    overheard::Overheard,
    sloppy::{cut_off, five, replica, sides},
    world::{Plan, World, delete, get, key, pass, put, simulate, texts},
};

#[test]
fn a_fallback_with_a_full_disk_does_not_count_and_the_next_one_stands_in() {
    simulate(async {
        let (heard, _guard) = Overheard::listen();
        let world = World::start(five(1)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        world.disk(&fallbacks[0]).set_capacity(Some(0));
        let node = world.node(&homes[1]);
        let written = put(node, "k", "v", PutOptions::default().w(3)).await.unwrap();
        assert_eq!((written.replicas.acks, written.replicas.fallbacks), (3, 1));
        assert_eq!(replica(&world, &fallbacks[1], "k").await.marks, homes[..1]);
        assert_eq!(replica(&world, &fallbacks[0], "k").await.digest, None, "it said so");
        assert!(heard.count("a batch was not written") > 0);
        // With no room anywhere the write is not acknowledged, and costs no more than its time.
        world.disk(&fallbacks[1]).set_capacity(Some(0));
        let alike = (0..).map(|round| format!("k{round}"));
        let alike =
            alike.into_iter().find(|text| sides(&world, text) == sides(&world, "k")).unwrap();
        let refused = put(node, &alike, "v", PutOptions::default().w(3)).await.unwrap_err();
        assert!(matches!(refused, RequestError::QuorumNotMet { needed: 3, .. }), "{refused:?}");
        // What it kept before stays, and comes home when there is room and the home is back.
        world.disk(&fallbacks[0]).set_capacity(None);
        world.disk(&fallbacks[1]).set_capacity(None);
        world.network.heal_all();
        world.until_marked(&fallbacks[1], "k", 0).await;
        assert_eq!(
            texts(&get(world.node(&homes[0]), "k", ReadOptions::default().r(3)).await),
            ["v"]
        );
    });
}

/// Bytes that a node keeps for others, all of its shards together.
async fn kept_bytes(world: &World, node: &str) -> u64 {
    let report = world.node(node).hints().await.unwrap();
    report.homes.iter().map(|home| home.bytes).sum()
}

#[test]
fn hints_for_a_home_that_never_returns_stay_bounded_and_end_at_the_other_homes() {
    simulate(async {
        let (heard, _guard) = Overheard::listen();
        let adjust = |_: &str, settings: &mut Settings| {
            settings.handoff.hint_bytes_max = 64 << 10;
        };
        let world = World::start(Plan { adjust, ..five(2) }).await;
        let (homes, _) = sides(&world, "k0");
        let gone = &homes[0];
        cut_off(&world, &homes[..1]).await;
        let others: Vec<&str> = world.names().into_iter().filter(|node| node != gone).collect();
        let content = "v".repeat(4 << 10);
        let mut written = Vec::new();
        for day in 0..3 {
            for round in 0..250 {
                let text = format!("k{day}-{round}");
                // Two homes are there, so it never fails, whether there is room for a hint or not.
                put(world.node(others[0]), &text, &content, PutOptions::default()).await.unwrap();
                written.push(text);
            }
            pass(3_000).await;
            let mut kept = 0;
            for node in &others {
                let bytes = kept_bytes(&world, node).await;
                assert!(bytes <= 64 << 10, "{node} keeps {bytes} bytes");
                kept += bytes;
            }
            assert!(kept > 200 << 10, "on day {day} there was room: {kept}");
            for node in &others {
                world.clock(node).set_skew_ms((day + 1) * 25 * 3_600_000);
            }
            pass(11 * 60_000).await;
            for node in &others {
                assert_eq!(kept_bytes(&world, node).await, 0, "{node} has given it up");
            }
        }
        assert!(heard.count("a copy for another node is refused") > 0);
        // Should it return after all, it is owed everything.
        world.network.heal_all();
        world.until_seen(&others, gone, "up").await;
        pass(10_000).await;
        for text in written {
            let (homes, _) = sides(&world, &text);
            let first = replica(&world, &homes[0], &text).await.digest;
            assert!(first.is_some());
            for home in &homes[1..] {
                assert_eq!(replica(&world, home, &text).await.digest, first, "{text} at {home}");
            }
        }
    });
}

#[test]
fn a_key_that_is_handed_over_and_compared_at_once_ends_the_same_everywhere() {
    for seed in 0..6 {
        simulate(async {
            let world = World::start(five(10 + seed)).await;
            let (homes, fallbacks) = sides(&world, "k");
            // The last home has one write, the fallbacks for the others have another.
            cut_off(&world, &homes).await;
            for side in [&homes[2], &fallbacks[0], &fallbacks[1]] {
                let options = PutOptions::default().w(1);
                put(world.node(side), "k", side, options).await.unwrap();
            }
            world.network.heal_all();
            // Deliveries, exchanges and a client meet at the same record.
            let mut expected = vec![homes[2].clone(), fallbacks[0].clone(), fallbacks[1].clone()];
            let mut uncertain = Vec::new();
            for round in 0..200 {
                for node in world.names() {
                    world.node(node).hand_off();
                    world.node(node).compare_replicas();
                }
                if round % 20 == seed {
                    let text = format!("blind {round}");
                    let options = PutOptions::default();
                    let put = put(world.node(&homes[1]), "k", &text, options).await;
                    if put.is_ok() { &mut expected } else { &mut uncertain }.push(text);
                }
                pass(10).await;
            }
            for node in world.names() {
                world.until_marked(node, "k", 0).await;
            }
            pass(3_000).await;
            let first = replica(&world, &homes[0], "k").await.digest;
            for home in &homes[1..] {
                assert_eq!(replica(&world, home, "k").await.digest, first, "at {home}");
            }
            for fallback in &fallbacks {
                assert_eq!(replica(&world, fallback, "k").await.digest, None, "at {fallback}");
            }
            let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
            let live = texts(&got);
            assert!(expected.iter().all(|text| live.contains(text)), "{expected:?}: {live:?}");
            let known = |text: &String| expected.contains(text) || uncertain.contains(text);
            assert!(live.iter().all(known), "{expected:?}, {uncertain:?}: {live:?}");
            // What all of them hold is overwritten once, and stays so.
            let options = DeleteOptions::default().context(got.context());
            delete(world.node("b"), "k", options).await.unwrap();
            pass(12_000).await;
            let got = world.node("c").get(&key("k"), ReadOptions::default()).await.unwrap();
            assert!(matches!(got.body, Got::Deleted { .. }), "{got:?}");
        });
    }
}

#[test]
fn a_fallback_without_room_to_note_a_delivery_delivers_again_when_there_is_room() {
    simulate(async {
        let mut plan = five(3);
        // Nothing but the delivery itself brings the records together.
        plan.adjust = |_, settings| settings.anti_entropy.interval = Duration::from_hours(1);
        let world = World::start(plan).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.until_marked(&fallbacks[0], "k", 1).await;
        world.disk(&fallbacks[0]).set_capacity(Some(0));
        world.network.heal_all();
        while replica(&world, &homes[0], "k").await.digest.is_none() {
            pass(10).await;
        }
        pass(5_000).await;
        assert_eq!(replica(&world, &fallbacks[0], "k").await.marks, homes[..1]);
        world.disk(&fallbacks[0]).set_capacity(None);
        pass(3_000).await;
        let kept = replica(&world, &fallbacks[0], "k").await;
        assert!(kept.marks.is_empty(), "{kept:?}");
    });
}
