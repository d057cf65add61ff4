//! Nodes that are cut off, stopped, killed; partitions with writes on both sides.

use std::time::Duration;

use henge_actors::{NodeHandle, api::Got};
use henge_kernel::{
    causality::Context,
    coordination::{Fate, PutOptions, ReadOptions, RequestError},
    id::WriteId,
    key::Key,
};
use tokio::time::Instant;

use crate::world::{Plan, World, get, key, name, pass, put, simulate, texts};

/// What a request may take once a failure is known: the late hedge of the default timeout.
const HEDGE_BOUND: Duration = Duration::from_millis(210);
/// What it may take before.
const TIMEOUT: Duration = Duration::from_millis(2010);

/// Puts and gets through `nodes`, each with R = W = 2; the longest time that one took.
async fn load(world: &World, nodes: &[&str], tag: &str, rounds: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        for node in nodes {
            let text = format!("{tag}-{node}-{round}");
            let began = Instant::now();
            put(world.node(node), &text, &text, PutOptions::default()).await.unwrap();
            longest = longest.max(began.elapsed());
            let began = Instant::now();
            let got = get(world.node(node), &text, ReadOptions::default()).await;
            longest = longest.max(began.elapsed());
            assert_eq!(texts(&got), [text.as_str()]);
        }
    }
    longest
}

#[test]
fn two_of_three_go_on_without_a_pause_when_one_is_cut_off() {
    for seed in 0..5 {
        simulate(async {
            let world = World::start(Plan::three(seed)).await;
            load(&world, &["a", "b", "c"], "before", 5).await;
            world.network.isolate(&name("c"));
            let unknown = load(&world, &["a", "b"], "unknown", 20).await;
            assert!(unknown <= TIMEOUT, "{unknown:?}");
            world.until_seen(&["a", "b"], "c", "down").await;
            let known = load(&world, &["a", "b"], "known", 20).await;
            assert!(known <= HEDGE_BOUND, "{known:?}");
        });
    }
}

#[test]
fn a_node_that_was_cut_off_is_up_everywhere_soon_after_the_heal_and_serves_again() {
    for (seed, outage_ms) in [(1, 3_000), (2, 8_000), (3, 60_000)] {
        simulate(async {
            let world = World::start(Plan::three(seed)).await;
            world.network.isolate(&name("c"));
            pass(outage_ms).await;
            assert_eq!(world.sees("a", "c"), "down");
            world.network.heal_all();
            let healed = world.until_seen(&["a", "b"], "c", "up").await;
            let returned = world.until_seen(&["c"], "a", "up").await;
            assert!(healed + returned <= 2_000, "{healed} + {returned} ms");
            let longest = load(&world, &["c", "a", "b"], "after", 10).await;
            assert!(longest <= HEDGE_BOUND, "{longest:?}");
        });
    }
}

#[test]
fn a_down_node_is_known_as_down_within_two_seconds() {
    for seed in 0..5 {
        simulate(async {
            let mut world = World::start(Plan::three(seed)).await;
            world.kill("c").await;
            let known = world.until_seen(&["a", "b"], "c", "down").await;
            assert!(known <= 2_000, "{known} ms");
        });
    }
}

#[test]
fn a_stopped_process_goes_on_when_it_is_let() {
    simulate(async {
        let world = World::start(Plan::three(6)).await;
        world.network.pause(&name("b"));
        world.until_seen(&["a", "c"], "b", "down").await;
        load(&world, &["a", "c"], "paused", 10).await;
        world.network.resume(&name("b"));
        world.until_seen(&["a", "c"], "b", "up").await;
        world.until_seen(&["b"], "a", "up").await;
        load(&world, &["b"], "resumed", 10).await;
    });
}

#[test]
fn with_two_of_three_gone_a_quorum_of_two_is_refused_with_its_numbers_and_one_still_reads() {
    simulate(async {
        let mut world = World::start(Plan::three(7)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.kill("b").await;
        world.kill("c").await;
        world.until_seen(&["a"], "b", "down").await;
        world.until_seen(&["a"], "c", "down").await;
        let refused = put(world.node("a"), "k", "w", PutOptions::default()).await.unwrap_err();
        let fate = Fate::NotApplied;
        let expected = RequestError::QuorumNotMet { needed: 2, got: 0, homes_down: 2, fate };
        assert_eq!(refused, expected);
        let refused = world.node("a").get(&key("k"), ReadOptions::default()).await.unwrap_err();
        assert!(
            matches!(refused, RequestError::QuorumNotMet { needed: 2, homes_down: 2, .. }),
            "{refused:?}"
        );
        let got = get(world.node("a"), "k", ReadOptions::default().r(1)).await;
        assert_eq!(texts(&got), ["v"]);
    });
}

#[test]
fn a_write_in_flight_when_its_quorum_goes_is_unknown_never_surely_not_applied() {
    simulate(async {
        let world = World::start(Plan::three(8)).await;
        world.network.isolate(&name("a"));
        // The failure is not known yet: the write is minted, and then nobody acknowledges it.
        let failed = put(world.node("a"), "k", "v", PutOptions::default()).await.unwrap_err();
        assert_eq!(failed.fate(), Fate::Unknown, "{failed:?}");
        world.network.heal_all();
        world.until_linked().await;
        let got = get(world.node("b"), "k", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got), ["v"], "a failed write is not rolled back");
    });
}

#[test]
fn writes_on_both_sides_of_a_cut_are_siblings_after_the_heal_and_reads_make_replicas_equal() {
    for seed in 0..5 {
        simulate(async {
            let world = World::start(Plan::three(seed)).await;
            put(world.node("a"), "k", "before", PutOptions::default().w(3)).await.unwrap();
            let context = get(world.node("a"), "k", ReadOptions::default()).await.context();
            world.network.isolate(&name("c"));
            world.until_seen(&["a", "b"], "c", "down").await;
            world.until_seen(&["c"], "a", "down").await;
            let with = || PutOptions::default().w(1).context(context.clone());
            put(world.node("a"), "k", "left", with()).await.unwrap();
            put(world.node("c"), "k", "right", with()).await.unwrap();
            world.network.heal_all();
            world.until_seen(&["a", "b"], "c", "up").await;
            world.until_seen(&["c"], "a", "up").await;
            world.until_linked().await;
            let got = get(world.node("b"), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["left", "right"]);
            world.until_equal(&key("k")).await;
            let resolve = PutOptions::default().w(3).context(got.context());
            put(world.node("c"), "k", "resolved", resolve).await.unwrap();
            let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["resolved"]);
            world.until_equal(&key("k")).await;
        });
    }
}

#[test]
fn a_read_mends_a_replica_that_was_behind() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        world.network.isolate(&name("b"));
        world.until_seen(&["a", "c"], "b", "down").await;
        put(world.node("a"), "k", "v", PutOptions::default()).await.unwrap();
        assert_eq!(world.node("b").replica(&key("k")).await.unwrap().digest, None);
        world.network.heal_all();
        world.until_linked().await;
        get(world.node("c"), "k", ReadOptions::default().r(3)).await;
        world.until_equal(&key("k")).await;
        assert!(world.node("b").replica(&key("k")).await.unwrap().digest.is_some());
    });
}

#[test]
fn a_killed_node_comes_back_with_its_disk_and_serves() {
    simulate(async {
        let mut world = World::start(Plan::three(10)).await;
        load(&world, &["a", "b", "c"], "before", 10).await;
        world.kill("a").await;
        load(&world, &["b", "c"], "while", 10).await;
        world.start_node("a").await;
        world.ready().await;
        world.until_seen(&["b", "c"], "a", "up").await;
        for round in 0..10 {
            let text = format!("before-b-{round}");
            let got = get(world.node("a"), &text, ReadOptions::default()).await;
            assert_eq!(texts(&got), [text.as_str()]);
        }
        load(&world, &["a"], "after", 10).await;
    });
}

#[test]
fn a_node_that_was_killed_and_restarted_at_once_is_linked_to_everybody_soon() {
    for seed in 0..10 {
        simulate(async {
            let mut world = World::start(Plan::three(seed)).await;
            world.kill("a").await;
            world.start_node("a").await;
            let began = Instant::now();
            // Nobody had the time to judge it down, and the old links still look alive.
            while put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.is_err() {
                assert!(began.elapsed() < Duration::from_secs(2), "seed {seed}");
                pass(10).await;
            }
        });
    }
}

#[test]
fn an_orderly_stop_shows_clients_of_the_other_nodes_no_failure() {
    simulate(async {
        let mut world = World::start(Plan::three(11)).await;
        load(&world, &["a", "b", "c"], "before", 5).await;
        let began = Instant::now();
        let (a, b) = (world.node("a").clone(), world.node("b").clone());
        let client = tokio::task::spawn_local(async move {
            for round in 0..200 {
                for node in [&a, &b] {
                    let text = format!("during-{round}");
                    put(node, &text, "v", PutOptions::default()).await.unwrap();
                    get(node, &text, ReadOptions::default()).await;
                }
            }
        });
        pass(20).await;
        world.stop("c").await;
        assert!(began.elapsed() < Duration::from_secs(10));
        client.await.unwrap();
    });
}

#[test]
fn a_network_that_loses_packets_loses_no_acknowledged_write() {
    for seed in 0..5 {
        let mut plan = Plan::three(seed);
        plan.profile.loss_percent = 10;
        simulate(async {
            let world = World::start(plan).await;
            let mut acknowledged = Vec::new();
            for round in 0..100 {
                let node = ["a", "b", "c"][round % 3];
                let text = format!("k{round}");
                if put(world.node(node), &text, &text, PutOptions::default()).await.is_ok() {
                    acknowledged.push(text);
                }
            }
            assert!(acknowledged.len() > 90, "{}", acknowledged.len());
            for text in acknowledged {
                let got = get(world.node("b"), &text, ReadOptions::default()).await;
                assert_eq!(texts(&got), [text.as_str()]);
            }
        });
    }
}

#[test]
fn a_wrong_wall_clock_changes_no_value_and_is_reported() {
    simulate(async {
        let world = World::start(Plan::three(12)).await;
        world.clock("c").set_skew_ms(3_600_000);
        load(&world, &["a", "b", "c"], "skewed", 10).await;
        pass(3_000).await;
        let skew = world.node("c").cluster().clock_skew_ms.expect("the skew is seen");
        assert!((skew - 3_600_000).abs() < 1_000, "{skew}");
        assert_eq!(world.node("a").cluster().clock_skew_ms, None);
        let _: Got = get(world.node("a"), "k", ReadOptions::default()).await;
        let _: Key = key("k");
    });
}

/// A write under its id, as a client sends it that heard nothing of it before.
async fn repeat(node: &NodeHandle, id: u128, context: Context, w: u8) -> Context {
    let options = PutOptions::default().context(context).write_id(WriteId(id)).w(w);
    put(node, "k", "first", options).await.unwrap().context.clone()
}

#[test]
fn a_repetition_that_comes_after_the_overwrite_is_seen_by_nobody() {
    simulate(async {
        let world = World::start(Plan::three(8)).await;
        world.network.isolate(&name("a"));
        let seen = repeat(world.node("b"), 7, Context::default(), 2).await;
        let options = PutOptions::default().context(seen).w(2);
        put(world.node("b"), "k", "second", options).await.unwrap();
        // What was sent to the first home arrives there, before it hears of the others again.
        let _ = repeat(world.node("a"), 7, Context::default(), 1).await;
        world.network.heal_all();
        world.until_linked().await;
        for node in ["b", "c", "a"] {
            let got = get(world.node(node), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["second"], "through {node}");
        }
        world.until_equal(&key("k")).await;
        // And once more, when all of them know.
        for node in ["a", "b", "c"] {
            let _ = repeat(world.node(node), 7, Context::default(), 3).await;
            let got = get(world.node(node), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["second"], "through {node}");
        }
    });
}
