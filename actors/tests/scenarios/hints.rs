//! R13: what is kept for a home that never returns.

use henge_actors::simulation::defects::Defect;

use crate::{
    play::{green, red},
    stage::{Plan, Stage, pass},
};

const DAY_MS: i64 = 24 * 3_600_000;

/// All homes are away when a key is written; the first of them never returns.
async fn a_home_never_returns(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    let alike: Vec<String> = (0..2_000)
        .map(|number| format!("k{number}"))
        .filter(|text| stage.sides(text).0.iter().all(|home| homes.contains(home)))
        .take(20)
        .collect();
    stage.check(alike.len() == 20, "there are as many keys of the same homes");
    stage.cut_off(&homes).await;
    for text in &alike {
        let seen = stage.put(fallbacks[0], text).must().await;
        stage.put(fallbacks[1], text).over(&seen).must().await;
    }
    stage.lose(homes[0]).await;
    stage.reunite().await;
    pass(5_000).await;
    let kept = stage.node(fallbacks[0]).hints().await.is_ok_and(|hints| !hints.homes.is_empty());
    let other = stage.node(fallbacks[1]).hints().await.is_ok_and(|hints| !hints.homes.is_empty());
    stage.check(kept || other, "it is kept for the home that may return");
    for node in &fallbacks {
        stage.clock(node).set_skew_ms(DAY_MS + DAY_MS / 24);
    }
    pass(11 * 60_000).await;
    stage.until_handed_over().await;
    for home in &homes[1..] {
        let owed = stage.node(home).anti_entropy().owed;
        stage.check(owed == [homes[0]], format!("{home} owes it to the one that is away"));
    }
}

#[test]
fn r13_what_is_kept_for_a_home_that_never_returns_ends_at_the_other_homes() {
    // The home that is away cannot be compared with.
    let plan = |seed| Plan::five(seed).promising(|meta| meta.converge_ms = None);
    green(0..1, plan, a_home_never_returns);
    red(Defect::FirstMarkDropsRecord, 0..1, plan, a_home_never_returns);
}
