//! Nodes killed and restarted under a client: with R = W = 2 of three no request fails, what was
//! acknowledged stays, and nothing is there twice.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use henge::{Client, ClientTls, Got, PutOptions, ReadOptions, Store as _};
use tokio::task::JoinHandle;

use crate::{
    key,
    processes::{Cluster, PATIENCE, Plan, ServeNode},
    text,
};

/// Within its timeout and the client's grace a request ends, however the nodes fall.
const FAILOVER: Duration = Duration::from_millis(2_250);

/// Where a node takes clients, as its file says.
pub fn address_of(node: &ServeNode) -> String {
    let text = fs::read_to_string(&node.config).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("listen = \"")).unwrap();
    line.trim_end_matches('"').to_owned()
}

/// The certificates of a node's cluster.
pub fn tls_of(node: &ServeNode) -> PathBuf {
    node.config.parent().unwrap().join("tls")
}

async fn connect(cluster: &Cluster) -> Client {
    let tls = ClientTls::from_dir(tls_of(&cluster.nodes[0])).unwrap();
    Client::connect(cluster.nodes.iter().map(address_of), tls).await.unwrap()
}

/// Writers that put, and read what they have put.
struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Ledger>>,
}

/// What one writer saw.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<String>,
    failed: Vec<String>,
    longest: Duration,
}

impl Load {
    fn start(client: &Client, name: &'static str) -> Self {
        let (done, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let writer = |number: u64| {
            let (client, done, stop) = (client.clone(), Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut ledger = Ledger::default();
                for round in 0.. {
                    if stop.load(Relaxed) {
                        break;
                    }
                    let id = format!("{name}-{number}-{round}");
                    let began = Instant::now();
                    match client.put(&key(&id), text(&id), PutOptions::default()).await {
                        Ok(_) => ledger.acknowledged.push(id.clone()),
                        Err(error) => ledger.failed.push(format!("put {id}: {error}")),
                    }
                    ledger.longest = ledger.longest.max(began.elapsed());
                    let began = Instant::now();
                    if let Err(error) = client.get(&key(&id), ReadOptions::default()).await {
                        ledger.failed.push(format!("get {id}: {error}"));
                    }
                    ledger.longest = ledger.longest.max(began.elapsed());
                    done.fetch_add(2, Relaxed);
                }
                ledger
            })
        };
        let tasks = (0..8).map(writer).collect();
        Self { done, stop, tasks }
    }

    /// Waits until so many more requests have ended.
    async fn wait_for(&self, more: u64) {
        let (target, began) = (self.done.load(Relaxed) + more, Instant::now());
        while self.done.load(Relaxed) < target {
            assert!(began.elapsed() < PATIENCE, "requests go on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What was acknowledged; fails if a request did, or took too long.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Relaxed);
        let (mut all, mut longest) = (Vec::new(), Duration::ZERO);
        for task in self.tasks {
            let ledger = task.await.unwrap();
            assert!(ledger.failed.is_empty(), "{:#?}", ledger.failed);
            longest = longest.max(ledger.longest);
            all.extend(ledger.acknowledged);
        }
        println!("{} acknowledged puts, longest request {longest:?}", all.len());
        assert!(longest < FAILOVER, "{longest:?}");
        all
    }
}

/// Every acknowledged write is there, once.
async fn check(client: &Client, acknowledged: &[String]) {
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    for id in acknowledged {
        let got = client.get(&key(id), ReadOptions::default()).await.unwrap().body;
        assert!(matches!(got, Got::Value { .. }), "{id}: {got:?}");
        assert_eq!(got.into_values(), [text(id)]);
    }
}

#[tokio::test]
async fn each_node_killed_and_restarted_in_turn_fails_no_request() {
    let mut cluster = Cluster::started(&Plan::default());
    let client = connect(&cluster).await;
    let load = Load::start(&client, "turn");
    for victim in 0..3 {
        load.wait_for(200).await;
        cluster.nodes[victim].kill();
        load.wait_for(400).await;
        cluster.nodes[victim].start();
        cluster.nodes[victim].wait_ready();
        let others: Vec<usize> = (0..3).filter(|other| *other != victim).collect();
        cluster.wait_judged(&others, victim, "up");
    }
    load.wait_for(200).await;
    let acknowledged = load.end().await;
    check(&client, &acknowledged).await;
}

#[tokio::test]
async fn a_node_that_stands_still_fails_no_request() {
    let mut cluster = Cluster::started(&Plan { shards: 2, ..Plan::default() });
    let client = connect(&cluster).await;
    let load = Load::start(&client, "still");
    load.wait_for(200).await;
    cluster.nodes[1].signal("STOP");
    load.wait_for(400).await;
    cluster.nodes[1].signal("CONT");
    load.wait_for(200).await;
    let acknowledged = load.end().await;
    check(&client, &acknowledged).await;
    cluster.nodes[1].signal("TERM");
    cluster.nodes[1].wait_end(PATIENCE);
}

#[tokio::test]
async fn a_node_that_stops_in_order_is_seen_by_no_request() {
    let mut cluster = Cluster::started(&Plan::default());
    let client = connect(&cluster).await;
    let load = Load::start(&client, "order");
    load.wait_for(200).await;
    cluster.nodes[0].signal("TERM");
    cluster.nodes[0].wait_end(PATIENCE);
    load.wait_for(400).await;
    let acknowledged = load.end().await;
    check(&client, &acknowledged).await;
}
