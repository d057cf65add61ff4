//! R8, R11 and R14: nodes that stop, links that hear one way, networks that are bad.

use std::time::Duration;

use henge_actors::{
    simulation::{
        Site,
        defects::Defect,
        sites::{Act, Armed},
    },
    transport::simulated::NetworkProfile,
};
use tokio::task::spawn_local;

use crate::{
    crowd::Crowd,
    deletes::remove,
    play::{broken, green, red},
    stage::{Plan, Stage, pass},
};

/// A home stops for a minute in the middle of a put that it mints; the others go on, and delete what
/// it holds.
async fn a_coordinator_stops(stage: &mut Stage, site: Site) {
    let (homes, _) = stage.sides("k");
    let (home, other) = (homes[0], homes[1]);
    let old = stage.put(home, "k").of(3).must().await;
    let alike: Vec<String> = (0..200)
        .map(|number| format!("k{number}"))
        .filter(|text| stage.sides(text).0.contains(&home))
        .take(10)
        .collect();
    for text in &alike {
        stage.put(other, text).of(3).must().await;
    }
    stage.arm(home, Armed { site, passes: 0, act: Act::Stop });
    let under_way = spawn_local(stage.put(home, "k").over(&old).send());
    stage.until("it stops", async || !stage.stopped_at_sites().is_empty()).await;
    stage.pen.fault("pause", home);
    stage.pause(home);
    for node in stage.names().into_iter().filter(|node| *node != home) {
        stage.until_seen(node, home, "down").await;
    }
    stage.put(other, "k").over(&old).must().await;
    for text in &alike {
        remove(stage, other, text).await;
    }
    let work = Crowd::four().work(stage, 5_000);
    pass(60_000).await;
    work.done().await;
    for node in stage.names().into_iter().filter(|node| *node != home) {
        let reaped = stage.node(node).reap().await.map_or(0, |report| report.reaped);
        stage.check(reaped == 0, "nothing is reaped while a member is away");
    }
    for text in &alike[..5] {
        stage.put(other, text).must().await;
    }
    stage.resume(home);
    drop(under_way.await.unwrap());
    stage.until_linked().await;
    pass(10_000).await;
}

#[test]
fn r08_a_coordinator_that_stops_for_a_minute_loses_nothing_and_brings_nothing_back() {
    let plan = |seed| {
        Plan::five(seed).told(|settings| {
            settings.storage.tombstone_min_age = Duration::from_secs(1);
        })
    };
    for site in [Site::BeforeWrite, Site::AfterWrite, Site::BeforeAck] {
        let story = async |stage: &mut Stage| a_coordinator_stops(stage, site).await;
        green(0..1, plan, story);
    }
    let story = async |stage: &mut Stage| a_coordinator_stops(stage, Site::AfterWrite).await;
    red(Defect::MergeByUnion, 0..3, plan, story);
}

/// What is cut, of five nodes.
#[derive(Clone, Copy)]
enum Shape {
    /// b does not hear a, which hears b.
    OneWay,
    /// c does not hear anybody, and is heard by all.
    Deaf,
    /// a and b hear nothing of d and e; c hears all.
    Bridge,
    /// Each hears its two neighbours.
    Ring,
}

fn cut(stage: &Stage, shape: Shape) {
    let all = stage.names();
    match shape {
        Shape::OneWay => stage.cut_one_way("a", "b"),
        Shape::Deaf => {
            all.iter().filter(|node| **node != "c").for_each(|node| stage.cut_one_way(node, "c"));
        }
        Shape::Bridge => {
            for one in ["a", "b"] {
                stage.cut(one, "d");
                stage.cut(one, "e");
            }
        }
        Shape::Ring => {
            for place in 0..5 {
                stage.cut(all[place], all[(place + 2) % 5]);
            }
        }
    }
}

/// How often any node changes its mind about any other in `ms`.
async fn changes_of_mind(stage: &Stage, ms: u64) -> usize {
    let (mut before, mut changes) = (Vec::new(), 0);
    for _ in 0..ms / 100 {
        let minds: Vec<String> = stage
            .handles()
            .values()
            .flat_map(|door| door.cluster().members)
            .map(|member| member.liveness.into_owned())
            .collect();
        let pairs = before.iter().zip(&minds);
        changes += pairs.filter(|(before, now)| before != now).count();
        before = minds;
        pass(100).await;
    }
    changes
}

async fn links_hear_one_way(stage: &mut Stage, shape: Shape, crowd: &Crowd) {
    stage.pen.fault("cut", "");
    cut(stage, shape);
    pass(3_000).await;
    let deaf: &[&str] = if matches!(shape, Shape::Deaf) { &["c"] } else { &[] };
    stage.pen.fault_that_nobody_notices("cut", deaf);
    let work = crowd.work(stage, 10_000);
    let changes = changes_of_mind(stage, 10_000).await;
    work.done().await;
    stage.check(changes <= 20, format!("nobody wavers: {changes} changes of mind"));
}

#[test]
fn r11_one_way_cuts_bridges_and_rings_are_served_through_every_node() {
    let plan = |seed| Plan::five(seed).promising(|meta| meta.min_avail = Some(0.99));
    let crowd = Crowd::four();
    for shape in [Shape::OneWay, Shape::Deaf, Shape::Bridge, Shape::Ring] {
        let story = async |stage: &mut Stage| links_hear_one_way(stage, shape, &crowd).await;
        green(0..1, plan, story);
    }
    let all = Crowd { quorum: Some(3), ..Crowd::four().strict() };
    let story = async |stage: &mut Stage| links_hear_one_way(stage, Shape::Ring, &all).await;
    broken("quorums of all homes", 0..1, plan, story);
    let story = async |stage: &mut Stage| links_hear_one_way(stage, Shape::Bridge, &crowd).await;
    red(Defect::MergeByUnion, 0..3, plan, story);
}

/// A network that loses a fifth.
async fn the_network_is_bad(stage: &mut Stage, minutes: u64, within_ms: u64) {
    stage.network.set_profile(NetworkProfile {
        delay_us: 50_000..=150_000,
        loss_percent: 20,
        duplicate_percent: 5,
        reorder_percent: 5,
        ..NetworkProfile::default()
    });
    stage.pen.fault_that_nobody_notices("loss", &[]);
    let work = Crowd { pause_ms: 1_000, within_ms, ..Crowd::four() }.work(stage, minutes * 60_000);
    work.done().await;
    let mishaps = stage.network.mishaps();
    let all = [mishaps.lost, mishaps.duplicated, mishaps.reordered];
    stage.check(all.iter().all(|count| *count > 50 * minutes), format!("it is bad: {mishaps:?}"));
}

#[test]
fn r14_ten_minutes_of_a_bad_network_are_served_and_end_equal() {
    let plan = |seed| Plan::five(seed).promising(|meta| meta.min_avail = Some(0.99));
    let story = async |stage: &mut Stage| the_network_is_bad(stage, 10, 2_000).await;
    green(0..1, plan, story);
    let story = async |stage: &mut Stage| the_network_is_bad(stage, 1, 2_000).await;
    green(1..2, plan, story);
    red(Defect::MergeByUnion, 0..2, plan, story);
    let hasty = async |stage: &mut Stage| the_network_is_bad(stage, 1, 300).await;
    broken("300 ms a request", 0..1, plan, hasty);
}
