//! Three whole nodes over real QUIC: the same actors, the same transport, on paused time.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use henge_actors::{
    Got, Key, Node, NodeHandle, PutOptions, ReadOptions, Value,
    client_protocol::Hello,
    environment::{Environment, SeededEntropy, SimulatedClock},
    reports::Readiness,
    settings::{ClusterName, LayoutEntry, Settings, ShardCount},
    simulation::Sandbox,
    storage::disk_simulated::SimulatedDisk,
    transport::{
        Binding, Endpoint, PeerAddress, Transport as _, TransportEvent,
        quic::{Quic, QuicSettings},
        tls::Directory,
    },
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    certified, identity,
    network::{Network, Weather},
    pass, run_paused,
    station::ip,
    until,
};
use crate::support::name;

const NODES: [(&str, u8); 3] = [("a", 1), ("b", 2), ("c", 3)];

/// Nodes that run, and what they stand on.
struct World<'a> {
    certificates: &'a Directory,
    network: Network,
    disks: BTreeMap<&'static str, Arc<SimulatedDisk>>,
    running: BTreeMap<&'static str, (Sandbox, NodeHandle)>,
    starts: u64,
}

impl<'a> World<'a> {
    async fn start(certificates: &'a Directory, seed: u64, weather: Weather) -> Self {
        let network = Network::new(seed, weather);
        let disks = NODES.map(|(node, number)| (node, Arc::new(SimulatedDisk::new(number.into()))));
        let mut world = Self {
            certificates,
            network,
            disks: disks.into(),
            running: BTreeMap::new(),
            starts: 0,
        };
        for (node, number) in NODES {
            world.start_node(node, number).await;
        }
        world.ready().await;
        world
    }

    async fn start_node(&mut self, node: &'static str, number: u8) {
        self.starts += 1;
        let quic = Quic::new(identity(self.certificates, node), QuicSettings::default())
            .over(Arc::new(self.network.clone()), self.starts);
        let environment = Environment {
            clock: Arc::new(SimulatedClock::start()),
            entropy: Arc::new(SeededEntropy::new(self.starts)),
            transport: Arc::new(quic),
            disk: Arc::<SimulatedDisk>::clone(&self.disks[node]),
            faults: None,
        };
        let entry = |(node, number): (&str, u8)| {
            LayoutEntry::new(name(node), format!("{}:7400", ip(number)).parse().unwrap())
        };
        let cluster = ClusterName::new("stones").unwrap();
        let layout = NODES.map(entry).into();
        let mut settings = Settings::member(cluster, layout, name(node), "/data".into());
        settings.node.listen = (ip(number), 7400).into();
        settings.node.shards = Some(ShardCount::new(1).unwrap());
        let (started, is_started) = oneshot::channel();
        let sandbox = Sandbox::spawn(async move {
            let node = Node::start_here(settings, environment).await.unwrap();
            assert!(started.send(node.handle()).is_ok());
            std::future::pending::<()>().await;
        });
        self.running.insert(node, (sandbox, is_started.await.unwrap()));
    }

    /// kill -9.
    async fn kill(&mut self, node: &'static str, number: u8) {
        self.network.kill((ip(number), 7400).into());
        let (sandbox, _) = self.running.remove(node).unwrap();
        sandbox.crash().await;
        self.disks[node].kill();
    }

    fn node(&self, node: &str) -> &NodeHandle {
        &self.running[node].1
    }

    async fn ready(&self) {
        let is_ready = |handle: &NodeHandle| handle.readiness() == Readiness::Ready;
        until(Duration::from_secs(20), || self.running.values().all(|(_, node)| is_ready(node)))
            .await;
    }

    /// How long until a node reads from all three homes.
    async fn until_linked(&self, node: &str) -> Duration {
        let begun = Instant::now();
        let options = ReadOptions::default().r(3).timeout(Duration::from_millis(100));
        while self.node(node).get(&key("probe"), options.clone()).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{node} is not linked");
            sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }

    async fn put(&self, node: &str, text: &str) {
        let options = PutOptions::default().w(2);
        self.node(node).put(&key(text), Value::text(text), options).await.unwrap();
    }

    async fn assert_reads(&self, node: &str, text: &str, r: u8) {
        let read = self.node(node).get(&key(text), ReadOptions::default().r(r)).await;
        match read.unwrap().body {
            Got::Value { version, .. } => {
                assert_eq!(version.value().unwrap().as_text(), Some(text));
            }
            other => panic!("{node} read {other:?}"),
        }
    }
}

fn key(text: &str) -> Key {
    Key::new("bucket", Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// Writes through every node, a minute without c, a restart of b; what crossed the network.
async fn life(certificates: &Directory, seed: u64) -> (u64, u64) {
    let weather = Weather { loss_percent: 3, ..Weather::fair() };
    let mut world = World::start(certificates, seed, weather).await;
    for (node, _) in NODES {
        world.until_linked(node).await;
        world.put(node, node).await;
    }
    for (node, _) in NODES {
        for (text, _) in NODES {
            world.assert_reads(node, text, 3).await;
        }
    }
    world.network.cut(ip(3), ip(1));
    world.network.cut(ip(3), ip(2));
    pass(60_000).await;
    world.put("a", "while c was away").await;
    world.network.heal();
    let back = world.until_linked("a").await.max(world.until_linked("c").await);
    assert!(back <= Duration::from_secs(1), "{back:?}");
    world.assert_reads("c", "while c was away", 2).await;
    world.kill("b", 2).await;
    world.put("c", "while b was down").await;
    world.start_node("b", 2).await;
    world.ready().await;
    world.until_linked("b").await;
    world.assert_reads("b", "while b was down", 3).await;
    world.network.trace()
}

#[test]
fn a_cluster_lives_over_real_quic_the_same_each_time() {
    let cluster = certified(&["a", "b", "c"]);
    let first = run_paused(life(&cluster, 1));
    assert!(first.1 > 1_000, "{} datagrams", first.1);
    assert_eq!(first, run_paused(life(&cluster, 1)));
}

/// What an endpoint in the place of c heard.
#[derive(Default)]
struct Heard {
    hello: Option<Bytes>,
    ends: Vec<String>,
}

/// Binds in the place of c, says `hello`, and dials a.
fn bind(world: &World<'_>, hello: Bytes) -> (Rc<dyn Endpoint>, Rc<RefCell<Heard>>) {
    let heard = Rc::<RefCell<Heard>>::default();
    let events = Rc::clone(&heard);
    let on_event = move |event| match event {
        TransportEvent::Connected { hello, .. } => events.borrow_mut().hello = Some(hello),
        TransportEvent::Closed { reason, .. } | TransportEvent::DialFailed { reason, .. } => {
            events.borrow_mut().ends.push(reason);
        }
        TransportEvent::Frames { .. } => {}
    };
    let quic = Quic::new(identity(world.certificates, "c"), QuicSettings::default());
    let quic = quic.over(Arc::new(world.network.clone()), 99);
    let binding = Binding { name: name("c"), listen: (ip(3), 7400).into(), shard: 0, hello };
    let endpoint = quic.bind(binding, Rc::new(on_event)).unwrap();
    let (name, host) = (Some(name("a")), ip(1).to_string());
    endpoint.dial(&PeerAddress { name, host, port: 7400 });
    (endpoint, heard)
}

#[test]
fn a_version_that_does_not_fit_is_refused_and_both_are_named() {
    let cluster = certified(&["a", "b", "c"]);
    run_paused(async {
        let mut world = World::start(&cluster, 2, Weather::fair()).await;
        world.kill("c", 3).await;
        let (spy, heard) = bind(&world, Bytes::from_static(b"who are you?"));
        until(Duration::from_secs(2), || heard.borrow().hello.is_some()).await;
        let a = Hello::decode(heard.borrow().hello.as_ref().unwrap()).unwrap();
        drop(spy);
        let newer = Hello { name: name("c"), run: 7, protocol_min: 8, protocol_max: 9, ..a };
        let (_endpoint, heard) = bind(&world, newer.encode().unwrap());
        until(Duration::from_secs(2), || !heard.borrow().ends.is_empty()).await;
        let ends = heard.borrow().ends.clone();
        let words = "we speak protocol versions (1, 1), the peer (8, 9)";
        assert!(ends[0].contains(words), "{ends:?}");
        world.put("a", "served").await;
        world.assert_reads("b", "served", 2).await;
    });
}
