//! A cluster in one thread, with handles to bend it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt as _;
use henge_kernel::id::NodeName;
use tokio::{sync::oneshot, time::Instant};

use super::{Sandbox, Site, sites::Armed};
use crate::{
    Ending, Environment, Node, NodeHandle, StartError,
    environment::{SeededEntropy, SimulatedClock},
    reports::Readiness,
    settings::{Address, ClusterName, LayoutEntry, Settings, ShardCount},
    storage::disk_simulated::SimulatedDisk,
    transport::{
        Lane,
        simulated::{NetworkProfile, SimulatedNetwork},
    },
    wire::{PeerRequest, RequestFrame},
};

/// How a cluster is made.
#[derive(Clone)]
pub struct WorldPlan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many nodes, 1 to 7.
    pub nodes: usize,
    /// Shards of each node, in turn.
    pub shards: Vec<u64>,
    /// How good the network is.
    pub profile: NetworkProfile,
    /// What a node is told beyond that.
    pub adjust: Rc<Adjust>,
}

/// Changes the settings of a node of that name.
pub type Adjust = dyn Fn(&str, &mut Settings);

/// The cluster. What a node writes survives on its disk; its clock goes on while it is down.
pub struct World {
    /// The network between the nodes.
    pub network: Rc<SimulatedNetwork>,
    plan: WorldPlan,
    layout: Vec<LayoutEntry>,
    began: Instant,
    disks: BTreeMap<String, Arc<SimulatedDisk>>,
    clocks: BTreeMap<String, Arc<SimulatedClock>>,
    running: BTreeMap<String, Running>,
    starts: u64,
}

struct Running {
    sandbox: Sandbox,
    handle: NodeHandle,
    /// Until it is stopped.
    node: Rc<RefCell<Option<Rc<Node>>>>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// It says so itself.
    #[error(transparent)]
    Refused(#[from] StartError),
    /// It died on the way.
    #[error("the node died while it started")]
    Died,
}

/// How a node ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It died at a named place of its code.
    At(Option<Site>),
    /// A part of it fell too often.
    Failed(String),
}

/// What the nodes are called, in turn.
pub const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// The name of a node as its settings have it.
///
/// # Panics
///
/// If `text` is no name.
pub fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

/// A node believes the one answer to a write that it forwards; of a copy that is minted behind a
/// refusal nobody would hear.
fn may_come_twice(lane: Lane, frame: &Bytes) -> bool {
    let is_write = |frame| {
        let request = RequestFrame::decode(frame);
        matches!(request, Ok(RequestFrame::Request { request: PeerRequest::Write(_), .. }))
    };
    lane != Lane::Request || !is_write(frame)
}

impl World {
    /// A cluster none of whose nodes runs yet.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime whose time is paused.
    pub fn new(plan: WorldPlan) -> Self {
        let layout = (1..).zip(&NAMES[..plan.nodes]).map(|(host, text)| {
            let address: Result<Address, _> = format!("10.0.0.{host}:7400").parse();
            let address = address.unwrap_or_else(|error| unreachable!("{error}"));
            LayoutEntry::new(name(text), address)
        });
        let network = SimulatedNetwork::new(plan.seed, plan.profile.clone());
        network.repeat_only(may_come_twice);
        Self {
            network: Rc::new(network),
            layout: layout.collect(),
            began: Instant::now(),
            disks: BTreeMap::new(),
            clocks: BTreeMap::new(),
            running: BTreeMap::new(),
            starts: 0,
            plan,
        }
    }

    /// All nodes, whether they run or not.
    pub fn names(&self) -> Vec<&'static str> {
        NAMES[..self.plan.nodes].to_vec()
    }

    /// The nodes that run.
    pub fn running_names(&self) -> Vec<&str> {
        self.running.keys().map(String::as_str).collect()
    }

    /// Whether a node runs, stopped or not.
    pub fn runs(&self, node: &str) -> bool {
        self.running.contains_key(node)
    }

    /// The door to a node that runs.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn node(&self, node: &str) -> &NodeHandle {
        &self.running[node].handle
    }

    /// The doors of the nodes that run.
    pub fn handles(&self) -> BTreeMap<&str, NodeHandle> {
        self.running.iter().map(|(name, node)| (name.as_str(), node.handle.clone())).collect()
    }

    /// The node itself, for its [`Node::failed`].
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn process(&self, node: &str) -> Rc<Node> {
        let node = self.running[node].node.borrow();
        Rc::clone(node.as_ref().unwrap_or_else(|| unreachable!("it was not stopped")))
    }

    /// The disk of a node that was started once.
    ///
    /// # Panics
    ///
    /// If it was not.
    pub fn disk(&self, node: &str) -> &Arc<SimulatedDisk> {
        &self.disks[node]
    }

    /// The clock of a node that was started once.
    ///
    /// # Panics
    ///
    /// If it was not.
    pub fn clock(&self, node: &str) -> &SimulatedClock {
        &self.clocks[node]
    }

    fn settings(&self, node: &str) -> Settings {
        let cluster = ClusterName::new("simulated").unwrap_or_else(|error| unreachable!("{error}"));
        let mut settings =
            Settings::member(cluster, self.layout.clone(), name(node), "/data".into());
        let place = NAMES.iter().position(|name| *name == node).unwrap_or_default();
        let shards = self.plan.shards[place % self.plan.shards.len()];
        settings.node.shards = ShardCount::new(shards).ok();
        (self.plan.adjust)(node, &mut settings);
        settings
    }

    fn environment(&mut self, node: &str) -> Environment {
        self.starts += 1;
        let seed = self.plan.seed.wrapping_mul(31).wrapping_add(self.starts);
        let disk = self.disks.entry(node.to_owned());
        let disk = Arc::clone(disk.or_insert_with(|| Arc::new(SimulatedDisk::new(seed))));
        let clock = match self.clocks.get(node) {
            Some(before) => before.restarted(),
            None => SimulatedClock::since(self.began),
        };
        let clock = Arc::new(clock);
        self.clocks.insert(node.to_owned(), Arc::clone(&clock));
        Environment {
            clock,
            entropy: Arc::new(SeededEntropy::new(seed)),
            transport: self.network.transport(),
            disk,
            faults: None,
        }
    }

    /// Starts a node with the disk that it has, or a new one. `armed` is what happens to it at a
    /// named place of its code.
    ///
    /// # Errors
    ///
    /// If it does not start; it does not run then.
    pub async fn start(&mut self, node: &str, armed: Option<Armed>) -> Result<(), NotStarted> {
        let environment = self.environment(node);
        let (disk, settings) = (Arc::clone(&self.disks[node]), self.settings(node));
        let (started, is_started) = oneshot::channel();
        let sandbox = Sandbox::spawn(async move {
            let told = match Node::start_here(settings, environment).await {
                Ok(node) => {
                    let handle = node.handle();
                    let node = Rc::new(RefCell::new(Some(Rc::new(node))));
                    Ok((handle, node))
                }
                Err(error) => Err(error),
            };
            drop(started.send(told));
        });
        let (network, called) = (Rc::clone(&self.network), name(node));
        let machine = Arc::clone(&disk);
        sandbox.on_death(move || {
            network.kill(&called);
            machine.kill();
        });
        if let Some(armed) = armed {
            sandbox.arm(armed);
        }
        let failure = match is_started.await {
            Ok(Ok((handle, process))) => {
                self.running.insert(node.to_owned(), Running { sandbox, handle, node: process });
                return Ok(());
            }
            Ok(Err(error)) => NotStarted::Refused(error),
            Err(_) => NotStarted::Died,
        };
        self.network.kill(&name(node));
        sandbox.crash().await;
        disk.kill();
        Err(failure)
    }

    /// Whether all nodes that run are ready.
    pub fn is_ready(&self) -> bool {
        self.running.values().all(|node| node.handle.readiness() == Readiness::Ready)
    }

    /// The nodes that run and whose logs take no more writes.
    pub fn poisoned(&self) -> Vec<String> {
        let poisoned =
            self.running.iter().filter(|(_, node)| node.handle.commons.storage_is_poisoned());
        poisoned.map(|(name, _)| name.clone()).collect()
    }

    /// Kills a node, as by kill -9: the page cache survives.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub async fn kill(&mut self, node: &str) {
        self.end(node).await;
        self.disks[node].kill();
    }

    /// Pulls the plug: what was not synced is gone.
    ///
    /// # Panics
    ///
    /// If the node does not run.
    pub async fn power_cut(&mut self, node: &str) {
        self.end(node).await;
        self.disks[node].power_cut();
    }

    async fn end(&mut self, node: &str) {
        self.network.kill(&name(node));
        let running = self.running.remove(node);
        let running = running.unwrap_or_else(|| unreachable!("{node} does not run"));
        running.sandbox.crash().await;
    }

    /// Stops a node in order, as by SIGTERM. `false` if somebody still watches it.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub async fn stop(&mut self, node: &str) -> bool {
        let running = self.running.remove(node);
        let running = running.unwrap_or_else(|| unreachable!("{node} does not run"));
        let stopping = running.node.borrow_mut().take().and_then(|node| Rc::try_unwrap(node).ok());
        let in_order = stopping.is_some();
        if let Some(stopping) = stopping {
            stopping.stop().await;
        }
        self.network.kill(&name(node));
        running.sandbox.crash().await;
        self.disks[node].kill();
        in_order
    }

    /// Stops a node as SIGSTOP does: it neither runs nor hears anything; its clocks go on.
    pub fn pause(&self, node: &str) {
        if let Some(running) = self.running.get(node) {
            running.sandbox.stop();
            self.network.pause(&name(node));
        }
    }

    /// Lets a stopped node go on.
    pub fn resume(&self, node: &str) {
        if let Some(running) = self.running.get(node) {
            self.network.resume(&name(node));
            running.sandbox.resume();
        }
    }

    /// Arms a named place of the code of a node that runs.
    pub fn arm(&self, node: &str, armed: Armed) {
        if let Some(running) = self.running.get(node) {
            running.sandbox.arm(armed);
        }
    }

    /// Disarms the named place that was armed for a node.
    pub fn disarm(&self, node: &str) {
        if let Some(running) = self.running.get(node) {
            running.sandbox.disarm();
        }
    }

    /// The nodes that have stopped at a named place of their code.
    pub fn stopped_at_sites(&self) -> Vec<(String, Site)> {
        let stopped = self.running.iter().filter(|(_, node)| !node.sandbox.has_ended());
        stopped.filter_map(|(name, node)| Some((name.clone(), node.sandbox.halted_at()?))).collect()
    }

    /// Takes the nodes off the list that have ended by themselves, and says how.
    pub async fn bury(&mut self) -> Vec<(String, Ended)> {
        let mut ended = Vec::new();
        for (node, running) in &self.running {
            if running.sandbox.has_ended() {
                ended.push((node.clone(), Ended::At(running.sandbox.halted_at())));
                continue;
            }
            let process = running.node.borrow().clone();
            let failed = process.and_then(|process| process.failed().now_or_never());
            ended.extend(failed.map(|Ending { reason }| (node.clone(), Ended::Failed(reason))));
        }
        for (node, _) in &ended {
            self.kill(node).await;
        }
        ended
    }

    /// Gives a node that does not run an empty disk in the place of its own.
    ///
    /// # Panics
    ///
    /// If it runs.
    pub fn wipe(&mut self, node: &str) {
        assert!(!self.runs(node), "{node} still runs");
        self.starts += 1;
        let seed = self.plan.seed.wrapping_mul(31).wrapping_add(self.starts);
        self.disks.insert(node.to_owned(), Arc::new(SimulatedDisk::new(seed)));
    }

    /// What lies on the disk of a node, for [`World::restore`].
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn back_up(&self, node: &str) -> SimulatedDisk {
        self.disks[node].copy(self.starts)
    }

    /// The disk of a node that does not run is as it was.
    ///
    /// # Panics
    ///
    /// If it runs.
    pub fn restore(&mut self, node: &str, disk: SimulatedDisk) {
        assert!(!self.runs(node), "{node} still runs");
        self.disks.insert(node.to_owned(), Arc::new(disk));
    }
}
