//! How a cluster comes to be.

use std::time::Instant;

use crate::processes::{Cluster, PROMPTLY, Plan, expect};

#[test]
fn three_processes_started_at_one_instant_make_their_certificates_and_serve_every_key() {
    serve_every_key(&Plan::default());
}

#[test]
fn two_shards_a_node_serve_every_key_too() {
    serve_every_key(&Plan { shards: 2, ..Plan::default() });
}

fn serve_every_key(plan: &Plan) {
    let began = Instant::now();
    let cluster = Cluster::started(plan);
    let took = began.elapsed();
    assert!(took < PROMPTLY, "{took:?}");
    println!("ready after {took:?}");
    for (number, writer) in cluster.nodes.iter().cycle().take(24).enumerate() {
        let path = format!("/v1/kv/forming/key-{number}");
        // Right after /ready, without a retry.
        expect(&writer.put(&*path, &format!("value {number}")), 204);
        for reader in &cluster.nodes {
            let read = expect(&reader.get(&*path), 200);
            assert_eq!(read.body, format!("value {number}"), "read through {}", reader.name);
        }
    }
}
