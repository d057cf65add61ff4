//! The end of a server.

use std::{net::TcpStream, time::Instant};

use crate::support::{
    http::{Connection, get, put, request},
    node::{PATIENCE, Single, TestNode, eventually, settings},
};

#[test]
fn a_request_in_flight_ends_and_idle_connections_are_closed() {
    let mut single = Single::start();
    let http = single.http();
    let mut idle = Connection::open(http);
    assert_eq!(idle.call("GET", "/health", &[], b"").status, 200);
    let mut busy = Connection::open(http);
    let whole = request("PUT", "/v1/kv/b/k", &[("Expect", "100-continue")], b"late");
    let (head, tail) = whole.split_at(whole.len() - 4);
    busy.send(head);
    busy.await_continue();
    single.node.ask_to_stop();
    assert!(idle.is_closed());
    eventually("the port is closed", || TcpStream::connect(http).is_err());
    busy.send(tail);
    assert_eq!(busy.receive(false).status, 204);
    assert!(busy.is_closed());
    let began = Instant::now();
    drop(single);
    assert!(began.elapsed() < PATIENCE / 2);
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&["solo"], dir.path()).remove(0);
    let start = || {
        let mut settings = settings.clone();
        settings.defaults.n = 1;
        (settings.defaults.r, settings.defaults.w) = (1, 1);
        TestNode::start(settings)
    };
    let node = start();
    let context = put(node.http, "/v1/kv/b/k", "x").context();
    node.stop();
    let node = start();
    let read = get(node.http, "/v1/kv/b/k");
    assert_eq!((read.text(), read.context()), ("x", context));
    node.stop();
}
