//! Values none of which has seen the other.

use serde_json::json;

use crate::support::{
    http::{Reply, call, get, put, put_over},
    node::Single,
};

const K: &str = "/v1/kv/b/k";

/// A node whose key has a text and a value of bytes.
fn two_values() -> Single {
    let single = Single::start();
    let headers = [("Content-Type", "text/plain"), ("Henge-Meta-Owner", "a")];
    assert_eq!(call(single.http(), "PUT", K, &headers, b"one").status, 204);
    assert_eq!(put(single.http(), K, b"\xff\x00\r\n--two").status, 204);
    single
}

/// Replaces what differs from run to run, once it was checked.
fn masked(reply: &Reply) -> serde_json::Value {
    let mut body = reply.json();
    assert_eq!(body["context"], reply.context());
    body["context"] = json!("CONTEXT");
    for sibling in body["siblings"].as_array_mut().unwrap() {
        let dot = sibling["dot"].as_str().unwrap();
        assert_eq!(dot.split('.').count(), 3, "{dot}");
        let modified = sibling["last_modified"].as_str().unwrap();
        assert!(
            modified.len() == 24 && modified.starts_with("20") && modified.ends_with('Z'),
            "{modified}"
        );
        sibling["dot"] = json!("DOT");
        sibling["last_modified"] = json!("DATE");
    }
    body
}

#[test]
fn siblings_are_shown_with_what_is_needed_to_choose() {
    let single = two_values();
    let reply = get(single.http(), K);
    assert_eq!((reply.status, reply.header("content-type")), (300, Some("application/json")));
    assert_eq!(reply.header("henge-replicas"), Some("acks=1,fallbacks=0,homes=1"));
    let expected = json!({
        "context": "CONTEXT",
        "siblings": [
            {"value": "one", "content_type": "text/plain", "meta": {"owner": "a"}, "dot": "DOT", "last_modified": "DATE"},
            {"value_base64": "/wANCi0tdHdv", "content_type": null, "meta": {}, "dot": "DOT", "last_modified": "DATE"},
        ],
        "concurrent_delete": false,
    });
    assert_eq!(masked(&reply), expected);
    let head = call(single.http(), "HEAD", K, &[], b"");
    assert_eq!((head.status, head.header("henge-context")), (300, None));
}

#[test]
fn a_put_with_their_context_leaves_one_value() {
    let single = two_values();
    let context = get(single.http(), K).context();
    assert_eq!(put_over(single.http(), K, &context, "three").status, 204);
    let read = get(single.http(), K);
    assert_eq!((read.status, read.text()), (200, "three"));
}

#[test]
fn siblings_come_in_parts_to_who_asks() {
    let single = two_values();
    let reply = call(single.http(), "GET", K, &[("Accept", "multipart/mixed")], b"");
    assert_eq!(reply.status, 300);
    let kind = reply.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
    assert!(!reply.context().is_empty());
    let text: String = reply.body.iter().copied().map(char::from).collect();
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{text}");
    assert_eq!((parts[0], parts[3]), ("", "--\r\n"));
    let (head, body) = parts[1].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "one\r\n");
    for line in [
        "\r\ncontent-type: text/plain",
        "\r\nhenge-meta-owner: a",
        "\r\netag: \"",
        "\r\nlast-modified: ",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let (head, body) = parts[2].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/octet-stream"), "{head}");
    assert_eq!(body, "\u{ff}\0\r\n--two\r\n");
    let either = call(single.http(), "GET", K, &[("Accept", "application/json, */*")], b"");
    assert_eq!(either.header("content-type"), Some("application/json"));
}

#[test]
fn the_sixty_fifth_blind_put_is_refused() {
    let single = Single::start();
    for number in 0..64 {
        assert_eq!(put(single.http(), K, number.to_string()).status, 204);
    }
    let body = put(single.http(), K, "one too many").problem(409, "too_many_siblings");
    assert_eq!(
        (&body["versions"], &body["versions_max"], &body["fate"]),
        (&json!(64), &json!(64), &json!("not_applied"))
    );
    let read = get(single.http(), K);
    assert_eq!(read.json()["siblings"].as_array().unwrap().len(), 64);
    assert_eq!(put_over(single.http(), K, &read.context(), "one").status, 204);
    assert_eq!(get(single.http(), K).text(), "one");
}
