//! A node whose wall clock is an hour off: what it writes wins no more than it should, it says
//! so, and where stamps decide it leaves the minting to others.

use std::time::Duration;

use bytes::Bytes;
use henge_actors::api::Got;
use henge_kernel::{
    bucket::BucketChange,
    coordination::{DeleteOptions, PutOptions, ReadOptions},
    key::Key,
};

use crate::{
    overheard::Overheard,
    world::{Plan, World, key, pass, simulate, texts, value},
};

const HOUR_MS: i64 = 3_600_000;

fn register(text: &'static str) -> Key {
    Key::new(Bytes::from_static(b"registers"), Bytes::from_static(text.as_bytes())).unwrap()
}

async fn with_registers(seed: u64) -> World {
    let world = World::start(Plan::three(seed)).await;
    let change = BucketChange::default().parse_pair("conflict=lww").unwrap();
    world.node("a").set_bucket(&Bytes::from_static(b"registers"), change).await.unwrap();
    pass(200).await;
    world
}

async fn write(world: &World, node: &str, key: &Key, content: &str) {
    world.node(node).put(key, value(content), PutOptions::default()).await.unwrap();
}

async fn read(world: &World, node: &str, key: &Key) -> Got {
    world.node(node).get(key, ReadOptions::default().r(3)).await.unwrap().body
}

/// Whose dots are among the versions of a key at a node.
async fn minters(world: &World, key: &Key) -> Vec<String> {
    let mut with_right = Vec::new();
    for node in world.names() {
        if world.node(node).replica(key).await.unwrap().has_right {
            with_right.push(node.to_owned());
        }
    }
    with_right
}

#[test]
fn a_clock_that_is_an_hour_off_is_told_once_and_once_more_when_it_is_right_again() {
    for skew in [HOUR_MS, -HOUR_MS] {
        simulate(async {
            let (heard, _guard) = Overheard::listen();
            let world = World::start(Plan::three(1)).await;
            pass(3_000).await;
            assert_eq!(heard.count("the wall clock is off"), 0);
            world.clock("c").set_skew_ms(skew);
            pass(60_000).await;
            assert_eq!(heard.count("the wall clock is off"), 1, "one node, once");
            let told = world.node("c").cluster().clock_skew_ms.unwrap();
            assert!((told - skew).abs() < 1_000, "{told}");
            for node in ["a", "b"] {
                assert_eq!(world.node(node).cluster().clock_skew_ms, None);
            }
            world.clock("c").set_skew_ms(0);
            pass(60_000).await;
            assert_eq!(heard.count("the wall clock is off"), 1);
            assert_eq!(world.node("c").cluster().clock_skew_ms, None);
        });
    }
}

#[test]
fn the_last_write_wins_although_the_clock_of_a_home_is_an_hour_off() {
    for skew in [HOUR_MS, -HOUR_MS] {
        simulate(async {
            let world = with_registers(2).await;
            world.clock("c").set_skew_ms(skew);
            pass(3_000).await;
            for (round, (first, second)) in [("c", "a"), ("a", "c"), ("c", "c")].iter().enumerate()
            {
                let text = ["r0", "r1", "r2"][round];
                write(&world, first, &register(text), "first").await;
                pass(20).await;
                write(&world, second, &register(text), "second").await;
                for node in ["a", "b", "c"] {
                    assert_eq!(texts(&read(&world, node, &register(text)).await), ["second"]);
                }
                let minters = minters(&world, &register(text)).await;
                assert!(!minters.contains(&"c".to_owned()), "c leaves it to the others");
            }
        });
    }
}

#[test]
fn a_write_with_the_context_of_a_stamp_from_the_future_lies_above_it() {
    simulate(async {
        let world = with_registers(3).await;
        // Alone, it mints by its own clock: nobody else can.
        world.clock("c").set_skew_ms(HOUR_MS);
        pass(3_000).await;
        for other in ["a", "b"] {
            world.cut("c", other);
        }
        world.until_seen(&["c"], "a", "down").await;
        world.until_seen(&["c"], "b", "down").await;
        let options = PutOptions::default().w(1);
        world.node("c").put(&register("r"), value("future"), options).await.unwrap();
        world.network.heal_all();
        world.until_linked().await;
        let seen = read(&world, "a", &register("r")).await;
        assert_eq!(texts(&seen), ["future"]);
        // Who has seen it overwrites it, whatever the clocks say: with a value, and with a delete.
        let options = PutOptions::default().context(seen.context()).w(3);
        world.node("a").put(&register("r"), value("now"), options).await.unwrap();
        for node in ["a", "b", "c"] {
            assert_eq!(texts(&read(&world, node, &register("r")).await), ["now"]);
        }
        let context = read(&world, "b", &register("r")).await.context();
        let options = DeleteOptions::default().context(context);
        world.node("b").delete(&register("r"), options).await.unwrap();
        for node in ["a", "b", "c"] {
            let gone = read(&world, node, &register("r")).await;
            assert!(matches!(gone, Got::Deleted { .. }), "{gone:?}");
        }
    });
}

#[test]
fn each_node_judges_expiry_by_its_own_clock_and_replicas_stay_equal() {
    simulate(async {
        let world = World::start(Plan::three(4)).await;
        world.clock("c").set_skew_ms(HOUR_MS);
        let options = PutOptions { ttl: Some(Duration::from_mins(10)), ..PutOptions::default() };
        world.node("a").put(&key("k"), value("v"), options.w(3)).await.unwrap();
        assert_eq!(texts(&read(&world, "a", &key("k")).await), ["v"]);
        let early = read(&world, "c", &key("k")).await;
        assert!(matches!(early, Got::Deleted { .. }), "by its clock it is over: {early:?}");
        // Nothing that is replicated or compared has changed by that.
        pass(60_000).await;
        world.until_equal(&key("k")).await;
        let mended: u64 = ["a", "b", "c"].iter().map(|n| world.node(n).anti_entropy().mended).sum();
        assert_eq!(mended, 0);
        assert_eq!(texts(&read(&world, "b", &key("k")).await), ["v"]);
        pass(600_000).await;
        let over = read(&world, "b", &key("k")).await;
        assert!(matches!(over, Got::Deleted { .. }), "{over:?}");
    });
}
