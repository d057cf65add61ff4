//! The cluster of a story, its clients, and how a story ends.

use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    reports::ReplicaReport,
    settings::Settings,
    simulation::{
        World, WorldPlan,
        history::{Dump, Event, Mark, MarkName, Meta, NodeState},
        world::{Adjust, NAMES, name},
    },
    storage::disk_simulated::Faults,
    transport::simulated::NetworkProfile,
};
use henge_kernel::{bucket::BucketChange, coordination::ReadOptions};
use tokio::time::{Instant, sleep};

use crate::pen::{Pen, Request, Seen, key, parts};

/// How a cluster is made, and what it promises.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub nodes: usize,
    pub profile: NetworkProfile,
    pub adjust: Rc<Adjust>,
    pub meta: Meta,
}

impl Plan {
    pub fn of(nodes: usize, seed: u64) -> Self {
        let profile = calm();
        let meta = Meta { seed: Some(seed), converge_ms: Some(10_000), ..Meta::new("scenario") };
        Self { seed, nodes, profile, adjust: Rc::new(|_, _| {}), meta }
    }

    pub fn three(seed: u64) -> Self {
        Self::of(3, seed)
    }

    pub fn five(seed: u64) -> Self {
        Self::of(5, seed)
    }

    /// What all nodes are told.
    pub fn told(self, adjust: impl Fn(&mut Settings) + 'static) -> Self {
        Self { adjust: Rc::new(move |_, settings| adjust(settings)), ..self }
    }

    pub fn promising(mut self, promise: impl Fn(&mut Meta)) -> Self {
        promise(&mut self.meta);
        self
    }
}

/// A network in which nothing goes wrong.
pub fn calm() -> NetworkProfile {
    NetworkProfile { loss_percent: 0, ..NetworkProfile::default() }
}

/// Lets virtual time pass.
pub async fn pass(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// Where a story is played.
pub struct Stage {
    pub world: World,
    pub pen: Pen,
    pub seed: u64,
    /// Nodes that never come back.
    gone: BTreeSet<&'static str>,
}

impl Deref for Stage {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Stage {
    /// Starts all nodes, and waits until they are ready.
    pub async fn open(plan: &Plan) -> Self {
        let Plan { seed, nodes, profile, adjust, meta } = plan.clone();
        let pen = Pen::new();
        pen.write(Event::Meta(meta));
        let world = World::new(WorldPlan { seed, nodes, shards: vec![1], profile, adjust });
        let mut stage = Self { world, pen, seed, gone: BTreeSet::new() };
        for node in stage.names() {
            stage.rise(node).await;
        }
        stage.until_ready().await;
        stage.until_linked().await;
        stage
    }

    pub fn get(&self, node: &str, key: &str) -> Request {
        self.pen.get(node, key)
    }

    pub fn put(&self, node: &str, key: &str) -> Request {
        self.pen.put(node, key)
    }

    pub fn delete(&self, node: &str, key: &str, seen: &Seen) -> Request {
        self.pen.delete(node, key, seen)
    }

    /// Complains unless it is so.
    pub fn check(&self, is_so: bool, what: impl Into<String>) {
        if !is_so {
            self.pen.complain(what);
        }
    }

    fn open_doors(&self) {
        self.pen.open(self.handles());
    }

    /// Starts a node with the disk that it has.
    pub async fn rise(&mut self, node: &'static str) {
        if let Err(error) = self.world.start(node, None).await {
            self.pen.complain(format!("{node} does not start: {error}"));
        }
        self.open_doors();
    }

    /// kill -9.
    pub async fn fell(&mut self, node: &str) {
        self.pen.fault("crash", node);
        self.world.kill(node).await;
        self.open_doors();
    }

    /// The plug is pulled.
    pub async fn unplug(&mut self, node: &str) {
        self.pen.fault("power-cut", node);
        self.world.power_cut(node).await;
        self.open_doors();
    }

    /// A node is killed and comes back with an empty disk.
    pub async fn replace_disk(&mut self, node: &'static str) {
        self.fell(node).await;
        self.pen.fault("wipe", node);
        self.world.wipe(node);
        self.rise(node).await;
    }

    /// A node is killed and never comes back.
    pub async fn lose(&mut self, node: &'static str) {
        self.fell(node).await;
        self.gone.insert(node);
    }

    /// The nodes that died at a named place of their code are known as dead.
    pub async fn bury_the_dead(&mut self) -> Vec<String> {
        let ended = self.world.bury().await;
        self.open_doors();
        ended.into_iter().map(|(node, _)| node).collect()
    }

    pub fn cut(&self, one: &str, other: &str) {
        self.network.cut(&name(one), &name(other));
    }

    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.network.cut_one_way(&name(from), &name(to));
    }

    /// Everything from one node to another takes so much longer.
    pub fn slow_down(&self, from: &str, to: &str, ms: u64) {
        self.network.slow_down(&name(from), &name(to), Duration::from_millis(ms));
    }

    pub fn isolate(&self, node: &str) {
        self.network.isolate(&name(node));
    }

    pub fn heal_all(&self) {
        self.network.heal_all();
    }

    /// Cuts nodes off from all others and from each other; returns when all know of it.
    pub async fn cut_off(&self, nodes: &[&str]) {
        self.pen.fault("isolation", nodes.join(" "));
        for node in nodes {
            self.isolate(node);
        }
        for one in self.running_names() {
            for other in self.running_names() {
                if one != other && (nodes.contains(&one) || nodes.contains(&other)) {
                    self.until_seen(one, other, "down").await;
                }
            }
        }
    }

    /// Heals the link between two nodes.
    pub fn heal(&self, one: &str, other: &str) {
        self.network.heal(&name(one), &name(other));
    }

    /// Heals all but the links of one node, which is alone then.
    pub async fn reunite_but(&self, alone: &str) {
        self.heal_all();
        self.isolate(alone);
        for one in self.running_names() {
            for other in self.running_names() {
                let liveness = if [one, other].contains(&alone) { "down" } else { "up" };
                if one != other {
                    self.until_seen(one, other, liveness).await;
                }
            }
        }
    }

    /// Heals all; returns when every node that runs reaches all that run.
    pub async fn reunite(&self) {
        self.heal_all();
        self.until_linked().await;
    }

    /// The homes and the fallbacks of a key, in the order of the ring.
    pub fn sides(&self, text: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        let any = self.running_names()[0];
        let list = self.node(any).preference_list(&key(text));
        let known = |nodes: Vec<String>| nodes.iter().map(|node| known(node)).collect();
        (known(list.homes), known(list.fallbacks))
    }

    /// What a node holds of a key.
    pub async fn replica(&self, node: &str, text: &str) -> Option<ReplicaReport> {
        self.node(node).replica(&key(text)).await.ok()
    }

    /// The values that a node holds of a key, by name.
    pub async fn held(&self, node: &str, text: &str) -> Vec<String> {
        let report = self.replica(node, text).await;
        let mut held = report.map(|report| self.values(&report)).unwrap_or_default();
        held.sort();
        held
    }

    fn values(&self, report: &ReplicaReport) -> Vec<String> {
        let values = report.versions.iter().filter(|version| version.kind == "value");
        values.filter_map(|version| self.pen.named(&version.write_id)).collect()
    }

    pub async fn holds(&self, node: &str, text: &str) -> bool {
        self.replica(node, text).await.is_some_and(|report| report.digest.is_some())
    }

    pub async fn marks(&self, node: &str, text: &str) -> usize {
        self.replica(node, text).await.map_or(0, |report| report.marks.len())
    }

    /// Waits until something is so; complains after 20 s. Whether it became so.
    pub async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) -> bool {
        let began = Instant::now();
        while !is_so().await {
            if began.elapsed() > Duration::from_secs(20) {
                self.pen.complain(format!("after 20 s: {what} is not so"));
                return false;
            }
            pass(5).await;
        }
        true
    }

    pub async fn until_ready(&self) {
        self.until("all nodes are ready", async || self.is_ready()).await;
    }

    /// Waits until a node knows again what it may have missed.
    pub async fn until_complete(&self, node: &str) {
        let complete = async || self.node(node).anti_entropy().incomplete == 0;
        self.until(&format!("{node} is complete"), complete).await;
    }

    /// Waits until a node takes another for up or down.
    pub async fn until_seen(&self, observer: &str, peer: &str, liveness: &str) {
        let sees = async || {
            let members = self.node(observer).cluster().members;
            members.iter().any(|member| member.name == peer && member.liveness == liveness)
        };
        self.until(&format!("{observer} sees {peer} {liveness}"), sees).await;
    }

    /// Waits until every node that runs sees all others that run, and reads with all of them.
    pub async fn until_linked(&self) {
        for one in self.running_names() {
            for other in self.running_names() {
                if one != other {
                    self.until_seen(one, other, "up").await;
                }
            }
        }
        for node in self.running_names() {
            let all_answer = async || {
                for at in 0..8 {
                    let probe = format!("probe{at}");
                    let there = self.sides(&probe).0.iter().filter(|home| self.runs(home)).count();
                    let options = ReadOptions::default().r(u8::try_from(there).unwrap());
                    if self.node(node).get(&key(&probe), options).await.is_err() {
                        return false;
                    }
                }
                true
            };
            self.until(&format!("{node} is linked"), all_answer).await;
        }
    }

    /// Waits until no node that runs keeps any key for others.
    pub async fn until_handed_over(&self) {
        let nothing = async || {
            for door in self.handles().into_values() {
                if !door.hints().await.is_ok_and(|hints| hints.homes.is_empty()) {
                    return false;
                }
            }
            true
        };
        self.until("all is handed over", nothing).await;
    }

    /// Waits until a node keeps a key for so many homes.
    pub async fn until_marked(&self, node: &str, text: &str, homes: usize) {
        let marked = async || self.marks(node, text).await == homes;
        self.until(&format!("{node} keeps {text} for {homes} homes"), marked).await;
    }

    /// Waits until all homes that run hold the same of a key.
    pub async fn until_equal(&self, text: &str) {
        let equal = async || {
            let dumps = self.dumps(text).await;
            dumps.iter().all(|dump| {
                dump.as_ref().map(|dump| &dump.digest) == dumps[0].as_ref().map(|dump| &dump.digest)
            })
        };
        self.until(&format!("all replicas of {text} are equal"), equal).await;
    }

    async fn dumps(&self, text: &str) -> Vec<Option<ReplicaReport>> {
        let mut dumps = Vec::new();
        for home in self.sides(text).0 {
            if self.runs(home) {
                dumps.push(self.replica(home, text).await);
            }
        }
        dumps
    }

    /// Makes a bucket with properties of its own, and waits until all nodes know it.
    pub async fn found(&self, bucket: &'static str, pairs: &[&str]) {
        let name = Bytes::from_static(bucket.as_bytes());
        let parse = |change: BucketChange, pair: &&str| change.parse_pair(pair).unwrap();
        let change = pairs.iter().fold(BucketChange::default(), parse);
        self.pen.write(Event::Mark(Mark {
            bucket: bucket.to_owned(),
            lww: pairs.contains(&"conflict=lww"),
            n: pairs.iter().find_map(|pair| pair.strip_prefix("n=")?.parse().ok()),
            ..Mark::new(self.pen.now(), MarkName::Bucket)
        }));
        let first = self.node(self.running_names()[0]);
        if let Err(error) = first.set_bucket(&name, change).await {
            self.pen.complain(format!("bucket {bucket}: {error}"));
        }
        let known = async || {
            let knows = |door: &henge_actors::NodeHandle| {
                door.bucket(&name).is_ok_and(|held| held.established && held.version.counter > 0)
            };
            self.handles().values().all(knows)
        };
        self.until(&format!("all know {bucket}"), known).await;
    }

    /// Ends all faults, waits until all is equal, writes down what nodes hold, and reads every key.
    pub async fn close(mut self) -> Pen {
        self.end_faults().await;
        self.until_ready().await;
        self.until_handed_over().await;
        let keys = self.pen.keys();
        for text in &keys {
            self.until_equal(text).await;
        }
        self.write_down(&keys).await;
        for text in &keys {
            self.read_at_last(text).await;
        }
        self.pen
    }

    async fn end_faults(&mut self) {
        self.network.set_profile(calm());
        self.bury_the_dead().await;
        for node in self.names() {
            self.world.resume(node);
            self.disarm(node);
            self.disk(node).set_capacity(None);
            self.disk(node).set_faults(Faults::default());
            self.disk(node).run_syncs();
            self.clock(node).set_drift_ppm(0);
        }
        for node in self.poisoned() {
            self.fell(&node).await;
        }
        for node in self.names() {
            if !self.runs(node) && !self.gone.contains(node) {
                self.rise(node).await;
            }
        }
        self.heal_all();
        self.pen.heal();
    }

    async fn write_down(&self, keys: &[String]) {
        for (node, door) in self.handles() {
            let hints = door.hints().await.map(|hints| hints.homes);
            let hints = hints.map_or(1, |homes| homes.iter().map(|home| home.count).sum());
            let (t, node) = (self.pen.now(), node.to_owned());
            self.pen.write(Event::Node(NodeState { t, node, hints }));
        }
        for text in keys {
            for report in self.dumps(text).await.into_iter().flatten() {
                // A home that never comes back cannot be compared.
                if report.homes.iter().all(|home| !self.gone.contains(home.as_str())) {
                    self.pen.write(Event::Replica(self.dump(text, report)));
                }
            }
        }
    }

    fn dump(&self, text: &str, report: ReplicaReport) -> Dump {
        let (bucket, key) = parts(text);
        let vals = self.values(&report);
        let dots = report.versions.into_iter().map(|version| (version.dot, version.checksum));
        Dump {
            t: self.pen.now(),
            round: 0,
            node: report.node,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            vals,
            homes: report.homes,
            digest: report.digest,
            dots: dots.collect(),
        }
    }

    /// Through every node, and all homes that are there.
    async fn read_at_last(&self, text: &str) {
        let homes = self.sides(text).0;
        let there = homes.iter().filter(|home| self.runs(home)).count();
        for node in self.running_names() {
            let read = async || {
                let get = self.get(node, text).of(u8::try_from(there).unwrap());
                get.strict().at_last().send().await.is_some()
            };
            self.until(&format!("{text} is read through {node}"), read).await;
        }
    }
}

/// The name of a node, as the stage keeps it.
fn known(node: &str) -> &'static str {
    NAMES.iter().copied().find(|known| *known == node).unwrap()
}
