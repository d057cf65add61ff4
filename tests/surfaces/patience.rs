//! Clients that are slow, idle, or do not read.

use std::time::{Duration, Instant};

use crate::support::{
    http::{Connection, get, put, request},
    node::{PATIENCE, Single},
};

const K: &str = "/v1/kv/b/k";
const MEBIBYTE: usize = 1 << 20;

#[test]
fn a_body_has_the_time_of_its_request() {
    let single = Single::start();
    let framings =
        ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"];
    for rest in framings {
        let mut connection = Connection::open(single.http());
        let began = Instant::now();
        let line = format!("PUT {K}?timeout=300ms HTTP/1.1\r\nHost: localhost\r\n");
        connection.send(format!("{line}{rest}").as_bytes());
        let reply = connection.receive(false);
        let body = reply.problem(408, "request_timeout");
        assert_eq!((&body["fate"], &body["after_ms"]), (&"not_applied".into(), &300.into()));
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    get(single.http(), K).problem(404, "not_found");
}

#[test]
fn a_head_has_five_seconds() {
    let single = Single::start();
    let mut silent = Connection::open(single.http());
    let mut slow = Connection::open(single.http());
    slow.send(b"GET /health HTTP/1.1\r\nHost:");
    let mut blank = Connection::open(single.http());
    blank.send(b"\r\n\r\n");
    let mut second = Connection::open(single.http());
    assert_eq!(second.call("GET", "/health", &[], b"").status, 200);
    second.send(b"GET /health HTTP/1.1\r\nHost:");
    let mut used = Connection::open(single.http());
    assert_eq!(used.call("GET", "/health", &[], b"").status, 200);
    used.send(b"\r\n\r\n");
    for connection in [&mut silent, &mut slow, &mut blank, &mut second, &mut used] {
        let reply = connection.receive(false);
        assert_eq!(reply.problem(408, "request_timeout")["after_ms"], 5000);
        assert_eq!(reply.header("connection"), Some("close"));
        connection.finish();
        assert!(connection.is_closed());
    }
}

#[test]
fn a_short_body_that_nobody_wants_leaves_its_connection_open() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    for target in [format!("{K}?w=9"), "/nowhere".to_owned(), "/v1/kv/b".to_owned()] {
        let whole = request("PUT", &target, &[], &[b'x'; 10_000]);
        let (head, tail) = whole.split_at(whole.len() - 5000);
        connection.send(head);
        connection.send(tail);
        let reply = connection.receive(false);
        assert!((400..500).contains(&reply.status), "{reply:?}");
        assert_eq!(reply.header("connection"), None, "{reply:?}");
    }
    assert_eq!(connection.call("GET", "/health", &[], b"").status, 200);
}

#[test]
fn a_client_that_reads_slowly_gets_everything_and_hinders_nobody() {
    let single = Single::start();
    let value: Vec<u8> = (0..MEBIBYTE).map(|at| at.to_le_bytes()[0]).collect();
    assert_eq!(put(single.http(), K, &value).status, 204);
    let mut slow = Connection::open(single.http());
    let gets = 32;
    for _ in 0..gets {
        slow.send(&request("GET", K, &[], b""));
    }
    // Its answers fill every buffer on the way; all others are served as if it were not there.
    for number in 0..100 {
        let target = format!("/v1/kv/b/other-{number}");
        assert_eq!(put(single.http(), &target, "x").status, 204);
        assert_eq!(get(single.http(), &target).text(), "x");
    }
    for _ in 0..gets {
        assert_eq!(slow.receive(false).body, value);
    }
    assert_eq!(slow.call("GET", "/health", &[], b"").status, 200);
}

#[test]
fn two_thousand_idle_connections_cost_nobody_anything() {
    // Both ends of all of them are open files of this process.
    let pid = std::process::id().to_string();
    let _ = std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=8192:"]).status();
    let single = Single::start_with(|settings| settings.limits.connections_max = 4096);
    let mut idle: Vec<Connection> = (0..2000)
        .map(|_| {
            let mut connection = Connection::open(single.http());
            assert_eq!(connection.call("GET", "/health", &[], b"").status, 200);
            connection
        })
        .collect();
    let began = Instant::now();
    for number in 0..100 {
        assert_eq!(put(single.http(), &format!("{K}{number}"), "x").status, 204);
    }
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    for connection in &mut idle {
        assert_eq!(connection.call("GET", "/v1/kv/b/k1", &[], b"").status, 200);
    }
}
