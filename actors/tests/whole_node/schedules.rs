//! Schedules of hints and quorums that random runs do not find: each loses or denies an
//! acknowledged write under the rule that comes to mind first.

use std::time::Duration;

use henge_actors::{api::Got, settings::Settings};
use henge_kernel::coordination::{PutOptions, ReadOptions, RequestError};

use crate::{
    sloppy::{cut_off, five, replica, sides},
    world::{Plan, World, get, key, name, pass, put, simulate, texts},
};

const DAY_MS: i64 = 24 * 3_600_000;

/// Cut off from everybody, but for `friends` among themselves.
fn leave_together(world: &World, friends: &[&str]) {
    for one in world.names() {
        for other in world.names() {
            if one < other && !(friends.contains(&one) && friends.contains(&other)) {
                world.cut(one, other);
            }
        }
    }
}

/// "A hint ends with its time": then the only copies go.
#[test]
fn what_only_fallbacks_hold_outlasts_any_absence_of_all_homes() {
    simulate(async {
        let world = World::start(five(1)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes).await;
        put(world.node(&fallbacks[0]), "k", "v", PutOptions::default()).await.unwrap();
        for day in 1..=3 {
            for fallback in &fallbacks {
                world.clock(fallback).set_skew_ms(day * 2 * DAY_MS);
            }
            pass(11 * 60_000).await;
            for fallback in &fallbacks {
                assert!(replica(&world, fallback, "k").await.digest.is_some(), "day {day}");
            }
        }
        world.network.heal_all();
        for fallback in &fallbacks {
            world.until_marked(fallback, "k", 0).await;
        }
        for home in &homes {
            let got = get(world.node(home), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["v"]);
        }
    });
}

/// "A home refuses an old hint": then a wrong clock at either end refuses every one.
#[test]
fn a_hint_is_taken_whatever_the_clocks_of_both_sides_say() {
    for (at_home, at_fallback) in [(2, 0), (-2, 0), (0, 2), (0, -2)] {
        simulate(async {
            let world = World::start(five(2)).await;
            let (homes, fallbacks) = sides(&world, "k");
            cut_off(&world, &homes[..1]).await;
            put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
            world.clock(&homes[0]).set_skew_ms(at_home * DAY_MS);
            for fallback in &fallbacks {
                world.clock(fallback).set_skew_ms(at_fallback * DAY_MS);
            }
            world.network.heal_all();
            for fallback in &fallbacks {
                world.until_marked(fallback, "k", 0).await;
            }
            let digest = replica(&world, &homes[1], "k").await.digest;
            assert_eq!(replica(&world, &homes[0], "k").await.digest, digest);
        });
    }
}

/// "The copy goes when it was delivered": a copy that is kept for three goes with the third.
#[test]
fn a_copy_that_is_kept_for_three_homes_goes_with_the_last_of_them() {
    simulate(async {
        let world = World::start(five(3)).await;
        let (homes, fallbacks) = sides(&world, "k");
        let gone: Vec<_> = homes.iter().chain(&fallbacks[1..]).cloned().collect();
        cut_off(&world, &gone).await;
        let keeper = &fallbacks[0];
        put(world.node(keeper), "k", "v", PutOptions::default().w(1)).await.unwrap();
        world.until_marked(keeper, "k", 3).await;
        for returned in 1..=3 {
            world.network.heal_all();
            // Homes are away from each other, so that none has it from another.
            for (place, home) in homes.iter().enumerate() {
                if place < returned {
                    leave_apart(&world, home, keeper);
                } else {
                    world.network.isolate(&name(home));
                }
            }
            world.until_marked(keeper, "k", 3 - returned).await;
            let kept = replica(&world, keeper, "k").await.digest;
            assert_eq!(kept.is_some(), returned < 3, "{returned} homes have it");
            for home in &homes[..returned] {
                assert!(replica(&world, home, "k").await.digest.is_some(), "{home}");
            }
        }
    });
}

/// Leaves one node only its link to another.
fn leave_apart(world: &World, one: &str, friend: &str) {
    for other in world.names() {
        if other != one && other != friend {
            world.cut(one, other);
        }
    }
}

/// "Nothing, twice, is not found": one of the two had missed the write, the other is no home.
#[test]
fn a_home_that_missed_the_write_and_an_empty_fallback_make_no_not_found() {
    simulate(async {
        let world = World::start(five(4)).await;
        let (homes, fallbacks) = sides(&world, "k");
        // Nobody is left to keep a hint for the third home.
        leave_together(&world, &[&homes[0], &homes[1]]);
        for other in &homes[2..] {
            world.until_seen(&[&homes[0], &homes[1]], other, "down").await;
        }
        put(world.node(&homes[0]), "k", "v", PutOptions::default()).await.unwrap();
        for node in [&homes[0], &homes[1]] {
            world.network.isolate(&name(node));
        }
        for node in [&fallbacks[0], &fallbacks[1]] {
            world.network.heal(&name(&homes[2]), &name(node));
        }
        world.until_seen(&[&homes[2]], &fallbacks[0], "up").await;
        pass(2_000).await;
        for node in [&homes[2], &fallbacks[0]] {
            let options = ReadOptions::default().r(2);
            let outcome = world.node(node).get(&key("k"), options).await;
            let refused = matches!(outcome, Err(RequestError::QuorumNotMet { .. }));
            assert!(refused, "through {node}: {outcome:?}");
        }
    });
}

/// "A home that restarts is whole": a power cut has taken what it had acknowledged, and R + W > N
/// is no help.
#[test]
fn a_home_that_a_power_cut_rolled_back_makes_no_stale_strict_read() {
    let mut rolled_back = 0;
    for seed in 0..8 {
        rolled_back += u32::from(simulate(is_never_stale(seed)));
    }
    assert!(rolled_back > 1, "the power cut took nothing");
}

/// Whether the power cut took the newer write.
async fn is_never_stale(seed: u64) -> bool {
    let adjust = |_: &str, settings: &mut Settings| {
        settings.storage.sync_interval = Duration::from_secs(10);
    };
    let mut world = World::start(Plan { adjust, ..Plan::three(seed) }).await;
    put(world.node("a"), "k", "old", PutOptions::default().w(3)).await.unwrap();
    pass(25_000).await;
    world.network.isolate(&name("c"));
    world.until_seen(&["a", "b"], "c", "down").await;
    let context = get(world.node("a"), "k", ReadOptions::default()).await.context();
    put(world.node("a"), "k", "new", PutOptions::default().context(context)).await.unwrap();
    let newer = replica(&world, "a", "k").await.digest;
    world.power_cut("a").await;
    // The one that has it is there, but the reader does not reach it.
    world.network.heal(&name("a"), &name("c"));
    world.start_node("a").await;
    let rolled_back = replica(&world, "a", "k").await.digest != newer;
    for round in 0..500 {
        for node in ["a", "c"] {
            let options = ReadOptions::default().r(2).sloppy(false);
            if let Ok(got) = world.node(node).get(&key("k"), options).await {
                let fresh = matches!(&got.body, Got::Value { .. }) && texts(&got) == ["new"];
                assert!(fresh, "seed {seed}, {node} at {round}: {got:?}");
            }
        }
        pass(10).await;
    }
    let got = get(world.node("c"), "k", ReadOptions::default().r(2)).await;
    assert_eq!(texts(&got), ["new"]);
    rolled_back
}
