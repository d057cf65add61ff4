//! Real QUIC over a network in memory, on paused time: a seed decides which datagrams are lost,
//! late, repeated or overtaken, the same every time.
//!
//! | file | what |
//! | --- | --- |
//! | `network` | the network |
//! | `station` | endpoints that ask each other questions and account for each |
//! | `seeds` | the same seed is the same run, in another process too |
//! | `storms` | questions under everything at once; loss; slow readers |
//! | `ends` | cuts, restarts, silence |
//! | `strangers` | who does not fit: versions and certificates |
//! | `cluster` | three whole nodes over it |

mod cluster;
mod ends;
mod network;
mod seeds;
mod station;
mod storms;
mod strangers;

use std::{rc::Rc, time::Duration};

use henge_actors::transport::tls::{Directory, Identity};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};

use self::{network::Network, station::Station};
use crate::support::{Cluster, name, now};

fn run_paused<T>(test: impl Future<Output = T>) -> T {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

fn certified(nodes: &[&str]) -> Cluster {
    let cluster = Cluster::new("stones");
    for node in nodes {
        cluster.identity(node);
    }
    cluster
}

fn identity(cluster: &Directory, node: &str) -> Identity {
    cluster.load_node(&name(node), now()).unwrap()
}

/// Stations a and b; a dials b and keeps the link up.
async fn pair(cluster: &Directory, network: &Network) -> (Rc<Station>, Rc<Station>) {
    let a = Station::bind(network, identity(cluster, "a"), "a", 1);
    let b = Station::bind(network, identity(cluster, "b"), "b", 2);
    a.keep_linked_to(&b);
    until(Duration::from_secs(30), || a.is_linked_to("b")).await;
    (a, b)
}

/// Waits until something is so; returns how long that took.
async fn until(bound: Duration, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < bound, "not within {bound:?}");
        sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

async fn pass(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}
