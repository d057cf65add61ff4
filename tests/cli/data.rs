//! Put, get, delete.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use serde_json::json;

use crate::{
    at, feed, henge, put,
    support::node::{Single, until},
};

#[test]
fn bytes_in_are_bytes_out() {
    let single = Single::start();
    let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for stdin in [&["put", "bin", "all"][..], &["put", "bin", "dash", "-"]] {
        let mut command = at(&single.node);
        command.args(stdin);
        feed(command, &value).ends(0);
        let got = henge(&single.node, &["get", "bin", stdin[2]]).ends(0);
        assert_eq!(got.stdout, value);
        assert_eq!(got.stderr, "", "nothing is said on a pipe");
    }
    put(&single.node, &["bin", "empty", ""]);
    assert!(henge(&single.node, &["get", "bin", "empty"]).ends(0).stdout.is_empty());
    let document = henge(&single.node, &["get", "bin", "all", "--json"]).ends(0).json();
    assert!(document["value_base64"].is_string() && document["value"].is_null());
}

#[test]
fn a_put_over_the_context_replaces_and_a_delete_covers() {
    let single = Single::start();
    let node = &single.node;
    let first = put(node, &["carts", "ada", "one"]);
    let second = put(node, &["carts", "ada", "two", "--context", &first]);
    assert_eq!(henge(node, &["get", "carts", "ada"]).ends(0).text(), "two");
    let read = henge(node, &["get", "carts", "ada", "--context-only"]).ends(0);
    assert_eq!(read.text().trim_end(), second);
    // The second value was not seen by this delete, and outlives it.
    henge(node, &["delete", "carts", "ada", "--context", &first]).ends(0);
    assert_eq!(henge(node, &["get", "carts", "ada"]).ends(0).text(), "two");
    henge(node, &["delete", "carts", "ada", "--context", &second]).ends(0);
    let gone = henge(node, &["get", "carts", "ada"]).ends(4);
    assert!(gone.stdout.is_empty() && gone.stderr.contains("was deleted"), "{gone:?}");
    let token = henge(node, &["get", "carts", "ada", "--context-only"]).ends(4);
    assert!(!token.stdout.is_empty(), "a delete has a context");
    let nothing = henge(node, &["get", "carts", "bob", "--json"]).ends(4).json();
    assert_eq!((&nothing["found"], &nothing["context"]), (&json!("not_found"), &json!(null)));
}

#[test]
fn what_is_read_first_is_deleted_siblings_too() {
    let single = Single::start();
    let node = &single.node;
    put(node, &["carts", "ada", "one"]);
    put(node, &["carts", "ada", "two"]);
    let deleted = henge(node, &["delete", "carts", "ada", "--read-first", "--json"]).ends(0).json();
    assert!(deleted["context"].is_string() && deleted["dot"].is_string(), "{deleted}");
    assert_eq!(deleted["replicas"], json!({ "acks": 1, "fallbacks": 0, "homes": 1 }));
    let again = henge(node, &["delete", "carts", "ada", "--read-first"]).ends(4);
    assert!(again.stdout.is_empty(), "{again:?}");
    henge(node, &["delete", "carts", "nobody", "--read-first"]).ends(4);
}

#[test]
fn what_is_said_of_a_value_is_kept_with_it() {
    let single = Single::start();
    let node = &single.node;
    let said = ["--content-type", "text/x; a=b", "--meta", "Colour=blue", "--meta", "size=7 m"];
    put(node, &[&["things", "a", "x"], &said[..]].concat());
    let document = henge(node, &["get", "things", "a", "--json"]).ends(0).json();
    assert_eq!(document["found"], "value");
    assert_eq!(
        (&document["value"], &document["content_type"]),
        (&json!("x"), &json!("text/x; a=b"))
    );
    assert_eq!(document["meta"], json!({ "colour": "blue", "size": "7 m" }));
    assert!(document["dot"].is_string() && document["last_modified"].is_string(), "{document}");
    assert_eq!(document["concurrent_delete"], false);
}

#[test]
fn one_write_id_is_one_write() {
    let single = Single::start();
    let id = "123e4567-e89b-12d3-a456-426614174000";
    for _ in 0..2 {
        put(&single.node, &["once", "a", "x", "--write-id", id]);
    }
    assert_eq!(henge(&single.node, &["get", "once", "a"]).ends(0).text(), "x");
    put(&single.node, &["once", "a", "x"]);
    henge(&single.node, &["get", "once", "a"]).ends(3);
}

#[test]
fn a_value_with_a_ttl_goes() {
    let single = Single::start();
    put(&single.node, &["soon", "a", "x", "--ttl", "300ms"]);
    until("the value expires", || {
        (henge(&single.node, &["get", "soon", "a"]).code == 4).then_some(())
    });
}

#[test]
fn return_body_prints_what_the_key_holds_now() {
    let single = Single::start();
    let node = &single.node;
    let alone = henge(node, &["put", "b", "k", "one", "--return-body"]).ends(0);
    assert_eq!(alone.text(), "one");
    let both = henge(node, &["put", "b", "k", "two", "--return-body", "--json"]).ends(3).json();
    assert_eq!(both["siblings"].as_array().unwrap().len(), 2, "{both}");
}

#[test]
fn keys_are_any_bytes() {
    let single = Single::start();
    let mut command = at(&single.node);
    command.args(["put", "raw"]).arg(OsStr::from_bytes(b"\xff/%41")).arg("x");
    feed(command, b"").ends(0);
    let got = henge(&single.node, &["get", "--percent", "r%61w", "%ff%2F%2541"]).ends(0);
    assert_eq!(got.text(), "x");
    // A process cannot be given this one but encoded.
    put(&single.node, &["--percent", "raw", "%00", "nul"]);
    assert_eq!(henge(&single.node, &["get", "--percent", "raw", "%00"]).ends(0).text(), "nul");
    put(&single.node, &["--", "raw", "-dash", "-x"]);
    assert_eq!(henge(&single.node, &["get", "--", "raw", "-dash"]).ends(0).text(), "-x");
}

#[test]
fn the_cluster_is_named_before_or_behind_the_command() {
    let single = Single::start();
    put(&single.node, &["b", "k", "x"]);
    let settings = single.node.handle.settings();
    let (address, dir) = (settings.node.listen.to_string(), settings.tls.dir.to_str().unwrap());
    let place = ["--node", "127.0.0.1:1", "--node", &address, "--tls-dir", dir];
    let verb = ["get", "b", "k"];
    for arguments in [[&place[..], &verb].concat(), [&verb[..], &place].concat()] {
        let mut command = crate::bare();
        command.env("HENGE_NODES", "127.0.0.1:1").args(&arguments);
        assert_eq!(feed(command, b"").ends(0).text(), "x", "{arguments:?}");
    }
}
