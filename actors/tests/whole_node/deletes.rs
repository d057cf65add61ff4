//! Deletes of keys with siblings: they delete what their context covers, and nothing else.

use henge_actors::api::Got;
use henge_kernel::{
    causality::Context,
    coordination::{DeleteOptions, PutOptions, ReadOptions},
};

use crate::world::{Plan, World, delete, get, key, name, pass, put, simulate, texts};

const ALL: [&str; 3] = ["a", "b", "c"];

/// A key with three siblings on all homes, and the context of each of the three writes.
async fn with_siblings(world: &World) -> Vec<Context> {
    let mut contexts = Vec::new();
    for (node, content) in [("a", "one"), ("b", "two"), ("c", "three")] {
        let written = put(world.node(node), "k", content, PutOptions::default().w(3)).await;
        contexts.push(written.unwrap().body.context);
    }
    contexts
}

async fn read(world: &World, node: &str) -> Got {
    get(world.node(node), "k", ReadOptions::default().r(3)).await
}

fn deletes_concurrent(got: &Got) -> bool {
    match got {
        Got::Value { concurrent_delete, .. } | Got::Siblings { concurrent_delete, .. } => {
            *concurrent_delete
        }
        Got::Deleted { .. } | Got::NotFound => false,
    }
}

#[test]
fn a_delete_with_the_context_of_all_siblings_leaves_none() {
    simulate(async {
        let world = World::start(Plan::three(1)).await;
        with_siblings(&world).await;
        let seen = read(&world, "b").await;
        assert_eq!(texts(&seen), ["one", "three", "two"]);
        let options = DeleteOptions::default().context(seen.context());
        delete(world.node("c"), "k", options).await.unwrap();
        for node in ALL {
            let got = read(&world, node).await;
            assert!(matches!(got, Got::Deleted { .. }), "{node}: {got:?}");
        }
        world.until_equal(&key("k")).await;
        let versions = world.node("a").replica(&key("k")).await.unwrap().versions;
        assert_eq!(versions.len(), 1, "one tombstone: {versions:?}");
    });
}

#[test]
fn a_delete_with_the_context_of_some_siblings_leaves_the_others() {
    simulate(async {
        let world = World::start(Plan::three(2)).await;
        let contexts = with_siblings(&world).await;
        let options = DeleteOptions::default().context(contexts[0].clone());
        delete(world.node("b"), "k", options).await.unwrap();
        for node in ALL {
            let got = read(&world, node).await;
            assert_eq!(texts(&got), ["three", "two"], "{node}");
            assert!(deletes_concurrent(&got), "{node} tells of the delete");
        }
        // The same delete, by another client that saw no more, deletes no more.
        let options = DeleteOptions::default().context(contexts[0].clone());
        delete(world.node("a"), "k", options).await.unwrap();
        assert_eq!(texts(&read(&world, "c").await), ["three", "two"]);
        // Whoever resolves what is left ends the delete as well.
        let options = PutOptions::default().context(read(&world, "a").await.context()).w(3);
        put(world.node("a"), "k", "resolved", options).await.unwrap();
        for node in ALL {
            let got = read(&world, node).await;
            assert_eq!(texts(&got), ["resolved"], "{node}");
            assert!(!deletes_concurrent(&got), "{node}");
        }
    });
}

#[test]
fn a_delete_that_is_concurrent_with_a_put_leaves_the_put_whichever_side_hears_first() {
    for (seed, late) in [(3, "a"), (4, "c")] {
        simulate(async {
            let world = World::start(Plan::three(seed)).await;
            with_siblings(&world).await;
            let seen = read(&world, "a").await.context();
            // Two sides, each of which can write alone: one deletes all, the other one puts.
            world.network.isolate(&name("c"));
            for (one, other) in [("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")] {
                world.until_seen(&[one], other, "down").await;
            }
            let options = DeleteOptions::default().context(seen.clone()).w(1);
            delete(world.node("a"), "k", options).await.unwrap();
            let options = PutOptions::default().context(seen).w(1);
            put(world.node("c"), "k", "put", options).await.unwrap();
            let gone = get(world.node("a"), "k", ReadOptions::default().r(2)).await;
            assert!(matches!(gone, Got::Deleted { .. }), "{gone:?}");
            world.network.heal_all();
            world.until_linked().await;
            pass(if late == "a" { 0 } else { 5_000 }).await;
            for node in ALL {
                let got = read(&world, node).await;
                assert_eq!(texts(&got), ["put"], "{node}");
                assert!(deletes_concurrent(&got), "{node}");
            }
            world.until_equal(&key("k")).await;
        });
    }
}

#[test]
fn a_deleted_sibling_does_not_come_back_with_a_home_that_was_away() {
    simulate(async {
        let mut world = World::start(Plan::three(5)).await;
        let contexts = with_siblings(&world).await;
        world.kill("c").await;
        world.until_seen(&["a", "b"], "c", "down").await;
        let options = DeleteOptions::default().context(contexts[1].clone());
        delete(world.node("a"), "k", options).await.unwrap();
        world.start_node("c").await;
        world.ready().await;
        world.until_linked().await;
        for node in ["c", "b", "a"] {
            let got = read(&world, node).await;
            assert_eq!(texts(&got), ["one", "three"], "{node}");
            assert!(deletes_concurrent(&got), "{node}");
        }
    });
}
