//! One of three gone, in three ways; two of three gone.

use std::time::{Duration, Instant};

use crate::{
    processes::{Cluster, PATIENCE, Plan, expect, until},
    requests::Request,
};

/// The request timeout: the most that a request may wait while nobody knows of the failure.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Once the failure is known: the hedge bound of 200 ms, and what a busy machine adds.
const KNOWN: Duration = Duration::from_millis(700);

#[test]
fn a_killed_node_is_not_missed_and_serves_again_once_restarted() {
    outage(|cluster| cluster.nodes[2].kill(), |cluster| cluster.nodes[2].start());
}

#[test]
fn a_stopped_node_is_not_missed_and_serves_again_once_continued() {
    outage(|cluster| cluster.nodes[2].signal("STOP"), |cluster| cluster.nodes[2].signal("CONT"));
}

#[test]
fn a_node_that_is_cut_off_is_not_missed_and_serves_again_once_healed() {
    outage(|cluster| cluster.nodes[2].cut(&["a", "b"]), |cluster| cluster.nodes[2].heal());
}

fn outage(fail: impl FnOnce(&mut Cluster), mend: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster::started(&Plan::default());
    expect(&cluster.nodes[2].put("/v1/kv/outage/before", "x"), 204);
    fail(&mut cluster);
    let unknown = worst(&cluster, "unknown", 20);
    assert!(unknown < TIMEOUT, "{unknown:?} before the failure was known");
    let began = Instant::now();
    cluster.wait_judged(&[0, 1], 2, "down");
    let noticed = began.elapsed();
    let known = worst(&cluster, "known", 60);
    assert!(known < KNOWN, "{known:?} although the failure was known");

    let began = Instant::now();
    mend(&mut cluster);
    cluster.wait_judged(&[0, 1], 2, "up");
    cluster.wait_judged(&[2], 0, "up");
    cluster.wait_judged(&[2], 1, "up");
    let returned = &cluster.nodes[2];
    expect_soon(&returned.get("/v1/kv/outage/known-0?r=3"), 200, "known-0");
    expect_soon(&returned.put("/v1/kv/outage/after?w=3", "after"), 204, "");
    println!(
        "worst while unknown {unknown:?}, known after {noticed:?} more, worst then {known:?}, \
         back after {:?}",
        began.elapsed()
    );
}

/// The longest of `count` puts and gets with r = w = 2 through the two others, all of which succeed.
#[track_caller]
fn worst(cluster: &Cluster, name: &str, count: usize) -> Duration {
    let mut worst = Duration::ZERO;
    for number in 0..count {
        let (writer, reader) = (&cluster.nodes[number % 2], &cluster.nodes[(number + 1) % 2]);
        let value = format!("{name}-{number}");
        let path = format!("/v1/kv/outage/{value}");
        let began = Instant::now();
        expect(&writer.put(&*path, &value), 204);
        let written = began.elapsed();
        assert_eq!(expect(&reader.get(&*path), 200).body, value);
        worst = worst.max(written).max(began.elapsed().saturating_sub(written));
    }
    worst
}

/// Links come back a moment after membership says so.
#[track_caller]
fn expect_soon(request: &Request, status: u16, body: &str) {
    until(PATIENCE, &format!("{status} for {request:?}"), || {
        let response = request.send().unwrap();
        (response.status == status).then(|| assert_eq!(response.body, body))
    });
}

#[test]
fn with_two_of_three_gone_a_quorum_is_refused_with_its_numbers_and_one_still_reads() {
    let mut cluster = Cluster::started(&Plan::default());
    expect(&cluster.nodes[0].put("/v1/kv/outage/key?w=3", "x"), 204);
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    cluster.wait_judged(&[0], 1, "down");
    cluster.wait_judged(&[0], 2, "down");
    let alone = &cluster.nodes[0];
    for request in [alone.get("/v1/kv/outage/key"), alone.put("/v1/kv/outage/key", "y")] {
        let began = Instant::now();
        let problem = expect(&request, 503);
        assert!(began.elapsed() < KNOWN, "it is known already: {:?}", began.elapsed());
        let json = problem.json();
        assert_eq!(json["code"], "quorum_not_met", "{json}");
        assert_eq!((&json["needed"], &json["homes_down"]), (&2.into(), &2.into()), "{json}");
        assert!(json["got"].as_u64().is_some_and(|got| got < 2), "{json}");
        assert_eq!(json["fate"], "not_applied", "{json}");
    }
    assert_eq!(expect(&alone.get("/v1/kv/outage/key?r=1"), 200).body, "x");
    expect(&alone.put("/v1/kv/outage/other?w=1", "y"), 204);
}
