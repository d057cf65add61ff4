//! Hinted handoff: what fallbacks keep comes home.

use henge_actors::NodeHandle;
use henge_kernel::coordination::{PutOptions, ReadOptions};

use crate::{
    sloppy::{cut_off, five, replica, sides},
    world::{Plan, World, get, key, name, pass, put, simulate, texts},
};

/// Waits until no node keeps any of these keys for another; returns how long that took, in ms.
async fn until_drained(world: &World, keys: &[String]) -> u64 {
    for waited in 0..20_000 {
        if !anything_is_kept(world, keys).await {
            return waited;
        }
        pass(1).await;
    }
    for text in keys {
        for node in world.running_names() {
            let report = replica(world, node, text).await;
            assert!(report.marks.is_empty(), "{node} still keeps {text}: {report:?}");
        }
    }
    panic!("not drained");
}

async fn anything_is_kept(world: &World, keys: &[String]) -> bool {
    for text in keys {
        for node in world.running_names() {
            if !replica(world, node, text).await.marks.is_empty() {
                return true;
            }
        }
    }
    false
}

/// All homes of a key have the same record, and nobody else has any.
async fn assert_at_home(world: &World, text: &str) {
    let (homes, fallbacks) = sides(world, text);
    let first = replica(world, &homes[0], text).await.digest;
    assert!(first.is_some(), "{text} is at home");
    for home in &homes {
        assert_eq!(replica(world, home, text).await.digest, first, "{text} at {home}");
    }
    for fallback in &fallbacks {
        assert_eq!(replica(world, fallback, text).await.digest, None, "{text} at {fallback}");
    }
}

#[test]
fn hints_are_drained_within_a_second_of_the_return_of_their_homes() {
    for (seed, shards) in [(1, vec![1]), (2, vec![2, 1, 3])] {
        simulate(async {
            let world = World::start(Plan { shards, ..five(seed) }).await;
            let (homes, fallbacks) = sides(&world, "k0");
            cut_off(&world, &homes[..2]).await;
            let keys: Vec<String> = (0..300).map(|round| format!("k{round}")).collect();
            for text in &keys {
                let options = PutOptions::default().w(1);
                put(world.node(&fallbacks[0]), text, text, options).await.unwrap();
            }
            pass(1_000).await;
            assert!(anything_is_kept(&world, &keys).await);
            world.network.heal_all();
            let back: Vec<&str> = world.names();
            for home in &homes[..2] {
                let others: Vec<_> = back.iter().copied().filter(|node| node != home).collect();
                world.until_seen(&others, home, "up").await;
            }
            let took = until_drained(&world, &keys).await;
            assert!(took <= 1_000, "{took} ms");
            for text in &keys {
                assert_at_home(&world, text).await;
            }
        });
    }
}

#[test]
fn a_fallback_that_restarts_finds_its_hints() {
    for power in [false, true] {
        simulate(async {
            let mut world = World::start(five(3)).await;
            let (homes, fallbacks) = sides(&world, "k");
            cut_off(&world, &homes[..1]).await;
            put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
            let keeper = keeper_of(&world, &fallbacks, "k").await;
            pass(200).await;
            if power {
                world.power_cut(&keeper).await;
            } else {
                world.kill(&keeper).await;
            }
            world.start_node(&keeper).await;
            let report = replica(&world, &keeper, "k").await;
            assert_eq!(report.marks, homes[..1], "{report:?}");
            world.network.heal_all();
            until_drained(&world, &["k".to_owned()]).await;
            assert_at_home(&world, "k").await;
        });
    }
}

async fn keeper_of(world: &World, fallbacks: &[String], text: &str) -> String {
    for fallback in fallbacks {
        if !replica(world, fallback, text).await.marks.is_empty() {
            return fallback.clone();
        }
    }
    panic!("nobody keeps {text}");
}

#[test]
fn a_mark_goes_only_when_the_home_has_the_record_on_its_disk() {
    simulate(async {
        let mut world = World::start(five(4)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        let keeper = keeper_of(&world, &fallbacks, "k").await;
        world.disk(&homes[0]).hold_syncs();
        world.network.heal_all();
        pass(3_000).await;
        assert!(replica(&world, &homes[0], "k").await.digest.is_some(), "it has come");
        assert_eq!(replica(&world, &keeper, "k").await.marks, homes[..1], "and may yet be lost");
        world.power_cut(&homes[0]).await;
        world.start_node(&homes[0]).await;
        until_drained(&world, &["k".to_owned()]).await;
        assert_at_home(&world, "k").await;
    });
}

#[test]
fn a_record_that_changes_while_it_is_delivered_keeps_its_mark_until_it_is_delivered_again() {
    simulate(async {
        let world = World::start(five(5)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "first", PutOptions::default().w(3)).await.unwrap();
        let keeper = keeper_of(&world, &fallbacks, "k").await;
        world.disk(&homes[0]).hold_syncs();
        world.network.heal_all();
        pass(3_000).await;
        assert!(replica(&world, &homes[0], "k").await.digest.is_some(), "it is under way");
        let delivered = replica(&world, &keeper, "k").await.digest;
        // Only the minting home and its fallback go on to see each other.
        world.cut(&homes[0], &homes[1]);
        let context = get(world.node(&homes[1]), "k", ReadOptions::default()).await.context();
        let options = PutOptions::default().context(context).w(3);
        put(world.node(&homes[1]), "k", "second", options).await.unwrap();
        assert_ne!(replica(&world, &keeper, "k").await.digest, delivered, "it has changed");
        world.disk(&homes[0]).run_syncs();
        pass(50).await;
        let behind = replica(&world, &homes[0], "k").await.digest == delivered;
        let kept = !replica(&world, &keeper, "k").await.marks.is_empty();
        assert!(kept || !behind, "the second write is nowhere but with the fallback");
        until_drained(&world, &["k".to_owned()]).await;
        assert_at_home(&world, "k").await;
        assert_eq!(
            texts(&get(world.node(&homes[0]), "k", ReadOptions::default()).await),
            ["second"]
        );
    });
}

#[test]
fn a_fallback_that_is_killed_in_the_middle_of_a_delivery_loses_nothing() {
    for seed in 0..4 {
        simulate(async {
            let mut world = World::start(five(seed)).await;
            let (homes, fallbacks) = sides(&world, "k0");
            cut_off(&world, &homes).await;
            let all_away = |text: &String| sides(&world, text).0.iter().all(|h| homes.contains(h));
            let keys: Vec<String> =
                (0..1_500).map(|round| format!("k{round}")).filter(all_away).collect();
            assert!(keys.len() > 64, "more than a batch: {}", keys.len());
            for text in &keys {
                let options = PutOptions::default().w(1);
                put(world.node(&fallbacks[0]), text, text, options).await.unwrap();
            }
            world.network.heal_all();
            // Somewhere between the first hint and the last.
            let mut waited = 0;
            while replica(&world, &fallbacks[0], "k0").await.marks.len() == 3 && waited < 5_000 {
                pass(1).await;
                waited += 1;
            }
            world.kill(&fallbacks[0]).await;
            pass(100 * seed).await;
            world.start_node(&fallbacks[0]).await;
            until_drained(&world, &keys).await;
            for text in &keys {
                assert_at_home(&world, text).await;
            }
        });
    }
}

#[test]
fn two_fallbacks_with_different_pasts_hand_over_in_either_order() {
    for first in [0, 1] {
        simulate(async {
            let world = World::start(five(6)).await;
            let (homes, fallbacks) = sides(&world, "k");
            cut_off(&world, &homes).await;
            world.cut(&fallbacks[0], &fallbacks[1]);
            world.until_seen(&[&fallbacks[0]], &fallbacks[1], "down").await;
            world.until_seen(&[&fallbacks[1]], &fallbacks[0], "down").await;
            for fallback in &fallbacks {
                let node = world.node(fallback);
                for text in ["one", "two"] {
                    let read = node.get(&key("k"), ReadOptions::default().r(1)).await;
                    let context = read.map(|got| got.body.context()).unwrap_or_default();
                    let options = PutOptions::default().w(1).context(context);
                    put(node, "k", &format!("{text} at {fallback}"), options).await.unwrap();
                }
            }
            // One of them comes back, then the other.
            world.network.heal_all();
            world.network.isolate(&name(&fallbacks[1 - first]));
            pass(4_000).await;
            assert!(replica(&world, &fallbacks[first], "k").await.marks.is_empty());
            world.network.heal_all();
            until_drained(&world, &["k".to_owned()]).await;
            assert_at_home(&world, "k").await;
            let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
            let mut last: Vec<_> = fallbacks.iter().map(|node| format!("two at {node}")).collect();
            last.sort();
            assert_eq!(texts(&got), last);
        });
    }
}

#[test]
fn a_node_tells_what_it_keeps_and_for_whom() {
    simulate(async {
        let world = World::start(five(8)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        let keeper = world.node(&keeper_of(&world, &fallbacks, "k").await).clone();
        pass(5_000).await;
        let told = keeper.hints().await.unwrap().homes;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0].home, told[0].count), (&homes[0], 1));
        assert!(told[0].bytes > 256 && (4_000..7_000).contains(&told[0].oldest_ms), "{told:?}");
        world.network.heal_all();
        until_drained(&world, &["k".to_owned()]).await;
        assert!(keeper.hints().await.unwrap().homes.is_empty());
    });
}

#[test]
fn a_delivery_that_failed_is_tried_again_at_once_on_demand() {
    simulate(async {
        let world = World::start(five(9)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        let keeper = keeper_of(&world, &fallbacks, "k").await;
        // There is no room for it: the pauses between the attempts grow to four seconds.
        world.disk(&homes[0]).set_capacity(Some(0));
        world.network.heal_all();
        pass(40_000).await;
        world.disk(&homes[0]).set_capacity(None);
        pass(100).await;
        assert!(!replica(&world, &keeper, "k").await.marks.is_empty(), "it waits");
        world.node(&keeper).hand_off();
        pass(300).await;
        assert!(replica(&world, &keeper, "k").await.marks.is_empty());
        assert_at_home(&world, "k").await;
    });
}

#[test]
fn a_queue_or_a_shard_that_falls_goes_on_where_it_was() {
    for actor in ["HintedHandoffQueue", "StorageShard", "PeerLink"] {
        assert!(NodeHandle::ACTORS.contains(&actor));
        simulate(async {
            let world = World::start(five(7)).await;
            let (homes, fallbacks) = sides(&world, "k");
            cut_off(&world, &homes).await;
            put(world.node(&fallbacks[0]), "k", "v", PutOptions::default().w(1)).await.unwrap();
            for node in [&fallbacks[0], &homes[0]] {
                world.node(node).plant_panic(actor, 0);
            }
            world.network.heal_all();
            until_drained(&world, &["k".to_owned()]).await;
            assert_at_home(&world, "k").await;
        });
    }
}

/// Puts the clock of a node forward by more than a day, and waits until it has looked at its hints.
async fn grow_old(world: &World, node: &str) {
    world.clock(node).set_skew_ms(25 * 3_600_000);
    pass(11 * 60_000).await;
}

#[test]
fn what_has_grown_old_is_taken_over_by_the_other_homes_and_reaches_the_absent_one() {
    simulate(async {
        let mut plan = five(10);
        // Only what the other homes owe makes them compare early.
        plan.adjust = |_, settings| {
            settings.anti_entropy.interval = std::time::Duration::from_hours(1);
        };
        let mut world = World::start(plan).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes).await;
        put(world.node(&fallbacks[0]), "k", "v", PutOptions::default().w(1)).await.unwrap();
        let keeper = fallbacks[0].clone();
        // Two of the homes are back, the first is not; the fallback has kept it for all three.
        let marks = replica(&world, &keeper, "k").await.marks;
        assert!(marks.contains(&homes[0]), "{marks:?}");
        grow_old(&world, &keeper).await;
        let marks = replica(&world, &keeper, "k").await.marks;
        assert!(marks.contains(&homes[0]), "with nobody to give it to, it stays: {marks:?}");
        world.network.heal_all();
        world.network.isolate(&name(&homes[0]));
        for home in &homes[1..] {
            world.until_seen(&[&keeper], home, "up").await;
        }
        // They have it by themselves; the mark for the first goes once they say that they owe it.
        pass(20 * 60_000).await;
        assert!(replica(&world, &keeper, "k").await.marks.is_empty(), "it is given up");
        for home in &homes[1..] {
            assert!(replica(&world, home, "k").await.digest.is_some(), "{home}");
            assert_eq!(world.node(home).anti_entropy().owed, [homes[0].clone()], "{home}");
        }
        // That survives them.
        for home in &homes[1..] {
            world.kill(home).await;
            world.start_node(home).await;
            assert_eq!(world.node(home).anti_entropy().owed, [homes[0].clone()], "{home}");
        }
        world.kill(&keeper).await;
        world.network.heal_all();
        world.until_seen(&[&homes[1]], &homes[0], "up").await;
        pass(3_000).await;
        let expected = replica(&world, &homes[1], "k").await.digest;
        assert_eq!(replica(&world, &homes[0], "k").await.digest, expected);
        for home in &homes[1..] {
            assert!(world.node(home).anti_entropy().owed.is_empty(), "{home}");
        }
    });
}

#[test]
fn what_is_young_waits_for_its_own_home() {
    simulate(async {
        let world = World::start(five(11)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        let keeper = keeper_of(&world, &fallbacks, "k").await;
        pass(25 * 60_000).await;
        assert_eq!(replica(&world, &keeper, "k").await.marks, homes[..1]);
        assert!(world.node(&homes[1]).anti_entropy().owed.is_empty());
    });
}
