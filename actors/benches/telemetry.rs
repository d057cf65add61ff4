//! What telemetry costs: `cargo bench -p henge-actors --bench telemetry [gets]`.
//!
//! Gets of one node through its handle, one at a time, from the page cache: the shortest way that
//! a request can take, so the share of telemetry is the greatest. First nobody listens, then a
//! subscriber wants what a production log has (`INFO`), then the sampled requests (`DEBUG`), then
//! all of them (`TRACE`). The parts that cannot be left out are timed alone.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark has its own clock")]

use std::{hint::black_box, net::UdpSocket, time::Instant};

use henge_actors::{
    Environment, Key, Node, NodeHandle, NodeName, PutOptions, ReadOptions, Settings, Value,
    events::REQUEST, simulation::Roster,
};
use tracing::{Level, Subscriber, subscriber::set_global_default};
use tracing_subscriber::{Layer, Registry, filter::LevelFilter, layer::SubscriberExt as _, reload};

/// Takes every event and does nothing.
struct Deaf;

impl<S: Subscriber> Layer<S> for Deaf {}

fn main() {
    // `cargo bench` passes `--bench`.
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    actix_rt::System::new().block_on(async {
        let directory = tempfile::tempdir_in(".").unwrap();
        let listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let name = NodeName::new("bench").unwrap();
        let settings = Settings::single(name, listen, directory.path().into());
        let environment = Environment::production(&settings).unwrap();
        let node = Node::start_here(settings, environment).await.unwrap();
        measure(&node.handle(), count).await;
        node.stop().await;
    });
}

async fn measure(node: &NodeHandle, count: u32) {
    let key = Key::new("bench", "key").unwrap();
    node.put(&key, Value::plain(vec![7; 1024]), PutOptions::default()).await.unwrap();
    gets(node, &key, count).await;
    let before = handled(node);
    let each = gets(node, &key, count).await;
    let messages = (handled(node) - before) / f64::from(count);
    report("a get, nobody listens", each);
    let meter = Roster::default().enlist("node", 0, "Actor", String::new());
    let now = || Some(node.now());
    let metered = time(count, || {
        // As a message is metered on its way: the sampled ones read the clock three times.
        let sent_at = meter.sent().then(now).flatten();
        let began = sent_at.and_then(|sent_at| now().inspect(|at| meter.waited(at.since(sent_at))));
        let ran = began.and_then(|began| now().map(|at| at.since(began)));
        meter.handled(ran, false, "M");
    });
    let asked = time(count, || {
        black_box(tracing::enabled!(target: REQUEST, Level::DEBUG));
    });
    report("one message metered", metered);
    report("one look whether anybody listens", asked);
    let share = 100.0 * (metered * messages + asked) / each;
    println!("{messages:.1} messages a get: telemetry is {share:.2} % of it");

    let (level, handle) = reload::Layer::new(LevelFilter::INFO);
    set_global_default(Registry::default().with(Deaf.with_filter(level))).unwrap();
    for level in [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE] {
        handle.reload(level).unwrap();
        report(&format!("a get, a subscriber at {level}"), gets(node, &key, count).await);
    }
}

/// Messages that the node's actors have handled.
fn handled(node: &NodeHandle) -> f64 {
    let handled: u64 = node.actors().iter().map(|actor| actor.handled).sum();
    f64::from(u32::try_from(handled).unwrap())
}

/// Nanoseconds of one get.
async fn gets(node: &NodeHandle, key: &Key, count: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        node.get(key, ReadOptions::default()).await.unwrap();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}

/// Nanoseconds of one call.
fn time(count: u32, mut work: impl FnMut()) -> f64 {
    let rounds = count * 10;
    let start = Instant::now();
    (0..rounds).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

fn report(what: &str, nanoseconds: f64) {
    println!("{what:<34}{nanoseconds:>10.1} ns");
}
