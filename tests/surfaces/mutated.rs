//! Ten thousand requests that are random or went wrong on their way.

use std::{net::SocketAddr, thread};

use crate::support::{
    http::{Connection, get, put},
    node::Single,
};

const THREADS: u64 = 4;
const REQUESTS: u64 = 10_000;
const WITNESS: &str = "/v1/kv/witness/k";

/// What is mutated; none of them speaks of the witness.
const TEMPLATES: [&str; 8] = [
    "GET /v1/kv/b/k?r=1&timeout=100ms HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
    "PUT /v1/kv/b/k?w=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nvalue",
    "PUT /v1/kv/b/%ff HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
     5\r\nvalue\r\n0\r\n\r\n",
    "PUT /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nHenge-Meta-A: 1\r\n\
     Henge-Write-Id: 123e4567-e89b-12d3-a456-426614174000\r\nContent-Length: 1\r\n\r\nx",
    "DELETE /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nHenge-Context: AAAA\r\n\r\n",
    "PUT /v1/buckets/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{\"r\": null}",
    "GET /v1/cluster/ring?bucket=b&key=k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
];

/// A sequence that only its seed decides (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn template(&mut self) -> Vec<u8> {
        TEMPLATES[self.below(TEMPLATES.len())].into()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let (from, to) = (self.below(bytes.len()), self.below(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        match self.below(6) {
            0 => bytes[from] = self.bytes(1)[0],
            1 => drop(bytes.drain(from..to.min(from + 8))),
            2 => {
                let copy = bytes[from..to].to_vec();
                bytes.splice(to..to, copy);
            }
            3 => {
                let count = self.below(8);
                let noise = self.bytes(count);
                bytes.splice(from..from, noise);
            }
            4 => bytes.truncate(from.max(1)),
            _ => bytes.extend(self.template()),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }

    fn request(&mut self) -> Vec<u8> {
        if self.below(10) == 0 {
            let count = 1 + self.below(300);
            return self.bytes(count);
        }
        let mut bytes = self.template();
        for _ in 0..=self.below(4) {
            self.mutate(&mut bytes);
        }
        bytes
    }
}

/// Sends it and reads every answer; each must be one of ours.
fn exchange(to: SocketAddr, bytes: &[u8]) {
    let mut connection = Connection::open(to);
    connection.try_send(bytes);
    connection.finish();
    let mut answers = 0;
    while !connection.is_closed() {
        let reply = connection.receive(false);
        if reply.status == 100 {
            continue;
        }
        answers += 1;
        let shown = || format!("{:?} -> {reply:?}", String::from_utf8_lossy(bytes));
        assert!(reply.header("henge-request-id").is_some(), "{}", shown());
        if reply.status >= 400 {
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json"),
                "{}",
                shown()
            );
            assert!(reply.json()["code"].is_string(), "{}", shown());
        }
    }
    let is_empty = bytes.iter().all(|byte| b"\r\n".contains(byte));
    assert!(answers > 0 || is_empty, "no answer to {:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn whatever_comes_is_answered_and_the_node_goes_on() {
    let single = Single::start();
    assert_eq!(put(single.http(), WITNESS, "x").status, 204);
    let record = "/v1/admin/replica/witness/k";
    let before = get(single.http(), record).json();
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let to = single.http();
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..REQUESTS / THREADS {
                    exchange(to, &random.request());
                }
            });
        }
    });
    assert_eq!(get(single.http(), record).json(), before);
    assert_eq!(get(single.http(), WITNESS).text(), "x");
    assert_eq!(put(single.http(), "/v1/kv/after/k", "x").status, 204);
}
