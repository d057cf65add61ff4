//! A cluster in one thread, with handles to bend it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use henge_actors::{
    Ending, Node, NodeHandle,
    api::{Answer, Got, Written},
    environment::{Environment, SeededEntropy, SimulatedClock},
    reports::Readiness,
    settings::{Address, ClusterName, LayoutEntry, Settings, ShardCount},
    simulation::Sandbox,
    storage::{
        disk_simulated::SimulatedDisk,
        log::{LogEngine, LogSettings},
    },
    transport::simulated::{NetworkProfile, SimulatedNetwork},
};
use henge_kernel::{
    causality::Value,
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    id::NodeName,
    key::Key,
};
use tokio::{runtime::Builder, sync::oneshot, task::LocalSet, time::sleep};

/// Runs `main` in one thread on paused time. `RUST_LOG` shows what the nodes tell.
pub fn simulate<T>(main: impl Future<Output = T>) -> T {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, main)
}

/// Lets virtual time pass.
pub async fn pass(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// How the cluster is made.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub nodes: usize,
    /// Shards of each node, in turn.
    pub shards: Vec<u64>,
    pub profile: NetworkProfile,
    /// What a node is told beyond that.
    pub adjust: fn(&str, &mut Settings),
}

impl Plan {
    pub fn three(seed: u64) -> Self {
        let profile = NetworkProfile { loss_percent: 0, ..NetworkProfile::default() };
        Self { seed, nodes: 3, shards: vec![1], profile, adjust: |_, _| {} }
    }
}

/// The cluster.
pub struct World {
    pub network: SimulatedNetwork,
    plan: Plan,
    layout: Vec<LayoutEntry>,
    disks: BTreeMap<String, Arc<SimulatedDisk>>,
    clocks: BTreeMap<String, Arc<SimulatedClock>>,
    running: BTreeMap<String, Running>,
    starts: u64,
}

struct Running {
    sandbox: Sandbox,
    handle: NodeHandle,
    node: Rc<RefCell<Option<Rc<Node>>>>,
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

pub fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

impl World {
    /// Starts all nodes of `plan` and waits until they are ready.
    pub async fn start(plan: Plan) -> Self {
        let world = Self::launch(plan).await;
        world.ready().await;
        world
    }

    /// All nodes are started; none need be ready.
    pub async fn launch(plan: Plan) -> Self {
        let network = SimulatedNetwork::new(plan.seed, plan.profile.clone());
        let layout = (0..plan.nodes)
            .map(|place| {
                let address: Address = format!("10.0.0.{}:7400", place + 1).parse().unwrap();
                LayoutEntry::new(name(NAMES[place]), address)
            })
            .collect();
        let mut world = Self {
            network,
            layout,
            disks: BTreeMap::new(),
            clocks: BTreeMap::new(),
            running: BTreeMap::new(),
            starts: 0,
            plan,
        };
        for node in world.names() {
            world.start_node(node).await;
        }
        world
    }

    pub fn names(&self) -> Vec<&'static str> {
        NAMES[..self.plan.nodes].to_vec()
    }

    /// The nodes that run.
    pub fn running_names(&self) -> Vec<&str> {
        self.running.keys().map(String::as_str).collect()
    }

    /// Two nodes hear nothing of each other, in neither direction.
    pub fn cut(&self, one: &str, other: &str) {
        self.network.cut_one_way(&name(one), &name(other));
        self.network.cut_one_way(&name(other), &name(one));
    }

    fn settings(&self, node: &str) -> Settings {
        let cluster = ClusterName::new("simulated").unwrap();
        let mut settings =
            Settings::member(cluster, self.layout.clone(), name(node), "/data".into());
        let place = NAMES.iter().position(|name| *name == node).unwrap();
        let shards = self.plan.shards[place % self.plan.shards.len()];
        settings.node.shards = Some(ShardCount::new(shards).unwrap());
        (self.plan.adjust)(node, &mut settings);
        settings
    }

    /// Starts a node with the disk that it has, or a new one.
    pub async fn start_node(&mut self, node: &str) {
        self.starts += 1;
        let seed = self.plan.seed.wrapping_mul(31).wrapping_add(self.starts);
        let disk = self.disks.entry(node.to_owned());
        let disk = Arc::clone(disk.or_insert_with(|| Arc::new(SimulatedDisk::new(seed))));
        let clock = Arc::new(SimulatedClock::start());
        self.clocks.insert(node.to_owned(), Arc::clone(&clock));
        let environment = Environment {
            clock,
            entropy: Arc::new(SeededEntropy::new(seed)),
            transport: self.network.transport(),
            disk,
            faults: None,
        };
        let settings = self.settings(node);
        let (started, is_started) = oneshot::channel();
        let sandbox = Sandbox::spawn(async move {
            let node = Node::start_here(settings, environment).await.unwrap();
            let handle = node.handle();
            let node = Rc::new(RefCell::new(Some(Rc::new(node))));
            assert!(started.send((handle, Rc::clone(&node))).is_ok());
        });
        let (handle, started) = is_started.await.unwrap();
        self.running.insert(node.to_owned(), Running { sandbox, handle, node: started });
    }

    /// Waits until every running node is ready.
    pub async fn ready(&self) {
        for _ in 0..1000 {
            if self.running.values().all(|node| node.handle.readiness() == Readiness::Ready) {
                return;
            }
            pass(10).await;
        }
        panic!("not ready after 10 s: {:?}", self.readiness());
    }

    fn readiness(&self) -> Vec<(&String, Readiness)> {
        self.running.iter().map(|(name, node)| (name, node.handle.readiness())).collect()
    }

    pub fn node(&self, node: &str) -> &NodeHandle {
        &self.running[node].handle
    }

    /// Why a node ended by itself; `None` if it has not within 20 s.
    pub fn failed(&self, node: &str) -> impl Future<Output = Option<String>> + use<> {
        let node = Rc::clone(&self.running[node].node);
        async move {
            let node = Rc::clone(node.borrow().as_ref().unwrap());
            let failed = async {
                let Ending { reason } = node.failed().await;
                reason
            };
            tokio::time::timeout(Duration::from_secs(20), failed).await.ok()
        }
    }

    /// The disk of a killed node is replaced by an empty one.
    pub fn wipe(&mut self, node: &str) {
        assert!(!self.running.contains_key(node), "{node} still runs");
        self.disks.remove(node);
    }

    /// What lies on the disk of a node, for [`World::restore`].
    pub fn back_up(&self, node: &str) -> SimulatedDisk {
        self.disks[node].copy(self.starts)
    }

    /// The disk of a node that does not run is as it was.
    pub fn restore(&mut self, node: &str, disk: SimulatedDisk) {
        assert!(!self.running.contains_key(node), "{node} still runs");
        self.disks.insert(node.to_owned(), Arc::new(disk));
    }

    pub fn disk(&self, node: &str) -> &SimulatedDisk {
        &self.disks[node]
    }

    /// The log of a node that does not run.
    pub fn log(&self, node: &str) -> LogEngine {
        let disk = Arc::clone(&self.disks[node]);
        let directory = "/data/shard-0".into();
        let settings = LogSettings { directory, segment_bytes: 1 << 20, salt: 1 };
        LogEngine::open(disk, settings).unwrap().0
    }

    pub fn clock(&self, node: &str) -> &SimulatedClock {
        &self.clocks[node]
    }

    /// kill -9: the page cache survives.
    pub async fn kill(&mut self, node: &str) {
        self.network.kill(&name(node));
        let running = self.running.remove(node).unwrap();
        running.sandbox.crash().await;
        self.disks[node].kill();
    }

    /// Pulls the plug: what was not synced is gone.
    pub async fn power_cut(&mut self, node: &str) {
        self.network.kill(&name(node));
        let running = self.running.remove(node).unwrap();
        running.sandbox.crash().await;
        self.disks[node].power_cut();
    }

    /// SIGTERM.
    pub async fn stop(&mut self, node: &str) {
        let running = self.running.remove(node).unwrap();
        let stopping = running.node.borrow_mut().take().unwrap();
        Rc::try_unwrap(stopping).ok().unwrap().stop().await;
        running.sandbox.crash().await;
        self.disks[node].kill();
    }

    /// Whether `observer` takes `peer` as up, down or unknown.
    pub fn sees(&self, observer: &str, peer: &str) -> String {
        let report = self.node(observer).cluster();
        let member = report.members.into_iter().find(|member| member.name == peer);
        member.unwrap().liveness.into_owned()
    }

    /// Waits until every observer sees `peer` so; returns how long that took, in ms.
    pub async fn until_seen(&self, observers: &[&str], peer: &str, liveness: &str) -> u64 {
        for waited in 0..20_000 {
            if observers.iter().all(|observer| self.sees(observer, peer) == liveness) {
                return waited;
            }
            pass(1).await;
        }
        panic!("{peer} is not {liveness} for {observers:?} after 20 s");
    }

    /// Waits until every running node reaches all homes of a key again: membership knows of a
    /// return before every pair of nodes has a link.
    pub async fn until_linked(&self) {
        let all = u8::try_from(self.plan.nodes.min(3)).unwrap();
        for running in self.running.values() {
            let mut waited = 0;
            let options = ReadOptions::default().r(all);
            while running.handle.get(&key("probe"), options.clone()).await.is_err() {
                waited += 10;
                assert!(waited < 2_000, "the nodes are not linked after 2 s");
                pass(10).await;
            }
        }
    }

    /// Waits until a node keeps a key for that many homes.
    pub async fn until_marked(&self, node: &str, text: &str, homes: usize) {
        for _ in 0..20_000 {
            let report = self.node(node).replica(&key(text)).await.unwrap();
            if report.marks.len() == homes {
                return;
            }
            pass(1).await;
        }
        let report = self.node(node).replica(&key(text)).await;
        panic!("{node} does not keep {text} for {homes} homes: {report:?}");
    }

    /// The digests of a key at all running nodes.
    pub async fn digests(&self, key: &Key) -> Vec<Option<String>> {
        let mut digests = Vec::new();
        for running in self.running.values() {
            digests.push(running.handle.replica(key).await.unwrap().digest);
        }
        digests
    }

    pub async fn until_equal(&self, key: &Key) {
        for _ in 0..2000 {
            let digests = self.digests(key).await;
            if digests.iter().all(|digest| *digest == digests[0]) {
                return;
            }
            pass(1).await;
        }
        panic!("replicas of {key:?} differ: {:?}", self.digests(key).await);
    }
}

pub fn key(text: &str) -> Key {
    Key::new(Bytes::from_static(b"bucket"), Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub fn value(text: &str) -> Value {
    Value::plain(Bytes::copy_from_slice(text.as_bytes()))
}

pub type PutResult = Result<Answer<Written>, RequestError>;

pub async fn put(node: &NodeHandle, text: &str, content: &str, options: PutOptions) -> PutResult {
    node.put(&key(text), value(content), options).await
}

pub async fn get(node: &NodeHandle, text: &str, options: ReadOptions) -> Got {
    node.get(&key(text), options).await.unwrap().body
}

pub async fn delete(node: &NodeHandle, text: &str, options: DeleteOptions) -> PutResult {
    node.delete(&key(text), options).await
}

/// The values that a get found, as text, in order.
pub fn texts(got: &Got) -> Vec<String> {
    let versions = got.versions().iter();
    let values = versions.map(|version| version.value().expect("a value among the values"));
    let mut texts: Vec<_> = values.map(|value| value.as_text().unwrap().to_owned()).collect();
    texts.sort();
    texts
}
