//! The bench measures what it says.

use serde_json::Value;

use crate::{at, feed, henge, support::node::Cluster};

/// Short enough for a test, long enough to count.
const QUICK: [&str; 6] = ["--seconds", "1", "--warmup", "0", "--keys", "20"];

fn count(figures: &Value, name: &str) -> u64 {
    figures[name].as_u64().unwrap()
}

#[test]
fn both_doors_are_measured_and_puts_make_no_siblings() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    let http: Vec<String> = (0..3).map(|place| cluster.http(place).to_string()).collect();
    let own = std::process::id().to_string();
    for via in ["native", "http"] {
        let mut bench = at(node);
        bench.args(["bench", "--json", "--clients", "3", "--via", via, "--pid", &own]).args(QUICK);
        bench.args(http.iter().flat_map(|address| ["--http", address]));
        let report = feed(bench, b"").ends(0).json();
        let (get, put) = (&report["get"], &report["put"]);
        assert!(count(get, "ops") > 20 && count(put, "ops") > 20, "{report}");
        assert_eq!(count(get, "ops") + count(put, "ops"), count(&report, "ops"), "{report}");
        for figures in [get, put] {
            let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|name| figures[name].as_f64());
            assert!(p50 > Some(0.0) && p50 <= p99 && p99 <= max, "{report}");
            assert_eq!(count(figures, "failed"), 0, "{report}");
        }
        // The nodes are in this process, which works more than nothing for so many requests.
        assert!(report["node_cpu_us_per_op"].as_f64() > Some(0.0), "{report}");
        assert_eq!(report["via"], via);
    }
    for number in 0..20 {
        henge(node, &["get", "bench", &format!("key-{number}"), "--r", "3"]).ends(0);
    }
}

#[test]
fn people_get_a_table_and_scripts_an_exit_code() {
    let mut cluster = Cluster::of_three();
    let table =
        henge(&cluster.nodes[0], &[&["bench", "--mix", "put"], &QUICK[..]].concat()).ends(0);
    let lines: Vec<&str> = table.text().lines().collect();
    assert!(
        lines[0].starts_with("put · native · 1 client · values of 1KiB · 20 keys · "),
        "{table:?}"
    );
    assert!(lines[1].contains("P99.9") && lines[2].starts_with("  put "), "{table:?}");
    assert!(lines[3].starts_with("CPU per operation: nodes "), "{table:?}");
    cluster.nodes.pop().unwrap().stop();
    cluster.nodes.pop().unwrap().stop();
    let alone = [&["bench", "--mix", "get", "--r", "1"], &QUICK[..]].concat();
    henge(&cluster.nodes[0], &alone).ends(0);
    // Two of three are gone: no put has its quorum, and the bench says how many and why.
    let refused = [&["bench", "--mix", "put", "--r", "1", "--json"], &QUICK[..]].concat();
    let report = henge(&cluster.nodes[0], &refused).ends(1).json();
    let put = &report["put"];
    assert_eq!((count(put, "ops"), count(put, "failed") > 0), (0, true), "{report}");
    assert!(
        put["failures"][0]["reason"].as_str().unwrap().contains("of 2 needed replicas"),
        "{report}"
    );
}

#[test]
fn a_bench_that_cannot_begin_says_why() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    henge(node, &["bench", "--keys", "2", "--clients", "3"]).fails(
        2,
        "each client has its own",
        "--keys 3",
    );
    henge(node, &["bench", "--bucket", ""]).fails(2, "bucket", "--bucket bench");
    let nobody = ["bench", "--via", "http", "--http", "127.0.0.1:1"];
    henge(node, &nobody).fails(6, "127.0.0.1:1", "henge status");
}
