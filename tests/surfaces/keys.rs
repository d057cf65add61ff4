//! Keys and buckets are bytes, exactly those that the raw path spells.

use serde_json::json;

use crate::support::{
    http::{call, get, put},
    node::Single,
};

#[test]
fn every_spelling_of_a_key_names_its_bytes() {
    let single = Single::start();
    let keys = [
        "a%2Fb",
        "%00",
        "%FF%FE",
        "%25",
        "%252F",
        "a+b",
        "a%20b",
        "..",
        "%2E%2E%2F",
        "%C3%BC",
        "~!$&'()*,;=:@",
        "%23",
        "%3F",
        "a.b-c_d",
        "0",
    ];
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(
            put(single.http(), &format!("/v1/kv/b/{key}"), number.to_string()).status,
            204,
            "{key}"
        );
    }
    for (number, key) in keys.iter().enumerate() {
        let reply = get(single.http(), &format!("/v1/kv/b/{key}"));
        assert_eq!(reply.text(), number.to_string(), "{key}");
    }
    // Two spellings of one key.
    for (spelling, other) in [
        ("%61%2fb", "a%2Fb"),
        ("%7e!$&'()*,;=:@", "~!$&'()*,;=:@"),
        ("%2e%2E", ".."),
        ("%c3%bc", "%C3%BC"),
    ] {
        let found = |key| get(single.http(), &format!("/v1/kv/b/{key}")).body;
        assert_eq!(found(spelling), found(other), "{spelling}");
    }
    get(single.http(), "/v1/kv/b/a%2520b").problem(404, "not_found");
    get(single.http(), "/v1/kv/b/a%2Fb%2F").problem(404, "not_found");
}

#[test]
fn buckets_are_bytes_too() {
    let single = Single::start();
    for (bucket, value) in [("a%2Fb", "slash"), ("%FF", "byte"), ("a", "a"), ("v1", "v1")] {
        assert_eq!(put(single.http(), &format!("/v1/kv/{bucket}/k"), value).status, 204);
    }
    for (bucket, value) in [("a%2Fb", "slash"), ("%FF", "byte"), ("a", "a"), ("v1", "v1")] {
        assert_eq!(get(single.http(), &format!("/v1/kv/{bucket}/k")).text(), value);
        assert_eq!(get(single.http(), &format!("/v1/kv/{bucket}")).json()["keys"], json!(["k"]));
    }
    let buckets = get(single.http(), "/v1/buckets").json();
    let names: Vec<_> =
        buckets["buckets"].as_array().unwrap().iter().map(|one| one["bucket"].clone()).collect();
    assert_eq!(names, [json!("a"), json!("a/b"), json!("v1"), json!({"base64": "/w=="})]);
}

#[test]
fn a_broken_escape_is_refused() {
    let single = Single::start();
    for key in ["%", "%2", "%zz", "a%f", "%%41", "%+1"] {
        let body = get(single.http(), &format!("/v1/kv/b/{key}")).refuses("key");
        assert_eq!(body["value"], key);
        put(single.http(), &format!("/v1/kv/{key}/k"), "x").refuses("bucket");
    }
    assert_eq!(get(single.http(), "/v1/buckets").json(), json!({"buckets": []}));
}

#[test]
fn empty_and_too_long_names_are_refused_with_their_lengths() {
    let single = Single::start();
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        assert_eq!(call(single.http(), method, "/v1/kv/b/", &[], b"").status, 400);
    }
    let key = "k".repeat(1025);
    let bucket = "%62".repeat(257);
    for (path, field, value, limit) in [
        ("/v1/kv/b/".to_owned(), "key", "0 bytes", "1 to 1024 bytes"),
        ("/v1/kv//k".to_owned(), "bucket", "0 bytes", "1 to 256 bytes"),
        ("/v1/kv/".to_owned(), "bucket", "0 bytes", "1 to 256 bytes"),
        ("/v1/kv//".to_owned(), "bucket", "0 bytes", "1 to 256 bytes"),
        ("/v1/buckets/".to_owned(), "bucket", "0 bytes", "1 to 256 bytes"),
        ("/v1/admin/replica/b/".to_owned(), "key", "0 bytes", "1 to 1024 bytes"),
        ("/v1/cluster/ring?bucket=b&key=".to_owned(), "key", "0 bytes", "1 to 1024 bytes"),
        (format!("/v1/kv/b/{key}"), "key", "1025 bytes", "1 to 1024 bytes"),
        (format!("/v1/kv/{bucket}/k"), "bucket", "257 bytes", "1 to 256 bytes"),
        (format!("/v1/kv/{bucket}"), "bucket", "257 bytes", "1 to 256 bytes"),
        (format!("/v1/buckets/{bucket}"), "bucket", "257 bytes", "1 to 256 bytes"),
        (format!("/v1/admin/replica/b/{key}"), "key", "1025 bytes", "1 to 1024 bytes"),
    ] {
        let body = get(single.http(), &path).refuses(field);
        assert_eq!((&body["value"], &body["limit"]), (&json!(value), &json!(limit)), "{path}");
    }
    for key in ["k".repeat(1024), "%FF".repeat(1024)] {
        assert_eq!(
            put(single.http(), &format!("/v1/kv/{}/{key}", "b".repeat(256)), "x").status,
            204
        );
        assert_eq!(get(single.http(), &format!("/v1/kv/{}/{key}", "b".repeat(256))).text(), "x");
    }
}

#[test]
fn keys_are_listed_in_pages() {
    let single = Single::start();
    let all: Vec<String> = (0..25).map(|number| format!("user:{number:02}")).collect();
    for key in &all {
        put(single.http(), &format!("/v1/kv/b/{key}"), "x");
    }
    put(single.http(), "/v1/kv/b/other%FF", "x");
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(single.http(), &format!("/v1/kv/b?prefix=user%3A&limit=10{after}")).json();
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.len() <= 10);
        found.extend(keys.iter().map(|key| key.as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    found.sort();
    assert_eq!(found, all);
    let page = get(single.http(), "/v1/kv/b?prefix=other").json();
    assert_eq!(page, json!({"keys": [{"base64": "b3RoZXL/"}], "next": null}));
    assert_eq!(get(single.http(), "/v1/kv/nothing").json(), json!({"keys": [], "next": null}));
}

#[test]
fn deleted_keys_are_not_listed() {
    let single = Single::start();
    let context = put(single.http(), "/v1/kv/b/k", "x").context();
    call(single.http(), "DELETE", "/v1/kv/b/k", &[("Henge-Context", &context)], b"");
    assert_eq!(get(single.http(), "/v1/kv/b").json(), json!({"keys": [], "next": null}));
}

#[test]
fn a_listing_refuses_what_it_does_not_know() {
    let single = Single::start();
    let limit = get(single.http(), "/v1/kv/b?limit=1001").refuses("limit");
    assert_eq!((&limit["value"], &limit["limit"]), (&json!("1001"), &json!("1 to 1000")));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=", "limit"),
        ("limit", "limit"),
        ("limit=99999999999", "limit"),
        ("after=%21", "after"),
        ("after=", "after"),
        ("after=%FF", "after"),
        ("r=1", "r"),
        ("prefix=%zz", "prefix"),
        ("limit=1&limit=1", "limit"),
    ] {
        get(single.http(), &format!("/v1/kv/b?{query}")).refuses(field);
    }
}
