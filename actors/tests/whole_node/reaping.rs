//! What is deleted ends: when all members have promised, and not before.

use std::{collections::BTreeSet, time::Duration};

use henge_actors::reports::ReapReport;
use henge_kernel::{
    coordination::{DeleteOptions, PutOptions, ReadOptions},
    key::Key,
};

use crate::world::{Plan, World, delete, get, key, name, pass, put, simulate, texts};

const ALL: [&str; 3] = ["a", "b", "c"];

pub async fn remove(world: &World, node: &str, text: &str) {
    let context = get(world.node(node), text, ReadOptions::default()).await.context();
    let options = DeleteOptions::default().context(context);
    delete(world.node(node), text, options).await.unwrap();
}

/// Puts a key everywhere and deletes it everywhere.
pub async fn put_and_remove(world: &World, text: &str) {
    put(world.node("a"), text, "old", PutOptions::default().w(3)).await.unwrap();
    remove(world, "a", text).await;
    world.until_equal(&key(text)).await;
}

pub async fn reap(world: &World, node: &str) -> ReapReport {
    world.node(node).reap().await.unwrap()
}

/// Whether a key is gone at every running node, with its tombstone and all.
pub async fn is_gone(world: &World, key: &Key) -> bool {
    world.digests(key).await.iter().all(Option::is_none)
}

#[test]
fn a_deleted_key_is_gone_at_every_member_after_a_reap() {
    simulate(async {
        let world = World::start(Plan::three(1)).await;
        put_and_remove(&world, "k").await;
        put(world.node("a"), "other", "lives", PutOptions::default().w(3)).await.unwrap();
        let report = reap(&world, "b").await;
        assert_eq!((report.reaped, report.blocked.len()), (1, 0), "{report:?}");
        assert!(is_gone(&world, &key("k")).await);
        for node in ALL {
            let other = get(world.node(node), "other", ReadOptions::default()).await;
            assert_eq!(texts(&other), ["lives"]);
            let got = get(world.node(node), "k", ReadOptions::default().r(3)).await;
            assert!(got.context().is_empty(), "{got:?}");
        }
        pass(30_000).await;
        assert!(is_gone(&world, &key("k")).await);
        for node in ALL {
            let report = world.node(node).anti_entropy();
            assert!(report.peers.iter().all(|peer| peer.diverged.is_empty()), "{report:?}");
            assert_eq!(report.mended, 0);
        }
    });
}

#[test]
fn what_is_old_enough_is_reaped_without_being_told() {
    simulate(async {
        let mut plan = Plan { shards: vec![2, 1, 3], ..Plan::three(2) };
        plan.adjust = |_, settings| settings.storage.tombstone_min_age = Duration::from_mins(1);
        let mut world = World::start(plan).await;
        for round in 0..20 {
            put_and_remove(&world, &format!("k{round}")).await;
        }
        // What was there before a start is found again.
        world.kill("a").await;
        world.start_node("a").await;
        pass(50_000).await;
        assert!(!is_gone(&world, &key("k19")).await, "not before its time");
        pass(30_000).await;
        for round in 0..20 {
            assert!(is_gone(&world, &key(&format!("k{round}"))).await, "k{round}");
        }
    });
}

#[test]
fn a_member_that_is_away_blocks_visibly_until_it_is_back() {
    simulate(async {
        let mut world = World::start(Plan::three(3)).await;
        put(world.node("a"), "k", "old", PutOptions::default().w(3)).await.unwrap();
        world.kill("c").await;
        world.until_seen(&["a", "b"], "c", "down").await;
        remove(&world, "a", "k").await;
        let report = reap(&world, "a").await;
        assert_eq!(report.reaped, 0);
        let [blocked] = &report.blocked[..] else { panic!("{report:?}") };
        assert_eq!((&blocked.member[..], &blocked.reason[..]), ("c", "down"));
        assert!(!is_gone(&world, &key("k")).await);
        world.start_node("c").await;
        world.ready().await;
        let mut waited = 0;
        while !is_gone(&world, &key("k")).await {
            waited += 1;
            let report = reap(&world, "a").await;
            assert!(waited < 60, "not after a minute: {report:?}");
            pass(1_000).await;
        }
        let report = world.node("a").reaping().await.unwrap();
        assert_eq!((report.reaped, report.blocked.len()), (1, 0), "{report:?}");
    });
}

#[test]
fn a_member_that_holds_something_else_blocks_and_keeps_it() {
    simulate(async {
        let mut plan = Plan { nodes: 4, ..Plan::three(4) };
        plan.adjust = |_, settings| settings.anti_entropy.interval = Duration::from_hours(1);
        let world = World::start(plan).await;
        put(world.node("a"), "k", "old", PutOptions::default().w(3)).await.unwrap();
        remove(&world, "a", "k").await;
        let homes = world.node("a").preference_list(&key("k")).homes;
        let (alone, other) = (&homes[0][..], &homes[1][..]);
        world.network.isolate(&name(alone));
        // Nobody has been found down yet.
        let strict = PutOptions::default().w(1).sloppy(false);
        put(world.node(alone), "k", "new", strict).await.unwrap();
        world.network.heal_all();
        let report = reap(&world, other).await;
        assert_eq!(report.reaped, 0, "{report:?}");
        pass(5_000).await;
        for node in world.names() {
            assert_eq!(
                texts(&get(world.node(node), "k", ReadOptions::default().r(3)).await),
                ["new"]
            );
        }
    });
}

#[test]
fn puts_amid_rounds_lose_nothing() {
    simulate(async {
        for seed in 5..8 {
            let world = World::start(Plan { shards: vec![1, 2], ..Plan::three(seed) }).await;
            for round in 0..15 {
                let text = format!("k{}", round % 3);
                put_and_remove(&world, &text).await;
                let content = format!("v{round}");
                let reaping = reap(&world, ALL[round % 3]);
                let putting = async {
                    pass(u64::try_from(round).unwrap() * 7 % 30).await;
                    put(world.node(ALL[(round + 1) % 3]), &text, &content, PutOptions::default())
                        .await
                        .unwrap();
                };
                futures_util::future::join(reaping, putting).await;
                world.until_equal(&key(&text)).await;
                for node in ALL {
                    let got = get(world.node(node), &text, ReadOptions::default()).await;
                    assert_eq!(texts(&got), [&*content], "{text} in round {round}");
                }
            }
            let mut reaped = 0;
            for node in ALL {
                reaped += world.node(node).reaping().await.unwrap().reaped;
            }
            assert!((3..13).contains(&reaped), "{reaped} reaps of 15 prove little");
        }
    });
}

#[test]
fn a_long_history_is_pruned_at_every_home_alike() {
    simulate(async {
        let mut world = World::start(Plan::three(8)).await;
        let actors = async |world: &World| {
            let history = world.node("b").replica(&key("k")).await.unwrap().history;
            history.iter().map(|run| run.actor.clone()).collect::<BTreeSet<_>>().len()
        };
        let mut round = 0;
        while round < 22 || actors(&world).await < 64 {
            for node in ALL {
                let context = get(world.node(node), "k", ReadOptions::default()).await.context();
                let options = PutOptions::default().context(context);
                put(world.node(node), "k", &format!("{node}{round}"), options).await.unwrap();
            }
            world.until_equal(&key("k")).await;
            for node in ALL {
                world.stop(node).await;
                world.start_node(node).await;
                world.ready().await;
                world.until_linked().await;
            }
            round += 1;
            assert!(round < 40, "{} actors", actors(&world).await);
        }
        let report = reap(&world, "a").await;
        assert_eq!(report.pruned, 1, "{report:?}");
        assert_eq!(actors(&world).await, 1);
        world.until_equal(&key("k")).await;
        pass(30_000).await;
        assert_eq!(actors(&world).await, 1, "the others came not back");
        let last = format!("c{}", round - 1);
        for node in ALL {
            assert_eq!(texts(&get(world.node(node), "k", ReadOptions::default()).await), [&*last]);
        }
    });
}

#[test]
fn a_value_that_expires_is_reaped_when_it_has_by_every_clock() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        let set_clocks = |minutes: i64| {
            for (node, hours) in [("a", 0), ("b", 1), ("c", -1)] {
                world.clock(node).set_skew_ms((hours * 60 + minutes) * 60_000);
            }
        };
        set_clocks(0);
        let options = PutOptions::default().w(3).ttl(Duration::from_mins(10));
        put(world.node("a"), "k", "brief", options).await.unwrap();
        // Made absolute by the node that took it, for all.
        let mut ends = BTreeSet::new();
        for node in ALL {
            ends.insert(world.node(node).replica(&key("k")).await.unwrap().versions[0].expires_at);
        }
        assert_eq!(ends.len(), 1);
        let read =
            async |node: &str| texts(&get(world.node(node), "k", ReadOptions::default()).await);
        // A fast clock ends it early, for those who ask there alone.
        assert!(read("b").await.is_empty());
        assert_eq!(
            (read("a").await, read("c").await),
            (vec!["brief".into()], vec!["brief".into()])
        );
        let report = reap(&world, "b").await;
        let blocked = &report.blocked[0];
        assert_eq!((report.reaped, &blocked.reason[..]), (0, "alive"), "{report:?}");
        set_clocks(11);
        assert!(read("a").await.is_empty());
        assert_eq!(read("c").await, ["brief"]);
        let report = reap(&world, "a").await;
        assert_eq!((report.reaped, &report.blocked[0].member[..]), (0, "c"), "{report:?}");
        set_clocks(72);
        let report = reap(&world, "a").await;
        assert!(report.blocked.is_empty(), "{report:?}");
        assert!(is_gone(&world, &key("k")).await);
    });
}
