//! What survives: kills, power cuts, full and failing disks.

use henge_actors::{
    reports::Readiness,
    storage::{Change, Engine as _, disk_simulated::Faults},
};
use henge_kernel::coordination::{Fate, PutOptions, ReadOptions};

use crate::world::{Plan, World, get, key, name, pass, put, simulate, texts};

#[test]
fn every_acknowledged_write_survives_the_kill_of_all_nodes() {
    for shards in [1, 2] {
        simulate(async {
            let plan = Plan { shards: vec![shards], ..Plan::three(1) };
            let mut world = World::start(plan).await;
            let mut acknowledged = Vec::new();
            for round in 0..100 {
                let node = ["a", "b", "c"][round % 3];
                let text = format!("k{round}");
                put(world.node(node), &text, &text, PutOptions::default()).await.unwrap();
                acknowledged.push(text);
            }
            for node in ["a", "b", "c"] {
                world.kill(node).await;
            }
            for node in ["a", "b", "c"] {
                world.start_node(node).await;
            }
            world.ready().await;
            for text in acknowledged {
                let got = get(world.node("a"), &text, ReadOptions::default()).await;
                assert_eq!(texts(&got), [text.as_str()]);
            }
        });
    }
}

#[test]
fn a_power_cut_of_all_nodes_loses_at_most_the_sync_interval() {
    simulate(async {
        let mut world = World::start(Plan::three(2)).await;
        for round in 0..50 {
            let text = format!("k{round}");
            put(world.node("a"), &text, &text, PutOptions::default().w(3)).await.unwrap();
        }
        pass(250).await;
        for node in ["a", "b", "c"] {
            world.power_cut(node).await;
        }
        for node in ["a", "b", "c"] {
            world.start_node(node).await;
        }
        world.ready().await;
        for round in 0..50 {
            let text = format!("k{round}");
            let got = get(world.node("b"), &text, ReadOptions::default()).await;
            assert_eq!(texts(&got), [text.as_str()]);
        }
    });
}

#[test]
fn writes_before_and_after_a_restart_get_different_dots() {
    simulate(async {
        let mut world = World::start(Plan::three(3)).await;
        let first = put(world.node("a"), "k", "one", PutOptions::default().w(3)).await.unwrap();
        world.kill("a").await;
        world.start_node("a").await;
        world.ready().await;
        let second = put(world.node("a"), "k", "two", PutOptions::default()).await.unwrap();
        assert_ne!(first.body.dot.actor, second.body.dot.actor, "a right dies with its run");
        let got = get(world.node("b"), "k", ReadOptions::default()).await;
        assert_eq!(texts(&got), ["one", "two"]);
    });
}

#[test]
fn a_node_whose_disk_fails_takes_no_more_writes_says_so_and_others_go_on() {
    simulate(async {
        let world = World::start(Plan::three(4)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        let faults = Faults { appends: true, ..Faults::default() };
        world.disk("a").set_faults(faults);
        let outcome = put(world.node("a"), "j", "w", PutOptions::default()).await;
        if let Err(error) = outcome {
            assert_eq!(error.fate(), Fate::Unknown, "{error:?}");
        }
        pass(100).await;
        assert!(matches!(world.node("a").readiness(), Readiness::NotReady { .. }));
        for round in 0..10 {
            // Through the node with the dead log as well: another home mints.
            let text = format!("later-{round}");
            put(world.node("a"), &text, "w", PutOptions::default()).await.unwrap();
            put(world.node("b"), &text, "x", PutOptions::default()).await.unwrap();
        }
        let got = get(world.node("a"), "k", ReadOptions::default()).await;
        assert_eq!(texts(&got), ["v"]);
        pass(2_000).await;
        let seen = world.node("b").cluster();
        let health = seen.members.into_iter().find(|member| member.name == "a").unwrap().health;
        assert_eq!(health.unwrap().storage, "poisoned");
    });
}

#[test]
fn a_home_whose_disk_fails_leaves_what_was_forwarded_to_it_to_the_next_one() {
    simulate(async {
        let world = World::start(Plan { nodes: 5, ..Plan::three(4) }).await;
        let list = world.node("a").preference_list(&key("k"));
        let faults = Faults { appends: true, ..Faults::default() };
        world.disk(&list.homes[0]).set_faults(faults);
        // The first one meets the failure, the others the log that it has poisoned.
        for round in 0..5 {
            let value = format!("v{round}");
            put(world.node(&list.fallbacks[0]), "k", &value, PutOptions::default()).await.unwrap();
        }
        for node in list.homes.iter().chain(&list.fallbacks) {
            world.disk(node).set_faults(faults);
            let _ = put(world.node(node), "k", "w", PutOptions::default()).await;
        }
        let nowhere = put(world.node(&list.fallbacks[0]), "k", "w", PutOptions::default()).await;
        assert_eq!(nowhere.unwrap_err().fate(), Fate::NotApplied, "no log takes anything");
    });
}

#[test]
fn a_full_disk_refuses_puts_and_loses_nothing() {
    simulate(async {
        let world = World::start(Plan::three(5)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        for node in ["a", "b", "c"] {
            world.disk(node).set_capacity(Some(0));
        }
        let refused = put(world.node("a"), "j", "w", PutOptions::default()).await.unwrap_err();
        assert_eq!(refused.fate(), Fate::NotApplied, "{refused:?}");
        for node in ["a", "b", "c"] {
            world.disk(node).set_capacity(None);
        }
        pass(200).await;
        assert_eq!(world.node("a").replica(&key("j")).await.unwrap().digest, None);
        put(world.node("a"), "j", "w", PutOptions::default()).await.unwrap();
        let got = get(world.node("b"), "k", ReadOptions::default()).await;
        assert_eq!(texts(&got), ["v"]);
    });
}

#[test]
fn a_log_that_failed_to_sync_stays_shut_when_its_shard_gets_up_again() {
    simulate(async {
        let world = World::start(Plan::three(6)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.disk("a").set_faults(Faults { syncs: true, ..Faults::default() });
        put(world.node("a"), "k2", "v", PutOptions::default().w(3)).await.unwrap();
        pass(200).await;
        assert!(matches!(world.node("a").readiness(), Readiness::NotReady { .. }));
        // The next sync would succeed, and prove nothing.
        world.disk("a").set_faults(Faults::default());
        world.node("a").plant_panic("StorageShard", 0);
        pass(100).await;
        for node in ["a", "b"] {
            put(world.node(node), "j", "w", PutOptions::default()).await.unwrap();
        }
        pass(100).await;
        assert_eq!(world.node("a").replica(&key("j")).await.unwrap().digest, None);
        assert!(world.node("a").replica(&key("k")).await.unwrap().digest.is_some());
        pass(2_000).await;
        let seen = world.node("b").cluster();
        let health = seen.members.into_iter().find(|member| member.name == "a").unwrap().health;
        assert_eq!(health.unwrap().storage, "poisoned");
    });
}

#[test]
fn a_sync_that_fails_after_its_shard_fell_shuts_the_log_too() {
    simulate(async {
        let world = World::start(Plan::three(6)).await;
        world.disk("a").hold_syncs();
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        pass(150).await;
        world.node("a").plant_panic("StorageShard", 0);
        pass(20).await;
        world.disk("a").set_faults(Faults { syncs: true, ..Faults::default() });
        assert_eq!(world.disk("a").run_syncs(), 1, "the one of before the fall");
        world.disk("a").set_faults(Faults::default());
        pass(20).await;
        assert!(matches!(world.node("a").readiness(), Readiness::NotReady { .. }));
        put(world.node("b"), "j", "w", PutOptions::default()).await.unwrap();
        pass(20).await;
        assert_eq!(world.node("a").replica(&key("j")).await.unwrap().digest, None);
        assert!(world.node("a").replica(&key("k")).await.unwrap().digest.is_some());
    });
}

#[test]
fn a_record_that_holds_but_is_not_understood_is_not_replaced() {
    simulate(async {
        let mut world = World::start(Plan::three(7)).await;
        world.kill("a").await;
        let (future, key) = (&b"\x09 a format of the future"[..], key("k"));
        let change = Change::Record { token: key.token(), key: &key, payload: &[future] };
        world.log("a").append(&[change]).unwrap();
        world.start_node("a").await;
        world.ready().await;
        world.until_linked().await;
        put(world.node("b"), "k", "v", PutOptions::default()).await.unwrap();
        get(world.node("c"), "k", ReadOptions::default()).await;
        pass(100).await;
        world.kill("a").await;
        assert_eq!(world.log("a").get(key.token(), &key).unwrap().as_deref(), Some(future));
    });
}

#[test]
fn a_shard_that_was_closed_takes_no_more_writes() {
    simulate(async {
        let mut world = World::start(Plan::three(8)).await;
        world.disk("c").hold_syncs();
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        // The others do not hear that it leaves.
        world.network.cut_one_way(&name("c"), &name("a"));
        world.network.cut_one_way(&name("c"), &name("b"));
        let (a, c) = (world.node("a").clone(), world.node("c").clone());
        let late = tokio::task::spawn_local(async move {
            pass(300).await;
            put(&a, "late", "v", PutOptions::default().w(1)).await.unwrap();
            pass(300).await;
            c.replica(&key("late")).await.unwrap().digest
        });
        world.stop("c").await;
        assert_eq!(late.await.unwrap(), None);
    });
}

#[test]
fn a_damaged_record_does_not_count_again_before_every_home_was_asked() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        world.network.isolate(&name("c"));
        world.until_seen(&["a", "b"], "c", "down").await;
        // Acknowledged by a and b.
        put(world.node("a"), "k", "acknowledged", PutOptions::default()).await.unwrap();
        world.network.heal_all();
        world.until_linked().await;
        for path in world.disk("a").files(std::path::Path::new("/data/shard-0")) {
            let mut bytes = world.disk("a").contents(&path).unwrap();
            if let Some(at) = bytes.windows(12).position(|word| word == b"acknowledged") {
                bytes[at] ^= 1;
                world.disk("a").overwrite(&path, bytes);
            }
        }
        assert!(world.node("a").replica(&key("k")).await.is_err());
        put(world.node("c"), "k", "blind", PutOptions::default().w(3)).await.unwrap();
        world.network.isolate(&name("b"));
        world.until_seen(&["a", "c"], "b", "down").await;
        if let Ok(got) = world.node("a").get(&key("k"), ReadOptions::default()).await {
            assert_eq!(texts(&got), ["acknowledged", "blind"], "R + W > N");
        }
    });
}
