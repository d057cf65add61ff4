//! Schedules under which a rule that comes to mind first loses a write, denies it, or brings a
//! deleted one back. All that are known, and the tests that show them; those without a file are here,
//! `whole` is `tests/whole_node` and `kernel` is `kernel/tests`.
//!
//! | schedule | tests |
//! | --- | --- |
//! | **Reaping** | |
//! | a copy is stuck until the tombstones are gone | whole `reaped::a_copy_that_was_stuck_since_before_the_reap_is_refused`, `deletes::r04_a_copy_that_was_stuck_…` |
//! | … on its way to a fallback, which would give it to a home | `a_copy_that_reaches_a_fallback_after_the_reap_is_refused` |
//! | … sent by an exchange (hints and read repairs travel as the same request) | `a_mending_that_was_stuck_since_before_the_reap_is_refused` |
//! | a forward is stuck, and would be minted anew | whole `reaped::a_forward_that_was_stuck_since_before_the_reap_mints_nothing` |
//! | a promise is given, and lost with the power | whole `reaped::a_power_cut_right_after_a_promise_takes_nothing_of_it_back`, `deletes::r04_a_power_cut_after_a_promise_…` |
//! | … by a fallback whose hint was given away, unsynced | `a_hint_that_was_given_away_before_a_promise_does_not_come_back_with_a_power_cut` |
//! | a disk is restored from before the reap | whole `reaped::a_disk_that_is_restored_from_before_the_reap_brings_nothing_back`, `deletes::r04_a_disk_from_before_the_reap_…` |
//! | a member says "nothing", takes a late copy, and only then refuses such | kernel `reaping/fences::what_was_read_before_a_promise_is_refused_after_it`, `reaping/model` |
//! | two rounds at a time | kernel `reaping/fences::of_two_rounds_with_one_generation_one_fails` |
//! | a tombstone beside a value is dropped | kernel `reaping/fences::a_tombstone_beside_a_value_is_not_reaped_and_a_young_one_not_yet` |
//! | not every member is asked | whole `reaping::a_member_that_is_away_blocks_visibly_until_it_is_back`, `reaped::a_copy_that_is_kept_for_a_home_blocks_until_it_is_handed_over` |
//! | an old tombstone eats a key that was made again | `deletes::r04_an_old_tombstone_eats_no_key_that_was_made_again`, kernel `causality/minting::a_tombstone_from_before_a_reap_does_not_eat_a_recreated_key` |
//! | a history is pruned without a promise | kernel `reaping/pruning`, `reaping/model`; whole `reaping::a_long_history_is_pruned_at_every_home_alike` |
//! | a node that was removed returns | none: nodes cannot be removed yet |
//! | **Hints** | |
//! | all homes are away, and the hint ends with its time | whole `schedules::what_only_fallbacks_hold_outlasts_any_absence_of_all_homes` |
//! | … or with the bytes | whole `sloppy::past_the_bound_of_hints_new_copies_are_refused_and_those_that_are_there_stay` |
//! | a home refuses an old hint, by a wrong clock | whole `schedules::a_hint_is_taken_whatever_the_clocks_of_both_sides_say` |
//! | one home never returns | `hints::r13_…`, whole `handoff::what_has_grown_old_is_taken_over_by_the_other_homes_and_reaches_the_absent_one` |
//! | a record that is kept for several goes with the first | whole `schedules::a_copy_that_is_kept_for_three_homes_goes_with_the_last_of_them` |
//! | a fallback for two homes counts twice | kernel `coordination/sloppy_put::a_fallback_that_stands_in_for_two_homes_counts_once`, whole `sloppy::every_home_that_is_away_has_a_fallback_when_one_node_is_left` |
//! | a home acknowledges a hint, and loses it with its power | whole `handoff::a_mark_goes_only_when_the_home_has_the_record_on_its_disk`, `disks::r09_a_power_cut_after_a_hint_…` |
//! | a copy changes after it was sent | whole `handoff::a_record_that_changes_while_it_is_delivered_keeps_its_mark_until_it_is_delivered_again` |
//! | two fallbacks with different pasts deliver in either order | whole `handoff::two_fallbacks_with_different_pasts_hand_over_in_either_order`, `names::r03_…` |
//! | a fallback has become a home, and its hint is delivered | kernel `handoff/hints::a_record_stays_where_the_node_has_become_a_home_of_its_key` |
//! | **Who may mint** | |
//! | a record is rolled back, with the right in it | `names::r01_a_coordinator_that_a_power_cut_rolled_back_…`, kernel `causality/minting::a_rolled_back_record_mints_under_a_new_name` |
//! | a backup is restored, its log closed in order | `names::r01_a_coordinator_whose_disk_is_restored_…`, kernel `causality/minting::a_restored_backup_mints_under_a_new_name` |
//! | a record is lost and made again | `names::r01_a_coordinator_whose_disk_is_new_…`, `names::r02_…`, kernel `causality/minting::a_shard_that_lost_its_record_and_mints_again_loses_nobodys_write` |
//! | a dot leaves before its record is written | `nothing_of_a_write_leaves_its_home_before_it_is_written`, kernel `causality/minting::a_dot_that_left_before_its_write_was_stored_is_not_minted_again` |
//! | a sync fails, and the shard goes on, or starts again in the same boot | `disks::r10_disks_that_do_not_sync_lose_nothing`, whole `storage::a_log_that_failed_to_sync_stays_shut_when_its_shard_gets_up_again` |
//! | a right is outrun | kernel `causality/minting::a_merge_that_knows_more_of_a_right_than_the_record_voids_it` |
//! | **The last writer wins** | |
//! | a write over one of a fast clock, where that was never heard of | `a_write_over_one_of_a_fast_clock_wins_wherever_it_was_minted_and_whoever_meets_first`, `clocks::r07_a_register_…` |
//! | stamps from the future are refused between nodes | whole `clocks::a_write_with_the_context_of_a_stamp_from_the_future_lies_above_it`, kernel `causality/last_writer_wins::a_stamp_from_a_fast_clock_is_merged_like_any_other` |
//! | equal stamps, one of them expired by one clock | kernel `causality/last_writer_wins::what_has_expired_by_one_clock_alone_settles_nothing` |
//! | a tombstone of a fast clock, and a reap that is half done | `a_tombstone_of_a_fast_clock_that_one_home_did_not_drop_beats_nothing_newer`, whole `reaped::what_is_written_after_a_reap_stays_and_has_a_later_stamp` |
//! | **Buckets** | |
//! | keys of three and of five homes in one tree | `buckets_with_different_n_in_one_partition_compare_as_equal` |
//! | `n` changes under data | whole `buckets::data_written_under_the_defaults_fixes_n_and_conflict_even_if_another_node_holds_it` |
//! | two nodes make a bucket at once | `a_bucket_that_two_nodes_make_at_once_has_one_n_and_keeps_what_was_acknowledged` |
//! | **Write ids** | |
//! | each replica keeps its own of two twins | `writers::r12_…`, kernel `causality/write_ids::a_write_that_was_minted_twice_is_not_lost_between_two_merges` |
//! | a late retry of what was overwritten | whole `failure::a_repetition_that_comes_after_the_overwrite_is_seen_by_nobody` |
//! | a forward and its hedge are both minted | `writers::r12_a_forwarded_put_that_two_homes_minted_is_one_write` |
//! | **Siblings, contexts, forms** | |
//! | a thousand puts with one old context | kernel `causality/limits::puts_under_one_stale_context_do_not_make_siblings_without_end` |
//! | a record that no frame holds | `a_record_as_large_as_may_be_comes_to_a_home_that_missed_it` |
//! | a context without the values that it covers | `tests/surfaces/objects.rs` of the program: `a_head_says_all_but_the_value_and_its_context` |
//! | chains of answers grow without bound | kernel `causality/contexts::a_chain_of_answers_does_not_grow_without_bound` |
//! | one set of dots in two forms | kernel `causality/forms::one_set_of_dots_has_one_form` |
//! | one dot with two values, settled by side | whole `anti_entropy::one_dot_with_two_values_is_seen_told_and_settled_alike` |
//! | an expired value loses its body at one home | whole `clocks::each_node_judges_expiry_by_its_own_clock_and_replicas_stay_equal`, `reaping::a_value_that_expires_is_reaped_when_it_has_by_every_clock` |
//! | **Quorums** | |
//! | two that know nothing make a "not found" | whole `schedules::a_home_that_missed_the_write_and_an_empty_fallback_make_no_not_found` |
//! | a power cut takes what a strict read rests on | whole `schedules::a_home_that_a_power_cut_rolled_back_makes_no_stale_strict_read` |
//! | all doubt themselves, and wait for each other | whole `soundness::after_a_power_cut_all_doubt_each_other_and_that_ends` |
//! | the key of a damaged record cannot be read | whole `soundness::a_log_whose_damage_hides_its_keys_does_not_count_until_it_is_compared` |
//! | a forward that may have been applied is called "not applied" | `a_forward_that_nobody_answered_is_never_called_not_applied`, kernel `coordination/put::a_forward_in_flight_makes_the_fate_unknown` |
//! | **Changes of the ring** | |
//! | a new home copies from one old home only; one coordinator is two steps behind another; a hint for a home that has left | none: the ring cannot change yet |

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    simulation::{
        PeerRequest, RequestFrame, Site,
        defects::Defect,
        sites::{Act, Armed},
        world::name,
    },
    storage::disk_simulated::Faults,
    transport::Lane,
};
use henge_kernel::{
    bucket::BucketChange,
    causality::Value,
    coordination::{Fate, PutOptions, ReadOptions},
    key::PartitionCount,
};

use crate::{
    deletes::{reap, remove},
    pen::key,
    play::{green, red},
    stage::{Plan, Stage, pass},
};

/// Tells when a node first sends a record to be stored.
fn watch_stores(stage: &Stage, node: &str) -> Arc<AtomicBool> {
    let seen = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&seen);
    stage.network.twist(&name(node), move |lane, frame| {
        if lane == Lane::Request
            && let Ok(RequestFrame::Request { request: PeerRequest::Store { .. }, .. }) =
                RequestFrame::decode(&frame)
        {
            told.store(true, Relaxed);
        }
        frame
    });
    seen
}

/// A home returns and is compared with the others; what one of them sends it to mend that is stuck
/// until after the reap.
async fn a_mending_is_stuck(stage: &mut Stage) {
    stage.cut_off(&["c"]).await;
    stage.put("a", "k").must().await;
    let senders = ["a", "b"].map(|node| (node, watch_stores(stage, node)));
    for (node, _) in &senders {
        stage.slow_down(node, "c", 100);
    }
    stage.heal_all();
    let sent = || senders.iter().find(|(_, seen)| seen.load(Relaxed)).map(|(node, _)| *node);
    stage.until("something is sent to mend it", async || sent().is_some()).await;
    let sender = sent().unwrap_or("a");
    let other = if sender == "a" { "b" } else { "a" };
    stage.cut_one_way(sender, "c");
    for (node, _) in &senders {
        stage.network.untwist(&name(node));
    }
    stage.network.speed_up_all();
    stage.until_seen(other, "c", "up").await;
    remove(stage, other, "k").await;
    stage.until_equal("k").await;
    reap(stage, other, 1).await;
    stage.heal_all();
    pass(20_000).await;
}

#[test]
fn a_mending_that_was_stuck_since_before_the_reap_is_refused() {
    green(0..6, Plan::three, a_mending_is_stuck);
    red(Defect::NoGenerationCheck, 0..12, Plan::three, a_mending_is_stuck);
}

/// A copy for a home that was away is stuck on its way to the node that should have kept it.
async fn a_copy_for_a_fallback_is_stuck(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    stage.cut_off(&homes[2..]).await;
    stage.cut_one_way(homes[0], fallbacks[0]);
    stage.put(homes[0], "k").must().await;
    for node in [homes[0], homes[1], fallbacks[0]] {
        stage.heal(homes[2], node);
    }
    stage.cut_one_way(homes[0], fallbacks[0]);
    stage.until_seen(homes[1], homes[2], "up").await;
    remove(stage, homes[1], "k").await;
    stage.until_equal("k").await;
    reap(stage, homes[1], 1).await;
    stage.heal_all();
    pass(20_000).await;
}

#[test]
fn a_copy_that_reaches_a_fallback_after_the_reap_is_refused() {
    let plan = |seed| Plan::of(4, seed);
    green(0..4, plan, a_copy_for_a_fallback_is_stuck);
    red(Defect::NoGenerationCheck, 0..4, plan, a_copy_for_a_fallback_is_stuck);
}

/// A fallback gives a hint away, promises that it has nothing, and loses its power: were the promise
/// not on its disk, the hint would be back.
async fn a_hint_that_was_given_away(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    stage.cut_off(&homes[2..]).await;
    stage.put(homes[0], "k").of(3).must().await;
    stage.until_marked(fallbacks[0], "k", 1).await;
    pass(11_000).await;
    stage.reunite().await;
    stage.until_handed_over().await;
    remove(stage, homes[1], "k").await;
    stage.until_equal("k").await;
    reap(stage, homes[1], 1).await;
    stage.unplug(fallbacks[0]).await;
    stage.rise(fallbacks[0]).await;
    pass(20_000).await;
}

#[test]
fn a_hint_that_was_given_away_before_a_promise_does_not_come_back_with_a_power_cut() {
    let plan = |seed| {
        Plan::of(4, seed).told(|settings| settings.storage.sync_interval = Duration::from_secs(10))
    };
    green(0..6, plan, a_hint_that_was_given_away);
    red(Defect::PromiseUnsynced, 0..6, plan, a_hint_that_was_given_away);
}

/// A home that has minted a write cannot write it: another one mints it.
async fn a_mint_is_never_written(stage: &mut Stage) {
    let old = stage.put("a", "k").of(3).must().await;
    stage.pen.fault("write-error", "a");
    stage.disk("a").set_faults(Faults { appends: true, ..Faults::default() });
    stage.put("a", "k").over(&old).must().await;
    let mut minted = false;
    for node in ["b", "c"] {
        minted |= stage.replica(node, "k").await.is_some_and(|report| report.has_right);
    }
    stage.check(minted, "what was not written is minted elsewhere");
    stage.unplug("a").await;
    stage.rise("a").await;
    stage.until_linked().await;
    stage.put("a", "k").over(&old).must().await;
}

#[test]
fn nothing_of_a_write_leaves_its_home_before_it_is_written() {
    green(0..4, Plan::three, a_mint_is_never_written);
    red(Defect::DotBeforeWrite, 0..4, Plan::three, a_mint_is_never_written);
}

/// v and u are concurrent, and v's clock is fast; w has seen v, and is written by a slow clock where
/// v was never heard of. Two of the three homes meet first.
async fn a_write_over_a_fast_clock(stage: &mut Stage, (one, other): (&str, &str)) {
    stage.found("registers", &["conflict=lww"]).await;
    let text = "registers/k";
    stage.names().iter().for_each(|node| stage.isolate(node));
    for (node, seconds) in [("a", 50), ("b", 75), ("c", 100)] {
        stage.clock(node).set_skew_ms(seconds * 1_000);
    }
    stage.put("b", text).of(1).within(300).must().await;
    let fast = stage.put("c", text).of(1).within(300).must().await;
    let last = stage.put("a", text).over(&fast).of(1).within(300).must().await;
    stage.heal(one, other);
    stage.until_seen(one, other, "up").await;
    stage.until_seen(other, one, "up").await;
    pass(3_000).await;
    stage.reunite().await;
    stage.until_equal(text).await;
    for node in stage.names() {
        let seen = stage.get(node, text).of(3).must().await;
        stage.check(seen.vals == last.own, format!("the last one wins, through {node}"));
    }
}

#[test]
fn a_write_over_one_of_a_fast_clock_wins_wherever_it_was_minted_and_whoever_meets_first() {
    for pair in [("a", "b"), ("b", "c"), ("a", "c")] {
        let story = async |stage: &mut Stage| a_write_over_a_fast_clock(stage, pair).await;
        green(0..2, Plan::three, story);
    }
    let story = async |stage: &mut Stage| a_write_over_a_fast_clock(stage, ("a", "b")).await;
    red(Defect::StampNotInContext, 0..2, Plan::three, story);
}

/// A tombstone of a clock that is two hours fast is dropped by two homes of three; then the key is
/// written again, and the third returns with the tombstone.
async fn a_reap_is_half_done(stage: &mut Stage) {
    stage.found("registers", &["conflict=lww"]).await;
    let text = "registers/k";
    let set_all = |hours: i64| {
        stage.names().iter().for_each(|node| stage.clock(node).set_skew_ms(hours * 3_600_000));
    };
    set_all(2);
    pass(3_000).await;
    stage.put("a", text).of(3).must().await;
    remove(stage, "a", text).await;
    stage.until_equal(text).await;
    set_all(0);
    stage.arm("c", Armed { site: Site::BeforeReapDrop, passes: 0, act: Act::Die });
    reap(stage, "a", 1).await;
    let dead = stage.bury_the_dead().await;
    stage.check(dead == ["c"], "c dies before it drops");
    let new = stage.put("b", text).must().await;
    stage.rise("c").await;
    stage.until_linked().await;
    pass(15_000).await;
    let seen = stage.get("c", text).of(3).must().await;
    stage.check(seen.vals == new.own, "what came after the tombstone wins");
}

#[test]
fn a_tombstone_of_a_fast_clock_that_one_home_did_not_drop_beats_nothing_newer() {
    green(0..4, Plan::three, a_reap_is_half_done);
}

/// Keys of three and of five homes in one partition.
async fn two_buckets_share_a_partition(stage: &mut Stage) {
    stage.found("wide", &["n=5"]).await;
    for number in 0..20 {
        let node = stage.names()[number % 5];
        stage.put(node, &format!("k{number}")).of(3).must().await;
        stage.put(node, &format!("wide/k{number}")).of(5).must().await;
    }
    pass(15_000).await;
    for node in stage.names() {
        let report = stage.node(node).anti_entropy();
        let diverged = report.peers.iter().any(|peer| !peer.diverged.is_empty());
        stage.check(!diverged && report.mended == 0, format!("{node} finds nothing to mend"));
        for number in 0..20 {
            let text = format!("k{number}");
            let is_home = stage.sides(&text).0.contains(&node);
            stage.check(stage.holds(node, &text).await == is_home, "only homes hold a key");
        }
    }
}

#[test]
fn buckets_with_different_n_in_one_partition_compare_as_equal() {
    let plan = |seed| {
        Plan::five(seed).told(|settings| settings.ring.partitions = PartitionCount::new(1).unwrap())
    };
    green(0..2, plan, two_buckets_share_a_partition);
    red(Defect::HintForgotten, 0..1, plan, a_home_of_both_is_away);
}

/// The same, with a home away for a while.
async fn a_home_of_both_is_away(stage: &mut Stage) {
    stage.found("wide", &["n=5"]).await;
    let (homes, fallbacks) = stage.sides("k");
    stage.cut_off(&homes[2..]).await;
    stage.put(homes[0], "k").of(3).must().await;
    stage.put(homes[0], "wide/k").of(4).must().await;
    stage.reunite().await;
    stage.until_handed_over().await;
    pass(15_000).await;
    for fallback in fallbacks {
        stage.check(!stage.holds(fallback, "k").await, "only homes hold a key");
    }
}

const RIVAL: Bytes = Bytes::from_static(b"rival");

/// Two nodes give a bucket its own n at once.
async fn a_bucket_is_made_twice(stage: &mut Stage) {
    let set = |node: &str, pairs: [&str; 3]| {
        let (door, name) = (stage.node(node).clone(), RIVAL);
        let change = pairs
            .iter()
            .fold(BucketChange::default(), |change, pair| change.parse_pair(pair).unwrap());
        tokio::task::spawn_local(async move { door.set_bucket(&name, change).await.is_ok() })
    };
    let first = set("a", ["n=1", "r=1", "w=1"]);
    let second = set("e", ["n=5", "r=3", "w=3"]);
    let mut kept = Vec::new();
    for number in 0..30 {
        let text = format!("rival/k{number}");
        let node = stage.names()[number % 5];
        if stage.node(node).put(&key(&text), Value::text("v"), PutOptions::default()).await.is_ok()
        {
            kept.push(text);
        }
        pass(20).await;
    }
    let set = [first.await.unwrap(), second.await.unwrap()];
    let agree = async || {
        let all: Vec<_> = stage.handles().values().map(|door| door.bucket(&RIVAL)).collect();
        all.iter().all(|one| *one == all[0] && one.as_ref().is_ok_and(|held| held.established))
    };
    stage.until("all agree on the bucket", agree).await;
    // A put may have made it before either, with what buckets have by default.
    let n = stage.node("a").bucket(&RIVAL).map(|held| held.properties.n).ok();
    let told = match set {
        [true, false] => n == Some(1),
        [false, true] => n == Some(5),
        [false, false] => n == Some(3),
        [true, true] => false,
    };
    stage.check(told, format!("what they were told, {set:?}, is what is: {n:?}"));
    for text in kept {
        for node in stage.names() {
            let got = stage.node(node).get(&key(&text), ReadOptions::default()).await;
            let found = got.as_ref().is_ok_and(|got| got.versions().len() == 1);
            stage.check(found, format!("{text} is there through {node}: {got:?}"));
        }
    }
    stage.put("a", "k").must().await;
}

#[test]
fn a_bucket_that_two_nodes_make_at_once_has_one_n_and_keeps_what_was_acknowledged() {
    green(0..6, Plan::five, a_bucket_is_made_twice);
}

/// A record of four mebibytes of siblings, which a home has missed.
async fn a_record_is_large(stage: &mut Stage) {
    stage.cut_off(&["c"]).await;
    for node in ["a", "b", "a", "b"] {
        stage.put(node, "k").filled_to(900 << 10).must().await;
    }
    let full = stage.put("a", "k").filled_to(900 << 10).try_send().await;
    let told = matches!(&full, Err(failed) if failed.code == "too_many_siblings");
    stage.check(told, format!("there is a bound: {:?}", full.err()));
    let seen = stage.get("a", "k").must().await;
    stage.reunite().await;
    stage.until_equal("k").await;
    stage.check(stage.held("c", "k").await.len() == seen.vals.len(), "all of it has come");
    stage.put("c", "other").must().await;
}

#[test]
fn a_record_as_large_as_may_be_comes_to_a_home_that_missed_it() {
    green(0..1, Plan::three, a_record_is_large);
}

/// A node forwards a put, and hears nothing more of anybody.
async fn a_forward_is_never_answered(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    let (node, home) = (fallbacks[0], homes[0]);
    for other in stage.names() {
        if other != node && other != home {
            stage.cut(node, other);
        }
    }
    stage.cut_one_way(home, node);
    let told = stage.put(node, "k").strict().within(8_000).try_send().await;
    let open = matches!(&told, Err(failed) if failed.fate == Fate::Unknown);
    stage.check(open, format!("nobody knows: {:?}", told.err()));
    stage.until("the home has it", async || stage.holds(home, "k").await).await;
    stage.reunite().await;
    stage.put(homes[1], "other").must().await;
}

#[test]
fn a_forward_that_nobody_answered_is_never_called_not_applied() {
    green(0..4, Plan::five, a_forward_is_never_answered);
    red(Defect::FateTooSure, 0..4, Plan::five, a_forward_is_never_answered);
}
