//! What telemetry costs: `cargo bench -p henge-actors --bench telemetry [gets]`.
//!
//! Gets through the handle, one at a time, from the page cache: of a node alone, the shortest way
//! that a request can take, and of three nodes that share this thread with all their work. What
//! cannot be left out is the metering of each message; it is timed alone and set against the gets.
//! Then a subscriber wants what a production log has (`INFO`), the sampled requests (`DEBUG`), and
//! all of them (`TRACE`).
#![allow(clippy::disallowed_methods, reason = "a benchmark has its own clock")]

use std::{
    error::Error,
    hint::black_box,
    net::UdpSocket,
    path::Path,
    time::{Duration, Instant},
};

use henge_actors::{
    Environment, Key, Node, NodeHandle, NodeName, PutOptions, ReadOptions, Settings, Value,
    events::REQUEST, reports::Readiness, settings::LayoutEntry, simulation::Roster,
};
use tracing::{Level, Subscriber, subscriber::set_global_default};
use tracing_subscriber::{Layer, Registry, filter::LevelFilter, layer::SubscriberExt as _, reload};

/// Takes every event and does nothing.
struct Deaf;

impl<S: Subscriber> Layer<S> for Deaf {}

/// Any error ends the benchmark, and is told.
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // `cargo bench` passes `--bench`.
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    actix_rt::System::new().block_on(async {
        let directory = tempfile::tempdir_in(".")?;
        let one = cluster(1, &directory.path().join("one")).await?;
        let three = cluster(3, &directory.path().join("three")).await?;
        let metered = price_of_a_message(&one[0].handle(), count);
        let asked = time(count, || {
            black_box(tracing::enabled!(target: REQUEST, Level::DEBUG));
        });
        report("one message metered", metered);
        report("one look whether anybody listens", asked);
        for (nodes, count) in [(&one, count), (&three, count / 10)] {
            prepare(&nodes[0].handle()).await?;
            gets(nodes, count).await?;
            let before = handled(nodes)?;
            let each = gets(nodes, count).await?;
            let messages = (handled(nodes)? - before) / f64::from(count);
            report(&format!("a get, n = {}, nobody listens", nodes.len()), each);
            let share = 100.0 * (metered * messages + asked) / each;
            println!("{messages:>6.1} messages: telemetry is {share:.2} % of it");
        }
        let (level, handle) = reload::Layer::new(LevelFilter::INFO);
        set_global_default(Registry::default().with(Deaf.with_filter(level)))?;
        for level in [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE] {
            handle.reload(level)?;
            report(&format!("a get, n = 1, listener at {level}"), gets(&one, count).await?);
        }
        for node in one.into_iter().chain(three) {
            node.stop().await;
        }
        Ok(())
    })
}

/// Nodes that share this thread, so that the time of a request is the work of all of them.
async fn cluster(nodes: u8, directory: &Path) -> Outcome<Vec<Node>> {
    let sockets: Vec<_> =
        (0..nodes).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let entry = |(number, socket): (usize, &UdpSocket)| {
        let name = NodeName::new(&format!("node-{number}"))?;
        Ok(LayoutEntry::new(name, socket.local_addr()?.into()))
    };
    let layout: Vec<_> = sockets.iter().enumerate().map(entry).collect::<Outcome<_>>()?;
    drop(sockets);
    let mut started = Vec::new();
    for entry in &layout {
        let data_dir = directory.join(entry.name.as_str());
        let mut settings = Settings::single(entry.name.clone(), entry.address.listen(), data_dir);
        settings.cluster.nodes.clone_from(&layout);
        settings.tls.dir = directory.join("tls");
        let quorum = nodes.div_ceil(2);
        (settings.defaults.n, settings.defaults.r) = (nodes, quorum);
        settings.defaults.w = quorum;
        let environment = Environment::production(&settings)?;
        started.push(Node::start_here(settings, environment).await?);
    }
    while started.iter().any(|node| node.handle().readiness() != Readiness::Ready) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(started)
}

fn key() -> Outcome<Key> {
    Ok(Key::new("bench", "key")?)
}

async fn prepare(node: &NodeHandle) -> Outcome<()> {
    let options = PutOptions::default().timeout(Duration::from_secs(10));
    node.put(&key()?, Value::plain(vec![7; 1024]), options).await?;
    Ok(())
}

/// Nanoseconds that metering takes of a message, the sampled readings of the clock included.
fn price_of_a_message(node: &NodeHandle, count: u32) -> f64 {
    let meter = Roster::default().enlist("node", 0, "Actor", String::new());
    let now = || Some(node.now());
    time(count, || {
        let sent_at = meter.sent().then(now).flatten();
        let began = sent_at.and_then(|sent_at| now().inspect(|at| meter.waited(at.since(sent_at))));
        let ran = began.and_then(|began| now().map(|at| at.since(began)));
        meter.handled(ran, false, "M");
    })
}

/// Messages that the nodes' actors have handled.
fn handled(nodes: &[Node]) -> Outcome<f64> {
    let actors = nodes.iter().flat_map(|node| node.handle().actors());
    let handled: u64 = actors.map(|actor| actor.handled).sum();
    Ok(f64::from(u32::try_from(handled)?))
}

/// Nanoseconds of one get.
async fn gets(nodes: &[Node], count: u32) -> Outcome<f64> {
    let (node, key) = (nodes[0].handle(), key()?);
    let start = Instant::now();
    for _ in 0..count {
        node.get(&key, ReadOptions::default()).await?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(count))
}

/// Nanoseconds of one call: the best of ten runs, since a neighbour on the machine only adds.
fn time(count: u32, mut work: impl FnMut()) -> f64 {
    let mut run = || {
        let start = Instant::now();
        (0..count).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(count)
    };
    (0..10).map(|_| run()).fold(f64::INFINITY, f64::min)
}

fn report(what: &str, nanoseconds: f64) {
    println!("{what:<34}{nanoseconds:>10.1} ns");
}
