//! Torture: what it judges, what it leaves behind, and that nobody survives it.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{Run, bare, feed, support::node::eventually};

/// Small enough for a test.
const SMALL: [&str; 6] = ["--keys", "20", "--clients", "8", "--seed", "3"];

fn torture(arguments: &[&str]) -> Command {
    let mut command = bare();
    command.arg("torture").args(arguments).args(SMALL);
    command
}

/// Nodes that run with data in `directory`: process and state.
fn nodes(directory: &Path) -> Vec<(u32, char)> {
    let node = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_node = line.contains("serve") && line.contains(directory.to_str()?);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, stat.rsplit(')').next()?.trim().chars().next()?)).filter(|_| is_node)
    };
    let listed = fs::read_dir("/proc").unwrap().flatten();
    let pids = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(node).collect()
}

/// A run that would go on for long, in a directory of its own.
struct Long {
    directory: TempDir,
    child: Child,
}

impl Long {
    fn start(faults: &str) -> Self {
        Self::start_for("600", faults)
    }

    fn start_for(seconds: &str, faults: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = torture(&["--seconds", seconds, "--nodes", "3", "--faults", faults]);
        command.arg("--dir").arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let long = Self { directory, child };
        eventually("three nodes run", || long.nodes().len() == 3);
        long
    }

    fn nodes(&self) -> Vec<(u32, char)> {
        nodes(self.directory.path())
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        // It is over already, if the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_ends_with_a_verdict_that_its_history_proves() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = torture(&["--seconds", "3", "--nodes", "4", "--json"]);
    command.args(["--history", "run.jsonl"]).current_dir(directory.path());
    let report = feed(command, b"").ends(0).json();
    assert_eq!((&report["verdict"], &report["seed"]), (&"valid".into(), &3.into()), "{report}");
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert!(number(&report["requests"]) > 50.0, "{report}");
    assert!(number(&report["requests_per_second"]) > 10.0, "{report}");
    assert!(number(&report["acknowledged_writes"]) >= 20.0, "{report}");
    assert!(report["get"]["p50_us"].as_u64() <= report["get"]["max_us"].as_u64(), "{report}");
    let counts = &report["judged"]["counts"];
    for kind in ["kill", "pause", "cut", "one-way", "halves", "bridge", "ring"] {
        assert!(counts["faults"][kind].as_u64() >= Some(1), "{kind}: {report}");
    }
    assert_eq!(counts["final_reads"], 60, "each of 20 keys three times");
    assert!(report["history"].as_str().unwrap().ends_with("run.jsonl"), "{report}");
    let mut command = bare();
    command.args(["judge", "run.jsonl", "--json"]).current_dir(directory.path());
    let again = feed(command, b"").ends(0).json();
    assert_eq!(again["judged"], report["judged"], "the same judge");
}

#[test]
fn a_run_that_proves_too_little_is_unknown_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = bare();
    command.args(["torture", "--seconds", "1", "--nodes", "3", "--faults", "cut"]);
    command.args(["--rate", "5", "--clients", "1", "--keys", "50"]);
    command.args(["--dir", "data"]).current_dir(directory.path());
    let run = feed(command, b"").ends(5);
    assert!(run.text().contains("acknowledged; 50 are needed"), "{run:?}");
    assert!(run.text().contains("history: data/history.jsonl"), "{run:?}");
    assert!(directory.path().join("data/history.jsonl").exists());
    assert!(directory.path().join("data/c.log").exists());
}

/// More than the store promises to survive, done behind the back of the run.
#[test]
fn a_run_in_which_all_disks_are_lost_is_a_violation() {
    let mut long = Long::start_for("5", "cut");
    let directory = long.directory.path();
    let history = directory.join("history.jsonl");
    let written = || fs::read_to_string(&history).is_ok_and(|text| text.lines().count() > 100);
    eventually("clients work", written);
    for (pid, _) in long.nodes() {
        Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status().unwrap();
    }
    for name in ["a", "b", "c"] {
        fs::remove_dir_all(directory.join(name)).unwrap();
    }
    let mut told = String::new();
    long.child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(long.child.wait().unwrap().code(), Some(1), "{told}");
    assert!(told.contains(" ended by itself: signal: 9") && told.contains(" lost"), "{told}");
    assert!(told.contains("violation: "), "{told}");
    assert_eq!(nodes(directory), []);
}

#[test]
fn no_node_outlives_a_run_that_is_killed_not_even_a_paused_one() {
    let mut long = Long::start("pause");
    eventually("a node is paused", || long.nodes().iter().any(|(_, state)| *state == 'T'));
    long.child.kill().unwrap();
    long.child.wait().unwrap();
    eventually("no node runs", || long.nodes().is_empty());
}

#[test]
fn a_run_that_is_interrupted_says_so_and_takes_its_nodes_along() {
    let mut long = Long::start("cut");
    let pid = long.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    assert_eq!(long.child.wait().unwrap().code(), Some(5));
    assert_eq!(long.nodes(), []);
}

#[test]
fn what_cannot_be_done_is_a_usage_error() {
    let fails = |arguments: &[&str], why: &str, remedy: &str| -> Run {
        feed(torture(arguments), b"").fails(2, why, remedy)
    };
    fails(&["--nodes", "3", "--faults", "halves,ring"], "neighbour of all others", "--nodes 4");
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mine"), "x").unwrap();
    let name = directory.path().to_str().unwrap();
    fails(&["--dir", name], "is not empty", "a new directory");
    assert!(directory.path().join("mine").exists());
    for wrong in [["--nodes", "2"], ["--faults", "meteor"], ["--seconds", "0"], ["--rate", "0"]] {
        let run = feed(torture(&wrong), b"").ends(2);
        assert!(run.stderr.contains(wrong[0]), "{run:?}");
    }
}
