//! One seed, one run.

use std::{env, process::Command, time::Duration};

use henge_actors::transport::tls::Directory;

use super::{
    certified, ends,
    network::{Network, Weather},
    pair, pass, run_paused,
    station::ip,
    until,
};

/// Where the certificates of the run lie that another process repeats. Keys are of one length, but
/// each certificate has a serial number of its own, and that is not.
const REPEATED: &str = "HENGE_TEST_REPEATED_RUN";
const SEED: u64 = 7;

/// A run with loss, a cut, a restart and 200 questions; what crossed the network.
fn trace(cluster: &Directory, seed: u64) -> (u64, u64) {
    run_paused(async {
        let network = Network::new(seed, Weather::rough());
        let (a, b) = pair(cluster, &network).await;
        for question in 0..200 {
            a.ask("b", question, 700);
            pass(25).await;
            if question == 100 {
                network.cut(ip(1), ip(2));
                pass(7_000).await;
                network.heal();
                until(Duration::from_secs(5), || a.is_linked_to("b")).await;
            }
        }
        let b = ends::restart(cluster, &network, b, 2).await;
        until(Duration::from_secs(20), || a.is_linked_to("b") && a.waiting() == 0).await;
        drop(b);
        network.trace()
    })
}

#[test]
fn the_same_seed_sends_the_same_datagrams_at_the_same_times() {
    let cluster = certified(&["a", "b"]);
    let first = trace(&cluster, SEED);
    assert!(first.1 > 400, "{} datagrams", first.1);
    assert_eq!(first, trace(&cluster, SEED));
    assert_ne!(first, trace(&cluster, SEED + 1));
}

#[test]
fn another_process_sends_the_same_datagrams_at_the_same_times() {
    let cluster = certified(&["a", "b"]);
    let here = trace(&cluster, SEED);
    let there = Command::new(env::current_exe().unwrap())
        .args(["--exact", "memory::seeds::repeats_a_run", "--nocapture"])
        .env(REPEATED, cluster.dir.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&there.stdout);
    assert!(printed.contains(&format!("trace {here:?}")), "{here:?}, there {printed}");
}

/// The other process of the test above; by itself it has nothing to do.
#[test]
fn repeats_a_run() {
    if let Some(directory) = env::var_os(REPEATED) {
        let cluster = Directory::new(directory, "stones").unwrap();
        println!("trace {:?}", trace(&cluster, SEED));
    }
}
