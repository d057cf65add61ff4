//! Bodies: how long, how framed, how patiently awaited.

use std::time::Instant;

use serde_json::json;

use crate::support::{
    http::{Connection, get, put, request},
    node::{PATIENCE, Single, eventually, until},
};

const K: &str = "/v1/kv/b/k";
const MEBIBYTE: usize = 1 << 20;
const CHUNKED: &str =
    "PUT /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn the_greatest_value_is_taken_and_one_byte_more_is_not() {
    let single = Single::start();
    let mut value = vec![7; MEBIBYTE];
    assert_eq!(put(single.http(), K, &value).status, 204);
    assert_eq!(get(single.http(), K).body, value);
    let before = get(single.http(), "/v1/admin/replica/b/k").json();
    value.push(7);
    let body = put(single.http(), K, &value).problem(413, "too_large");
    assert_eq!(body["size"], MEBIBYTE + 1);
    assert_eq!((&body["max"], &body["fate"]), (&json!(MEBIBYTE), &json!("not_applied")));
    assert_eq!(get(single.http(), "/v1/admin/replica/b/k").json(), before);
}

#[test]
fn a_length_that_is_too_great_is_refused_before_the_body_comes() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    connection
        .send(b"PUT /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n");
    let body = connection.receive(false).problem(413, "too_large");
    assert_eq!(body["size"], 9_999_999_999_u64);
    assert!(connection.is_closed());
    get(single.http(), K).problem(404, "not_found");
}

#[test]
fn a_chunked_value_is_taken_whole() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    connection.send(CHUNKED.as_bytes());
    for piece in [&b"one "[..], b"two ", &vec![b'x'; 100_000]] {
        connection.send(&chunk(piece));
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.receive(false).status, 204);
    let read = connection.call("GET", K, &[], b"");
    assert_eq!((read.body.len(), read.body.starts_with(b"one two x")), (100_008, true));
}

#[test]
fn a_chunked_body_without_end_is_refused_at_the_limit_and_cut_off() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    connection.send(CHUNKED.as_bytes());
    let piece = chunk(&vec![b'x'; 64 * 1024]);
    let began = Instant::now();
    while connection.try_send(&piece) {
        assert!(began.elapsed() < PATIENCE, "it is still read");
    }
    get(single.http(), K).problem(404, "not_found");
}

#[test]
fn a_chunked_value_past_the_limit_is_refused() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    connection.send(CHUNKED.as_bytes());
    for _ in 0..17 {
        connection.send(&chunk(&vec![b'x'; 64 * 1024]));
    }
    let body = connection.receive(false).problem(413, "too_large");
    assert!(body["size"].as_u64().unwrap() > MEBIBYTE as u64, "{body}");
    assert_eq!(body["max"], MEBIBYTE);
    assert!(connection.is_closed());
    get(single.http(), K).problem(404, "not_found");
}

#[test]
fn a_body_that_nobody_reads_does_not_hold_the_connection() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    connection.send(
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    );
    assert_eq!(connection.receive(false).status, 200);
    assert!(connection.is_closed());
}

#[test]
fn half_a_body_changes_nothing() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    let whole = request("PUT", K, &[], &[b'x'; 1000]);
    connection.send(&whole[..whole.len() - 1]);
    drop(connection);
    let mut connection = Connection::open(single.http());
    connection.send(CHUNKED.as_bytes());
    connection.send(b"3\r\nabc\r\nnot a length\r\n");
    let reply = connection.receive(false);
    assert_eq!(reply.status, 400, "{reply:?}");
    get(single.http(), K).problem(404, "not_found");
}

#[test]
fn a_bucket_can_have_a_limit_of_its_own() {
    let single = Single::start();
    put(single.http(), "/v1/buckets/small", r#"{"value_bytes_max": "10B"}"#);
    assert_eq!(put(single.http(), "/v1/kv/small/k", "0123456789").status, 204);
    let body = put(single.http(), "/v1/kv/small/k", "0123456789x").problem(413, "too_large");
    assert_eq!((&body["size"], &body["max"]), (&json!(11), &json!(10)));
    assert_eq!(get(single.http(), "/v1/kv/small/k").text(), "0123456789");
}

#[test]
fn bodies_are_let_in_only_as_far_as_there_is_room() {
    let single = Single::start_with(|settings| {
        settings.limits.request_bytes_in_flight_max = 4 << 20;
    });
    let waiting: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(single.http());
            // The head says how much room is kept for the body; it never comes.
            connection.send(b"PUT /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n");
            connection.await_continue();
            connection
        })
        .collect();
    let refused = until("there is no room", || {
        let reply = put(single.http(), K, "x");
        (reply.status == 503).then_some(reply)
    });
    let body = refused.problem(503, "overloaded");
    assert_eq!((&body["fate"], refused.header("retry-after")), (&json!("not_applied"), Some("1")));
    drop(waiting);
    eventually("there is room again", || put(single.http(), K, "x").status == 204);
}

#[test]
fn a_head_without_end_is_refused() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n");
    let line = format!("X-Filler: {}\r\n", "x".repeat(8000));
    while connection.try_send(line.as_bytes()) {}
    assert_eq!(get(single.http(), "/health").status, 200);
}
