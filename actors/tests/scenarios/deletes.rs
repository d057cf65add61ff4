//! R4: what was deleted stays so, whoever returns with what, and eats nothing that came after it.

use std::time::Duration;

use henge_actors::simulation::defects::Defect;

use crate::{
    play::{green, red},
    stage::{Plan, Stage, pass},
};

/// Tombstones are due after a second, and no exchange of its own accord helps.
fn eager(nodes: usize) -> impl Fn(u64) -> Plan {
    move |seed| {
        Plan::of(nodes, seed).told(|settings| {
            settings.storage.tombstone_min_age = Duration::from_secs(1);
        })
    }
}

/// Deletes a key with what all its homes hold.
pub async fn remove(stage: &Stage, node: &str, text: &str) {
    let seen = stage.get(node, text).must().await;
    stage.delete(node, text, &seen).must().await;
}

/// Lets a node drive its rounds until so many keys are reaped by them.
pub async fn reap(stage: &Stage, node: &str, keys: u64) {
    let reaped = async || stage.node(node).reap().await.is_ok_and(|report| report.reaped >= keys);
    stage.until(&format!("{node} has reaped {keys} keys"), reaped).await;
}

/// A home is down while a key that it holds is deleted, and it returns much later.
async fn a_home_returns(stage: &mut Stage, recreate: bool) {
    stage.put("a", "k").of(3).must().await;
    stage.fell("c").await;
    stage.until_seen("a", "c", "down").await;
    stage.until_seen("b", "c", "down").await;
    remove(stage, "a", "k").await;
    pass(30_000).await;
    if let Ok(report) = stage.node("a").reap().await {
        stage.check(report.reaped == 0, "nothing is reaped while a member is away");
    }
    if recreate {
        stage.put("b", "k").must().await;
    }
    stage.rise("c").await;
    pass(20_000).await;
}

#[test]
fn r04_a_crashed_home_that_returns_with_the_value_brings_it_not_back() {
    for recreate in [false, true] {
        let story = async |stage: &mut Stage| a_home_returns(stage, recreate).await;
        green(0..4, eager(3), story);
        red(Defect::ReapByClock, 0..4, eager(3), story);
    }
}

/// A fallback keeps a value for a home, falls, and returns when the home is back and the key gone.
async fn a_fallback_returns(stage: &mut Stage, recreate: bool) {
    let (homes, fallbacks) = stage.sides("k");
    stage.fell(homes[2]).await;
    for node in homes[..2].iter().chain(&fallbacks) {
        stage.until_seen(node, homes[2], "down").await;
    }
    stage.put(homes[0], "k").of(3).must().await;
    stage.until_marked(fallbacks[0], "k", 1).await;
    stage.fell(fallbacks[0]).await;
    stage.rise(homes[2]).await;
    stage.until_linked().await;
    remove(stage, homes[1], "k").await;
    pass(30_000).await;
    for home in &homes {
        let report = stage.node(home).reap().await;
        let reaped = report.map_or(0, |report| report.reaped);
        stage.check(reaped == 0, "nothing is reaped while a member is away");
    }
    if recreate {
        stage.put(homes[1], "k").must().await;
    }
    stage.rise(fallbacks[0]).await;
    pass(20_000).await;
}

#[test]
fn r04_a_fallback_that_returns_with_the_value_brings_it_not_back() {
    for recreate in [false, true] {
        let story = async |stage: &mut Stage| a_fallback_returns(stage, recreate).await;
        green(0..4, eager(5), story);
        red(Defect::ReapByClock, 0..4, eager(5), story);
    }
}

/// What the disk held that is put back after the reap.
#[derive(Clone, Copy, PartialEq)]
enum Old {
    Value,
    Tombstone,
}

/// A node of a reaped key comes back with a disk from before the reap.
async fn an_old_disk_returns(stage: &mut Stage, old: Old, recreate: bool) {
    let first = stage.put("a", "k").of(3).must().await;
    stage.put("a", "k").over(&first).of(3).must().await;
    pass(200).await;
    let mut disk = stage.back_up("c");
    remove(stage, "a", "k").await;
    stage.until_equal("k").await;
    if old == Old::Tombstone {
        pass(200).await;
        disk = stage.back_up("c");
    }
    reap(stage, "a", 1).await;
    stage.check(!stage.holds("c", "k").await, "the tombstone is gone");
    if recreate {
        // As many as were there before, by the same home.
        let seen = stage.put("a", "k").of(3).must().await;
        stage.put("a", "k").over(&seen).of(3).must().await;
    }
    stage.fell("c").await;
    stage.restore("c", disk);
    stage.rise("c").await;
    pass(30_000).await;
}

#[test]
fn r04_a_disk_from_before_the_reap_brings_the_value_not_back() {
    for recreate in [false, true] {
        let story =
            async |stage: &mut Stage| an_old_disk_returns(stage, Old::Value, recreate).await;
        green(0..4, Plan::three, story);
        red(Defect::LeftBehindUnnoticed, 0..4, Plan::three, story);
    }
}

#[test]
fn r04_an_old_tombstone_eats_no_key_that_was_made_again() {
    for recreate in [false, true] {
        let story =
            async |stage: &mut Stage| an_old_disk_returns(stage, Old::Tombstone, recreate).await;
        green(0..4, Plan::three, story);
    }
}

/// A copy that is stuck since before the delete arrives after the reap.
async fn a_copy_was_stuck(stage: &mut Stage, recreate: bool) {
    stage.cut_one_way("a", "c");
    stage.put("a", "k").must().await;
    remove(stage, "b", "k").await;
    stage.until_equal("k").await;
    reap(stage, "b", 1).await;
    if recreate {
        stage.put("b", "k").must().await;
    }
    stage.heal_all();
    pass(20_000).await;
}

#[test]
fn r04_a_copy_that_was_stuck_since_before_the_delete_comes_not_back() {
    for recreate in [false, true] {
        let story = async |stage: &mut Stage| a_copy_was_stuck(stage, recreate).await;
        green(0..4, Plan::three, story);
        red(Defect::NoGenerationCheck, 0..4, Plan::three, story);
    }
}

/// The power of a member goes right after it has promised.
async fn a_promise_is_cut(stage: &mut Stage, recreate: bool) {
    stage.put("a", "k").of(3).must().await;
    pass(11_000).await;
    remove(stage, "a", "k").await;
    stage.until_equal("k").await;
    reap(stage, "a", 1).await;
    stage.unplug("c").await;
    if recreate {
        stage.put("a", "k").must().await;
    }
    stage.rise("c").await;
    pass(20_000).await;
}

#[test]
fn r04_a_power_cut_after_a_promise_to_forget_brings_nothing_back() {
    let plan = |seed| {
        Plan::three(seed).told(|settings| settings.storage.sync_interval = Duration::from_secs(10))
    };
    for recreate in [false, true] {
        let story = async |stage: &mut Stage| a_promise_is_cut(stage, recreate).await;
        green(0..6, plan, story);
        red(Defect::PromiseUnsynced, 0..6, plan, story);
    }
}
