//! The simulation's cluster, as tests talk of it.

use std::{
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    Ending, NodeHandle,
    api::{Answer, Got, Written},
    reports::Readiness,
    settings::Settings,
    simulation::{self, WorldPlan},
    storage::log::{LogEngine, LogSettings},
    transport::simulated::NetworkProfile,
};
use henge_kernel::{
    causality::Value,
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    key::Key,
};
use tokio::{runtime::Builder, task::LocalSet, time::sleep};

pub use henge_actors::simulation::world::name;

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

/// The cluster, and what tests wait for in it.
pub struct World {
    world: simulation::World,
    nodes: usize,
}

impl Deref for World {
    type Target = simulation::World;

    fn deref(&self) -> &simulation::World {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut simulation::World {
        &mut self.world
    }
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
        let Plan { seed, nodes, shards, profile, adjust } = plan;
        let plan = WorldPlan { seed, nodes, shards, profile, adjust: Rc::new(adjust) };
        let mut world = Self { world: simulation::World::new(plan), nodes };
        for node in world.names() {
            world.start_node(node).await;
        }
        world
    }

    /// Two nodes hear nothing of each other, in neither direction.
    pub fn cut(&self, one: &str, other: &str) {
        self.network.cut(&name(one), &name(other));
    }

    /// Starts a node with the disk that it has, or a new one.
    pub async fn start_node(&mut self, node: &str) {
        self.world.start(node, None).await.unwrap();
    }

    /// Waits until every running node is ready.
    pub async fn ready(&self) {
        for _ in 0..1000 {
            if self.is_ready() {
                return;
            }
            pass(10).await;
        }
        panic!("not ready after 10 s: {:?}", self.readiness());
    }

    fn readiness(&self) -> Vec<(&str, Readiness)> {
        self.handles().into_iter().map(|(name, node)| (name, node.readiness())).collect()
    }

    /// Why a node ended by itself; `None` if it has not within 20 s.
    pub fn failed(&self, node: &str) -> impl Future<Output = Option<String>> + use<> {
        let node = self.process(node);
        async move {
            let failed = async {
                let Ending { reason } = node.failed().await;
                reason
            };
            tokio::time::timeout(Duration::from_secs(20), failed).await.ok()
        }
    }

    /// The log of a node that does not run.
    pub fn log(&self, node: &str) -> LogEngine {
        let disk = Arc::clone(self.disk(node));
        let directory = "/data/shard-0".into();
        let settings = LogSettings { directory, segment_bytes: 1 << 20, salt: 1 };
        LogEngine::open(disk, settings).unwrap().0
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
        let all = u8::try_from(self.nodes.min(3)).unwrap();
        for node in self.handles().into_values() {
            let mut waited = 0;
            let options = ReadOptions::default().r(all);
            while node.get(&key("probe"), options.clone()).await.is_err() {
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
        for node in self.handles().into_values() {
            digests.push(node.replica(key).await.unwrap().digest);
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
