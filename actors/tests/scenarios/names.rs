//! R1 to R3: who has lost what it wrote names no two writes alike.

use std::{path::Path, time::Duration};

use henge_actors::simulation::defects::Defect;

use crate::{
    pen::{Request, Seen},
    play::{green, red},
    stage::{Plan, Stage, pass},
};

/// How a coordinator comes to know less than it did.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Wiped,
    Rotten,
    Restored,
    RolledBack,
}

/// Sends a write, again and again, until it is acknowledged.
async fn insist(request: impl Fn() -> Request) -> Seen {
    for _ in 0..500 {
        if let Some(seen) = request().send().await {
            return seen;
        }
        pass(20).await;
    }
    request().must().await
}

/// Changes a byte of what a node has on its disk of a value.
pub fn rot(stage: &Stage, node: &str, val: &str) {
    let content = format!("{val}|").into_bytes();
    for path in stage.disk(node).files(Path::new("/data/shard-0")) {
        let mut bytes = stage.disk(node).contents(&path).unwrap();
        let words = bytes.windows(content.len()).enumerate();
        let found: Vec<usize> =
            words.filter(|(_, word)| *word == content).map(|(at, _)| at).collect();
        for at in &found {
            bytes[*at] ^= 1;
        }
        if !found.is_empty() {
            stage.disk(node).overwrite(&path, bytes);
        }
    }
    stage.pen.fault("bit-rot", node);
}

/// A node that wrote three times knows less, and writes again for clients who know all.
async fn writes_on_after(stage: &mut Stage, loss: Loss) {
    let first = stage.put("a", "k").of(3).must().await;
    let second = stage.put("a", "k").over(&first).of(3).must().await;
    pass(11_000).await;
    let old = stage.back_up("a");
    let third = stage.put("a", "k").over(&second).of(3).must().await;
    let others = stage.get("b", "k").of(3).must().await;
    match loss {
        Loss::Wiped => stage.replace_disk("a").await,
        Loss::Rotten => {
            let report = stage.get("a", "k").of(1).must().await;
            rot(stage, "a", &report.vals.concat());
        }
        Loss::Restored => {
            stage.fell("a").await;
            stage.restore("a", old);
            stage.rise("a").await;
        }
        Loss::RolledBack => {
            stage.unplug("a").await;
            stage.rise("a").await;
        }
    }
    let (blind, next) = (stage.pen.name(), stage.pen.name());
    insist(|| stage.put("a", "k").named(&blind).of(2)).await;
    let mine = insist(|| stage.put("a", "k").named(&next).over(&third).of(2)).await;
    pass(500).await;
    stage.put("a", "k").over(&mine).must().await;
    stage.put("b", "k").over(&others).must().await;
}

/// Only what is asked for brings the log to the disk.
fn seldom_synced(seed: u64) -> Plan {
    Plan::three(seed).told(|settings| settings.storage.sync_interval = Duration::from_secs(10))
}

#[test]
fn r01_a_coordinator_whose_disk_is_new_names_no_write_as_before() {
    let story = async |stage: &mut Stage| writes_on_after(stage, Loss::Wiped).await;
    green(0..6, Plan::three, story);
    red(Defect::UidKept, 0..6, Plan::three, story);
}

#[test]
fn r01_a_coordinator_whose_copy_is_rotten_names_no_write_as_before() {
    let story = async |stage: &mut Stage| writes_on_after(stage, Loss::Rotten).await;
    green(0..6, Plan::three, story);
}

#[test]
fn r01_a_coordinator_whose_disk_is_restored_names_no_write_as_before() {
    let story = async |stage: &mut Stage| writes_on_after(stage, Loss::Restored).await;
    green(0..6, Plan::three, story);
    red(Defect::UidKept, 0..6, Plan::three, story);
    red(Defect::RightOfEarlierRun, 0..6, Plan::three, story);
}

#[test]
fn r01_a_coordinator_that_a_power_cut_rolled_back_names_no_write_as_before() {
    let story = async |stage: &mut Stage| writes_on_after(stage, Loss::RolledBack).await;
    green(0..6, seldom_synced, story);
    red(Defect::RightOfEarlierRun, 0..6, seldom_synced, story);
}

/// Acknowledged by two homes, one of which finds its copy damaged; then only the third is there.
async fn reads_beside_a_rotten_copy(stage: &mut Stage) {
    let old = stage.put("a", "k").of(3).strict().must().await;
    stage.cut_off(&["c"]).await;
    let name = stage.pen.name();
    let new = stage.put("a", "k").named(&name).over(&old).strict().must().await;
    let shown = stage.get("a", "k").of(1).must().await;
    stage.reunite_but("b").await;
    rot(stage, "a", &shown.vals.concat());
    for _ in 0..50 {
        for node in ["a", "c"] {
            drop(stage.get(node, "k").strict().send().await);
            drop(stage.put(node, "k").over(&new).strict().send().await);
        }
        pass(20).await;
    }
}

#[test]
fn r01_a_copy_that_is_rotten_is_not_taken_for_none() {
    let plan = |seed| {
        Plan::three(seed).told(|settings| settings.anti_entropy.interval = Duration::from_hours(1))
    };
    green(0..6, plan, reads_beside_a_rotten_copy);
    red(Defect::CorruptIsNothing, 0..6, plan, reads_beside_a_rotten_copy);
}

/// A fallback writes, hands over, forgets, and writes the same key again.
async fn a_fallback_writes_twice(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    let mut seen = Seen::default();
    for round in 0..3 {
        stage.cut_off(&homes).await;
        let fallback = fallbacks[0];
        let own = stage.put(fallback, "k").over(&seen).of(1).must().await;
        let own = stage.put(fallback, "k").over(&own).of(1).must().await;
        stage.put(fallback, "k").of(1).must().await;
        stage.reunite().await;
        stage.until_handed_over().await;
        let forgot = !stage.holds(fallback, "k").await;
        stage.check(forgot, format!("{fallback} has forgotten the key after round {round}"));
        seen = own;
    }
}

#[test]
fn r02_a_fallback_that_has_forgotten_a_key_names_no_write_as_before() {
    green(0..6, Plan::five, a_fallback_writes_twice);
    red(Defect::EpochRepeated, 0..6, Plan::five, a_fallback_writes_twice);
}

/// A home writes twice, each time with another fallback beside it, and loses its disk; then the
/// fallbacks hand over, one after the other.
async fn two_pasts(stage: &mut Stage, first: usize) {
    let (homes, fallbacks) = stage.sides("k");
    let home = homes[0];
    stage.cut_off(&homes[1..]).await;
    stage.cut(home, fallbacks[1]);
    stage.cut(fallbacks[0], fallbacks[1]);
    pass(6_000).await;
    let short = stage.put(home, "k").must().await;
    stage.heal_all();
    for other in &homes[1..] {
        stage.isolate(other);
    }
    stage.cut(home, fallbacks[0]);
    stage.cut(fallbacks[0], fallbacks[1]);
    stage.until_seen(home, fallbacks[1], "up").await;
    stage.put(home, "k").over(&short).must().await;
    stage.check(
        stage.held(fallbacks[0], "k").await != stage.held(fallbacks[1], "k").await,
        "the fallbacks keep different pasts",
    );
    stage.fell(home).await;
    stage.wipe(home);
    // Between themselves, too, they meet at the homes only.
    let late = fallbacks[1 - first];
    stage.isolate(late);
    for other in &homes[1..] {
        for friend in homes.iter().chain([&fallbacks[first]]).filter(|friend| *friend != other) {
            stage.heal(other, friend);
        }
    }
    stage.rise(home).await;
    stage.heal(home, fallbacks[first]);
    stage.until_marked(fallbacks[first], "k", 0).await;
    let own = stage.pen.name();
    let own = insist(|| stage.put(home, "k").named(&own).of(1)).await;
    stage.reunite().await;
    stage.until_handed_over().await;
    stage.put(home, "k").over(&own).must().await;
}

#[test]
fn r03_fallbacks_with_different_pasts_of_one_actor_hand_over_in_either_order() {
    for first in [0, 1] {
        let story = async |stage: &mut Stage| two_pasts(stage, first).await;
        green(0..4, Plan::five, story);
        red(Defect::MergeByUnion, 0..4, Plan::five, story);
        red(Defect::HintForgotten, 0..4, Plan::five, story);
    }
}
