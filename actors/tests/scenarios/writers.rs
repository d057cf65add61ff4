//! R5 and R12: writers that know only themselves, and a writer that does not know whether it wrote.

use crate::{
    pen::Seen,
    play::{green, red},
    stage::{Plan, Stage, pass},
};
use henge_actors::simulation::{
    Site,
    defects::Defect,
    sites::{Act, Armed},
};

/// Two writers, each of which has seen its own last put only.
async fn two_writers(stage: &mut Stage) {
    let mut rng = fastrand::Rng::with_seed(stage.seed);
    let mut seen = [Seen::default(), Seen::default()];
    for round in 0..200 {
        // Now this one, now that one; now here, now there.
        let writer = if round < 2 { round } else { rng.usize(..2) };
        let node = ["a", "b", "c"][rng.usize(..3)];
        seen[writer] = stage.put(node, "k").over(&seen[writer]).strict().must().await;
        if round % 10 == 9 {
            let found = stage.get("c", "k").strict().must().await;
            stage.check(found.vals.len() == 2, format!("two siblings after put {round}"));
        }
    }
}

#[test]
fn r05_two_interleaved_writers_stay_at_two_siblings_for_a_hundred_rounds() {
    let plan = |seed| Plan::three(seed).promising(|meta| meta.max_siblings = Some(2));
    green(0..3, plan, two_writers);
    red(Defect::ContextIgnored, 0..1, plan, two_writers);
    red(Defect::FullHistoryOnPut, 0..1, plan, two_writers);
}

/// Why a client hears nothing of its put.
#[derive(Clone, Copy)]
enum Silence {
    /// The node that has minted it hears no acknowledgement.
    Deaf,
    /// Nobody else has heard of it.
    Alone,
    /// The node has died, with the write in its log.
    Dead,
}

/// A client is not told whether its put was applied, and asks another node.
async fn a_retry_elsewhere(stage: &mut Stage, silence: Silence) {
    let old = stage.put("a", "k").of(3).must().await;
    let name = stage.pen.name();
    match silence {
        Silence::Deaf => {
            stage.cut_one_way("b", "a");
            stage.cut_one_way("c", "a");
        }
        Silence::Alone => stage.isolate("a"),
        Silence::Dead => {
            stage.arm("a", Armed { site: Site::AfterWrite, passes: 0, act: Act::Die });
        }
    }
    let first = stage.put("a", "k").named(&name).over(&old).within(500);
    let told = first.send().await.is_some();
    stage.check(!told, "nobody answers");
    stage.bury_the_dead().await;
    stage.put("b", "k").named(&name).over(&old).must().await;
    let seen = stage.get("c", "k").must().await;
    stage.check(seen.vals.len() == 1, "one value is there");
    pass(5_000).await;
    if !stage.runs("a") {
        stage.rise("a").await;
    }
    stage.reunite().await;
    // And once more, now that everybody knows.
    for node in ["a", "c"] {
        stage.put(node, "k").named(&name).over(&old).must().await;
        let seen = stage.get(node, "k").of(3).must().await;
        stage.check(seen.vals.len() == 1, format!("one value is there, through {node}"));
    }
}

#[test]
fn r12_a_retry_through_another_node_is_the_same_write() {
    for silence in [Silence::Deaf, Silence::Alone, Silence::Dead] {
        let story = async |stage: &mut Stage| a_retry_elsewhere(stage, silence).await;
        green(0..4, Plan::three, story);
    }
    let story = async |stage: &mut Stage| a_retry_elsewhere(stage, Silence::Alone).await;
    red(Defect::TwinShownTwice, 0..4, Plan::three, story);
    red(Defect::TwinMergedAway, 0..4, Plan::three, story);
}

/// A home mints for a node that does not hear of it, and another home mints, too.
async fn a_put_is_minted_twice(stage: &mut Stage) {
    let (homes, fallbacks) = stage.sides("k");
    let old = stage.put(homes[0], "k").of(3).must().await;
    for other in stage.names() {
        if other != homes[0] {
            stage.cut_one_way(homes[0], other);
        }
    }
    let new = stage.put(fallbacks[0], "k").over(&old).must().await;
    stage.reunite().await;
    stage.until_handed_over().await;
    stage.until_equal("k").await;
    let seen = stage.get(homes[1], "k").of(3).must().await;
    stage.check(seen.vals.len() == 1, "it is shown once");
    // Who has seen it under one name overwrites it under all.
    let next = stage.put(homes[2], "k").over(&new).of(3).must().await;
    let seen = stage.get(homes[0], "k").of(3).must().await;
    stage.check(seen.vals.len() == 1, "the next one is alone");
    stage.delete(homes[1], "k", &next).must().await;
}

#[test]
fn r12_a_forwarded_put_that_two_homes_minted_is_one_write() {
    green(0..8, Plan::five, a_put_is_minted_twice);
    red(Defect::TwinShownTwice, 0..8, Plan::five, a_put_is_minted_twice);
    red(Defect::TwinMergedAway, 0..8, Plan::five, a_put_is_minted_twice);
}
