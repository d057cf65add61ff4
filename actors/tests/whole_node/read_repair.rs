//! What a read finds a home to lack is sent there.

use std::time::Duration;

use futures_util::future::join_all;
use henge_actors::reports::ReadRepairReport;
use henge_kernel::coordination::{PutOptions, ReadOptions};

use crate::{
    sloppy::{cut_off, five, replica, sides},
    world::{Plan, World, get, name, pass, put, simulate, texts},
};

/// A cluster whose replicas are compared only when a home missed a write.
async fn start(seed: u64) -> World {
    let mut plan = Plan::three(seed);
    plan.adjust = |_, settings| settings.anti_entropy.interval = Duration::from_hours(1);
    let world = World::start(plan).await;
    pass(5_000).await;
    world
}

fn repairs(world: &World, node: &str) -> ReadRepairReport {
    world.node(node).anti_entropy().read_repairs
}

/// Writes keys that c refuses.
async fn write_without_c(world: &World, keys: &[String], value: &str) {
    world.disk("c").set_capacity(Some(0));
    for text in keys {
        put(world.node("a"), text, value, PutOptions::default()).await.unwrap();
    }
    // The last put may be acknowledged before c has heard of it.
    pass(50).await;
    world.disk("c").set_capacity(None);
    // It looks again soon.
    pass(150).await;
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|round| format!("k{round}")).collect()
}

#[test]
fn many_reads_of_one_key_repair_a_home_once() {
    simulate(async {
        let world = start(1).await;
        write_without_c(&world, &keys(1), "v").await;
        let reads = (0..50).map(|_| get(world.node("a"), "k0", ReadOptions::default().r(3)));
        for got in join_all(reads).await {
            assert_eq!(texts(&got), ["v"]);
        }
        pass(50).await;
        let all = replica(&world, "a", "k0").await.digest;
        assert_eq!(replica(&world, "c", "k0").await.digest, all, "before anything is compared");
        let ReadRepairReport { sent, joined, shed } = repairs(&world, "a");
        assert_eq!((sent, shed), (1, 0));
        assert!(joined > 20, "{joined}");
    });
}

#[test]
fn beyond_their_bound_repairs_are_shed_and_anti_entropy_does_the_rest() {
    simulate(async {
        let world = start(2).await;
        let keys = keys(300);
        write_without_c(&world, &keys, "v").await;
        let reads = keys.iter().map(|text| get(world.node("a"), text, ReadOptions::default().r(3)));
        join_all(reads).await;
        let ReadRepairReport { sent, shed, .. } = repairs(&world, "a");
        assert!(sent >= 64 && shed > 0 && sent + shed == 300, "{sent} sent, {shed} shed");
        pass(10_000).await;
        for text in &keys {
            assert!(replica(&world, "c", text).await.digest.is_some(), "{text}");
        }
    });
}

#[test]
fn a_home_that_answers_after_the_client_has_its_answer_is_repaired_too() {
    simulate(async {
        let mut plan = Plan::three(3);
        plan.profile.delay_us = 5_000..=5_000;
        plan.adjust = |_, settings| settings.anti_entropy.interval = Duration::from_hours(1);
        let world = World::start(plan).await;
        pass(5_000).await;
        let keys = keys(20);
        write_without_c(&world, &keys, "v").await;
        // c is silent until after the answers: where it was asked first, b was asked in its place.
        world.network.pause(&name("c"));
        let reads = keys.iter().map(|text| get(world.node("a"), text, ReadOptions::default()));
        for got in join_all(reads).await {
            assert_eq!(texts(&got), ["v"]);
        }
        assert_eq!(repairs(&world, "a").sent, 0);
        world.network.resume(&name("c"));
        // What was sent to it meanwhile reaches it after a while.
        let mut waited = 0;
        while repairs(&world, "a").sent == 0 {
            assert!(waited < 700, "nothing was repaired");
            waited += 10;
            pass(10).await;
        }
        pass(20).await;
        let mut repaired = 0;
        for text in &keys {
            let all = replica(&world, "a", text).await.digest;
            repaired += u64::from(replica(&world, "c", text).await.digest == all);
        }
        assert!(repaired > 0);
    });
}

#[test]
fn a_repair_does_not_shrink_what_the_home_got_in_the_meantime() {
    simulate(async {
        let world = start(4).await;
        write_without_c(&world, &keys(1), "v").await;
        let read = get(world.node("a"), "k0", ReadOptions::default().r(3));
        let blind = put(world.node("c"), "k0", "other", PutOptions::default().w(1));
        let (_, written) = futures_util::future::join(read, blind).await;
        written.unwrap();
        pass(100).await;
        let got = get(world.node("c"), "k0", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got), ["other", "v"]);
    });
}

#[test]
fn fallbacks_are_not_repaired() {
    simulate(async {
        let world = World::start(five(5)).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &[homes[0].clone(), fallbacks[0].clone()]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.network.heal_all();
        world.network.isolate(&name(&homes[0]));
        world.until_seen(&[&homes[1]], &fallbacks[0], "up").await;
        pass(500).await;
        // It is asked before the one that keeps a copy.
        for _ in 0..5 {
            let got = get(world.node(&homes[1]), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["v"]);
        }
        pass(1_000).await;
        assert_eq!(replica(&world, &fallbacks[0], "k").await.digest, None);
        assert_eq!(repairs(&world, &homes[1]).sent, 0);
    });
}
