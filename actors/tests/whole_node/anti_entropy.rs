//! Replicas that missed something become equal without being read.

use std::{path::Path, time::Duration};

use henge_actors::{
    api::Got,
    reports::AntiEntropyReport,
    storage::{Change, Engine as _},
};
use henge_kernel::{
    causality::{Conflict, Content, Context, Minter, Record, RecordLimits, Stamp, Write},
    coordination::{DeleteOptions, PutOptions, ReadOptions},
    id::{ShardUid, WriteId},
    time::WallMillis,
};
use tokio::time::Instant;

use crate::world::{Plan, World, delete, get, key, name, pass, put, simulate, texts, value};

const ALL: [&str; 3] = ["a", "b", "c"];

fn report(world: &World, node: &str) -> AntiEntropyReport {
    world.node(node).anti_entropy()
}

fn sum(world: &World, count: impl Fn(AntiEntropyReport) -> u64) -> u64 {
    ALL.iter().map(|node| count(report(world, node))).sum()
}

/// Waits until all replicas of all keys are equal and somewhere; returns how long that took, in ms.
/// Looks at the records as they lie there, which repairs nothing.
async fn until_all_equal(world: &World, keys: &[String], limit_ms: u128) -> u128 {
    let began = Instant::now();
    for text in keys {
        loop {
            let digests = world.digests(&key(text)).await;
            if digests[0].is_some() && digests.iter().all(|digest| *digest == digests[0]) {
                break;
            }
            let waited = began.elapsed().as_millis();
            assert!(waited < limit_ms, "{text} differs after {waited} ms: {digests:?}");
            pass(5).await;
        }
    }
    began.elapsed().as_millis()
}

/// Both sides of a cut write `count` keys of their own, and `count` that the other writes too.
async fn write_on_both_sides(world: &World, count: usize) -> Vec<String> {
    world.network.isolate(&name("c"));
    world.until_seen(&["a", "b"], "c", "down").await;
    world.until_seen(&["c"], "a", "down").await;
    world.until_seen(&["c"], "b", "down").await;
    let mut keys = Vec::new();
    for (node, side) in [("a", "left"), ("c", "right")] {
        for round in 0..count {
            for text in [format!("{side}-{round}"), format!("both-{round}")] {
                put(world.node(node), &text, node, PutOptions::default().w(1)).await.unwrap();
                keys.push(text);
            }
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn two_sides_of_a_cut_are_equal_within_five_seconds_of_the_heal_without_a_read() {
    for (seed, shards) in [(1, vec![1]), (2, vec![2]), (3, vec![1, 2, 3])] {
        simulate(async {
            let world = World::start(Plan { shards, ..Plan::three(seed) }).await;
            let keys = write_on_both_sides(&world, 333).await;
            world.network.heal_all();
            let took = until_all_equal(&world, &keys, 5_000).await;
            println!("{} keys equal after {took} ms", keys.len());
            let written = [("both-0", &["a", "c"][..]), ("left-1", &["a"]), ("right-2", &["c"])];
            for (text, expected) in written {
                let got = get(world.node("b"), text, ReadOptions::default()).await;
                assert_eq!(texts(&got), expected, "{text}");
            }
        });
    }
}

#[test]
fn equal_replicas_compare_their_roots_and_nothing_else() {
    simulate(async {
        let world = World::start(Plan::three(4)).await;
        for round in 0..100 {
            let text = format!("k{round}");
            put(world.node("a"), &text, "v", PutOptions::default().w(3)).await.unwrap();
        }
        pass(15_000).await;
        let questions = sum(&world, |report| report.questions);
        let exchanges = sum(&world, |report| report.exchanges);
        pass(60_000).await;
        assert_eq!(sum(&world, |report| report.questions), questions, "nothing below the roots");
        // Three pairs, every ten seconds, led by one of the two.
        let exchanges = sum(&world, |report| report.exchanges) - exchanges;
        assert!((15..=21).contains(&exchanges), "{exchanges}");
        assert_eq!(sum(&world, |report| report.mended), 0);
        for peer in report(&world, "a").peers {
            assert!(peer.diverged.is_empty(), "{peer:?}");
        }
    });
}

#[test]
fn a_node_that_returns_with_an_empty_disk_is_filled_again() {
    simulate(async {
        let mut world = World::start(Plan::three(5)).await;
        let keys: Vec<_> = (0..300).map(|round| format!("k{round}")).collect();
        for text in &keys {
            put(world.node("a"), text, text, PutOptions::default().w(3)).await.unwrap();
        }
        world.kill("b").await;
        world.wipe("b");
        world.start_node("b").await;
        world.ready().await;
        until_all_equal(&world, &keys, 5_000).await;
    });
}

#[test]
fn a_node_that_restarts_knows_its_trees_again() {
    simulate(async {
        let mut world = World::start(Plan::three(6)).await;
        let keys: Vec<_> = (0..300).map(|round| format!("k{round}")).collect();
        for text in &keys {
            let first = put(world.node("a"), text, text, PutOptions::default().w(3)).await.unwrap();
            let over = PutOptions::default().context(first.body.context).w(3);
            put(world.node("c"), text, "over", over).await.unwrap();
        }
        world.kill("b").await;
        world.start_node("b").await;
        world.ready().await;
        world.node("c").plant_panic("StorageShard", 0);
        pass(20_000).await;
        assert_eq!(sum(&world, |report| report.questions), 0, "the trees are those of before");
        assert!(sum(&world, |report| report.exchanges) > 0);
    });
}

/// The stored form of a record with one version, which the mint of `uid` made first.
fn minted(uid: u64, content: &str) -> Vec<u8> {
    let mut record = Record::default();
    let write = Write {
        context: Context::default(),
        content: Content::Value(value(content)),
        write_id: WriteId(1),
        expires_at: None,
        wall: WallMillis(1),
        reaped_stamp: Stamp::default(),
        conflict: Conflict::Siblings,
        limits: RecordLimits::default(),
    };
    record.write(&mut Minter::new(ShardUid(uid)), write).unwrap();
    let mut payload = Vec::new();
    record.encode_stored(&mut payload);
    payload
}

#[test]
fn one_dot_with_two_values_is_seen_told_and_settled_alike() {
    simulate(async {
        let mut world = World::start(Plan::three(7)).await;
        let key = key("k");
        for (node, content) in [("a", "one"), ("b", "one"), ("c", "two")] {
            world.kill(node).await;
            let payload = minted(77, content);
            let change = Change::Record { token: key.token(), key: &key, payload: &[&payload] };
            world.log(node).append(&[change]).unwrap();
        }
        for node in ALL {
            world.start_node(node).await;
        }
        world.ready().await;
        until_all_equal(&world, &["k".to_owned()], 10_000).await;
        assert!(sum(&world, |report| report.clashes) > 0, "it is an alarm");
        let got = get(world.node("b"), "k", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got).len(), 1, "{got:?}");
    });
}

#[test]
fn an_exchange_that_is_interrupted_at_any_step_ends_equal_later() {
    for (seed, actor) in
        ["AntiEntropyWorker", "StorageShard", "PeerLink", ""].into_iter().enumerate()
    {
        // A step takes a round trip, the second look a second.
        for after_ms in [0, 2, 5, 20, 900, 1_005, 1_015] {
            simulate(async {
                let seed = u64::try_from(seed).unwrap();
                let mut plan = Plan::three(10 + seed);
                plan.profile.delay_us = 2_000..=2_000;
                let world = World::start(plan).await;
                let keys = write_on_both_sides(&world, 30).await;
                world.network.heal_all();
                while report(&world, "a").questions + report(&world, "c").questions == 0 {
                    pass(1).await;
                }
                pass(after_ms).await;
                if actor.is_empty() {
                    world.network.isolate(&name("c"));
                    pass(4_000).await;
                    world.network.heal_all();
                } else {
                    world.node("a").plant_panic(actor, 0);
                    world.node("c").plant_panic(actor, 0);
                }
                until_all_equal(&world, &keys, 20_000).await;
            });
        }
    }
}

#[test]
fn deletes_spread() {
    simulate(async {
        let world = World::start(Plan::three(8)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.network.isolate(&name("c"));
        world.until_seen(&["a", "b"], "c", "down").await;
        let context = get(world.node("a"), "k", ReadOptions::default()).await.context();
        delete(world.node("a"), "k", DeleteOptions::default().context(context)).await.unwrap();
        world.network.heal_all();
        until_all_equal(&world, &["k".to_owned()], 5_000).await;
        let got = get(world.node("c"), "k", ReadOptions::default().r(1)).await;
        assert!(matches!(got, Got::Deleted { .. }), "{got:?}");
    });
}

/// Changes a byte of a value in the log of a node.
pub fn damage(world: &World, node: &str, content: &str) {
    let content = content.as_bytes();
    for path in world.disk(node).files(Path::new("/data/shard-0")) {
        let mut bytes = world.disk(node).contents(&path).unwrap();
        if let Some(at) = bytes.windows(content.len()).position(|word| word == content) {
            bytes[at] ^= 1;
            world.disk(node).overwrite(&path, bytes);
        }
    }
}

#[test]
fn a_record_that_was_found_damaged_is_mended_without_another_read() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        put(world.node("b"), "k", "acknowledged", PutOptions::default().w(3)).await.unwrap();
        world.network.isolate(&name("a"));
        world.until_seen(&["a"], "b", "down").await;
        world.until_seen(&["a"], "c", "down").await;
        damage(&world, "a", "acknowledged");
        let found = world.node("a").get(&key("k"), ReadOptions::default().r(1)).await;
        assert!(found.is_err(), "{found:?}");
        world.network.heal_all();
        pass(5_000).await;
        until_all_equal(&world, &["k".to_owned()], 1).await;
    });
}

#[test]
fn a_record_that_was_damaged_while_its_node_was_down_is_mended_unread() {
    simulate(async {
        let mut world = World::start(Plan::three(13)).await;
        let keys: Vec<_> = (0..20).map(|round| format!("k{round}")).collect();
        for text in &keys {
            put(world.node("b"), text, &format!("<{text}>"), PutOptions::default().w(3))
                .await
                .unwrap();
        }
        world.kill("a").await;
        damage(&world, "a", "<k7>");
        world.start_node("a").await;
        world.ready().await;
        pass(5_000).await;
        until_all_equal(&world, &keys, 1).await;
    });
}

#[test]
fn a_write_that_a_home_did_not_acknowledge_is_there_within_seconds() {
    simulate(async {
        let mut plan = Plan::three(11);
        plan.adjust = |_, settings| {
            settings.anti_entropy.interval = Duration::from_hours(1);
        };
        let world = World::start(plan).await;
        pass(5_000).await;
        // The disk of c is full for a moment: its link stays up all the time.
        world.disk("c").set_capacity(Some(0));
        let keys: Vec<_> = (0..20).map(|round| format!("k{round}")).collect();
        for text in &keys {
            put(world.node("a"), text, "v", PutOptions::default()).await.unwrap();
        }
        world.disk("c").set_capacity(None);
        until_all_equal(&world, &keys, 10_000).await;
    });
}

#[test]
fn replicas_are_compared_when_somebody_asks_for_it() {
    simulate(async {
        let mut plan = Plan::three(12);
        plan.adjust = |_, settings| {
            settings.anti_entropy.interval = Duration::from_hours(1);
        };
        let world = World::start(plan).await;
        pass(10_000).await;
        let before = sum(&world, |report| report.exchanges);
        pass(60_000).await;
        assert_eq!(sum(&world, |report| report.exchanges), before);
        world.node("a").compare_replicas();
        pass(3_000).await;
        assert!(sum(&world, |report| report.exchanges) >= before + 2);
    });
}
