//! One node that needs nobody.

use std::process::Command;

use crate::processes::{Cluster, PROMPTLY, Plan, ServeNode, expect, free_udp_ports};

/// `henge serve --dev`, on free ports.
fn dev(directory: &std::path::Path) -> ServeNode {
    let listen = free_udp_ports(1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_henge"));
    command.args(["serve", "--dev", "--json", "--set", "http.listen=127.0.0.1:0"]);
    command.arg("--set").arg(format!("node.listen={listen}"));
    command.arg("--set").arg(format!("cluster.nodes[0].address={listen}"));
    command.current_dir(directory);
    ServeNode::run("dev", directory, command)
}

#[test]
fn a_dev_node_is_a_quorum_by_itself_and_keeps_what_it_took() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = dev(directory.path());
    node.wait_ready();
    expect(&node.put("/v1/kv/dev/key", "x"), 204);
    node.signal("INT");
    assert_eq!(node.wait_end(PROMPTLY).code(), Some(0), "{}", node.log());

    let node = dev(directory.path());
    assert_eq!(expect(&node.get("/v1/kv/dev/key"), 200).body, "x");
    assert!(directory.path().join("data/dev/tls/ca.pem").exists());
}

#[test]
fn a_node_that_reaches_nobody_is_not_ready_until_it_knows_so() {
    let mut cluster = Cluster::planned(&Plan::default());
    let node = &mut cluster.nodes[0];
    node.start();
    let problem = expect(&node.get("/ready"), 503).json();
    assert_eq!(problem["code"], "not_ready");
    let reason = problem["detail"].as_str().unwrap();
    assert!(reason.contains('b') && reason.contains('c'), "{reason}");
    node.wait_ready();
    let problem = expect(&node.put("/v1/kv/alone/key", "x"), 503).json();
    assert_eq!(
        (&problem["code"], &problem["fate"]),
        (&"quorum_not_met".into(), &"not_applied".into())
    );
    expect(&node.put("/v1/kv/alone/key?w=1", "x"), 204);
    expect(&node.get("/health"), 200);
}
