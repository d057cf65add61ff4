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

use henge::{Client, ClientTls, Context, Got, PutOptions, ReadOptions, Store as _};
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

/// How long the long run takes, unless the environment says otherwise.
const LONG_RUN: Duration = Duration::from_mins(10);

/// How often a writer puts each of its keys before it reads it.
#[derive(Clone, Copy, PartialEq)]
enum Writes {
    Once,
    /// The second put has seen the first, so it is what is left.
    Twice,
}

/// Writers that put, and read what they have put. They need a thread of their own: a test blocks its
/// while it waits for a node.
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

impl Ledger {
    async fn timed<T>(&mut self, request: impl Future<Output = Result<T, String>>) -> Option<T> {
        let began = Instant::now();
        let outcome = request.await;
        self.longest = self.longest.max(began.elapsed());
        outcome.map_err(|failed| self.failed.push(failed)).ok()
    }

    async fn write_and_read(&mut self, client: &Client, id: &str, writes: Writes) {
        let mut seen = Some(Context::default());
        if writes == Writes::Twice {
            seen = self.timed(put(client, id, "first", Context::default())).await;
        }
        if let Some(seen) = seen
            && self.timed(put(client, id, id, seen)).await.is_some()
        {
            self.acknowledged.push(id.to_owned());
        }
        self.timed(read(client, id)).await;
    }
}

async fn put(client: &Client, id: &str, value: &str, seen: Context) -> Result<Context, String> {
    let put = client.put(&key(id), text(value), PutOptions::default().context(seen)).await;
    put.map(|written| written.context.clone()).map_err(|error| format!("put {id}: {error}"))
}

async fn read(client: &Client, id: &str) -> Result<(), String> {
    let got = client.get(&key(id), ReadOptions::default()).await;
    let values = got.map_err(|error| format!("get {id}: {error}"))?.body.into_values();
    if values == [text(id)] { Ok(()) } else { Err(format!("get {id}: {values:?}")) }
}

impl Load {
    fn start(client: &Client, name: &'static str, writes: Writes) -> Self {
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
                    ledger.write_and_read(&client, &id, writes).await;
                    done.fetch_add(if writes == Writes::Twice { 3 } else { 2 }, Relaxed);
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
        let requests = self.done.load(Relaxed);
        let (mut all, mut longest) = (Vec::new(), Duration::ZERO);
        for task in self.tasks {
            let ledger = task.await.unwrap();
            assert!(ledger.failed.is_empty(), "{:#?}", ledger.failed);
            longest = longest.max(ledger.longest);
            all.extend(ledger.acknowledged);
        }
        println!("{requests} requests, {} keys, longest {longest:?}", all.len());
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

/// The node is away for so many requests.
async fn kill_and_restart(cluster: &mut Cluster, victim: usize, load: &Load, requests: u64) {
    cluster.nodes[victim].kill();
    load.wait_for(requests).await;
    cluster.nodes[victim].start();
    cluster.nodes[victim].wait_ready();
    let others: Vec<usize> = (0..3).filter(|other| *other != victim).collect();
    cluster.wait_judged(&others, victim, "up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_node_killed_and_restarted_in_turn_fails_no_request() {
    let mut cluster = Cluster::started(&Plan::default());
    let client = connect(&cluster).await;
    let load = Load::start(&client, "turn", Writes::Once);
    for victim in 0..3 {
        load.wait_for(200).await;
        kill_and_restart(&mut cluster, victim, &load, 400).await;
    }
    load.wait_for(200).await;
    let acknowledged = load.end().await;
    check(&client, &acknowledged).await;
}

/// Prints its figures; `HENGE_TEST_SECONDS` makes it shorter or longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "ten minutes: cargo test --release --test native -- --ignored --nocapture ten_minutes"]
async fn ten_minutes_of_kills_lose_and_repeat_no_write() {
    let seconds = std::env::var("HENGE_TEST_SECONDS").ok();
    let run = seconds.map_or(LONG_RUN, |text| Duration::from_secs(text.parse().unwrap()));
    let mut cluster = Cluster::started(&Plan::default());
    let client = connect(&cluster).await;
    let load = Load::start(&client, "long", Writes::Twice);
    let (began, mut kills) = (Instant::now(), 0);
    while began.elapsed() < run {
        load.wait_for(2000).await;
        kill_and_restart(&mut cluster, kills % 3, &load, 2000).await;
        kills += 1;
    }
    let rate = load.done.load(Relaxed) / began.elapsed().as_secs();
    println!("{kills} kills in {:.0?}, {rate} requests/s", began.elapsed());
    let acknowledged = load.end().await;
    check(&client, &acknowledged).await;
    assert!(rate >= 500, "{rate}");
}

/// When it wakes up it finds puts that were repeated elsewhere meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_stands_still_fails_no_request() {
    let mut cluster = Cluster::started(&Plan { shards: 2, ..Plan::default() });
    let client = connect(&cluster).await;
    let load = Load::start(&client, "still", Writes::Once);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_stops_in_order_is_seen_by_no_request() {
    let mut cluster = Cluster::started(&Plan::default());
    let client = connect(&cluster).await;
    let load = Load::start(&client, "order", Writes::Once);
    load.wait_for(200).await;
    cluster.nodes[0].signal("TERM");
    cluster.nodes[0].wait_end(PATIENCE);
    load.wait_for(400).await;
    let acknowledged = load.end().await;
    check(&client, &acknowledged).await;
}
