//! Simulated clusters by command.

use crate::{Run, bare, feed};

fn simulate(arguments: &[&str]) -> Run {
    let mut command = bare();
    // A cluster without faults is done soon, also in a build for tests.
    command.arg("simulate").args(arguments);
    feed(command, b"")
}

#[test]
fn a_seed_is_judged_and_the_summary_says_what_was_seen() {
    let report = simulate(&["--seed", "5", "--json"]).ends(0).json();
    assert_eq!((&report["seeds"], &report["red"]), (&1.into(), &serde_json::json!([])), "{report}");
    for figure in ["operations", "acknowledged_writes", "simulated_seconds"] {
        assert!(report[figure].as_f64() > Some(0.0), "{figure}: {report}");
    }
    let text = simulate(&["--seed", "5"]).ends(0);
    let lines: Vec<&str> = text.text().lines().collect();
    assert_eq!(lines[0], "1 seed · 0 red · 0 unknown");
    assert!(lines.iter().any(|line| line.starts_with("  faults  ")), "{text:?}");
}

#[test]
fn a_seed_is_the_same_run_in_another_process() {
    let hash = |run: Run| run.stderr.split(' ').next().map(str::to_owned);
    let [first, again, other] =
        ["3", "3", "4"].map(|seed| hash(simulate(&["--seed", seed, "--verbose"]).ends(0)));
    assert_eq!(first.as_ref().map(String::len), Some(16), "{first:?}");
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn what_is_demanded_and_not_met_is_a_failure() {
    let run = simulate(&["--seed", "5", "--demand", "1000000"]).ends(1);
    assert!(run.text().contains("1000000 are demanded"), "{run:?}");
}

#[test]
fn options_that_cannot_be_read_are_refused() {
    simulate(&["--options", "nowhere.json"]).fails(2, "No such file", "that a red seed left");
    let unknown = simulate(&["--without", "earthquake"]).ends(2);
    assert!(unknown.stderr.contains("one-way, halves, bridge"), "{unknown:?}");
}

/// A small cluster without faults that acknowledges too early, as the seed has it.
const RED: &str = r#"{
    "seed": 7, "nodes": 3, "shards": [1], "partitions": 8,
    "weather": {
        "delay_us_min": 500, "delay_us_max": 5000,
        "loss_percent": 1, "duplicate_percent": 1, "reorder_percent": 1
    },
    "faults": ["crash"], "fault_every_ms": 500, "fault_ms_max": 500, "damaged_max": 0,
    "buckets": [{
        "name": "b0", "n": 3, "r": 2, "w": 2, "lww": false, "sloppy": true, "durability": "os"
    }],
    "keys": 2, "value_bytes": 16, "clients": 2, "pause_ms": 20, "bursts": 1, "burst_ms": 1000,
    "mix": {
        "read": 0, "update": 2, "blind": 1, "chained": 0, "stale": 0, "delete": 0,
        "write_id_percent": 0, "retry_percent": 0, "impatient_percent": 0
    },
    "tuning": {
        "sync_interval_ms": 100, "tombstone_min_age_ms": 1000, "anti_entropy_ms": 1000,
        "hint_bytes_max": 4294967296
    },
    "planted": "ack-below-w"
}"#;

/// What was broken, as the story of a red run has it.
fn broken(run: &Run) -> Vec<&str> {
    let lines = run.text().lines().skip_while(|line| *line != "seed 7 is red").skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

/// The rest of the line that begins so.
fn told<'a>(run: &'a Run, name: &str) -> &'a str {
    let mut lines = run.text().lines().filter_map(|line| line.trim_start().strip_prefix(name));
    lines.next().unwrap_or_else(|| panic!("{name}: {run:?}")).trim_start()
}

#[test]
fn a_red_run_is_made_smaller_and_written_down_and_its_command_repeats_it() {
    let directory = tempfile::tempdir().unwrap();
    let within = |arguments: &[&str]| {
        let mut command = bare();
        command.args(arguments).current_dir(directory.path());
        feed(command, b"")
    };
    std::fs::write(directory.path().join("red.json"), RED).unwrap();
    let red = within(&["simulate", "--options", "red.json", "--dir", "left"]).ends(1);
    assert!(broken(&red)[0].contains("short-quorum"), "{red:?}");
    let smallest = std::fs::read_to_string(directory.path().join("left/seed-7.json")).unwrap();
    let smallest: serde_json::Value = serde_json::from_str(&smallest).unwrap();
    let left = (&smallest["planted"], &smallest["keys"], &smallest["faults"]);
    assert_eq!(left, (&"ack-below-w".into(), &1.into(), &serde_json::json!([])), "{smallest}");

    let history = told(&red, "history ");
    assert_eq!(history, "left/seed-7.jsonl");
    let judged = within(&["judge", history]).ends(1);
    assert!(judged.text().starts_with("violation: "), "{judged:?}");

    let replay: Vec<&str> = told(&red, "replay ").split(' ').collect();
    assert_eq!(replay[..2], ["henge", "simulate"]);
    let again = within(&[&replay[1..], &["--no-shrink", "--dir", "again"]].concat()).ends(1);
    assert_eq!(broken(&again), broken(&red));
    let [first, second] = ["left", "again"]
        .map(|left| std::fs::read(directory.path().join(left).join("seed-7.jsonl")).unwrap());
    assert!(first == second, "it is the same run");
    // Without its mistake the same run breaks nothing.
    let whole = RED.replace(r#""ack-below-w""#, "null");
    std::fs::write(directory.path().join("whole.json"), whole).unwrap();
    within(&["simulate", "--options", "whole.json"]).ends(0);
}
