//! What every member has promised to be gone never comes back, whatever comes late.

use std::time::Duration;

use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    key::PartitionCount,
};

use crate::{
    reaping::{is_gone, put_and_remove, reap, remove},
    world::{Plan, World, get, key, name, pass, put, simulate, texts},
};

/// All keys lie in one partition.
fn one_partition(seed: u64) -> Plan {
    let mut plan = Plan::three(seed);
    plan.adjust = |_, settings| settings.ring.partitions = PartitionCount::new(1).unwrap();
    plan
}

async fn stays_gone(world: &World, text: &str) {
    for _ in 0..30 {
        for node in world.running_names() {
            let got = get(world.node(node), text, ReadOptions::default()).await;
            assert!(got.versions().is_empty(), "{text} is back through {node}: {got:?}");
        }
        pass(1_000).await;
    }
    assert!(is_gone(world, &key(text)).await);
}

#[test]
fn a_copy_that_was_stuck_since_before_the_reap_is_refused() {
    simulate(async {
        let world = World::start(Plan::three(1)).await;
        world.until_linked().await;
        world.network.cut_one_way(&name("a"), &name("c"));
        // a and b have it; the copy for c is stuck.
        put(world.node("a"), "k", "old", PutOptions::default()).await.unwrap();
        remove(&world, "b", "k").await;
        world.until_equal(&key("k")).await;
        let report = reap(&world, "b").await;
        assert_eq!(report.reaped, 1, "{report:?}");
        world.network.heal_all();
        stays_gone(&world, "k").await;
    });
}

#[test]
fn a_forward_that_was_stuck_since_before_the_reap_mints_nothing() {
    simulate(async {
        let world = World::start(Plan { nodes: 4, ..Plan::three(2) }).await;
        world.until_linked().await;
        let list = world.node("a").preference_list(&key("k"));
        let (first, second, outside) = (&list.homes[0], &list.homes[1], &list.fallbacks[0]);
        world.network.cut_one_way(&name(outside), &name(first));
        // The first forward is stuck; another home mints.
        put(world.node(outside), "k", "old", PutOptions::default()).await.unwrap();
        remove(&world, second, "k").await;
        pass(100).await;
        let report = reap(&world, second).await;
        assert_eq!(report.reaped, 1, "{report:?}");
        world.network.heal_all();
        stays_gone(&world, "k").await;
    });
}

#[test]
fn a_disk_that_is_restored_from_before_the_reap_brings_nothing_back() {
    simulate(async {
        let mut world = World::start(one_partition(3)).await;
        put(world.node("a"), "k", "old", PutOptions::default().w(3)).await.unwrap();
        put(world.node("a"), "lives", "yes", PutOptions::default().w(3)).await.unwrap();
        pass(200).await;
        let old = world.back_up("c");
        remove(&world, "a", "k").await;
        world.until_equal(&key("k")).await;
        assert_eq!(reap(&world, "a").await.reaped, 1);
        world.kill("c").await;
        world.restore("c", old);
        world.start_node("c").await;
        world.ready().await;
        world.until_linked().await;
        stays_gone(&world, "k").await;
        world.until_equal(&key("lives")).await;
        let report = world.node("c").reaping().await.unwrap();
        let aside: u64 = report.aside.iter().map(|aside| aside.records).sum();
        assert_eq!(aside, 2, "{report:?}");
        assert_eq!(world.node("c").anti_entropy().incomplete, 0, "it is filled");
        assert_eq!(texts(&get(world.node("c"), "lives", ReadOptions::default()).await), ["yes"]);
        // It takes part again.
        remove(&world, "c", "lives").await;
        world.until_equal(&key("lives")).await;
        assert_eq!(reap(&world, "c").await.reaped, 1);
        world.kill("c").await;
        world.start_node("c").await;
        world.until_linked().await;
        stays_gone(&world, "lives").await;
    });
}

#[test]
fn a_disk_that_is_new_is_filled_and_takes_part_again() {
    simulate(async {
        let mut world = World::start(one_partition(9)).await;
        put_and_remove(&world, "k").await;
        put(world.node("a"), "lives", "yes", PutOptions::default().w(3)).await.unwrap();
        assert_eq!(reap(&world, "a").await.reaped, 1);
        world.kill("c").await;
        world.wipe("c");
        world.start_node("c").await;
        world.ready().await;
        world.until_linked().await;
        world.until_equal(&key("lives")).await;
        // Its writes are heard, and its promise is asked for.
        put(world.node("c"), "other", "new", PutOptions::default().w(3)).await.unwrap();
        pass(10_000).await;
        remove(&world, "c", "lives").await;
        world.until_equal(&key("lives")).await;
        let report = reap(&world, "c").await;
        assert_eq!((report.reaped, report.aside.len()), (1, 0), "{report:?}");
        stays_gone(&world, "lives").await;
    });
}

#[test]
fn a_power_cut_right_after_a_promise_takes_nothing_of_it_back() {
    simulate(async {
        let mut plan = Plan::three(4);
        plan.adjust = |_, settings| settings.storage.sync_interval = Duration::from_secs(10);
        let mut world = World::start(plan).await;
        put(world.node("a"), "k", "old", PutOptions::default().w(3)).await.unwrap();
        pass(11_000).await;
        // No sync is due for a while: only the promise brings the tombstone to the disk.
        remove(&world, "a", "k").await;
        world.until_equal(&key("k")).await;
        assert_eq!(reap(&world, "a").await.reaped, 1);
        world.power_cut("c").await;
        world.start_node("c").await;
        world.until_linked().await;
        for _ in 0..30 {
            let got = get(world.node("a"), "k", ReadOptions::default()).await;
            assert!(got.versions().is_empty(), "it is back: {got:?}");
            pass(1_000).await;
        }
    });
}

#[test]
fn a_copy_that_is_kept_for_a_home_blocks_until_it_is_handed_over() {
    simulate(async {
        let mut world = World::start(Plan { nodes: 4, ..Plan::three(6) }).await;
        let list = world.node("a").preference_list(&key("k"));
        let (first, second, away) = (&list.homes[0], &list.homes[1], &list.homes[2]);
        let fallback = &list.fallbacks[0];
        world.kill(away).await;
        world.until_seen(&[first, second, fallback], away, "down").await;
        put(world.node(first), "k", "old", PutOptions::default().w(3)).await.unwrap();
        world.until_marked(fallback, "k", 1).await;
        world.network.cut_one_way(&name(fallback), &name(away));
        world.start_node(away).await;
        world.until_seen(&[first, second], away, "up").await;
        pass(500).await;
        // The homes agree that it is deleted.
        remove(&world, first, "k").await;
        pass(5_000).await;
        let report = reap(&world, second).await;
        assert_eq!(report.reaped, 0, "{report:?}");
        assert_eq!(
            (&report.blocked[0].member, &report.blocked[0].reason[..]),
            (fallback, "differs")
        );
        world.network.heal_all();
        world.until_marked(fallback, "k", 0).await;
        pass(5_000).await;
        assert_eq!(reap(&world, second).await.reaped, 1);
        stays_gone(&world, "k").await;
    });
}

/// Two members have promised, and c has not: for it, the value has not expired.
async fn begin_in_vain(world: &World) {
    world.clock("c").set_skew_ms(-3_600_000);
    let options = PutOptions::default().w(3).ttl(Duration::from_mins(1));
    put(world.node("a"), "k", "brief", options).await.unwrap();
    pass(61_000).await;
    let report = reap(world, "a").await;
    assert_eq!((&report.blocked[0].member[..], &report.blocked[0].reason[..]), ("c", "alive"));
}

#[test]
fn a_home_that_missed_a_promise_reads_again_and_is_heard() {
    simulate(async {
        let world = World::start(one_partition(7)).await;
        begin_in_vain(&world).await;
        let began = tokio::time::Instant::now();
        put(world.node("c"), "other", "new", PutOptions::default().w(3)).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        world.until_equal(&key("other")).await;
        // And the round that c would not promise then goes through in the end.
        world.clock("c").set_skew_ms(0);
        assert_eq!(reap(&world, "a").await.reaped, 1);
        stays_gone(&world, "k").await;
    });
}

#[test]
fn a_home_that_cannot_tell_whether_it_was_left_behind_mints_nothing() {
    simulate(async {
        let mut world = World::start(one_partition(8)).await;
        begin_in_vain(&world).await;
        world.kill("c").await;
        world.kill("b").await;
        world.start_node("c").await;
        world.until_seen(&["a", "c"], "b", "down").await;
        world.until_seen(&["a"], "c", "up").await;
        pass(1_000).await;
        let options = || PutOptions::default().w(2);
        put(world.node("c"), "other", "new", options()).await.unwrap();
        assert!(world.node("a").replica(&key("other")).await.unwrap().has_right, "a minted it");
        assert!(!world.node("c").replica(&key("other")).await.unwrap().has_right);
        world.start_node("b").await;
        world.ready().await;
        world.until_linked().await;
        // It has heard from all: it mints again, and is heard.
        put(world.node("c"), "third", "new", options().w(3)).await.unwrap();
        assert!(world.node("c").replica(&key("third")).await.unwrap().has_right);
    });
}

#[test]
fn what_is_written_after_a_reap_stays_and_has_a_later_stamp() {
    simulate(async {
        let world = World::start(Plan::three(5)).await;
        // The tombstone comes from a clock that is an hour fast.
        world.clock("a").set_skew_ms(3_600_000);
        put_and_remove(&world, "k").await;
        let reaped = world.node("b").replica(&key("k")).await.unwrap().versions[0].stamp;
        world.clock("a").set_skew_ms(0);
        assert_eq!(reap(&world, "b").await.reaped, 1);
        put(world.node("b"), "k", "new", PutOptions::default().w(3)).await.unwrap();
        let version = &world.node("c").replica(&key("k")).await.unwrap().versions[0];
        assert!(version.stamp > reaped, "{} after {reaped}", version.stamp);
        assert_eq!(reap(&world, "b").await.reaped, 1, "nothing more");
        pass(20_000).await;
        world.until_equal(&key("k")).await;
        assert_eq!(texts(&get(world.node("c"), "k", ReadOptions::default()).await), ["new"]);
    });
}
