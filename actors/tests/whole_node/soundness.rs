//! A home that does not know everything never speaks as if it did.

use std::{path::Path, time::Duration};

use henge_actors::{
    api::{Got, KeyQuery},
    reports::Readiness,
};
use henge_kernel::{
    coordination::{PutOptions, ReadOptions, RequestError},
    key::PartitionCount,
};
use tokio::time::Instant;

use crate::world::{Plan, World, get, key, name, pass, put, simulate, texts};

const ALL: [&str; 3] = ["a", "b", "c"];

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|round| format!("k{round}")).collect()
}

async fn fill(world: &World, keys: &[String]) {
    for text in keys {
        put(world.node("a"), text, text, PutOptions::default().w(3)).await.unwrap();
    }
}

fn incomplete(world: &World, node: &str) -> usize {
    world.node(node).anti_entropy().incomplete
}

async fn until_complete(world: &World, nodes: &[&str]) -> u128 {
    let began = Instant::now();
    while nodes.iter().any(|node| incomplete(world, node) > 0) {
        assert!(began.elapsed().as_secs() < 10, "{nodes:?} are still incomplete");
        pass(5).await;
    }
    began.elapsed().as_millis()
}

/// Kills a node, takes its disk, and starts it again.
async fn come_back_empty(world: &mut World, node: &str) {
    world.kill(node).await;
    world.wipe(node);
    world.start_node(node).await;
}

/// What a default read through a node says: the right value, an error, or what is not so.
async fn reads(world: &World, node: &str, text: &str) -> bool {
    match world.node(node).get(&key(text), ReadOptions::default()).await {
        Ok(answer) => {
            assert_eq!(texts(&answer.body), [text], "of {text}, through {node}");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn a_home_that_lost_its_disk_never_makes_a_not_found() {
    for (seed, shards) in [(1, vec![1]), (2, vec![2, 1, 3])] {
        simulate(async {
            let mut world = World::start(Plan { shards, ..Plan::three(seed) }).await;
            let keys = keys(100);
            fill(&world, &keys).await;
            come_back_empty(&mut world, "b").await;
            let mut answered = 0;
            for round in 0..20 {
                for (node, text) in ALL.iter().flat_map(|node| keys.iter().map(move |k| (node, k)))
                {
                    let expected = *node != "b" || round == 19;
                    let read = reads(&world, node, text).await;
                    assert!(read || !expected, "{text} through {node} in round {round}");
                    answered += usize::from(read);
                }
                pass(150).await;
            }
            assert!(answered >= 4_000, "{answered}");
            assert_eq!(incomplete(&world, "b"), 0, "it is filled");
        });
    }
}

#[test]
fn an_empty_home_and_one_that_missed_the_write_do_not_make_a_not_found() {
    simulate(async {
        let mut plan = Plan::three(2);
        plan.adjust = |_, settings| settings.anti_entropy.interval = Duration::from_hours(1);
        let mut world = World::start(plan).await;
        world.cut("a", "c");
        pass(10_000).await;
        let keys = keys(20);
        for text in &keys {
            // Acknowledged by a and b.
            put(world.node("a"), text, text, PutOptions::default()).await.unwrap();
            assert_eq!(world.node("c").replica(&key(text)).await.unwrap().digest, None);
        }
        come_back_empty(&mut world, "b").await;
        let mut answered = false;
        for round in 0..600 {
            for node in ["b", "c"] {
                answered = reads(&world, node, &keys[round % keys.len()]).await;
            }
            pass(10).await;
        }
        assert!(answered, "in the end b knows it from a");
    });
}

#[test]
fn the_last_home_serves_a_sloppy_read_beside_an_empty_one_and_no_strict_one() {
    simulate(async {
        let mut world = World::start(Plan::three(3)).await;
        fill(&world, &keys(20)).await;
        world.network.isolate(&name("a"));
        world.until_seen(&["b", "c"], "a", "down").await;
        world.kill("b").await;
        world.wipe("b");
        world.start_node("b").await;
        let mut filled = 0;
        while incomplete(&world, "b") > 0 {
            for text in keys(20) {
                // b is reached as soon as it is linked.
                let read = world.node("c").get(&key(&text), ReadOptions::default()).await;
                let strict = ReadOptions::default().sloppy(false);
                let strict = world.node("c").get(&key(&text), strict).await;
                // What it tells of itself comes a little later.
                pass(1).await;
                if incomplete(&world, "b") > 0 {
                    filled += usize::from(read.is_ok());
                    let unmet = matches!(strict, Err(RequestError::QuorumNotMet { .. }));
                    assert!(unmet, "{strict:?}");
                }
                if let Ok(answer) = read {
                    assert_eq!(texts(&answer.body), [text]);
                }
            }
        }
        assert!(filled > 20, "{filled}");
    });
}

#[test]
fn an_empty_home_alone_says_nothing_for_as_long_as_it_is_alone() {
    simulate(async {
        let mut world = World::start(Plan::three(4)).await;
        fill(&world, &keys(1)).await;
        world.kill("b").await;
        world.wipe("b");
        world.network.isolate(&name("b"));
        world.start_node("b").await;
        world.until_seen(&["b"], "a", "down").await;
        world.until_seen(&["b"], "c", "down").await;
        pass(30_000).await;
        let read = world.node("b").get(&key("k0"), ReadOptions::default().r(1)).await;
        assert!(read.is_err(), "{read:?}");
        assert_eq!(incomplete(&world, "b"), 256);
        let seen = world.node("b").cluster().members;
        let health = seen.into_iter().find(|member| member.name == "b").unwrap().health;
        assert_eq!(health.unwrap().storage, "incomplete");
        // That is on its disk.
        world.kill("b").await;
        world.start_node("b").await;
        pass(5_000).await;
        assert_eq!(incomplete(&world, "b"), 256);
        world.network.heal_all();
        until_complete(&world, &["b"]).await;
        world.kill("b").await;
        world.network.isolate(&name("b"));
        world.start_node("b").await;
        assert_eq!(incomplete(&world, "b"), 0, "and so is the end of it");
        assert_eq!(texts(&get(world.node("b"), "k0", ReadOptions::default().r(1)).await), ["k0"]);
    });
}

#[test]
fn a_new_cluster_answers_for_what_was_never_written_as_soon_as_it_is_ready() {
    for nodes in [1, 2, 3, 5] {
        simulate(async {
            let began = Instant::now();
            let world = World::start(Plan { nodes, ..Plan::three(5) }).await;
            let took = began.elapsed().as_millis();
            assert!(took <= 1_000, "{took} ms");
            for node in world.names() {
                let options = ReadOptions::default();
                let options = if nodes == 1 { options.r(1) } else { options };
                let got = get(world.node(node), "never written", options).await;
                assert!(matches!(got, Got::NotFound), "{got:?}");
            }
        });
    }
}

#[test]
fn a_new_cluster_that_is_ready_answers_with_all_its_homes() {
    for seed in 0..20 {
        simulate(async {
            let world = World::launch(Plan { shards: vec![2], ..Plan::three(seed) }).await;
            let is_ready = |node: &str| world.node(node).readiness() == Readiness::Ready;
            while !ALL.into_iter().all(is_ready) {
                pass(1).await;
            }
            for number in 0..20 {
                let (key, all) = (format!("never written {number}"), ReadOptions::default().r(3));
                let got = get(world.node("a"), &key, all).await;
                assert!(matches!(got, Got::NotFound), "seed {seed}: {got:?}");
            }
        });
    }
}

#[test]
fn a_node_with_a_new_disk_is_not_ready_before_it_was_compared_with_those_that_are_up() {
    simulate(async {
        let mut world = World::start(Plan::three(11)).await;
        fill(&world, &keys(5)).await;
        come_back_empty(&mut world, "b").await;
        // Its exchanges are held up for a while.
        let worker = |world: &World| world.node("b").plant_panic("AntiEntropyWorker", 0);
        for _ in 0..5 {
            worker(&world);
        }
        let began = Instant::now();
        world.ready().await;
        let peers = world.node("b").anti_entropy().peers;
        let compared = peers.iter().filter(|peer| peer.compared_ms.is_some());
        assert_eq!(compared.count(), 2, "{peers:?}");
        assert!(began.elapsed().as_secs() < 5);
    });
}

#[test]
fn after_a_power_cut_all_doubt_each_other_and_that_ends() {
    simulate(async {
        let mut world = World::start(Plan::three(6)).await;
        fill(&world, &keys(20)).await;
        pass(200).await;
        for node in ALL {
            world.power_cut(node).await;
        }
        for node in ALL {
            world.start_node(node).await;
            assert_eq!(incomplete(&world, node), 256);
        }
        world.ready().await;
        until_complete(&world, &ALL).await;
        let got = get(world.node("b"), "never written", ReadOptions::default()).await;
        assert!(matches!(got, Got::NotFound), "{got:?}");
        for text in keys(20) {
            assert!(reads(&world, "c", &text).await);
        }
        // After a kill, or a stop, nothing is in doubt.
        world.kill("a").await;
        world.stop("b").await;
        world.disk("b").power_cut();
        for node in ["a", "b"] {
            world.start_node(node).await;
            assert_eq!(incomplete(&world, node), 0, "{node}");
        }
    });
}

/// Changes the byte at `offset` from where `content` lies in the log of a node.
fn damage(world: &World, node: &str, content: &str, offset: isize) {
    let content = content.as_bytes();
    for path in world.disk(node).files(Path::new("/data/shard-0")) {
        let mut bytes = world.disk(node).contents(&path).unwrap();
        if let Some(at) = bytes.windows(content.len()).position(|word| word == content) {
            bytes[at.checked_add_signed(offset).unwrap()] ^= 1;
            world.disk(node).overwrite(&path, bytes);
        }
    }
}

#[test]
fn a_log_whose_damage_hides_its_keys_does_not_count_until_it_is_compared() {
    simulate(async {
        let mut world = World::start(Plan::three(7)).await;
        for text in keys(20) {
            put(world.node("a"), &text, &format!("<{text}>"), PutOptions::default().w(3))
                .await
                .unwrap();
        }
        world.kill("b").await;
        // The key lies before the value: an entry whose key does not hold is nobody's.
        damage(&world, "b", "bucketk7", 0);
        let mut in_doubt = Vec::new();
        for _ in 0..2 {
            world.start_node("b").await;
            in_doubt.push(incomplete(&world, "b"));
            world.ready().await;
            until_complete(&world, &["b"]).await;
            let got = get(world.node("b"), "k7", ReadOptions::default()).await;
            assert_eq!(texts(&got), ["<k7>"]);
            world.kill("b").await;
        }
        assert_eq!(in_doubt, [256, 0], "what was made up for is not in doubt again");
    });
}

#[test]
fn a_record_that_was_damaged_counts_again_once_every_home_was_asked() {
    simulate(async {
        let mut world = World::start(Plan::three(9)).await;
        world.network.isolate(&name("c"));
        world.until_seen(&["a", "b"], "c", "down").await;
        put(world.node("a"), "k", "acknowledged", PutOptions::default()).await.unwrap();
        world.network.heal_all();
        world.until_linked().await;
        damage(&world, "a", "acknowledged", 0);
        put(world.node("c"), "k", "blind", PutOptions::default().w(3)).await.unwrap();
        world.network.isolate(&name("b"));
        world.until_seen(&["a", "c"], "b", "down").await;
        assert_eq!(world.node("a").anti_entropy().quarantined, 1);
        let silent = |world: &World| {
            let node = world.node("a").clone();
            async move { node.get(&key("k"), ReadOptions::default()).await }
        };
        assert!(silent(&world).await.is_err());
        // Other keys are none of its concern, and a restart changes nothing.
        put(world.node("c"), "other", "v", PutOptions::default()).await.unwrap();
        assert_eq!(texts(&get(world.node("a"), "other", ReadOptions::default()).await), ["v"]);
        world.kill("a").await;
        world.start_node("a").await;
        world.until_seen(&["a"], "c", "up").await;
        pass(20_000).await;
        assert_eq!(world.node("a").anti_entropy().quarantined, 1);
        assert!(silent(&world).await.is_err());
        world.network.heal_all();
        pass(10_000).await;
        assert_eq!(world.node("a").anti_entropy().quarantined, 0);
        world.network.isolate(&name("b"));
        world.until_seen(&["a", "c"], "b", "down").await;
        let got = get(world.node("a"), "k", ReadOptions::default()).await;
        assert_eq!(texts(&got), ["acknowledged", "blind"]);
    });
}

#[test]
fn a_record_that_is_found_damaged_again_is_compared_again() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        world.network.isolate(&name("a"));
        world.until_seen(&["b", "c"], "a", "down").await;
        for text in ["k", "behind-it"] {
            let value = format!("<{text}>");
            put(world.node("a"), text, &value, PutOptions::default().w(1)).await.unwrap();
        }
        damage(&world, "a", "<k>", 0);
        world.network.heal_all();
        world.until_linked().await;
        // The scrub finds it, all are asked, and nobody has it: so it is there to be found again.
        pass(20_000).await;
        put(world.node("c"), "k", "again", PutOptions::default().w(3)).await.unwrap();
        pass(5_000).await;
        let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got), ["again"]);
    });
}

#[test]
fn an_incomplete_home_lists_no_keys() {
    simulate(async {
        let mut world = World::start(Plan::three(10)).await;
        fill(&world, &keys(50)).await;
        come_back_empty(&mut world, "b").await;
        for _ in 0..100 {
            let query = KeyQuery { prefix: "".into(), after: None, limit: 1000 };
            let listed = world.node("b").keys(key("k").bucket(), query).await;
            if let Ok(listed) = listed {
                assert_eq!(listed.keys.len(), 50);
            }
            pass(10).await;
        }
        assert_eq!(incomplete(&world, "b"), 0);
    });
}

#[test]
fn a_record_that_rots_unread_is_found_and_mended() {
    simulate(async {
        let world = World::start(Plan::three(12)).await;
        for text in keys(300) {
            put(world.node("a"), &text, &format!("<{text}>"), PutOptions::default().w(3))
                .await
                .unwrap();
        }
        pass(60_000).await;
        let before = world.node("b").anti_entropy().scrub;
        assert!(before.records >= 300 && before.damaged == 0, "{before:?}");
        damage(&world, "b", "<k7>", 0);
        // Sixteen partitions a second, and some time to mend.
        pass(25_000).await;
        let report = world.node("b").anti_entropy();
        assert_eq!((report.scrub.damaged, report.scrub.mismatched), (1, 0));
        assert_eq!((report.quarantined, report.incomplete), (0, 0));
        let all = world.node("a").replica(&key("k7")).await.unwrap().digest;
        assert_eq!(world.node("b").replica(&key("k7")).await.unwrap().digest, all);
    });
}

#[test]
fn writes_beside_the_scrub_leave_trees_that_match() {
    simulate(async {
        let mut plan = Plan::three(13);
        // So that a step ends in the middle of a partition.
        plan.adjust = |_, settings| {
            settings.ring.partitions = PartitionCount::new(8).unwrap();
        };
        let world = World::start(plan).await;
        let keys = keys(4_000);
        fill(&world, &keys).await;
        for round in 0..20 {
            for text in keys.iter().skip(round).step_by(97) {
                let read = get(world.node("a"), text, ReadOptions::default()).await;
                let options = PutOptions::default().context(read.context());
                put(world.node("a"), text, &format!("{round}"), options).await.unwrap();
            }
            pass(1_000).await;
        }
        for node in ALL {
            let scrub = world.node(node).anti_entropy().scrub;
            assert!(scrub.records > 4_000 && scrub.mismatched == 0, "{scrub:?}");
        }
    });
}
