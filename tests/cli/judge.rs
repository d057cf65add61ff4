//! The judge at the command line.

use std::fs;

use crate::{Run, bare, feed};

const META: &str = r#"{"ev":"meta","fmt":1,"source":"lab","n":3,"r":2,"w":2}"#;
const PUT: &str =
    r#"{"ev":"invoke","t":1,"id":"p","c":"c","op":"put","key":"k","node":"a","val":"x"}"#;
const OK: &str = r#"{"ev":"ok","t":2,"id":"p"}"#;
const GET: &str =
    r#"{"ev":"invoke","t":3,"id":"g","c":"c","op":"get","key":"k","node":"a","final":true}"#;
const SHOWN: &str = r#"{"ev":"ok","t":4,"id":"g","vals":["x"]}"#;
const EMPTY: &str = r#"{"ev":"ok","t":4,"id":"g"}"#;

fn judge(lines: &[&str], arguments: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("run.jsonl"), lines.join("\n")).unwrap();
    let mut command = bare();
    command.args(["judge", "run.jsonl"]).args(arguments).current_dir(directory.path());
    feed(command, b"")
}

#[test]
fn a_verdict_is_an_exit_code_and_says_what_was_judged() {
    let run = judge(&[META, PUT, OK, GET, SHOWN], &[]).ends(0);
    assert!(run.text().starts_with("valid\n"), "{run:?}");
    assert!(run.text().contains("2 requests on 1 keys: 1 puts"), "{run:?}");
    let run = judge(&[META, PUT, OK, GET, EMPTY], &[]).ends(1);
    assert!(run.text().starts_with("violation: 1 lost\n  lost k: x was"), "{run:?}");
    let run = judge(&[META, PUT, OK], &[]).ends(5);
    assert!(run.text().contains("proves too little: k has no final read"), "{run:?}");
}

#[test]
fn a_verdict_in_json_shows_every_broken_promise_with_its_lines() {
    let run = judge(&[META, PUT, OK, GET, EMPTY], &["--json", "--show", "0"]).ends(1);
    let document = run.json();
    assert_eq!(document["verdict"], "violation");
    let violation = &document["judged"]["violations"][0];
    assert_eq!((&violation["kind"], &violation["key"]), (&"lost".into(), &"k".into()));
    assert_eq!(violation["events"], serde_json::json!([2, 3, 5]));
    assert_eq!(document["judged"]["counts"]["acked_puts"], 1);
}

#[test]
fn what_a_run_must_have_tried_can_be_asked_for() {
    let lines = [META, PUT, OK, GET, SHOWN];
    let run = judge(&lines, &["--min-acked", "2"]).ends(5);
    assert!(run.text().contains("1 writes were acknowledged; 2 are needed"), "{run:?}");
    let run = judge(&lines, &["--require-fault", "crash"]).ends(5);
    assert!(run.text().contains("no crash happened"), "{run:?}");
}

/// With the feature `planted-defects` the name is unknown, without it all are.
#[test]
fn a_mistake_that_cannot_be_planted_is_refused() {
    let mut command = bare();
    command.args(["simulate", "--defects", "forgetful"]);
    feed(command, b"").ends(2);
}

#[test]
fn what_is_no_history_is_refused_by_its_line() {
    judge(&[META, PUT, "{}"], &[]).fails(2, "line 3: missing field `ev`", "simulate");
    judge(&[PUT], &[]).fails(2, "line 1: a history begins with its meta line", "simulate");
    let mut command = bare();
    command.args(["judge", "nothing.jsonl"]);
    feed(command, b"").fails(2, "No such file", "simulate");
}
