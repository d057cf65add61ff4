//! Buckets in which the last writer wins: only concurrent writes may be lost.

use henge_actors::simulation::{
    checkers::ViolationKind as Broken,
    history::{Kind, MarkName, Quorum},
};

use crate::story::{End, Story};

fn story() -> Story {
    let mut story = Story::new();
    story.meta.quorum = Quorum::Strict;
    story.mark(MarkName::Bucket, |mark| mark.lww = true);
    story
}

#[test]
fn a_concurrent_write_may_win() {
    let mut story = story();
    story.put("x", &[]);
    story.put("y", &[]);
    story.get("g", &["x"]);
    story.last(&["x"]);
    story.keeps_all();
}

#[test]
fn a_successor_wins() {
    let mut story = story();
    story.put("x", &[]);
    story.put("y", &["x"]);
    story.get("g", &["x"]);
    story.last(&["x"]);
    story.breaks(&[Broken::Lost, Broken::Resurrected, Broken::StaleStrict]);
}

#[test]
fn a_key_is_empty_only_after_what_may_have_ended_it() {
    let story = |ends: bool| {
        let mut story = story();
        story.put("x", &[]);
        if ends {
            story.delete("d", &["x"]);
            // Of the delete a twin may have won, which nobody had seen.
            story.put("y", &["d"]);
        }
        story.last(&[]);
        story
    };
    story(true).keeps_all();
    story(false).breaks(&[Broken::Lost, Broken::StaleStrict]);
}

#[test]
fn a_write_that_may_have_come_to_nothing_is_no_winner_where_nothing_is() {
    let mut story = story();
    story.put("x", &[]);
    story.invoke("y", Kind::Put, &[], |_| ());
    story.end("y", End::Info("timed_out"));
    story.last(&[]);
    story.breaks(&[Broken::Lost, Broken::StaleStrict]);
}

#[test]
fn there_are_no_siblings() {
    let mut story = story();
    story.put("x", &[]);
    story.put("y", &[]);
    story.last(&["x", "y"]);
    story.breaks(&[Broken::Siblings]);
}
