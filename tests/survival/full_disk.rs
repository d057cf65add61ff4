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
/// What it leaves free for deletes.
const RESERVE: &str = "[storage]\nreserve_bytes = \"1MiB\"\n";

fn value(number: usize) -> String {
    format!("{number:08}").repeat(VALUE_BYTES / 8)
}

fn path(number: usize) -> String {
    format!("/v1/kv/full/k{number}")
}

/// Writes through every node in turn. A full disk alone makes nothing unavailable: two homes are
/// left, and the full one passes on what it is asked to write.
fn load(cluster: &Cluster) -> BTreeMap<usize, String> {
    let write = |number: usize| {
        let node = &cluster.nodes[number % 3];
        let response = node.put(path(number), &value(number)).send().unwrap();
        assert_eq!(response.status, 204, "{number} through {}: {response:?}", node.name);
        (number, value(number))
    };
    (0..WRITES).map(write).collect()
}

/// Waits until node b has been told that the disk of node a is so.
fn until_told(cluster: &Cluster, storage: &str) {
    until(PATIENCE, &format!("the disk of a is {storage}"), || {
        let told = cluster.nodes[1].get("/v1/cluster").send().ok()?.json();
        let member = told["members"].as_array()?.iter().find(|member| member["name"] == "a")?;
        (member["health"]["storage"] == storage).then(|| assert_eq!(member["liveness"], "up"))
    });
}

/// Deletes a key through node a, which has to write that down itself.
fn delete(cluster: &Cluster, number: usize) {
    let a = &cluster.nodes[0];
    let context = a.get(path(number)).send().unwrap().header("henge-context").unwrap().to_owned();
    let delete = a.delete(format!("{}?w=3", path(number))).header("henge-context", &context);
    let response = delete.send().unwrap();
    assert_eq!(response.status, 204, "{response:?}");
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
fn r10_a_full_disk_costs_no_write_takes_deletes_and_says_so() {
    let test = "full_disk::r10_a_full_disk_costs_no_write_takes_deletes_and_says_so";
    lab::with_own_mounts(test, || {
        let mut cluster = Cluster::planned(&Plan { more: RESERVE, ..Plan::default() });
        let data = cluster.tls_dir().with_file_name("a");
        std::fs::create_dir(&data).unwrap();
        lab::mount(&data, SMALL_MIB);
        cluster.start();
        let mut acknowledged = load(&cluster);
        until_told(&cluster, "full");
        // The node lives: it answers, also about what it could not take, and takes deletes.
        let a = &cluster.nodes[0];
        assert_eq!(a.get("/ready").send().unwrap().status, 200);
        delete(&cluster, 7);
        acknowledged.remove(&7);
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
        assert_eq!(cluster.nodes[0].get(path(7)).send().unwrap().status, 404);
        until_told(&cluster, "ok");
        let after = cluster.nodes[0].put("/v1/kv/full/after?w=3", "x");
        until(Duration::from_secs(10), "it takes writes again", || {
            (after.send().ok()?.status == 204).then_some(())
        });
    });
}
