//! What is refused, says what and why, and changes nothing.

use serde_json::{Value, json};

use crate::support::{
    http::{call, delete, get, put},
    node::Single,
};

const K: &str = "/v1/kv/b/k";
const REPLICA: &str = "/v1/admin/replica/b/k";

/// A key with one value, what its record looks like, and a context of it.
struct Witness {
    single: Single,
    before: Value,
    context: String,
}

impl Witness {
    fn new() -> Self {
        let single = Single::start();
        let context = put(single.http(), K, "x").context();
        let before = get(single.http(), REPLICA).json();
        Self { single, before, context }
    }

    fn assert_unchanged(&self, after: &str) {
        assert_eq!(get(self.single.http(), REPLICA).json(), self.before, "{after}");
    }
}

#[test]
fn numbers_of_replicas_out_of_their_range_are_refused() {
    let witness = Witness::new();
    let http = witness.single.http();
    for name in ["r", "w", "pr", "pw"] {
        for value in
            ["0", "2", "8", "-1", "abc", "256", "1.5", "", "+1", "0x1", "99999999999999999999"]
        {
            let query = format!("{name}={}", value.replace('+', "%2B"));
            let mut replies = vec![put(http, &format!("{K}?{query}"), "y")];
            if name.ends_with('r') {
                replies.push(get(http, &format!("{K}?{query}")));
            } else {
                replies.push(delete(http, &format!("{K}?{query}"), &witness.context));
            }
            for reply in replies {
                let body = reply.refuses(name);
                assert_eq!(body["value"], value, "{body}");
                assert!(body["limit"].as_str().unwrap().contains("1 ("), "{body}");
            }
            witness.assert_unchanged(&query);
        }
    }
}

#[test]
fn a_refused_number_is_shown_with_its_limit() {
    let witness = Witness::new();
    let reply = put(witness.single.http(), &format!("{K}?w=0"), "y");
    let expected = json!({
        "type": "https://henge.dev/problems/bad_request",
        "title": "Bad request",
        "status": 400,
        "detail": "w is 0; it must be 1 to 1 (n)",
        "code": "bad_request",
        "fate": "not_applied",
        "field": "w",
        "value": "0",
        "limit": "1 to 1 (n)",
    });
    assert_eq!(reply.json(), expected);
    let names: Vec<&str> =
        reply.text().split('"').filter(|part| expected.get(*part).is_some()).collect();
    assert_eq!(names[..3], ["type", "title", "status"], "{}", reply.text());
}

#[test]
fn durations_need_a_unit_and_have_a_limit() {
    let witness = Witness::new();
    let http = witness.single.http();
    for value in [
        "0",
        "0s",
        "0ms",
        "-1s",
        "abc",
        "2",
        "1.5s",
        "61s",
        "2m",
        "1d",
        "",
        "+1s",
        "1 s",
        "1S",
        "99999999999999999999s",
    ] {
        let query = format!("timeout={}", value.replace('+', "%2B").replace(' ', "%20"));
        for reply in [
            get(http, &format!("{K}?{query}")),
            put(http, &format!("{K}?{query}"), "y"),
            delete(http, &format!("{K}?{query}"), &witness.context),
        ] {
            assert_eq!(reply.refuses("timeout")["value"], value);
        }
        witness.assert_unchanged(&query);
    }
    for value in ["0", "0s", "-1s", "abc", "10", "3651d"] {
        put(http, &format!("{K}?ttl={value}"), "y").refuses("ttl");
        witness.assert_unchanged(value);
    }
    let body = get(http, &format!("{K}?timeout=61s")).refuses("timeout");
    assert_eq!(body["limit"], "at most 1m");
}

#[test]
fn group_durability_is_refused_by_name() {
    let witness = Witness::new();
    let http = witness.single.http();
    let body = put(http, &format!("{K}?durability=group"), "y").refuses("durability");
    assert_eq!(body["value"], "group");
    assert_eq!(body["limit"], "os or periodic (group is not available in this version)");
    delete(http, &format!("{K}?durability=group"), &witness.context).refuses("durability");
    put(http, &format!("{K}?durability=OS"), "y").refuses("durability");
    witness.assert_unchanged("durability");
}

#[test]
fn unknown_repeated_and_malformed_parameters_are_refused() {
    let witness = Witness::new();
    let http = witness.single.http();
    for (query, field) in [
        ("x=1", "x"),
        ("R=1", "R"),
        ("n=1", "n"),
        ("w=1&w=1", "w"),
        ("w=1&%77=1", "w"),
        ("sloppy=yes", "sloppy"),
        ("sloppy", "sloppy"),
        ("return_body=1", "return_body"),
        ("%zz=1", "query"),
        ("w=%zz", "w"),
        ("w=%FF", "w"),
        ("=1", ""),
        ("prefix=a", "prefix"),
    ] {
        put(http, &format!("{K}?{query}"), "y").refuses(field);
        witness.assert_unchanged(query);
    }
    for query in ["w=1", "ttl=1s", "durability=os", "return_body=true", "context=x"] {
        get(http, &format!("{K}?{query}")).problem(400, "bad_request");
    }
    for query in ["r=1", "ttl=1s", "return_body=true"] {
        delete(http, &format!("{K}?{query}"), &witness.context).problem(400, "bad_request");
    }
    for path in [
        "/v1/cluster",
        "/v1/buckets",
        "/v1/buckets/b",
        REPLICA,
        "/v1/admin/actors",
        "/v1/admin/anti-entropy",
        "/v1/admin/reap",
        "/ready",
    ] {
        get(http, &format!("{path}?x=1")).refuses("x");
    }
    witness.assert_unchanged("everything");
    assert_eq!(get(http, &format!("{K}?")).status, 200);
    assert_eq!(get(http, &format!("{K}?&r=1&")).status, 200);
}

#[test]
fn a_damaged_or_foreign_context_is_refused() {
    let witness = Witness::new();
    let http = witness.single.http();
    let other_key = put(http, "/v1/kv/b/other", "x").context();
    let other_bucket = put(http, "/v1/kv/other/k", "x").context();
    let good = &witness.context;
    let flipped = {
        let mut bytes = good.clone().into_bytes();
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let long = "A".repeat(64 * 1024 + 1);
    for bad in [
        &other_key,
        &other_bucket,
        &flipped,
        &good[..good.len() - 1],
        &good[1..],
        "",
        "!",
        "AAAA",
        &format!("{good}="),
        &format!("{good}AA"),
        "ü",
        &long,
    ] {
        for method in ["PUT", "DELETE"] {
            let reply = call(http, method, K, &[("Henge-Context", bad)], b"y");
            let body = reply.problem(400, "bad_context");
            assert_eq!(body["fate"], "not_applied");
            witness.assert_unchanged(bad);
        }
    }
    let twice = [("Henge-Context", good.as_str()), ("Henge-Context", good.as_str())];
    call(http, "PUT", K, &twice, b"y").refuses("henge-context");
    witness.assert_unchanged("twice");
}

#[test]
fn headers_that_cannot_be_kept_are_refused() {
    let witness = Witness::new();
    let http = witness.single.http();
    let long_type = format!("text/{}", "x".repeat(251));
    for kind in ["text", "text/", "te xt/plain", "text/plän", &long_type] {
        call(http, "PUT", K, &[("Content-Type", kind)], b"y").refuses("content-type");
    }
    for id in ["", "1", "123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400x"]
    {
        call(http, "PUT", K, &[("Henge-Write-Id", id)], b"y").refuses("henge-write-id");
        let headers = [("Henge-Write-Id", id), ("Henge-Context", witness.context.as_str())];
        call(http, "DELETE", K, &headers, b"").refuses("henge-write-id");
    }
    let names: Vec<String> = (0..33).map(|number| format!("Henge-Meta-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let body = call(http, "PUT", K, &many, b"y").refuses("henge-meta-*");
    assert_eq!((&body["value"], &body["limit"]), (&json!("33 names"), &json!("at most 32")));
    let long = "x".repeat(4096);
    let body = call(http, "PUT", K, &[("Henge-Meta-A", &long)], b"y").refuses("henge-meta-*");
    assert_eq!(
        (&body["value"], &body["limit"]),
        (&json!("4097 bytes"), &json!("at most 4096 bytes"))
    );
    call(http, "PUT", K, &[("Henge-Meta-", "1")], b"y").refuses("henge-meta-");
    call(http, "PUT", K, &[("Henge-Meta-A", "1"), ("henge-meta-a", "2")], b"y")
        .refuses("henge-meta-a");
    witness.assert_unchanged("headers");
    assert_eq!(call(http, "PUT", "/v1/kv/b/many", &many[..32], b"y").status, 204);
    assert_eq!(
        call(http, "PUT", "/v1/kv/b/long", &[("Henge-Meta-A", &long[1..])], b"y").status,
        204
    );
    assert_eq!(get(http, "/v1/kv/b/long").header("henge-meta-a"), Some(&long[1..]));
}
