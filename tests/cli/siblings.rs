//! Siblings, and whether what the program says about them is so.

use std::process::{Command, Stdio};

use crate::{
    at, bare, feed, henge, put,
    support::node::{Single, TestNode},
};

/// Runs a line in a shell that knows of no cluster but what the line names, or `node`.
fn paste(node: Option<&TestNode>, line: &str) {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", line]);
    for variable in ["HENGE_NODES", "HENGE_TLS_DIR"] {
        shell.env_remove(variable);
    }
    if let Some(node) = node {
        shell.envs(at(node).get_envs().filter_map(|(name, value)| Some((name, value?))));
    }
    let output = shell.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}\n{output:?}");
}

/// The lines to paste in what the program said.
fn lines(said: &str) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_henge");
    let lines = said.lines().map(str::trim).filter(|line| line.starts_with(program));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn every_printed_line_resolves_them() {
    let single = Single::start();
    let node = &single.node;
    // Of the bytes of the last no line could consist; the dash alone would mean stdin.
    let values: [&[u8]; 4] = [b"it's one", b"-", b"two\nlines", b"\x00\xff binary"];
    let count = values.len();
    for chosen in 0..=count {
        for value in values {
            let mut command = at(node);
            command.args(["put", "--percent", "a%20cart", "%FFada", "--meta", "by=me & you"]);
            feed(command, value).ends(0);
        }
        let conflict = henge(node, &["get", "--percent", "a%20cart", "%FFada"]).ends(3);
        assert!(conflict.stdout.is_empty(), "a pipe gets values or nothing: {conflict:?}");
        let lines = lines(&conflict.stderr);
        assert_eq!(lines.len(), count + 1, "{conflict:?}");
        paste(Some(node), &lines[chosen]);
        let resolved = henge(node, &["get", "--percent", "a%20cart", "%FFada"]).ends(0);
        if chosen == 0 {
            assert_eq!(resolved.text(), "WHAT THEY COME TO");
        } else {
            // In the order of their dots, which is that of the puts.
            assert_eq!(resolved.stdout, values[chosen - 1]);
            let kept = henge(node, &["get", "--percent", "a%20cart", "%FFada", "--json"]).json();
            assert_eq!(kept["meta"]["by"], "me & you");
        }
        henge(node, &["delete", "--percent", "a%20cart", "%FFada", "--read-first"]).ends(0);
    }
}

#[test]
fn the_printed_line_names_the_cluster_if_it_was_named() {
    let single = Single::start();
    for value in ["one", "two"] {
        put(&single.node, &["carts", "ada", value]);
    }
    let settings = single.node.handle.settings();
    let mut command = bare();
    command.args(["get", "carts", "ada", "--node", &settings.node.listen.to_string()]);
    command.arg("--tls-dir").arg(&settings.tls.dir);
    let conflict = feed(command, b"").ends(3);
    paste(None, &lines(&conflict.stderr)[2]);
    assert_eq!(henge(&single.node, &["get", "carts", "ada"]).ends(0).text(), "two");
}

#[test]
fn they_are_in_the_json_with_one_context() {
    let single = Single::start();
    let node = &single.node;
    for value in ["one", "two"] {
        put(node, &["carts", "ada", value, "--content-type", "text/plain"]);
    }
    let document = henge(node, &["get", "carts", "ada", "--json"]).ends(3).json();
    assert_eq!(document["found"], "siblings");
    let siblings = document["siblings"].as_array().unwrap();
    let values: Vec<_> = siblings.iter().map(|one| one["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["one", "two"]);
    assert_eq!(siblings[0]["content_type"], "text/plain");
    let dot = siblings[1]["dot"].as_str().unwrap();
    assert_eq!(henge(node, &["get", "carts", "ada", "--dot", dot]).ends(0).text(), "two");
    let context = document["context"].as_str().unwrap();
    let token = henge(node, &["get", "carts", "ada", "--context-only"]).ends(3);
    assert_eq!(token.text().trim_end(), context);
    put(node, &["carts", "ada", "both", "--context", context]);
    assert_eq!(henge(node, &["get", "carts", "ada"]).ends(0).text(), "both");
    let late = ["put", "carts", "ada", "--context", context, "--keep", dot];
    let late = henge(node, &late).ends(4);
    assert!(late.stdout.is_empty() && late.stderr.contains(dot), "{late:?}");
    assert_eq!(henge(node, &["get", "carts", "ada"]).ends(0).text(), "both");
    let gone = henge(node, &["get", "carts", "ada", "--dot", dot]).ends(4);
    assert!(gone.stdout.is_empty() && gone.stderr.contains(dot), "{gone:?}");
}

#[test]
fn the_one_that_is_kept_keeps_its_end() {
    let single = Single::start();
    let node = &single.node;
    put(node, &["carts", "ada", "one"]);
    put(node, &["carts", "ada", "two", "--ttl", "1h"]);
    let conflict = henge(node, &["get", "carts", "ada"]).ends(3);
    paste(Some(node), &lines(&conflict.stderr)[2]);
    let key = henge::Key::new("carts", "ada").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let got = runtime.block_on(node.handle.get(&key, henge::ReadOptions::default())).unwrap();
    let [version] = got.versions() else { panic!("one value: {got:?}") };
    let left = version.expires_at.unwrap().0 - node.handle.wall().0;
    assert!((3_500_000..=3_600_000).contains(&left), "{left} ms of an hour");
}
