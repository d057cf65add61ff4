//! Properties of buckets.

use serde_json::json;

use crate::support::{
    http::{call, get, put},
    node::Single,
};

#[test]
fn a_bucket_without_properties_has_the_defaults() {
    let single = Single::start();
    let expected = json!({
        "n": 1, "r": 1, "w": 1, "pr": 0, "pw": 0, "sloppy": true, "conflict": "siblings",
        "ttl": null, "durability": "periodic", "value_bytes_max": "1MiB",
    });
    assert_eq!(get(single.http(), "/v1/buckets/b").json(), expected);
    assert_eq!(get(single.http(), "/v1/buckets").json(), json!({"buckets": []}));
    // What can be read can be put.
    let reply = put(single.http(), "/v1/buckets/b", get(single.http(), "/v1/buckets/b").text());
    assert_eq!((reply.status, reply.json()), (200, expected));
}

#[test]
fn properties_are_set_by_name() {
    let single = Single::start();
    let reply = put(single.http(), "/v1/buckets/b", r#"{"conflict": "lww", "ttl": "30d"}"#);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!((&reply.json()["conflict"], &reply.json()["ttl"]), (&json!("lww"), &json!("30d")));
    let reply = put(single.http(), "/v1/buckets/b", r#"{"ttl": null}"#);
    assert_eq!((&reply.json()["conflict"], &reply.json()["ttl"]), (&json!("lww"), &json!(null)));
    assert_eq!(get(single.http(), "/v1/buckets/b").json(), reply.json());
    put(single.http(), "/v1/kv/b/k", "x");
    put(single.http(), "/v1/kv/b/k", "y");
    assert_eq!(get(single.http(), "/v1/kv/b/k").text(), "y", "the last writer wins");
    let list = get(single.http(), "/v1/buckets").json();
    assert_eq!(list["buckets"][0]["bucket"], "b");
    assert_eq!(
        (&list["buckets"][0]["established"], &list["buckets"][0]["conflict"]),
        (&json!(true), &json!("lww"))
    );
}

#[test]
fn all_violations_are_told_and_nothing_is_set() {
    let single = Single::start();
    let before = get(single.http(), "/v1/buckets/b").json();
    let body = put(
        single.http(),
        "/v1/buckets/b",
        r#"{"n": 3, "r": 4, "w": 0, "pr": 2, "colour": "red", "ttl": "-1s", "sloppy": 1}"#,
    )
    .problem(400, "bad_request");
    let fields: Vec<&str> = body["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["colour", "sloppy", "ttl", "r", "w"]);
    assert_eq!(body["violations"][3], json!({"field": "r", "value": "4", "limit": "1 to 3 (n)"}));
    assert_eq!(body["field"], "colour");
    for (property, value) in [
        ("n", "0"),
        ("n", "8"),
        ("r", "2"),
        ("w", "\"1\""),
        ("pw", "2"),
        ("pr", "-1"),
        ("conflict", "\"newest\""),
        ("durability", "\"group\""),
        ("value_bytes_max", "1024"),
        ("value_bytes_max", "\"1GiB\""),
        ("ttl", "0"),
        ("value_bytes_max", "\"2MiB\""),
    ] {
        put(single.http(), "/v1/buckets/b", format!("{{\"{property}\": {value}}}"))
            .refuses(property);
    }
    assert_eq!(get(single.http(), "/v1/buckets/b").json(), before);
    assert_eq!(get(single.http(), "/v1/buckets").json(), json!({"buckets": []}));
}

#[test]
fn n_and_conflict_never_change_once_chosen() {
    let single = Single::start();
    put(single.http(), "/v1/kv/used/k", "x");
    let body = put(single.http(), "/v1/buckets/used", r#"{"conflict": "lww"}"#)
        .problem(409, "bucket_property_fixed");
    assert_eq!(
        (&body["field"], &body["fixed"], &body["value"]),
        (&json!("conflict"), &json!("siblings"), &json!("lww"))
    );
    assert_eq!(put(single.http(), "/v1/buckets/lww", r#"{"conflict": "lww"}"#).status, 200);
    put(single.http(), "/v1/buckets/lww", r#"{"conflict": "siblings"}"#)
        .problem(409, "bucket_property_fixed");
    put(single.http(), "/v1/buckets/lww", r#"{"n": 2}"#).problem(409, "bucket_property_fixed");
}

#[test]
fn a_property_that_is_named_twice_is_refused() {
    let single = Single::start();
    let body = r#"{"ttl": "1d", "sloppy": true, "ttl": "2d"}"#;
    let refused = put(single.http(), "/v1/buckets/b", body).refuses("body");
    assert!(refused["value"].as_str().unwrap().contains("\"ttl\" is given twice"), "{refused}");
    assert!(get(single.http(), "/v1/buckets/b").json()["ttl"].is_null());
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let single = Single::start();
    for body in ["", "{", "[]", "1", "\"n=3\"", "{\"n\": 1}x", "\u{ff}"] {
        put(single.http(), "/v1/buckets/b", body).refuses("body");
    }
    let long = format!("{{\"ttl\": \"{}\"}}", "x".repeat(70_000));
    put(single.http(), "/v1/buckets/b", long).refuses("body");
    call(single.http(), "PUT", "/v1/buckets/b?n=1", &[], b"{}").refuses("n");
}
