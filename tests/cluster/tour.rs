//! `henge demo`, as a newcomer runs it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    processes::{PROMPTLY, expect, until},
    requests::Request,
};

fn demo(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_henge"));
    command.args(["demo", "--json"]).args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn assert_every_step_holds(arguments: &[&str]) {
    let output = demo(arguments).wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}\n{errors}");
    assert_eq!(errors, "", "a tour that holds is silent on stderr");
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<_> = lines.iter().filter(|line| line["event"] == "step").collect();
    assert!(steps.len() > 10 && steps.iter().all(|step| step["held"] == true), "{told}");
    let done = lines.last().unwrap();
    assert_eq!((&done["event"], &done["held"]), (&"done".into(), &true.into()));
    println!("{arguments:?}: {} steps in {} ms", steps.len(), done["ms"]);
}

#[test]
fn every_step_of_the_tour_holds_with_three_nodes() {
    assert_every_step_holds(&["--tour", "--exit"]);
}

#[test]
fn every_step_of_the_tour_holds_with_five_nodes_of_two_shards() {
    assert_every_step_holds(&["--exit", "--nodes", "5", "--shards", "2"]);
}

#[test]
fn a_directory_that_is_kept_takes_a_second_tour_and_refuses_another_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    assert_every_step_holds(&["--exit", "--dir", dir]);
    assert_every_step_holds(&["--exit", "--dir", dir]);
    let output = demo(&["--exit", "--dir", dir, "--nodes", "4"]).wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("cluster.nodes") && errors.contains("--dir"), "{errors}");
}

#[test]
fn a_demo_stays_up_until_it_is_asked_to_end_and_removes_its_data() {
    let mut child = demo(&["--no-tour"]);
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let Some(ready) = told.next() else {
        panic!("no cluster: {:?}", child.wait_with_output());
    };
    let ready: Value = serde_json::from_str(&ready.unwrap()).unwrap();
    assert_eq!(ready["event"], "ready");
    let data = std::path::PathBuf::from(ready["data"].as_str().unwrap());
    assert!(data.is_dir());
    let http = ready["nodes"][2]["http"].as_str().unwrap().trim_start_matches("http://");
    expect(&Request::new("GET", http.parse().unwrap(), "/ready"), 200);
    let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success());
    let status = until(PROMPTLY, "the demo ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(!data.exists(), "temporary data is removed");
}
