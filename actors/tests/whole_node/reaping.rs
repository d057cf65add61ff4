//! What is deleted ends, and does not come back.

use std::time::Duration;

use henge_actors::reports::ReapReport;
use henge_kernel::{
    coordination::{DeleteOptions, PutOptions, ReadOptions},
    key::Key,
};

use crate::world::{Plan, World, delete, get, key, pass, put, simulate, texts};

const ALL: [&str; 3] = ["a", "b", "c"];

async fn remove(world: &World, node: &str, text: &str) {
    let context = get(world.node(node), text, ReadOptions::default()).await.context();
    let options = DeleteOptions::default().context(context);
    delete(world.node(node), text, options).await.unwrap();
}

/// Puts a key everywhere and deletes it everywhere.
async fn put_and_remove(world: &World, text: &str) {
    put(world.node("a"), text, "old", PutOptions::default().w(3)).await.unwrap();
    remove(world, "a", text).await;
    world.until_equal(&key(text)).await;
}

async fn reap(world: &World, node: &str) -> ReapReport {
    world.node(node).reap().await.unwrap()
}

/// Whether a key is gone at every running node, with its tombstone and all.
async fn is_gone(world: &World, key: &Key) -> bool {
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
            assert_eq!(
                texts(&get(world.node(node), "other", ReadOptions::default()).await),
                ["lives"]
            );
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
        let world = World::start(plan).await;
        for round in 0..20 {
            put_and_remove(&world, &format!("k{round}")).await;
        }
        pass(50_000).await;
        assert!(!is_gone(&world, &key("k19")).await, "not before its time");
        pass(30_000).await;
        for round in 0..20 {
            assert!(is_gone(&world, &key(&format!("k{round}"))).await, "k{round}");
        }
    });
}
