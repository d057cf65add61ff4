//! What fails, and how that is told.

use serde_json::Value;

use crate::{
    at, bare, feed, henge, put,
    support::node::{Cluster, Single, eventually},
};

#[test]
fn a_wrong_call_is_a_usage_error_and_asks_nobody() {
    let wrong: [&[&str]; 17] = [
        &["get", "b"],
        &["get", "b", "k", "--w", "1"],
        &["get", "b", "k", "--r", "x"],
        &["get", "b", "k", "--timeout", "5"],
        &["get", "b", "k", "--timeout", "2m"],
        &["get", "b", "k", "--context-only", "--json"],
        &["get", "--percent", "b", "%zz"],
        &["get", "", "k"],
        &["get", "b", "k", "--dot", "zz"],
        &["put", "b", "k", "--context", "x", "--keep", "abc"],
        &["put", "b", "k", "v", "--ttl", "0s"],
        &["put", "b", "k", "v", "--durability", "group"],
        &["put", "b", "k", "v", "--write-id", "1"],
        &["put", "b", "k", "v", "--content-type", "text"],
        &["put", "b", "k", "v", "--meta", "a b=c"],
        &["delete", "b", "k"],
        &["keys", "b", "--limit", "0"],
    ];
    for arguments in wrong {
        let mut command = bare();
        // Whoever got as far as this directory would fail with it.
        command.args(arguments).env("HENGE_TLS_DIR", "nowhere");
        let run = feed(command, b"").ends(2);
        assert!(!run.stderr.contains("nowhere") && run.stdout.is_empty(), "{arguments:?} {run:?}");
    }
}

#[test]
fn a_foreign_context_is_refused_before_anything_is_written() {
    let single = Single::start();
    let node = &single.node;
    let context = put(node, &["carts", "ada", "x"]);
    let foreign = ["put", "carts", "bob", "y", "--context", &context];
    henge(node, &foreign).fails(2, "another key", "get carts bob shows the context");
    henge(node, &["put", "carts", "bob", "y", "--context", "hm"]).fails(2, "context", "get");
    henge(node, &["delete", "carts", "bob", "--context", &context]).fails(2, "another key", "get");
    henge(node, &["get", "carts", "bob"]).ends(4);
}

#[test]
fn what_the_bucket_does_not_allow_is_refused_with_both_numbers() {
    let single = Single::start();
    let node = &single.node;
    henge(node, &["put", "b", "k", "x", "--w", "2"]).fails(2, "w is 2", "bucket get b");
    henge(node, &["get", "b", "k", "--r", "2"]).fails(2, "r is 2", "bucket get b");
    henge(node, &["keys", "b", "--after", "x"]).fails(2, "after is x", "--help");
    henge(node, &["bucket", "set", "small", "value_bytes_max=1B"]).ends(0);
    henge(node, &["put", "small", "k", "xx"]).fails(1, "2 bytes", "bucket get small");
    let mut command = at(node);
    command.args(["put", "b", "huge"]);
    feed(command, &vec![0; 3 << 20]).fails(
        1,
        "the value has at least 2097153 bytes; the bucket takes 1048576",
        "bucket get b",
    );
}

#[test]
fn broken_rules_of_a_bucket_are_told_once_each() {
    let single = Single::start();
    let node = &single.node;
    let run = henge(node, &["bucket", "set", "x", "r=0"]).fails(2, "", "bucket get x");
    assert!(run.stderr.contains("why: r is 0; it must be 1 to 1 (n)\n"), "{run:?}");
    let run = henge(node, &["bucket", "set", "x", "r=0", "w=9"]).fails(2, "", "bucket get x");
    let why = "why: r is 0; it must be 1 to 1 (n); w is 9; it must be 1 to 1 (n)\n";
    assert!(run.stderr.contains(why), "{run:?}");
}

#[test]
fn names_that_nothing_has_are_told_as_what_they_are() {
    let long = "k".repeat(1025);
    for (arguments, what, why) in [
        (["put", "b", "", "x"], "the key is empty", "key has 0 bytes; it must have 1 to 1024"),
        (["put", "", "k", "x"], "the bucket is empty", "bucket has 0 bytes"),
        (["put", "b", &long, "x"], "the key is too long", "key has 1025 bytes"),
    ] {
        let mut command = bare();
        command.args(arguments);
        let run = feed(command, b"").fails(2, why, "another name");
        assert!(run.stderr.starts_with(&format!("error: {what}\n")), "{run:?}");
    }
    let mut command = bare();
    command.args(["get", "b", "k", "--dot", "zz"]);
    let run = feed(command, b"").ends(2);
    assert!(run.stderr.contains("16 hex digits and two numbers"), "{run:?}");
}

#[test]
fn without_a_quorum_it_is_unavailable_and_surely_not_applied() {
    let mut cluster = Cluster::of_three();
    put(&cluster.nodes[0], &["b", "k", "x"]);
    for node in cluster.nodes.drain(1..) {
        node.stop();
    }
    let node = &cluster.nodes[0];
    eventually("two are down", || {
        node.handle.cluster().members.iter().filter(|one| one.liveness == "down").count() == 2
    });
    let put = henge(node, &["put", "b", "k", "y"]).fails(6, "of 2 needed", "may do (--w)");
    assert!(put.stderr.starts_with("error: b/k was not written\n"), "{put:?}");
    henge(node, &["get", "b", "k"]).fails(6, "of 2 needed", "may do (--r)");
    let set = henge(node, &["bucket", "set", "b", "r=1"]).fails(6, "", "henge status");
    assert!(!set.stderr.contains("--r"), "{set:?}");
    assert_eq!(henge(node, &["get", "b", "k", "--r", "1"]).ends(0).text(), "x");
    let json = henge(node, &["put", "b", "k", "y", "--json"]).ends(6);
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!((&error["code"], &error["fate"]), (&"quorum_not_met".into(), &"not_applied".into()));
    assert_eq!((&error["exit"], &json.stdout), (&6.into(), &Vec::new()));
    for field in ["error", "why", "try"] {
        assert!(error[field].is_string(), "{error}");
    }
}

#[test]
fn a_write_without_an_answer_may_have_been_applied() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    // They still hold each other for up: what the cut swallows is missing in time only.
    let others: Vec<_> =
        cluster.nodes[1..].iter().map(|node| node.handle.settings().node.name.clone()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(node.handle.cut(&others, false)).unwrap();
    let run = henge(node, &["put", "b", "k", "x", "--w", "3", "--timeout", "300ms"]);
    let run = run.fails(5, "", "--write-id ");
    assert!(run.stderr.starts_with("error: b/k may or may not have been written"), "{run:?}");
    let id = run.stderr.split("--write-id ").nth(1).unwrap().split(':').next().unwrap();
    node.handle.heal().unwrap();
    eventually("it is written under its name", || {
        henge(node, &["put", "b", "k", "x", "--w", "3", "--write-id", id]).code == 0
    });
    assert_eq!(henge(node, &["get", "b", "k", "--r", "3"]).ends(0).text(), "x");
}

#[test]
fn certificates_that_are_not_there_are_a_matter_of_configuration() {
    let mut command = bare();
    command.args(["get", "b", "k", "--tls-dir", "nowhere"]);
    feed(command, b"").fails(2, "nowhere/ca.pem is missing", "--tls-dir DIR");
    let single = Single::start();
    let mut command = at(&single.node);
    command.args(["get", "b", "k", "--node", "localhost"]);
    feed(command, b"").fails(2, "\"localhost\" is no address", "--node 127.0.0.1:7400");
}

#[test]
fn a_command_line_that_is_not_understood_is_told_in_json_if_asked() {
    let mut command = bare();
    command.args(["get", "--json", "b"]);
    let run = feed(command, b"").ends(2);
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    assert!(error["why"].as_str().unwrap().contains("<KEY>"), "{error}");
    let mut command = bare();
    command.args(["get", "--json", "--help"]);
    assert!(feed(command, b"").ends(0).text().starts_with("Read a value"));
}
