//! What holds for every request: paths, methods, hosts, the form of errors.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    http::{Connection, call, get, put, request},
    node::Single,
};

#[test]
fn a_node_on_its_own_is_live_and_ready() {
    let single = Single::start();
    let health = get(single.http(), "/health");
    assert_eq!((health.status, health.json()), (200, json!({"status": "live"})));
    let ready = get(single.http(), "/ready");
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ready"})));
    let head = call(single.http(), "HEAD", "/health", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    get(single.http(), "/health?x=1").refuses("x");
}

#[test]
fn an_unknown_path_is_a_problem() {
    let single = Single::start();
    let expected = json!({
        "type": "https://henge.dev/problems/unknown_path",
        "title": "Unknown path",
        "status": 404,
        "detail": "nothing is served here; '/' inside a key or bucket is written %2F",
        "code": "unknown_path",
        "fate": "not_applied",
    });
    for path in
        ["/", "/v1/kv", "/v1/kv/b/k/x", "/v2/kv/b/k", "//v1/kv/b/k", "/health/", "/%68ealth"]
    {
        let reply = get(single.http(), path);
        reply.problem(404, "unknown_path");
        assert_eq!(reply.json(), expected, "{path}");
    }
}

#[test]
fn a_wrong_method_is_a_problem_that_names_the_right_ones() {
    let single = Single::start();
    for (method, path, allowed) in [
        ("POST", "/v1/kv/b/k", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/v1/kv/b/k", "GET, HEAD, PUT, DELETE"),
        ("OPTIONS", "/v1/kv/b/k", "GET, HEAD, PUT, DELETE"),
        ("BREW", "/v1/kv/b/k", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/v1/kv/b", "GET, HEAD"),
        ("POST", "/v1/buckets", "GET, HEAD"),
        ("DELETE", "/v1/buckets/b", "GET, HEAD, PUT"),
        ("PUT", "/v1/cluster", "GET, HEAD"),
        ("PUT", "/v1/cluster/ring", "GET, HEAD"),
        ("PUT", "/v1/admin/replica/b/k", "GET, HEAD"),
        ("POST", "/v1/admin/actors", "GET, HEAD"),
        ("PUT", "/v1/admin/anti-entropy", "GET, HEAD, POST"),
        ("DELETE", "/v1/admin/reap", "GET, HEAD, POST"),
        ("GET", "/v1/admin/faults", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("POST", "/ready", "GET, HEAD"),
    ] {
        let reply = call(single.http(), method, path, &[], b"");
        reply.problem(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn a_foreign_host_is_refused_on_loopback() {
    let single = Single::start();
    let ask = |head: &str| {
        let mut connection = Connection::open(single.http());
        connection.send(head.as_bytes());
        connection.receive(false)
    };
    for local in ["localhost", "LOCALHOST:1", "127.0.0.1:7480", "[::1]:7480"] {
        assert_eq!(ask(&format!("GET /health HTTP/1.1\r\nHost: {local}\r\n\r\n")).status, 200);
    }
    for foreign in ["example.org", "localhost.example.org:80", "10.0.0.1"] {
        for request in ["GET /v1/kv/b/k", "GET /nowhere", "DELETE /health"] {
            let reply = ask(&format!("{request} HTTP/1.1\r\nHost: {foreign}\r\n\r\n"));
            reply.problem(421, "misdirected_request");
        }
    }
    let absolute = "GET http://example.org/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    ask(absolute).problem(421, "misdirected_request");
    for bad in
        ["", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nHost: example.org\r\n"]
    {
        assert_eq!(ask(&format!("GET /health HTTP/1.1\r\n{bad}\r\n")).status, 400);
    }
    assert_eq!(ask("GET /health HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let single = Single::start();
    let mut ids: Vec<String> = Vec::new();
    let mut connection = Connection::open(single.http());
    for path in ["/health", "/nowhere", "/v1/kv/b/k", "/v1/kv/b/k?x=1", "/v1/cluster"] {
        for method in ["GET", "HEAD", "PATCH"] {
            let reply = connection.call(method, path, &[], b"");
            ids.push(reply.header("henge-request-id").unwrap().to_owned());
        }
    }
    ids.push(put(single.http(), "/v1/kv/b/k", "x").header("henge-request-id").unwrap().to_owned());
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_post_without_json_is_refused() {
    let single = Single::start();
    for headers in
        [&[][..], &[("Content-Type", "text/plain")], &[("Content-Type", "application/jsonx")]]
    {
        let reply = call(single.http(), "POST", "/v1/admin/faults", headers, br#"{"heal":true}"#);
        reply.problem(415, "unsupported_media_type");
    }
}

#[test]
fn requests_in_a_pipeline_are_answered_in_order() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    let head = " HTTP/1.1\r\nHost: localhost\r\n";
    connection.send(
        format!(
            "PUT /v1/kv/b/k{head}Content-Length: 1\r\n\r\nxGET /v1/kv/b/k{head}\r\nGET /nowhere{head}\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(connection.receive(false).status, 204);
    assert_eq!(connection.receive(false).text(), "x");
    connection.receive(false).problem(404, "unknown_path");
}

#[test]
fn connections_past_the_limit_wait_until_there_is_room() {
    let single = Single::start_with(|settings| settings.limits.connections_max = 16);
    let mut connections: Vec<Connection> = (0..16)
        .map(|_| {
            let mut connection = Connection::open(single.http());
            assert_eq!(connection.call("GET", "/health", &[], b"").status, 200);
            connection
        })
        .collect();
    let mut late = Connection::open(single.http());
    late.send(&request("GET", "/health", &[], b""));
    assert!(!late.hears_within(Duration::from_millis(500)));
    connections.clear();
    assert_eq!(late.receive(false).status, 200);
}
