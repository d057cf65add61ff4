//! R7: wall clocks that jump about.

use henge_actors::simulation::defects::Defect;

use crate::{
    crowd::Crowd,
    pen::Seen,
    play::{green, red},
    stage::{Plan, Stage, pass},
};

/// Every second every wall clock is anywhere within five minutes; links come and go.
async fn clocks_jump(stage: &mut Stage) {
    stage.found("registers", &["conflict=lww"]).await;
    let mut rng = fastrand::Rng::with_seed(stage.seed);
    let works = [
        Crowd::four(),
        Crowd { deletes: false, quorum: Some(1), ..Crowd::four() }.in_bucket("registers"),
    ];
    let works = works.map(|crowd| crowd.work(stage, 20_000));
    for second in 0..20 {
        stage.pen.fault("clock-jump", "");
        for node in stage.names() {
            stage.clock(node).set_skew_ms(rng.i64(-300_000..=300_000));
        }
        if second % 4 == 0 {
            stage.heal_all();
            stage.isolate(stage.names()[rng.usize(..5)]);
        }
        pass(1_000).await;
    }
    for work in works {
        work.done().await;
    }
}

#[test]
fn r07_clocks_that_jump_by_five_minutes_every_second_lose_nothing() {
    green(0..2, Plan::five, clocks_jump);
    red(Defect::MergeByUnion, 0..1, Plan::five, clocks_jump);
}

/// Clients carry what they have seen at one node to another that has not, across a cut, while the
/// clocks of all jump.
async fn registers_are_carried_across_a_cut(stage: &mut Stage) {
    stage.found("registers", &["conflict=lww"]).await;
    let mut rng = fastrand::Rng::with_seed(stage.seed);
    for round in 0..6 {
        let text = format!("registers/k{round}");
        let mut seen = vec![stage.put("a", &text).of(3).must().await];
        let nodes = stage.names();
        for node in &nodes {
            stage.isolate(node);
        }
        for _ in 0..8 {
            let node = nodes[rng.usize(..3)];
            stage.clock(node).set_skew_ms(rng.i64(-300_000..=300_000));
            let known =
                if rng.bool() { Seen::default() } else { rng.choice(&seen).unwrap().clone() };
            let put = stage.put(node, &text).over(&known).of(1).within(300);
            seen.extend(put.send().await);
            seen.extend(stage.get(node, &text).of(1).within(300).send().await);
        }
        stage.reunite().await;
        stage.until_equal(&text).await;
    }
}

#[test]
fn r07_a_register_that_is_written_across_a_cut_while_clocks_jump_is_never_empty() {
    green(0..6, Plan::three, registers_are_carried_across_a_cut);
    red(Defect::StampNotInContext, 0..20, Plan::three, registers_are_carried_across_a_cut);
}

/// Expiry is by each node's own clock; what has expired by none is there, and what is gone for one
/// is not gone for all.
async fn values_expire_while_clocks_jump(stage: &mut Stage) {
    let mut rng = fastrand::Rng::with_seed(stage.seed);
    for round in 0..10 {
        let text = format!("k{round}");
        stage.put("a", &text).ttl(3_600_000).must().await;
        stage.put("b", &format!("brief{round}")).ttl(20_000).must().await;
        for node in stage.names() {
            stage.clock(node).set_skew_ms(rng.i64(-300_000..=300_000));
        }
        pass(1_000).await;
        let seen = stage.get("c", &text).must().await;
        stage.check(seen.vals.len() == 1, "an hour is not over");
    }
    for node in stage.names() {
        stage.clock(node).set_skew_ms(0);
    }
    pass(330_000).await;
    for round in 0..10 {
        let seen = stage.get("a", &format!("brief{round}")).must().await;
        stage.check(seen.vals.is_empty(), "its time is over by every clock");
    }
}

#[test]
fn r07_what_expires_while_clocks_jump_goes_in_its_time_and_replicas_stay_equal() {
    green(0..2, Plan::three, values_expire_while_clocks_jump);
}
