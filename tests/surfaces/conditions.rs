//! Preconditions.

use crate::support::{
    http::{call, delete, get, put},
    node::Single,
};

const K: &str = "/v1/kv/b/k";

#[test]
fn who_has_the_value_is_told_so() {
    let single = Single::start();
    let context = put(single.http(), K, "x").context();
    let etag = get(single.http(), K).header("etag").unwrap().to_owned();
    let ask = |method, tags: &str| call(single.http(), method, K, &[("If-None-Match", tags)], b"");
    for tags in [etag.clone(), format!("\"a\", W/{etag}"), "*".to_owned()] {
        let reply = ask("GET", &tags);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{tags}");
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
        assert!(reply.header("henge-replicas").is_some());
        assert_eq!(ask("HEAD", &tags).status, 304);
    }
    assert_eq!(ask("GET", "\"a\"").status, 200);
    call(single.http(), "PUT", K, &[("Henge-Context", &context)], b"x");
    assert_eq!(ask("GET", &etag).status, 200, "the same bytes, but another write");
    put(single.http(), K, "y");
    assert_eq!(ask("GET", &etag).status, 300);
}

#[test]
fn a_put_can_be_only_to_create() {
    let single = Single::start();
    let create = |body: &[u8]| call(single.http(), "PUT", K, &[("If-None-Match", "*")], body);
    assert_eq!(create(b"first").status, 204);
    let refused = create(b"second");
    assert_eq!(refused.problem(412, "precondition_failed")["fate"], "not_applied");
    assert_eq!(get(single.http(), K).text(), "first");
    put(single.http(), K, "sibling");
    create(b"third").problem(412, "precondition_failed");
    let context = get(single.http(), K).context();
    delete(single.http(), K, &context);
    assert_eq!(create(b"fourth").status, 204);
}

#[test]
fn preconditions_that_would_promise_too_much_are_refused() {
    let single = Single::start();
    let context = put(single.http(), K, "x").context();
    for (name, value) in [
        ("If-Match", "\"a\""),
        ("If-Match", "*"),
        ("If-Unmodified-Since", "Mon, 07 Nov 1994 08:48:37 GMT"),
    ] {
        for method in ["PUT", "DELETE", "GET"] {
            let headers = [(name, value), ("Henge-Context", context.as_str())];
            call(single.http(), method, K, &headers, b"y").refuses(&name.to_ascii_lowercase());
        }
    }
    assert_eq!(call(single.http(), "HEAD", K, &[("If-Match", "*")], b"").status, 400);
    call(single.http(), "PUT", K, &[("If-None-Match", "\"a\"")], b"y").refuses("if-none-match");
    assert_eq!(get(single.http(), K).text(), "x");
}
