//! R10: the disk of one node is full, under load; then it has room again.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    lab,
    processes::{Cluster, PATIENCE, Plan, until},
};

/// What the disk of node a has room for, at first and later.
const SMALL_MIB: u32 = 8;
const LARGE_MIB: u32 = 256;
/// Writes, each of 64 KiB: twice what fits.
const WRITES: usize = 256;
const VALUE_BYTES: usize = 64 << 10;
/// How a write may fail. A full disk alone makes nothing unavailable: two homes are left.
const CODES: [&str; 1] = ["storage_full"];

fn value(number: usize) -> String {
    format!("{number:08}").repeat(VALUE_BYTES / 8)
}

fn path(number: usize) -> String {
    format!("/v1/kv/full/k{number}")
}

/// Writes through every node in turn; what was acknowledged.
fn load(cluster: &Cluster) -> BTreeMap<usize, String> {
    let mut acknowledged = BTreeMap::new();
    let mut refused = BTreeMap::<String, usize>::new();
    for number in 0..WRITES {
        let node = &cluster.nodes[number % 3];
        let response = node.put(path(number), &value(number)).send().unwrap();
        if response.status == 204 {
            acknowledged.insert(number, value(number));
            continue;
        }
        let code = response.json()["code"].as_str().unwrap_or("none").to_owned();
        assert!(CODES.contains(&code.as_str()), "{number} through {}: {response:?}", node.name);
        *refused.entry(format!("{code} through {}", node.name)).or_default() += 1;
    }
    println!("{} of {WRITES} acknowledged, refused: {refused:?}", acknowledged.len());
    acknowledged
}

/// Every acknowledged value, read through `node` from all three homes.
fn assert_all_there(cluster: &Cluster, node: usize, acknowledged: &BTreeMap<usize, String>) {
    for (number, value) in acknowledged {
        let path = format!("{}?r=3", path(*number));
        until(PATIENCE, &format!("{path} at all homes"), || {
            let response = cluster.nodes[node].get(&path).send().ok()?;
            (response.status == 200).then(|| assert!(response.body == *value, "{path}"))
        });
    }
}

#[test]
fn r10_a_full_disk_loses_no_write_and_says_what_it_refuses() {
    let test = "full_disk::r10_a_full_disk_loses_no_write_and_says_what_it_refuses";
    lab::with_own_mounts(test, || {
        let mut cluster = Cluster::planned(&Plan::default());
        let data = cluster.tls_dir().with_file_name("a");
        std::fs::create_dir(&data).unwrap();
        lab::mount(&data, SMALL_MIB);
        cluster.start();
        let acknowledged = load(&cluster);
        // Two homes are enough for most writes, wherever they are sent.
        assert!(acknowledged.len() > WRITES / 2, "{} were acknowledged", acknowledged.len());
        // The node lives: it answers, also about what it could not take.
        let a = &cluster.nodes[0];
        assert_eq!(a.get("/health").send().unwrap().status, 200);
        for (number, value) in acknowledged.iter().take(5).chain(acknowledged.iter().rev().take(5))
        {
            let response = a.get(path(*number)).send().unwrap();
            assert!(response.status == 200 && response.body == *value, "{response:?}");
        }
        // It starts on its full disk, too.
        cluster.nodes[0].kill();
        cluster.nodes[0].start();
        lab::resize(&data, LARGE_MIB);
        cluster.wait_ready();
        assert_all_there(&cluster, 0, &acknowledged);
        let after = cluster.nodes[0].put("/v1/kv/full/after?w=3", "x");
        until(Duration::from_secs(10), "it takes writes again", || {
            (after.send().ok()?.status == 204).then_some(())
        });
    });
}
