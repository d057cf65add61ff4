//! `cargo bench --bench survive`: what a partition costs, in figures, with five `henge serve`
//! processes on loopback and cuts at their sockets.
//!
//! ```sh
//! cargo bench --bench survive                                            # half a minute
//! cargo bench --bench survive -- --keys 1000000 --divergent 100000       # a quarter of an hour
//! ```
//!
//! 1. Halves of two and three nodes for 20 s (`--halves`): the share of puts that each side serves.
//! 2. Halves again: `--divergent` keys are written on one side, beside `--keys` that all have. Then
//!    the heal: the time until all replicas are equal, the bytes that nodes exchanged for it, and
//!    how long paced clients of other keys waited meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails as a test does")]
#![allow(clippy::disallowed_methods, reason = "it measures with the machine's own clock")]

#[path = "../support/processes.rs"]
#[allow(dead_code, reason = "each binary uses its part")]
mod processes;
#[path = "../support/requests.rs"]
#[allow(dead_code, reason = "each binary uses its part")]
mod requests;

use std::{
    collections::BTreeMap,
    env,
    rc::Rc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use henge::{Client, ClientTls, Key, PutOptions, ReadOptions, Store as _, Value};
use henge_kernel::key::PartitionCount;
use tokio::task::{LocalSet, spawn_local};

use processes::{Cluster, Plan, ServeNode, Site, expect, until};

const VALUE_BYTES: usize = 1024;
/// The first moments of a cut, in which nobody knows of it.
const FIRST: Duration = Duration::from_secs(5);
/// Within this everything is equal again, or the bench fails.
const EQUAL_WITHIN: Duration = Duration::from_mins(2);
/// Keys whose replicas are looked at one by one; of more a sample of so many.
const LOOKED_AT: usize = 1000;
/// Paced clients, and the time from one request of each to its next.
const PACED: (usize, Duration) = (8, Duration::from_millis(20));
/// How long they are measured while all is well.
const CALM: Duration = Duration::from_secs(10);
/// What nodes count: bytes of all that brings replicas together, those of records that exchanges
/// moved, and the keys.
const COUNTED: [&str; 3] = ["traffic_bytes", "bytes", "mended"];
/// The numbers of the nodes on each side.
const SIDES: [&[usize]; 2] = [&[0, 1], &[2, 3, 4]];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let number = |name: &str, default| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let (keys, divergent) = (number("--keys", 10_000), number("--divergent", 1_000));
    let halves = Duration::from_secs(number("--halves", 20) as u64);
    let sites: Vec<_> = (0..5).map(|_| Site::loopback(1)).collect();
    let mut cluster = Cluster::planned_at(&Plan::default(), &sites);
    cluster.start();
    println!("five nodes, n = 3, values of {VALUE_BYTES} bytes");
    serve_in_halves(&cluster, halves);
    let client = Native::connect(&cluster, &sites);
    client.fill(keys);
    wait_for_no_hints(&cluster);
    heal(&cluster, &client, keys, divergent);
}

fn cut(cluster: &Cluster) {
    for (side, other) in [(SIDES[0], SIDES[1]), (SIDES[1], SIDES[0])] {
        let others: Vec<_> = other.iter().map(|number| cluster.nodes[*number].name).collect();
        for number in side {
            cluster.nodes[*number].cut(&others);
        }
    }
}

/// Puts that were served, and those that were sent: in the first moments, and in all.
#[derive(Default)]
struct Share {
    first: [AtomicU64; 2],
    all: [AtomicU64; 2],
}

impl Share {
    fn note(&self, at: Duration, is_served: bool) {
        for [served, sent] in
            [Some(&self.all), (at < FIRST).then_some(&self.first)].into_iter().flatten()
        {
            served.fetch_add(u64::from(is_served), Ordering::Relaxed);
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn text([served, sent]: &[AtomicU64; 2]) -> String {
        let [served, sent] = [served, sent].map(|count| count.load(Ordering::Relaxed));
        format!("{:.3} % of {sent}", 100.0 * figure(served) / figure(sent.max(1)))
    }
}

fn serve_in_halves(cluster: &Cluster, span: Duration) {
    let shares = [Share::default(), Share::default()];
    cut(cluster);
    let began = Instant::now();
    thread::scope(|scope| {
        for (number, node) in cluster.nodes.iter().enumerate() {
            for (share, w) in shares.iter().zip(1..) {
                scope.spawn(move || {
                    put_for(span, began, node, share, &format!("{number}-{w}?w={w}"));
                });
            }
        }
    });
    cluster.nodes.iter().for_each(ServeNode::heal);
    for (share, w) in shares.iter().zip(1..) {
        let (all, first) = (Share::text(&share.all), Share::text(&share.first));
        println!("halves, puts with w={w} served: {all}; in the first {FIRST:?}: {first}");
    }
    wait_for_no_hints(cluster);
}

fn put_for(span: Duration, began: Instant, node: &ServeNode, share: &Share, name: &str) {
    for number in 0_u64.. {
        let at = began.elapsed();
        if at >= span {
            break;
        }
        let put = node.put(format!("/v1/kv/served/{number}-{name}"), "x").send();
        let is_served = put.as_ref().is_ok_and(|answer| answer.status == 204);
        if !is_served {
            println!("  {at:.1?} {}: {:?}", node.name, put.map(|answer| answer.body));
        }
        share.note(at, is_served);
    }
}

fn heal(cluster: &Cluster, client: &Native, keys: usize, divergent: usize) {
    let stop = AtomicBool::new(false);
    let calm = client.pace(|began| began.elapsed() >= CALM);
    cut(cluster);
    let names: Vec<String> = (0..divergent).map(|number| format!("divergent-{number}")).collect();
    write_on_one_side(cluster, &names);
    let before = COUNTED.map(|name| report(cluster, name));
    let (took, meanwhile) = thread::scope(|scope| {
        cluster.nodes.iter().for_each(ServeNode::heal);
        let healed = Instant::now();
        let paced = scope.spawn(|| client.pace(|_| stop.load(Ordering::Relaxed)));
        let took = wait_until_equal(cluster, &names, healed);
        stop.store(true, Ordering::Relaxed);
        (took, paced.join().unwrap())
    });
    let [moved, by_exchange, mended] =
        std::array::from_fn(|at| report(cluster, COUNTED[at]) - before[at]);
    let stay = sample(&names).all(|name| is_equal(cluster, name));
    assert!(stay, "they stay equal");
    let minimum = lacking_bytes(cluster, &names);
    println!(
        "heal with {divergent} divergent keys beside {keys}: all replicas equal after {took:.1?}"
    );
    println!(
        "  bytes between nodes: {moved}, {:.2} times the {minimum} that homes lacked; {mended} times \
         anti-entropy mended a key, with {by_exchange} bytes; the others came as hints",
        figure(moved) / figure(minimum),
    );
    let [calm, meanwhile] = [calm, meanwhile].map(quantiles);
    println!(
        "  clients' p50 and p99 before: {:.2?}, {:.2?}; during the {:.1?} of repair: {:.2?}, {:.2?}: \
         p99 {:.2} times",
        calm[0],
        calm[1],
        took,
        meanwhile[0],
        meanwhile[1],
        meanwhile[1].as_secs_f64() / calm[1].as_secs_f64(),
    );
    let trees = cluster.nodes.iter().map(|node| anti_entropy(node)["tree_bytes"].as_u64().unwrap());
    println!("  memory of the trees, per node: {:?} bytes", trees.collect::<Vec<_>>());
}

/// New keys, each acknowledged by one home or fallback of the greater side.
fn write_on_one_side(cluster: &Cluster, names: &[String]) {
    let value = "v".repeat(VALUE_BYTES);
    let writers = SIDES[1].iter().cycle().take(12).map(|number| &cluster.nodes[*number]);
    thread::scope(|scope| {
        for (turn, node) in writers.enumerate() {
            let value = &value;
            let names = names.iter().skip(turn).step_by(12);
            scope.spawn(move || {
                for name in names {
                    expect(&node.put(format!("/v1/kv/figures/{name}?w=1"), value), 204);
                }
            });
        }
    });
}

/// How long after the heal all was equal: no hint is left, no pair of nodes knows a difference since
/// it last compared, and the replicas that are looked at are the same.
fn wait_until_equal(cluster: &Cluster, names: &[String], healed: Instant) -> Duration {
    let mut apart: Vec<&String> = sample(names).collect();
    until(EQUAL_WITHIN, "all replicas are equal", || {
        let (since, at) = (healed.elapsed(), Instant::now());
        let is_whole = hints(cluster) == 0 && in_sync(cluster, since);
        if !is_whole {
            return None;
        }
        apart.retain(|name| !is_equal(cluster, name));
        apart.is_empty().then(|| at.duration_since(healed))
    })
}

fn sample(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().step_by(names.len().div_ceil(LOOKED_AT))
}

/// Whether all pairs of nodes have compared what they share since the heal, and found nothing that is
/// not mended. Of each pair the node counts that has compared last: seldom is it the other one.
fn in_sync(cluster: &Cluster, since_heal: Duration) -> bool {
    let mut last: BTreeMap<[String; 2], (u64, bool)> = BTreeMap::new();
    for report in cluster.nodes.iter().map(anti_entropy) {
        for peer in report["peers"].as_array().unwrap() {
            let mut pair = [&report["node"], &peer["name"]].map(ToString::to_string);
            pair.sort_unstable();
            let diverged = peer["diverged"].as_array().is_none_or(|all| !all.is_empty());
            let compared = (peer["compared_ms"].as_u64().unwrap_or(u64::MAX), diverged);
            last.entry(pair).and_modify(|one| *one = compared.min(*one)).or_insert(compared);
        }
    }
    last.values().all(|(ms, diverged)| u128::from(*ms) < since_heal.as_millis() && !diverged)
}

fn is_equal(cluster: &Cluster, name: &str) -> bool {
    let path = format!("/v1/admin/replica/figures/{name}");
    let reports = cluster.nodes.iter().map(|node| expect(&node.get(&*path), 200).json());
    let homes: Vec<_> = reports.filter(|report| report["home"] == true).collect();
    assert_eq!(homes.len(), 3);
    homes.iter().all(|home| home["digest"].is_string() && home["digest"] == homes[0]["digest"])
}

/// The values and keys that homes on the smaller side lacked.
fn lacking_bytes(cluster: &Cluster, names: &[String]) -> u64 {
    let ring = expect(&cluster.nodes[0].get("/v1/cluster/ring"), 200).json();
    let partitions = PartitionCount::new(ring["partitions"].as_u64().unwrap().try_into().unwrap());
    let partitions = partitions.unwrap();
    let far = SIDES[0].iter().map(|number| cluster.nodes[*number].name).collect::<Vec<_>>();
    let mut lacking: BTreeMap<u16, u64> = BTreeMap::new();
    let bytes = names.iter().map(|name| {
        let key = Key::new("figures", name.clone()).unwrap();
        let count = lacking.entry(key.token().partition(partitions).0).or_insert_with(|| {
            let path = format!("/v1/cluster/ring?bucket=figures&key={name}");
            let homes = expect(&cluster.nodes[0].get(path), 200).json()["homes"].clone();
            let homes = homes.as_array().unwrap().iter().filter_map(serde_json::Value::as_str);
            homes.filter(|home| far.contains(home)).count() as u64
        });
        *count * (VALUE_BYTES + "figures".len() + name.len()) as u64
    });
    bytes.sum()
}

fn anti_entropy(node: &ServeNode) -> serde_json::Value {
    expect(&node.get("/v1/admin/anti-entropy"), 200).json()
}

fn report(cluster: &Cluster, name: &str) -> u64 {
    cluster.nodes.iter().map(|node| anti_entropy(node)[name].as_u64().unwrap()).sum()
}

fn hints(cluster: &Cluster) -> u64 {
    let kept = |node: &ServeNode| {
        let report = expect(&node.get("/v1/admin/hints"), 200).json();
        let homes = report["homes"].as_array().unwrap().iter();
        homes.map(|home| home["count"].as_u64().unwrap()).sum::<u64>()
    };
    cluster.nodes.iter().map(kept).sum()
}

fn wait_for_no_hints(cluster: &Cluster) {
    until(EQUAL_WITHIN, "no hint is left", || (hints(cluster) == 0).then_some(()));
}

/// The p50 and the p99.
fn quantiles(mut latencies: Vec<Duration>) -> [Duration; 2] {
    latencies.sort_unstable();
    [50, 99].map(|percent| latencies[(latencies.len() - 1) * percent / 100])
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 53 bits are enough")]
fn figure(number: u64) -> f64 {
    number as f64
}

/// Clients over QUIC.
struct Native {
    addresses: Vec<String>,
    tls: ClientTls,
}

impl Native {
    fn connect(cluster: &Cluster, sites: &[Site]) -> Self {
        let addresses = sites.iter().map(|site| site.listen.to_string()).collect();
        let tls = ClientTls::from_dir(cluster.tls_dir()).unwrap();
        Self { addresses, tls }
    }

    fn run<T>(&self, work: impl AsyncFnOnce(Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            work(Client::connect(&self.addresses, self.tls.clone()).await.unwrap()).await
        })
    }

    /// Writes so many keys that all have.
    fn fill(&self, keys: usize) {
        let began = Instant::now();
        self.run(async |client| {
            let tasks = (0..64).map(|turn| {
                let client = client.clone();
                spawn_local(async move {
                    for number in (turn..keys).step_by(64) {
                        put(&client, &format!("common-{number}"), VALUE_BYTES).await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        println!("{keys} keys written in {:.1?}", began.elapsed());
    }

    /// What requests of paced clients took until it is time to end: half gets, half puts.
    fn pace(&self, is_over: impl Fn(Instant) -> bool) -> Vec<Duration> {
        let (began, stop) = (Instant::now(), Rc::new(AtomicBool::new(false)));
        self.run(async |client| {
            let tasks = (0..PACED.0).map(|_| spawn_local(paced(client.clone(), Rc::clone(&stop))));
            let tasks: Vec<_> = tasks.collect();
            while !is_over(began) {
                tokio::time::sleep(PACED.1).await;
            }
            stop.store(true, Ordering::Relaxed);
            let mut latencies = Vec::new();
            for task in tasks {
                latencies.extend(task.await.unwrap());
            }
            latencies
        })
    }
}

async fn paced(client: Client, stop: Rc<AtomicBool>) -> Vec<Duration> {
    let (mut latencies, mut pace) = (Vec::new(), tokio::time::interval(PACED.1));
    let own = fastrand::u64(..);
    for number in 0_u64.. {
        pace.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (name, began) = (format!("paced-{own:x}-{}", number / 2), Instant::now());
        if number.is_multiple_of(2) {
            put(&client, &name, 100).await;
        } else {
            let key = Key::new("figures", name).unwrap();
            client.get(&key, ReadOptions::default()).await.unwrap();
        }
        latencies.push(began.elapsed());
    }
    latencies
}

async fn put(client: &Client, name: &str, bytes: usize) {
    let key = Key::new("figures", name.to_owned()).unwrap();
    let value = Value { bytes: vec![b'v'; bytes].into(), content_type: None, meta: Vec::new() };
    client.put(&key, value, PutOptions::default()).await.unwrap();
}
