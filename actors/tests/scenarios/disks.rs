//! R6, R9 and R10: disks that are replaced, lose their power, are full, or fail.

use std::time::Duration;

use henge_actors::{
    simulation::{checkers::ViolationKind, defects::Defect},
    storage::disk_simulated::Faults,
};

use crate::{
    crowd::Crowd,
    play::{breaks, broken, green, red},
    stage::{Plan, Stage, pass},
};

/// One disk after the other is replaced, each when the one before is filled, and when another node
/// has just missed what was written.
async fn disks_are_replaced(stage: &mut Stage) {
    let work = Crowd::four().strict().work(stage, 12_000);
    for (node, behind) in [("c", "a"), ("a", "e"), ("e", "c")] {
        stage.pen.fault("isolation", behind);
        stage.isolate(behind);
        pass(2_500).await;
        stage.heal_all();
        stage.replace_disk(node).await;
        stage.until_linked().await;
    }
    work.done().await;
}

#[test]
fn r06_disks_that_are_replaced_during_writes_lose_nothing_and_no_strict_read_is_stale() {
    green(0..2, Plan::five, disks_are_replaced);
    red(Defect::IncompleteHomeCounts, 0..3, Plan::five, disks_are_replaced);
}

/// A disk is replaced on the side of a cut that has the majority, while both sides are written to.
async fn a_disk_is_replaced_during_a_cut(stage: &mut Stage) {
    // So many keys that reads do not mend them.
    let keys = (0..80).map(|number| format!("k{number}")).collect();
    let work = Crowd { keys, ..Crowd::four() }.work(stage, 10_000);
    pass(1_000).await;
    stage.pen.fault("halves", "a b / c d e");
    for one in ["a", "b"] {
        for other in ["c", "d", "e"] {
            stage.cut(one, other);
        }
    }
    pass(4_000).await;
    stage.replace_disk("d").await;
    work.done().await;
}

#[test]
fn r06_a_disk_that_is_replaced_during_a_cut_loses_nothing() {
    green(0..2, Plan::five, a_disk_is_replaced_during_a_cut);
    red(Defect::NothingMended, 0..4, Plan::five, a_disk_is_replaced_during_a_cut);
}

/// All but one of the nodes that have acknowledged a put lose their power at once.
async fn power_goes_after_acks(stage: &mut Stage, w: u8) {
    for round in 0..6 {
        let text = format!("k{round}");
        let old = stage.put("a", &text).of(3).must().await;
        let mut nodes = ["a", "b", "c"];
        nodes.rotate_left(round % 3);
        // What has been sent when the put is acknowledged has not arrived everywhere.
        stage.slow_down(nodes[0], nodes[1], 100);
        stage.slow_down(nodes[0], nodes[2], 200);
        stage.put(nodes[0], &text).over(&old).of(w).must().await;
        stage.network.speed_up_all();
        let victims = &nodes[..usize::from(w) - 1];
        for victim in victims {
            stage.unplug(victim).await;
        }
        for victim in victims {
            stage.rise(victim).await;
        }
        stage.until_linked().await;
        // What came back to them must come to their disks, too, before others lose their power.
        stage.until_equal(&text).await;
        pass(11_000).await;
    }
}

/// The logs are synced once in ten seconds: a power cut takes what it can.
fn seldom_synced(seed: u64) -> Plan {
    Plan::three(seed).told(|settings| settings.storage.sync_interval = Duration::from_secs(10))
}

#[test]
fn r09_a_power_cut_of_all_but_one_that_acknowledged_loses_nothing() {
    for w in [2, 3] {
        let story = async |stage: &mut Stage| power_goes_after_acks(stage, w).await;
        green(0..4, seldom_synced, story);
        breaks(ViolationKind::Lost, Defect::AckBelowW, 0..4, seldom_synced, story);
    }
}

/// All nodes lose their power a little later than what `periodic` leaves open.
async fn the_power_of_all_goes(stage: &mut Stage) {
    for round in 0..4 {
        for number in 0..10 {
            let node = ["a", "b", "c"][number % 3];
            stage.put(node, &format!("k{round}-{number}")).must().await;
        }
        pass(250).await;
        for node in ["a", "b", "c"] {
            stage.unplug(node).await;
        }
        for node in ["a", "b", "c"] {
            stage.rise(node).await;
        }
        stage.until_ready().await;
        stage.until_linked().await;
    }
}

#[test]
fn r09_a_power_cut_of_all_nodes_loses_nothing_that_is_older_than_the_interval() {
    green(0..4, Plan::three, the_power_of_all_goes);
    broken("an interval of ten seconds", 0..4, seldom_synced, the_power_of_all_goes);
}

/// A home is handed what a fallback kept for it, and loses its power at once.
async fn the_power_of_a_home_goes_when_it_is_handed_a_hint(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    stage.cut_off(&homes).await;
    stage.put(fallbacks[0], "k").of(1).must().await;
    pass(2_000).await;
    let marks = stage.replica(fallbacks[0], "k").await.map(|report| report.marks);
    let marks = marks.unwrap_or_default();
    let Some(home) = homes.iter().find(|home| marks.contains(&home.to_string())) else {
        stage.pen.complain("the fallback keeps it for nobody");
        return;
    };
    // Only one of the homes comes back.
    stage.heal(home, fallbacks[0]);
    stage.until_marked(fallbacks[0], "k", marks.len() - 1).await;
    stage.isolate(home);
    stage.unplug(home).await;
    stage.rise(home).await;
    // What the fallback gave away is to be found there, were the fallback gone.
    stage.check(stage.holds(home, "k").await, "what was handed over is there");
}

#[test]
fn r09_a_power_cut_after_a_hint_was_handed_over_takes_it_not_back() {
    let plan = |seed| {
        Plan::five(seed).told(|settings| settings.storage.sync_interval = Duration::from_secs(10))
    };
    green(0..6, plan, the_power_of_a_home_goes_when_it_is_handed_a_hint);
    red(Defect::DurableUnsynced, 0..6, plan, the_power_of_a_home_goes_when_it_is_handed_a_hint);
}

/// One disk is full for a while, then all are.
async fn disks_are_full(stage: &mut Stage) {
    let work = Crowd::four().work(stage, 16_000);
    pass(1_000).await;
    stage.pen.fault_that_nobody_notices("full-disk", &["b"]);
    stage.disk("b").set_capacity(Some(stage.disk("b").used() + 500));
    pass(5_000).await;
    stage.pen.fault("full-disk", "all");
    for node in stage.names() {
        stage.disk(node).set_capacity(Some(stage.disk(node).used()));
    }
    pass(4_000).await;
    let full = stage.put("a", "k0").try_send().await;
    let told = matches!(&full, Err(failed) if failed.code == "storage_full");
    stage.check(told, format!("a put is refused by name: {:?}", full.err()));
    for node in stage.names() {
        stage.disk(node).set_capacity(None);
    }
    stage.pen.heal();
    pass(500).await;
    stage.put("a", "k0").must().await;
    work.done().await;
}

#[test]
fn r10_full_disks_refuse_puts_by_name_and_lose_nothing() {
    let plan = |seed| Plan::five(seed).promising(|meta| meta.min_avail = Some(0.99));
    green(0..2, plan, disks_are_full);
}

/// The disks of two nodes fail, one after the other; each is restarted when its disk is well again.
async fn disks_fail(stage: &mut Stage, faults: Faults) {
    let work = Crowd::four().work(stage, 16_000);
    for node in ["b", "d"] {
        pass(1_000).await;
        stage.pen.fault("disk-error", node);
        stage.disk(node).set_faults(faults);
        pass(3_000).await;
        stage.disk(node).set_faults(Faults::default());
        pass(500).await;
        let acknowledged = stage.replica(node, "k0").await.map(|report| report.digest);
        if faults.appends || faults.syncs {
            stage.check(stage.poisoned().contains(&node.to_owned()), "its log is shut");
            pass(500).await;
            let later = stage.replica(node, "k0").await.map(|report| report.digest);
            stage.check(later == acknowledged, "and takes in nothing more");
        }
        stage.unplug(node).await;
        stage.rise(node).await;
        stage.until_ready().await;
        stage.until_complete(node).await;
    }
    work.done().await;
}

#[test]
fn r10_disks_that_do_not_write_lose_nothing() {
    let faults = Faults { appends: true, ..Faults::default() };
    let story = async |stage: &mut Stage| disks_fail(stage, faults).await;
    green(0..2, Plan::five, story);
}

#[test]
fn r10_disks_that_do_not_sync_lose_nothing() {
    let faults = Faults { syncs: true, ..Faults::default() };
    let story = async |stage: &mut Stage| disks_fail(stage, faults).await;
    green(0..2, Plan::five, story);
}

#[test]
fn r10_disks_that_do_not_read_lose_nothing() {
    let faults = Faults { reads: true, ..Faults::default() };
    let story = async |stage: &mut Stage| disks_fail(stage, faults).await;
    green(0..2, Plan::five, story);
}

/// Acknowledged by two homes, one of which cannot read it any more; then only the third is there.
async fn reads_fail_beside_one_that_missed_it(stage: &mut Stage) {
    let old = stage.put("a", "k").of(3).must().await;
    stage.cut_off(&["c"]).await;
    stage.put("a", "k").over(&old).strict().must().await;
    stage.reunite_but("b").await;
    stage.pen.fault("read-error", "a");
    stage.disk("a").set_faults(Faults { reads: true, ..Faults::default() });
    for _ in 0..50 {
        for node in ["a", "c"] {
            drop(stage.get(node, "k").strict().send().await);
        }
        pass(20).await;
    }
}

#[test]
fn r10_what_cannot_be_read_is_not_taken_for_none() {
    // Nothing mends it meanwhile.
    let plan = |seed| {
        Plan::three(seed).told(|settings| settings.anti_entropy.interval = Duration::from_hours(1))
    };
    green(0..4, plan, reads_fail_beside_one_that_missed_it);
    let story = reads_fail_beside_one_that_missed_it;
    breaks(ViolationKind::StaleStrict, Defect::CorruptIsNothing, 0..4, plan, story);
}
