//! Keys, buckets, properties.

use serde_json::json;

use crate::{
    Run, at, henge, put,
    support::node::{Cluster, Single, TestNode},
};

#[test]
fn keys_come_one_a_line_as_they_are_or_encoded() {
    let single = Single::start();
    let node = &single.node;
    for key in ["a", "b%20c", "b%FF", "d"] {
        put(node, &["--percent", "list", key, "x"]);
    }
    let raw = henge(node, &["keys", "list"]).ends(0);
    let mut lines: Vec<&[u8]> = raw.stdout.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    assert_eq!(lines, [&b""[..], b"a", b"b c", b"b\xff", b"d"]);
    let encoded = henge(node, &["keys", "list", "--percent", "--prefix", "%62"]).ends(0);
    let mut lines: Vec<&str> = encoded.text().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["b%20c", "b%FF"]);
    let document = henge(node, &["keys", "list", "--prefix", "b", "--json"]).ends(0).json();
    let keys = document["keys"].as_array().unwrap();
    assert!(
        keys.contains(&json!("b c")) && keys.contains(&json!({ "base64": "Yv8=" })),
        "{keys:?}"
    );
    assert_eq!(document["next"], json!(null));
    assert_eq!(henge(node, &["keys", "none"]).ends(0).text(), "");
}

/// Runs the line that `run` printed to go on, and gives what it prints.
fn go_on(node: &TestNode, run: &Run) -> Vec<u8> {
    let line = run.stderr.trim_end().split_once(": ").unwrap().1;
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", line]);
    shell.envs(at(node).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output.stdout
}

#[test]
fn a_listing_that_is_cut_off_says_how_it_goes_on() {
    let single = Single::start();
    let node = &single.node;
    for (bucket, prefix) in [("list", "k"), ("it's%2550%25", "k"), ("-x", "-"), ("%FF", "%00")] {
        for number in 0..5 {
            put(node, &["--percent", "--", bucket, &format!("{prefix}{number}"), "x"]);
        }
        let prefix = format!("--prefix={prefix}");
        let arguments = ["keys", "--percent", &prefix, "--limit", "3", "--", bucket];
        let encoded = henge(node, &arguments).ends(0);
        let mut all = encoded.stdout.clone();
        all.extend(go_on(node, &encoded));
        assert_eq!(String::from_utf8(all).unwrap().lines().count(), 5, "{encoded:?}");
    }
    let plain = henge(node, &["keys", "it's%50%", "--prefix", "k", "--limit", "3"]).ends(0);
    let rest = String::from_utf8(go_on(node, &plain)).unwrap();
    let mut all: Vec<&str> = plain.text().lines().chain(rest.lines()).collect();
    all.sort_unstable();
    assert_eq!(all, ["k0", "k1", "k2", "k3", "k4"], "{plain:?}");
    let document = henge(node, &["keys", "list", "--json", "--limit", "3"]).json();
    assert!(document["next"].is_string(), "{document}");
    let long = henge(node, &["keys", "list", "--limit", "5000"]).ends(0);
    assert_eq!((long.text().lines().count(), long.stderr.as_str()), (5, ""));
}

#[test]
fn what_bucket_get_prints_bucket_set_takes() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    let set = henge(node, &["bucket", "set", "s", "conflict=lww", "w=1", "ttl=30d"]).ends(0);
    assert!(set.text().contains("conflict=lww\n") && set.text().contains("ttl=30d\n"), "{set:?}");
    let get = henge(&cluster.nodes[1], &["bucket", "get", "s"]).ends(0);
    assert_eq!(get.text(), set.text());
    let pairs: Vec<&str> = get.text().lines().collect();
    let again = henge(node, &[&["bucket", "set", "s"], &pairs[..]].concat()).ends(0);
    assert_eq!(again.text(), set.text());
    let document = henge(node, &["bucket", "get", "s", "--json"]).ends(0).json();
    assert_eq!((&document["bucket"], &document["w"]), (&json!("s"), &json!(1)));
    assert_eq!((&document["ttl"], &document["established"]), (&json!("30d"), &json!(true)));
}

#[test]
fn buckets_are_those_with_properties_or_keys() {
    let single = Single::start();
    let node = &single.node;
    put(node, &["held", "a", "x"]);
    henge(node, &["bucket", "set", "set", "conflict=lww"]).ends(0);
    assert_eq!(henge(node, &["buckets"]).ends(0).text(), "held\nset\n");
    let document = henge(node, &["buckets", "--json"]).ends(0).json();
    let conflicts = document["buckets"].as_array().unwrap().iter().map(|one| &one["conflict"]);
    assert_eq!(conflicts.collect::<Vec<_>>(), ["siblings", "lww"]);
}

#[test]
fn what_a_bucket_cannot_be_is_refused() {
    let single = Single::start();
    let node = &single.node;
    let mistakes = ["bucket", "set", "b", "r=9", "durability=group"];
    henge(node, &mistakes).fails(2, "durability", "bucket get b shows");
    henge(node, &["bucket", "set", "b", "lww"]).fails(2, "\"lww\"", "conflict=lww");
    henge(node, &["bucket", "set", "b", "conflict=lww"]).ends(0);
    henge(node, &["bucket", "set", "b", "conflict=siblings"]).fails(1, "for ever", "another");
}
