//! Histories that break one promise each, and their neighbours that do not.

use henge_actors::simulation::{
    checkers::ViolationKind as Broken,
    history::{Expectation, Kind, MarkName, Quorum},
};

use crate::story::{End, Story};

#[test]
fn an_acknowledged_put_that_nobody_has_seen_is_lost() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.put("y", &[]);
    story.last(&["y"]);
    story.breaks(&[Broken::Lost]);
}

#[test]
fn an_acknowledged_put_is_lost_with_an_overwrite_that_vanished() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("y", Kind::Put, &["x"], |_| ());
    story.end("y", End::Info("timed_out"));
    story.last(&[]);
    story.breaks(&[Broken::Lost]);
}

#[test]
fn a_delete_of_something_else_excuses_nothing() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.put("y", &[]);
    story.delete("d", &["x"]);
    story.last(&[]);
    story.breaks(&[Broken::Lost]);
}

#[test]
fn a_delete_that_was_refused_excuses_nothing() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("d", Kind::Delete, &["x"], |_| ());
    story.end("d", End::Fail("not_ready"));
    story.last(&[]);
    story.breaks(&[Broken::Lost]);
}

#[test]
fn what_may_have_been_deleted_or_overwritten_is_not_lost() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.get("g", &["x"]);
    story.put("y", &["g"]);
    story.invoke("d", Kind::Delete, &["y"], |_| ());
    story.end("d", End::Info("timed_out"));
    story.last(&[]);
    story.keeps_all();
}

#[test]
fn a_version_beside_one_that_had_seen_it_is_dominated() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.put("y", &["x"]);
    story.put("z", &["y"]);
    story.get("g", &["x", "z"]);
    story.last(&["z"]);
    story.breaks(&[Broken::Dominated]);
}

#[test]
fn what_an_acknowledged_put_had_seen_is_resurrected() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.put("y", &["x"]);
    story.last(&["x"]);
    story.breaks(&[Broken::Lost, Broken::Resurrected]);
}

#[test]
fn what_an_acknowledged_delete_had_seen_is_undeleted() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.get("g", &["x"]);
    story.delete("d", &["g"]);
    story.last(&["x"]);
    story.breaks(&[Broken::Undeleted]);
}

#[test]
fn what_nobody_wrote_is_a_phantom() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.get("g", &["x", "ghost"]);
    story.last(&["x"]);
    story.breaks(&[Broken::Phantom]);
}

#[test]
fn what_was_written_to_another_key_is_a_phantom() {
    let mut story = Story::new();
    story.invoke("x", Kind::Put, &[], |invoke| invoke.key = "other".to_owned());
    story.end("x", End::Ok);
    story.put("y", &[]);
    story.last(&["y", "x"]);
    story.invoke("last", Kind::Get, &[], |invoke| {
        invoke.key = "other".to_owned();
        invoke.is_final = true;
    });
    story.answer("last", &["x"], |_| ());
    story.breaks(&[Broken::Phantom]);
}

#[test]
fn a_delete_that_nobody_asked_for_is_a_phantom() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("g", Kind::Get, &[], |_| ());
    story.answer("g", &[], |answer| answer.deleted = true);
    story.last(&["x"]);
    story.breaks(&[Broken::Phantom]);
}

#[test]
fn what_is_shown_before_it_was_sent_is_early() {
    let mut story = Story::new();
    story.get("g", &["x"]);
    story.put("x", &[]);
    story.last(&["x"]);
    story.breaks(&[Broken::Early]);
}

#[test]
fn what_was_refused_is_never_seen() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("y", Kind::Put, &[], |_| ());
    story.end("y", End::Fail("quorum_not_met"));
    story.last(&["x", "y"]);
    story.breaks(&[Broken::FailedVisible]);
}

#[test]
fn a_damaged_payload_is_corrupt() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("g", Kind::Get, &[], |_| ());
    story.answer("g", &[], |answer| answer.corrupt = vec!["x with a flipped bit".to_owned()]);
    story.last(&["x"]);
    story.breaks(&[Broken::Corrupt]);
}

#[test]
fn a_retry_under_its_write_id_is_one_write() {
    let mut story = Story::new();
    let retry = |invoke: &mut henge_actors::simulation::history::Invoke| {
        invoke.val = Some("x".to_owned());
        invoke.wid = Some("7".to_owned());
    };
    story.invoke("x1", Kind::Put, &[], retry);
    story.end("x1", End::Info("timed_out"));
    story.invoke("x2", Kind::Put, &[], retry);
    story.end("x2", End::Ok);
    story.last(&["x", "x"]);
    story.breaks(&[Broken::Repeated]);
}

#[test]
fn only_the_twin_that_nobody_had_seen_may_come_back() {
    let shown = |shown: &str| {
        let mut story = Story::new();
        story.invoke("x", Kind::Put, &[], |_| ());
        story.answer("x", &[], |answer| answer.dot = Some("a.1".to_owned()));
        story.invoke("y", Kind::Put, &["x"], |_| ());
        story.answer("y", &[], |answer| answer.dot = Some("a.2".to_owned()));
        story.invoke("g", Kind::Get, &[], |_| ());
        story.answer("g", &["x"], |answer| answer.dots = vec!["b.1".to_owned()]);
        story.invoke("last", Kind::Get, &[], |invoke| invoke.is_final = true);
        let dots = [shown, "a.2"].map(ToOwned::to_owned).to_vec();
        story.answer("last", &["x", "y"], |answer| answer.dots = dots);
        story
    };
    shown("b.1").keeps_all();
    shown("a.1").breaks(&[Broken::Dominated, Broken::Resurrected]);
}

#[test]
fn a_strict_get_sees_what_was_acknowledged_before_it_began() {
    let story = |put: Quorum, get: Quorum, w: u8, pw: Option<u8>, pr: Option<u8>| {
        let mut story = Story::new();
        story.put("x", &[]);
        story.invoke("y", Kind::Put, &["x"], |invoke| {
            invoke.quorum = Some(put);
            invoke.w = Some(w);
            invoke.pw = pw;
        });
        story.end("y", End::Ok);
        story.invoke("g", Kind::Get, &[], |invoke| {
            invoke.quorum = Some(get);
            invoke.pr = pr;
        });
        story.answer("g", &["x"], |_| ());
        story.last(&["y"]);
        story
    };
    let (strict, sloppy) = (Quorum::Strict, Quorum::Sloppy);
    story(strict, strict, 2, None, None).breaks(&[Broken::StaleStrict]);
    story(sloppy, sloppy, 2, Some(2), Some(2)).breaks(&[Broken::StaleStrict]);
    story(sloppy, strict, 2, Some(2), None).breaks(&[Broken::StaleStrict]);
    story(sloppy, strict, 2, None, None).keeps_all();
    story(strict, sloppy, 2, None, None).keeps_all();
    story(strict, strict, 1, None, None).keeps_all();
    story(sloppy, sloppy, 2, Some(1), Some(2)).keeps_all();
}

#[test]
fn a_strict_get_shows_nothing_that_was_deleted_before_it_began() {
    let mut story = Story::new();
    story.meta.quorum = Quorum::Strict;
    story.put("x", &[]);
    story.delete("d", &["x"]);
    story.get("g", &["x"]);
    story.last(&[]);
    story.breaks(&[Broken::StaleStrict]);
}

#[test]
fn a_write_under_way_may_be_seen_or_not() {
    let mut story = Story::new();
    story.meta.quorum = Quorum::Strict;
    story.put("x", &[]);
    story.invoke("y", Kind::Put, &["x"], |_| ());
    story.get("g1", &["x"]);
    story.get("g2", &["y"]);
    story.end("y", End::Ok);
    story.invoke("d", Kind::Delete, &["y"], |_| ());
    story.get("g3", &[]);
    story.get("g4", &["y"]);
    story.end("d", End::Ok);
    story.last(&[]);
    story.keeps_all();
}

#[test]
fn a_value_may_be_gone_after_its_time_and_must_be_later() {
    let story = |shown: &[&str], skew: Option<u64>, at: u64| {
        let mut story = Story::new();
        story.meta.skew_ms = skew;
        story.meta.quorum = Quorum::Strict;
        story.put("x", &[]);
        story.invoke("y", Kind::Put, &["x"], |invoke| invoke.ttl_ms = Some(1_000));
        story.end("y", End::Ok);
        story.wait(at);
        story.get("g", shown);
        story.wait(10_000);
        story.last(&[]);
        story
    };
    story(&[], Some(100), 1_000).keeps_all();
    story(&["y"], Some(100), 1_000).keeps_all();
    story(&["y"], Some(100), 1_200).breaks(&[Broken::ExpiredShown]);
    story(&[], Some(100), 500).breaks(&[Broken::StaleStrict]);
    story(&[], None, 500).keeps_all();
}

#[test]
fn replicas_that_differ_at_the_end_have_diverged() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.last(&["x"]);
    story.dumps(0, &[("a", &["x"]), ("b", &["x"]), ("c", &["x"])]);
    story.dumps(1, &[("a", &["x"]), ("b", &["x"]), ("c", &[])]);
    story.breaks(&[Broken::Diverged]);
}

#[test]
fn final_reads_that_differ_have_diverged() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.put("y", &[]);
    story.last(&["x", "y"]);
    story.last(&["x"]);
    story.breaks(&[Broken::Diverged]);
}

#[test]
fn replicas_must_be_equal_in_time() {
    let story = |bound: u64| {
        let mut story = Story::new();
        story.meta.converge_ms = Some(bound);
        story.put("x", &[]);
        story.mark(MarkName::Heal, |_| ());
        story.dumps(0, &[("a", &["x"]), ("b", &["x"]), ("c", &[])]);
        story.wait(1_000);
        story.dumps(1, &[("a", &["x"]), ("b", &["x"]), ("c", &["x"]), ("d", &["x"])]);
        story.dumps(2, &[("a", &["x"]), ("b", &["x"]), ("c", &["x"]), ("d", &[])]);
        story.hints("d", 4);
        story.hints("d", 0);
        story.last(&["x"]);
        story
    };
    story(1_100).keeps_all();
    story(900).breaks(&[Broken::SlowConverge]);
}

#[test]
fn a_hint_that_is_left_is_told() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.hints("d", 1);
    story.last(&["x"]);
    story.breaks(&[Broken::HintsLeft]);
}

#[test]
fn what_a_node_kept_for_others_must_be_somewhere() {
    let story = |at_last: &[&str]| {
        let mut story = Story::new();
        story.put("x", &[]);
        story.put("y", &[]);
        story.put("z", &["y"]);
        story.dumps(0, &[("a", &["y"]), ("b", &["y"]), ("c", &["y"]), ("d", &["x", "y"])]);
        story.dumps(1, &[("a", at_last), ("b", at_last), ("c", at_last), ("d", &[])]);
        story
    };
    // Without a final read nothing else can tell.
    story(&["x", "z"]).proves_too_little("no final read");
    story(&["z"]).breaks(&[Broken::HintDropped]);
}

#[test]
fn a_side_that_should_serve_and_does_not_is_unavailable() {
    let story = |down: &str| {
        let mut story = Story::new();
        story.meta.min_avail = Some(0.5);
        story.put("x", &[]);
        story.mark(MarkName::Fault, |mark| {
            mark.kind = Some("partition".to_owned());
            mark.expect = Some(Expectation::Available);
            mark.down = vec![down.to_owned()];
        });
        for id in ["g1", "g2"] {
            story.invoke(id, Kind::Get, &[], |_| ());
            story.end(id, End::Info("timed_out"));
        }
        story.get("g3", &["x"]);
        story.invoke("y", Kind::Put, &["x"], |_| ());
        story.end("y", End::Fail("bad_context"));
        story.mark(MarkName::Heal, |_| ());
        story.invoke("g4", Kind::Get, &[], |_| ());
        story.end("g4", End::Info("timed_out"));
        story.last(&["x"]);
        story
    };
    story("b").breaks(&[Broken::Unavailable]);
    story("a").keeps_all();
}

#[test]
fn more_siblings_than_may_be_are_told() {
    let mut story = Story::new();
    story.meta.max_siblings = Some(2);
    let ids = ["x", "y", "z"];
    for id in ids {
        story.put(id, &[]);
    }
    story.last(&ids);
    story.breaks(&[Broken::Siblings]);
}

#[test]
fn an_answer_rests_on_as_many_nodes_as_were_asked_for() {
    let story = |acks: u8, fallbacks: u8, pw: u8| {
        let mut story = Story::new();
        story.invoke("x", Kind::Put, &[], |invoke| invoke.pw = Some(pw));
        story.answer("x", &[], |answer| {
            answer.acks = Some(acks);
            answer.fallbacks = Some(fallbacks);
        });
        story.last(&["x"]);
        story
    };
    story(2, 1, 1).keeps_all();
    story(1, 0, 1).breaks(&[Broken::ShortQuorum]);
    story(2, 1, 2).breaks(&[Broken::ShortQuorum]);
}

#[test]
fn an_error_without_a_name_is_opaque() {
    for code in ["internal", ""] {
        let mut story = Story::new();
        story.put("x", &[]);
        story.invoke("y", Kind::Put, &["x"], |_| ());
        story.end("y", End::Info(code));
        story.last(&["x"]);
        story.breaks(&[Broken::OpaqueError]);
    }
}

#[test]
fn bad_credentials_are_served_nothing() {
    let mut story = Story::new();
    story.put("x", &[]);
    story.invoke("g", Kind::Get, &[], |invoke| invoke.cred = Some("of another CA".to_owned()));
    story.answer("g", &["x"], |_| ());
    story.last(&["x"]);
    story.breaks(&[Broken::Auth]);
}

#[test]
fn a_dot_that_two_values_had_is_told() {
    let mut story = Story::new();
    for id in ["x", "y"] {
        story.invoke(id, Kind::Put, &[], |_| ());
        story.answer(id, &[], |answer| answer.dot = Some("a.1.1".to_owned()));
    }
    story.last(&["x", "y"]);
    story.breaks(&[Broken::DotReused]);
}

#[test]
fn a_dot_that_has_two_contents_at_two_replicas_is_told() {
    use henge_actors::simulation::history::{Dump, Event};
    let mut story = Story::new();
    story.put("x", &[]);
    for (node, checksum) in [("a", "1"), ("b", "2")] {
        let (t, homes) = (story.tick(), vec!["a".to_owned(), "b".to_owned()]);
        let dots = [("a.1.1".to_owned(), checksum.to_owned())].into();
        let (node, key) = (node.to_owned(), "k".to_owned());
        let digest = Some("same".to_owned());
        story.push(Event::Replica(Dump { t, node, key, homes, digest, dots, ..Dump::default() }));
    }
    story.last(&["x"]);
    // That they say to be equal makes it no better.
    story.breaks(&[Broken::Diverged, Broken::DotReused]);
}
