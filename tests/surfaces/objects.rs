//! The life of a key.

use serde_json::json;

use crate::support::{
    http::{call, delete, get, put, put_over},
    node::{Single, eventually},
};

const K: &str = "/v1/kv/b/k";

#[test]
fn a_value_comes_back_as_it_was_put() {
    let single = Single::start();
    let meta = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Henge-Meta-Owner", "Zoë"),
        ("henge-meta-b", "2"),
    ];
    let body: Vec<u8> = (0..=255).collect();
    let written = call(single.http(), "PUT", K, &meta, &body);
    assert_eq!(written.status, 204, "{written:?}");
    assert_eq!(written.header("henge-replicas"), Some("acks=1,fallbacks=0,homes=1"));
    assert!(!written.context().is_empty());
    let read = get(single.http(), K);
    assert_eq!((read.status, &read.body), (200, &body));
    assert_eq!(read.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(read.header("henge-meta-owner"), Some("Zoë"));
    assert_eq!(read.header("henge-meta-b"), Some("2"));
    assert_eq!(read.header("henge-replicas"), Some("acks=1,fallbacks=0,homes=1"));
    assert_eq!(read.header("henge-concurrent-delete"), None);
    assert_eq!(read.context(), written.context(), "one write is all that there is to see");
    let etag = read.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    assert!(read.header("last-modified").unwrap().ends_with(" GMT"));
}

#[test]
fn a_head_says_all_but_the_value_and_its_context() {
    let single = Single::start();
    call(
        single.http(),
        "PUT",
        K,
        &[("Content-Type", "text/plain"), ("Henge-Meta-A", "1")],
        b"four",
    );
    let (head, get) = (call(single.http(), "HEAD", K, &[], b""), get(single.http(), K));
    assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    assert_eq!(head.header("henge-context"), None);
    for name in [
        "content-type",
        "etag",
        "last-modified",
        "henge-meta-a",
        "henge-replicas",
        "content-length",
    ] {
        assert!(head.header(name).is_some() && head.header(name) == get.header(name), "{name}");
    }
    let nothing = call(single.http(), "HEAD", "/v1/kv/b/nothing", &[], b"");
    assert_eq!((nothing.status, nothing.body.len()), (404, 0));
}

#[test]
fn an_empty_value_is_a_value() {
    let single = Single::start();
    assert_eq!(put(single.http(), K, "").status, 204);
    let read = get(single.http(), K);
    assert_eq!((read.status, read.body.len()), (200, 0));
    assert_eq!(read.header("content-type"), Some("application/octet-stream"));
}

#[test]
fn a_key_that_was_never_written_is_not_found() {
    let single = Single::start();
    let reply = get(single.http(), K);
    reply.problem(404, "not_found");
    assert_eq!(reply.header("henge-context"), None);
    assert_eq!(reply.header("henge-replicas"), Some("acks=1,fallbacks=0,homes=1"));
    assert_eq!(
        reply.json(),
        json!({
            "type": "https://henge.dev/problems/not_found",
            "title": "Not found",
            "status": 404,
            "detail": "there is no such key",
            "code": "not_found",
            "fate": "not_applied",
        })
    );
}

#[test]
fn a_delete_needs_a_context_and_leaves_one() {
    let single = Single::start();
    put(single.http(), K, "x");
    let refused = call(single.http(), "DELETE", K, &[], b"");
    assert_eq!(refused.problem(428, "context_required")["fate"], "not_applied");
    let seen = get(single.http(), K).context();
    let deleted = delete(single.http(), K, &seen);
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert!(deleted.header("henge-replicas").is_some());
    let gone = get(single.http(), K);
    gone.problem(404, "deleted");
    assert!(gone.header("henge-replicas").is_some());
    let head = call(single.http(), "HEAD", K, &[], b"");
    assert_eq!((head.status, head.header("henge-context")), (404, None));
    // The context of the tombstone makes the key anew, with one value.
    assert_eq!(put_over(single.http(), K, &gone.context(), "y").status, 204);
    let read = get(single.http(), K);
    assert_eq!(
        (read.status, read.text(), read.header("henge-concurrent-delete")),
        (200, "y", None)
    );
}

#[test]
fn a_concurrent_delete_is_told() {
    let single = Single::start();
    put(single.http(), K, "x");
    let seen = get(single.http(), K).context();
    delete(single.http(), K, &seen);
    put(single.http(), K, "z");
    let read = get(single.http(), K);
    assert_eq!(
        (read.status, read.text(), read.header("henge-concurrent-delete")),
        (200, "z", Some("true"))
    );
}

#[test]
fn a_retry_under_the_same_write_id_writes_once() {
    let single = Single::start();
    let id = ("Henge-Write-Id", "123e4567-e89b-12d3-a456-426614174000");
    let first = call(single.http(), "PUT", K, &[id], b"x");
    let second = call(single.http(), "PUT", K, &[id], b"x");
    assert_eq!((first.status, second.status), (204, 204));
    assert_eq!(first.context(), second.context());
    assert_eq!(get(single.http(), K).status, 200);
}

#[test]
fn return_body_answers_like_a_get() {
    let single = Single::start();
    let one = call(
        single.http(),
        "PUT",
        &format!("{K}?return_body=true"),
        &[("Content-Type", "a/b")],
        b"x",
    );
    assert_eq!((one.status, one.text(), one.header("content-type")), (200, "x", Some("a/b")));
    let two = call(single.http(), "PUT", &format!("{K}?return_body=true"), &[], b"y");
    assert_eq!((two.status, two.json()["siblings"].as_array().unwrap().len()), (300, 2));
    assert_eq!(two.json()["context"], two.context());
    let none = call(single.http(), "PUT", &format!("{K}?return_body=false"), &[], b"z");
    assert_eq!((none.status, none.body.len()), (204, 0));
}

#[test]
fn a_value_expires() {
    let single = Single::start();
    assert_eq!(put(single.http(), &format!("{K}?ttl=1h"), "x").status, 204);
    assert_eq!(get(single.http(), K).status, 200);
    assert_eq!(put(single.http(), "/v1/kv/b/short?ttl=1ms", "x").status, 204);
    eventually("the value expires", || get(single.http(), "/v1/kv/b/short").status == 404);
    let gone = get(single.http(), "/v1/kv/b/short");
    gone.problem(404, "deleted");
    gone.context();
}

#[test]
fn all_parameters_are_taken() {
    let single = Single::start();
    let query =
        "r=1&w=1&pr=1&pw=1&sloppy=false&timeout=500ms&ttl=1d&durability=os&return_body=false";
    assert_eq!(put(single.http(), &format!("{K}?{query}"), "x").status, 204);
    assert_eq!(get(single.http(), &format!("{K}?r=1&pr=1&sloppy=true&timeout=60s")).status, 200);
    let context = get(single.http(), K).context();
    let target = format!("{K}?w=1&pw=1&sloppy=true&timeout=1m&durability=periodic");
    assert_eq!(delete(single.http(), &target, &context).status, 204);
}
