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
