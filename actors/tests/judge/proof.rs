//! A run that tried too little is no proof.

use henge_actors::simulation::{
    checkers::Outcome,
    history::{Kind, MarkName},
};

use crate::story::{End, Story};

#[test]
fn nothing_acknowledged_proves_nothing() {
    let mut story = Story::new();
    story.invoke("x", Kind::Put, &[], |_| ());
    story.end("x", End::Fail("not_ready"));
    story.proves_too_little("0 writes were acknowledged");
}

#[test]
fn a_key_that_nobody_reads_at_the_end_proves_nothing() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.proves_too_little("no final read");
}

#[test]
fn a_final_read_that_failed_is_none() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("last", Kind::Get, &[], |invoke| invoke.is_final = true);
    story.end("last", End::Info("timed_out"));
    story.proves_too_little("no final read");
}

#[test]
fn a_write_after_the_final_read_leaves_all_open() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.last(&["x"]);
    story.put("y", &["x"]);
    story.proves_too_little("after its final read");
}

#[test]
fn a_fault_that_never_happened_was_not_survived() {
    let story = |kind: &str| {
        let mut story = Story::new();
        story.meta.require_faults = vec!["crash".to_owned()];
        story.mark(MarkName::Fault, |mark| mark.kind = Some(kind.to_owned()));
        story.put("x", &[]);
        story.last(&["x"]);
        story
    };
    story("crash").keeps_all();
    story("pause").proves_too_little("no crash");
}

#[test]
fn too_few_writes_prove_too_little() {
    let mut story = Story::new();
    story.meta.min_acked = Some(2);
    story.put("x", &[]);
    story.last(&["x"]);
    story.proves_too_little("1 writes were acknowledged; 2 are needed");
}

#[test]
fn convergence_that_is_promised_must_be_shown() {
    let mut story = Story::new();
    story.meta.converge_ms = Some(1_000);
    story.put("x", &[]);
    story.last(&["x"]);
    let verdict = story.judge();
    assert_eq!(verdict.unknown.len(), 2, "{verdict:?}");
    assert_eq!(verdict.outcome(), Outcome::Unknown);
}

#[test]
fn a_broken_promise_is_told_even_where_too_little_was_tried() {
    let mut story = Story::new();
    story.meta.min_acked = Some(9);
    story.put("x", &[]);
    story.last(&[]);
    assert_eq!(story.judge().outcome(), Outcome::Violation);
}
