//! Bucket properties: set anywhere, known everywhere, fixed where they must be.

use bytes::Bytes;
use henge_actors::storage::disk_simulated::Faults;
use henge_kernel::{
    bucket::BucketChange,
    coordination::{Fate, PutOptions, ReadOptions, RequestError},
    key::Key,
};

use crate::world::{Plan, World, name, pass, simulate, texts, value};

fn change(pairs: &[&str]) -> BucketChange {
    pairs.iter().fold(BucketChange::default(), |change, pair| change.parse_pair(pair).unwrap())
}

fn carts() -> Bytes {
    Bytes::from_static(b"carts")
}

fn cart(text: &'static str) -> Key {
    Key::new(carts(), Bytes::from_static(text.as_bytes())).unwrap()
}

#[test]
fn properties_set_on_one_node_are_in_force_on_all() {
    simulate(async {
        let world = World::start(Plan::three(1)).await;
        let set = world.node("a").set_bucket(&carts(), change(&["conflict=lww", "r=1"])).await;
        assert!(set.unwrap().established);
        pass(200).await;
        for node in world.names() {
            let held = world.node(node).bucket(&carts()).unwrap();
            assert_eq!(held.properties.r, 1, "{node}");
            assert!(held.established, "{node}");
        }
        world.node("a").put(&cart("k"), value("one"), PutOptions::default()).await.unwrap();
        pass(10).await;
        world.node("b").put(&cart("k"), value("two"), PutOptions::default()).await.unwrap();
        let got = world.node("c").get(&cart("k"), ReadOptions::default().r(3)).await.unwrap();
        assert_eq!(texts(&got), ["two"], "the last write wins where that was asked for");
    });
}

#[test]
fn a_bucket_with_its_own_n_has_so_many_homes() {
    simulate(async {
        let plan = Plan { nodes: 5, ..Plan::three(2) };
        let world = World::start(plan).await;
        let set = change(&["n=5", "r=3", "w=3"]);
        assert!(world.node("b").set_bucket(&carts(), set).await.unwrap().established);
        pass(200).await;
        let options = PutOptions::default().w(5);
        let answer = world.node("d").put(&cart("k"), value("v"), options).await.unwrap();
        assert_eq!((answer.replicas.acks, answer.replicas.homes), (5, 5));
        for node in world.names() {
            let replica = world.node(node).replica(&cart("k")).await.unwrap();
            assert!(replica.home && replica.digest.is_some(), "{node}");
        }
    });
}

#[test]
fn nodes_that_share_keys_only_since_a_bucket_has_more_homes_compare_them() {
    simulate(async {
        let mut plan = Plan::three(4);
        plan.adjust = |_, settings| {
            settings.defaults.n = 1;
            (settings.defaults.r, settings.defaults.w) = (1, 1);
        };
        let world = World::start(plan).await;
        let set = change(&["n=3", "r=2", "w=2"]);
        assert!(world.node("a").set_bucket(&carts(), set).await.unwrap().established);
        pass(1_000).await;
        world.network.isolate(&name("c"));
        world.until_seen(&["a", "b"], "c", "down").await;
        world.node("a").put(&cart("k"), value("v"), PutOptions::default()).await.unwrap();
        world.network.heal_all();
        world.until_equal(&cart("k")).await;
    });
}

#[test]
fn a_node_that_lost_its_disk_serves_only_when_it_knows_the_buckets_again() {
    simulate(async {
        let mut world = World::start(Plan::three(3)).await;
        world.node("a").set_bucket(&carts(), change(&["n=1", "r=1", "w=1"])).await.unwrap();
        world.kill("a").await;
        world.wipe("a");
        world.start_node("a").await;
        let put = loop {
            let options = PutOptions::default().w(1);
            match world.node("a").put(&cart("k"), value("v"), options).await {
                Ok(put) => break put,
                Err(RequestError::NotReady { .. }) => pass(1).await,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(put.replicas.homes, 1, "by the bucket's own n");
        // The next start needs nobody.
        world.ready().await;
        world.kill("a").await;
        world.network.cut(&name("a"), &name("b"));
        world.network.cut(&name("a"), &name("c"));
        world.start_node("a").await;
        let served = world.node("a").get(&cart("k"), ReadOptions::default().r(1)).await;
        assert!(!matches!(served, Err(RequestError::NotReady { .. })), "{served:?}");
    });
}

#[test]
fn a_bucket_with_its_own_n_is_not_ready_while_a_member_is_away_and_is_when_it_returned() {
    simulate(async {
        let world = World::start(Plan::three(3)).await;
        world.network.isolate(&name("c"));
        let set = change(&["n=1", "r=1", "w=1"]);
        let unreached = world.node("a").set_bucket(&carts(), set.clone()).await.unwrap_err();
        assert!(
            matches!(unreached, RequestError::QuorumNotMet { needed: 3, got: 2, .. }),
            "{unreached:?}"
        );
        let refused = world.node("a").put(&cart("k"), value("v"), PutOptions::default()).await;
        assert!(matches!(refused, Err(RequestError::NotReady { .. })), "{refused:?}");
        world.network.heal_all();
        world.until_seen(&["a", "b"], "c", "up").await;
        for _ in 0..50 {
            if world
                .names()
                .iter()
                .all(|node| world.node(node).bucket(&carts()).unwrap().established)
            {
                break;
            }
            pass(100).await;
        }
        let answer = world.node("c").put(&cart("k"), value("v"), PutOptions::default()).await;
        assert_eq!(answer.unwrap().replicas.homes, 1);
    });
}

#[test]
fn a_setting_that_the_members_rule_out_is_refused_at_once_and_not_applied() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        world.network.isolate(&name("c"));
        world.until_seen(&["a", "b"], "c", "down").await;
        world.until_seen(&["c"], "a", "down").await;
        world.until_seen(&["c"], "b", "down").await;
        let began = tokio::time::Instant::now();
        let (homes_down, fate) = (1, Fate::NotApplied);
        let ruled_out = RequestError::QuorumNotMet { needed: 3, got: 0, homes_down, fate };
        let own_n = change(&["n=1", "r=1", "w=1"]);
        let refused = world.node("a").set_bucket(&carts(), own_n).await.unwrap_err();
        assert_eq!(refused, ruled_out);
        let alone = world.node("c").set_bucket(&carts(), change(&["r=1"])).await.unwrap_err();
        let (homes_down, fate) = (2, Fate::NotApplied);
        assert_eq!(alone, RequestError::QuorumNotMet { needed: 2, got: 0, homes_down, fate });
        assert!(began.elapsed() < std::time::Duration::from_millis(50), "at once");
        for node in world.names() {
            assert_eq!(world.node(node).bucket(&carts()).unwrap().version.counter, 0, "{node}");
        }
        let set = world.node("a").set_bucket(&carts(), change(&["r=1"])).await;
        assert_eq!(set.unwrap().properties.r, 1, "a majority is enough for that");
    });
}

#[test]
fn data_written_under_the_defaults_fixes_n_and_conflict_even_if_another_node_holds_it() {
    simulate(async {
        let plan = Plan { nodes: 5, ..Plan::three(4) };
        let world = World::start(plan).await;
        world.node("a").put(&cart("k"), value("v"), PutOptions::default().w(3)).await.unwrap();
        for node in world.names() {
            let set = world.node(node).set_bucket(&carts(), change(&["n=5"])).await;
            let refused = set.unwrap_err();
            assert!(
                matches!(&refused, RequestError::BucketPropertyFixed { field, .. } if field == "n"),
                "{node}: {refused:?}"
            );
        }
        pass(1_000).await;
        let got = world.node("b").get(&cart("k"), ReadOptions::default()).await.unwrap();
        assert_eq!(texts(&got), ["v"], "the bucket serves as before");
        let set = change(&["r=1"]);
        assert_eq!(world.node("c").set_bucket(&carts(), set).await.unwrap().properties.r, 1);
    });
}

#[test]
fn properties_survive_a_restart_and_reach_a_node_that_was_away() {
    simulate(async {
        let mut world = World::start(Plan::three(5)).await;
        world.kill("c").await;
        world.until_seen(&["a", "b"], "c", "down").await;
        world.node("a").set_bucket(&carts(), change(&["w=1"])).await.unwrap();
        world.kill("a").await;
        world.start_node("a").await;
        world.start_node("c").await;
        world.ready().await;
        pass(500).await;
        for node in world.names() {
            assert_eq!(world.node(node).bucket(&carts()).unwrap().properties.w, 1, "{node}");
        }
    });
}

#[test]
fn bad_properties_are_refused_with_every_violation_and_change_nothing() {
    simulate(async {
        let world = World::start(Plan::three(6)).await;
        let set = change(&["n=9", "w=0", "durability=group"]);
        let refused = world.node("a").set_bucket(&carts(), set).await.unwrap_err();
        let RequestError::BadRequest { limit, .. } = &refused else { panic!("{refused:?}") };
        assert!(limit.contains('n') && limit.contains("group"), "{limit}");
        assert_eq!(world.node("a").bucket(&carts()).unwrap().version.counter, 0);
    });
}

#[test]
fn a_setting_that_no_majority_knows_is_not_confirmed_when_it_is_asked_for_again() {
    simulate(async {
        let world = World::start(Plan::three(7)).await;
        world.network.isolate(&name("a"));
        // At the first try nobody is known as down yet: it is stored here, and nowhere else.
        for got in [1, 0] {
            let unreached = world.node("a").set_bucket(&carts(), change(&["w=1"])).await;
            assert!(
                matches!(&unreached, Err(RequestError::QuorumNotMet { needed: 2, got: held, .. })
                    if *held == got),
                "{unreached:?}"
            );
        }
        world.network.heal_all();
        world.until_linked().await;
        world.node("a").set_bucket(&carts(), change(&["w=1"])).await.unwrap();
        assert_eq!(world.node("b").bucket(&carts()).unwrap().properties.w, 1);
    });
}

#[test]
fn a_node_that_missed_a_setting_fails_no_request_and_learns_it() {
    simulate(async {
        let plan = Plan { nodes: 5, ..Plan::three(8) };
        let world = World::start(plan).await;
        // It could not store the register, and nobody asks it again.
        world.disk("c").set_faults(Faults { appends: true, ..Faults::default() });
        world.node("a").set_bucket(&carts(), change(&["r=1"])).await.unwrap();
        pass(1_000).await;
        world.disk("c").set_faults(Faults::default());
        assert_eq!(world.node("c").bucket(&carts()).unwrap().version.counter, 0);
        for round in 0..40 {
            let key = Key::new(carts(), format!("k{round}")).unwrap();
            world.node("a").put(&key, value("v"), PutOptions::default()).await.unwrap();
        }
        assert_eq!(world.node("c").bucket(&carts()).unwrap().version.counter, 1);
    });
}

#[test]
fn a_wrong_clock_keeps_no_home_from_minting_where_there_is_no_other() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        let set = change(&["conflict=lww", "n=1", "r=1", "w=1"]);
        world.node("a").set_bucket(&carts(), set).await.unwrap();
        world.clock("c").set_skew_ms(3_600_000);
        pass(3_000).await;
        assert!(world.node("c").cluster().clock_skew_ms.is_some());
        for round in 0..30 {
            let key = Key::new(carts(), format!("k{round}")).unwrap();
            world.node("a").put(&key, value("v"), PutOptions::default()).await.unwrap();
        }
    });
}

#[test]
fn wrong_clocks_of_all_homes_keep_none_of_them_from_minting() {
    simulate(async {
        let world = World::start(Plan { nodes: 4, ..Plan::three(9) }).await;
        let set = change(&["conflict=lww", "n=3"]);
        world.node("a").set_bucket(&carts(), set).await.unwrap();
        for (node, skew) in [("a", -30_000), ("b", 60_000), ("c", -90_000), ("d", 120_000)] {
            world.clock(node).set_skew_ms(skew);
        }
        pass(3_000).await;
        for node in ["a", "b", "c", "d"] {
            assert!(world.node(node).cluster().clock_skew_ms.is_some(), "{node}");
            let key = Key::new(carts(), format!("k{node}")).unwrap();
            world.node(node).put(&key, value("v"), PutOptions::default()).await.unwrap();
        }
    });
}

#[test]
fn a_write_that_races_with_the_first_setting_of_its_bucket_fixes_n_or_fails() {
    for seed in 0..100 {
        simulate(async {
            let world = World::start(Plan::three(seed)).await;
            let node = world.node("a").clone();
            let setting = tokio::task::spawn_local(async move {
                node.set_bucket(&carts(), change(&["n=1", "r=1", "w=1"])).await
            });
            for _ in 0..seed % 20 {
                tokio::task::yield_now().await;
            }
            let key = |round| Key::new(carts(), format!("k{round}")).unwrap();
            let puts = (0..8).map(|round| {
                let (node, key) = (world.node("a").clone(), key(round));
                tokio::task::spawn_local(async move {
                    node.put(&key, value("v"), PutOptions::default().w(1)).await.is_ok()
                })
            });
            let puts: Vec<_> = puts.collect();
            let set = setting.await.unwrap();
            pass(1_000).await;
            for (round, written) in puts.into_iter().enumerate() {
                if written.await.unwrap() {
                    let options = ReadOptions::default();
                    let got = world.node("a").get(&key(round), options).await.unwrap();
                    assert_eq!(texts(&got), ["v"], "seed {seed}: {set:?}");
                }
            }
        });
    }
}
