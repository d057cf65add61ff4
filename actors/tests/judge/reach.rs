//! Requests that had to be served, one by one.

use henge_actors::simulation::{
    checkers::ViolationKind as Broken,
    history::{Expectation, Kind, MarkName, Quorum},
};

use crate::story::{End, Story};

/// A cluster of which clients may expect something, if their requests have 100 ms.
fn story() -> Story {
    let mut story = Story::new();
    story.meta.serve_ms = Some(100);
    story
}

/// Says that the node that is asked reaches so many; or all, and all each other.
fn reaches(story: &mut Story, nodes: u8, whole: bool) {
    story.mark(MarkName::Service, |mark| {
        mark.reach = [("a".to_owned(), nodes)].into();
        mark.expect = whole.then_some(Expectation::Available);
    });
}

/// A sloppy write that wants two nodes, has enough time, and is not served.
fn unserved(story: &mut Story, id: &str) {
    story.invoke(id, Kind::Put, &[], |put| {
        (put.w, put.timeout_ms) = (Some(2), Some(100));
    });
    story.end(id, End::Info("timed_out"));
}

fn closed(mut story: Story) -> Story {
    story.put("x", &[]);
    story.last(&["x"]);
    story
}

#[test]
fn a_write_that_wants_no_more_nodes_than_are_within_reach_is_served() {
    let mut bad = story();
    reaches(&mut bad, 2, false);
    unserved(&mut bad, "y");
    closed(bad).breaks(&[Broken::Unavailable]);
    let mut good = story();
    reaches(&mut good, 1, false);
    unserved(&mut good, "y");
    closed(good).keeps_all();
}

#[test]
fn only_where_all_can_work_is_every_request_served() {
    for (whole, kinds) in [(true, &[Broken::Unavailable][..]), (false, &[])] {
        let mut story = story();
        reaches(&mut story, 3, whole);
        story.invoke("g", Kind::Get, &[], |get| get.timeout_ms = Some(100));
        story.end("g", End::Fail("quorum_not_met"));
        story.invoke("y", Kind::Put, &[], |put| {
            (put.quorum, put.timeout_ms) = (Some(Quorum::Strict), Some(100));
        });
        story.end("y", End::Info("quorum_not_met"));
        closed(story).breaks(kinds);
    }
}

#[test]
fn what_changes_before_a_request_ends_excuses_it() {
    let mut late = story();
    reaches(&mut late, 2, false);
    late.invoke("y", Kind::Put, &[], |put| {
        (put.w, put.timeout_ms) = (Some(2), Some(100));
    });
    reaches(&mut late, 1, false);
    late.end("y", End::Info("timed_out"));
    closed(late).keeps_all();
    let mut early = story();
    unserved(&mut early, "y");
    reaches(&mut early, 2, false);
    closed(early).keeps_all();
}

#[test]
fn who_has_too_little_time_or_is_refused_for_his_own_fault_is_owed_nothing() {
    let mut story = story();
    reaches(&mut story, 3, true);
    story.invoke("g", Kind::Get, &[], |get| get.timeout_ms = Some(99));
    story.end("g", End::Fail("timed_out"));
    story.invoke("y", Kind::Put, &[], |put| put.timeout_ms = Some(100));
    story.end("y", End::Fail("too_many_siblings"));
    closed(story).keeps_all();
}

#[test]
fn where_nodes_lose_what_they_had_no_get_has_to_be_fresh() {
    for (lossy, kinds) in [(false, &[Broken::StaleStrict][..]), (true, &[])] {
        let mut story = Story::new();
        (story.meta.quorum, story.meta.lossy) = (Quorum::Strict, lossy);
        story.put("x", &[]);
        story.get("g", &[]);
        story.last(&["x"]);
        story.breaks(kinds);
    }
}
