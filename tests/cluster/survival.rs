//! A crash of all processes at once.

use crate::{
    load::{Load, path_of},
    processes::{Cluster, Plan, expect},
};

/// Each round under load, the second on logs that end in the middle of the first.
const ROUNDS: usize = 2;

#[test]
fn every_acknowledged_put_survives_a_kill_of_all_three_under_load() {
    let mut cluster = Cluster::started(&Plan::default());
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
        let load = Load::start(&format!("survival-{round}"), &addresses);
        load.wait_for(500);
        for node in &mut cluster.nodes {
            node.kill();
        }
        acknowledged.extend(load.end().acknowledged);
        cluster.start();
    }
    for (key, reader) in acknowledged.iter().zip(cluster.nodes.iter().cycle()) {
        let got = expect(&reader.get(path_of(key)), 200);
        assert_eq!(got.body, *key, "through {}", reader.name);
    }
    println!("{} acknowledged puts were all there", acknowledged.len());
}
