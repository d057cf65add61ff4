//! What a scenario is told with: a cluster, one client that writes down what it does, one key.

use std::{collections::BTreeMap, fmt::Display, path::PathBuf, rc::Rc, time::Duration};

use henge_kernel::{
    bucket::BucketChange,
    causality::{Context, Value},
    coordination::{DeleteOptions, Fate, PutOptions, ReadOptions, RequestError},
    key::Key,
};
use tokio::time::{Instant, sleep};

use crate::{
    NodeHandle,
    api::{Answer, Written},
    reports::ReplicaReport,
    settings::Settings,
    simulation::{
        CONVERGE_MS, World, WorldPlan,
        book::Book,
        history::{Answered, Event, Invoke, Kind, Mark, MarkName, Meta, NodeState, Quorum},
        run::dump,
        workload::{shown, unanswered},
        world::name,
    },
    storage::disk_simulated::Faults,
    transport::simulated::NetworkProfile,
};

const BUCKET: &str = "scene";
const KEY: &str = "k";
/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a scenario asks of its cluster.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// How many nodes.
    pub nodes: usize,
    /// Whether the last writer wins.
    pub lww: bool,
    /// How long replicas may differ, in ms.
    pub converge_ms: u64,
    /// `storage.sync_interval`.
    pub sync_interval: Duration,
    /// `anti_entropy.interval`.
    pub anti_entropy: Duration,
}

impl Stage {
    /// So many nodes, and what else is usual.
    pub(super) const fn of(nodes: usize) -> Self {
        Self {
            nodes,
            lww: false,
            converge_ms: CONVERGE_MS,
            sync_interval: Duration::from_millis(100),
            anti_entropy: Duration::from_secs(3),
        }
    }
}

/// Why a story could not be told to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stuck(String);

/// A cluster, one key, one client.
pub struct Scene {
    /// The cluster.
    pub world: World,
    book: Book,
    key: Key,
    ids: u64,
    contexts: BTreeMap<String, Context>,
    /// Homes of the key, in the order of the ring.
    pub homes: Vec<String>,
    /// The others.
    pub fallbacks: Vec<String>,
}

impl Scene {
    /// Raises the cluster, and waits until all nodes see each other.
    pub(super) async fn rise(stage: Stage, seed: u64, book: Book) -> Result<Self, Stuck> {
        let mut meta = Meta::new("scenario");
        (meta.seed, meta.converge_ms) = (Some(seed), Some(stage.converge_ms));
        book.write(Event::Meta(meta));
        let mut world = World::new(plan(stage, seed));
        for node in world.names() {
            world.start(node, None).await.map_err(stuck)?;
        }
        let key = Key::new(BUCKET, KEY).map_err(stuck)?;
        let (homes, fallbacks) = (Vec::new(), Vec::new());
        let mut scene =
            Self { world, book, key, ids: 0, contexts: BTreeMap::new(), homes, fallbacks };
        scene.until("all are ready", async |scene: &Self| scene.world.is_ready()).await?;
        let list = scene.node("a").preference_list(&scene.key);
        (scene.homes, scene.fallbacks) = (list.homes, list.fallbacks);
        let all: Vec<String> = scene.world.names().iter().map(ToString::to_string).collect();
        for node in &all {
            scene.until_seen(&all, node, "up").await?;
        }
        if stage.lww {
            scene.let_the_last_writer_win().await?;
        }
        Ok(scene)
    }

    async fn let_the_last_writer_win(&mut self) -> Result<(), Stuck> {
        let lww = Mark {
            bucket: BUCKET.to_owned(),
            lww: true,
            ..Mark::new(self.book.now(), MarkName::Bucket)
        };
        self.book.write(Event::Mark(lww));
        let change = BucketChange::default().parse_pair("conflict=lww");
        let change = change.ok_or(Stuck("conflict=lww is none".to_owned()))?;
        self.node("a").set_bucket(self.key.bucket(), change).await.map_err(stuck)?;
        let knows = |handle: &NodeHandle, scene: &Self| {
            let held = handle.bucket(scene.key.bucket());
            held.is_ok_and(|held| held.established && held.version.counter > 0)
        };
        self.until("all know the bucket", async |scene: &Self| {
            scene.world.handles().values().all(|handle| knows(handle, scene))
        })
        .await
    }

    /// A node that runs.
    pub(super) fn node(&self, node: &str) -> &NodeHandle {
        self.world.node(node)
    }

    /// Waits until something is so.
    pub(super) async fn until(
        &self,
        what: &str,
        is_so: impl AsyncFn(&Self) -> bool,
    ) -> Result<(), Stuck> {
        let began = Instant::now();
        while !is_so(self).await {
            if began.elapsed() > PATIENCE {
                return Err(Stuck(format!("not within {PATIENCE:?}: {what}")));
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Waits until all of these see a node as up or down.
    pub(super) async fn until_seen(
        &self,
        observers: &[String],
        peer: &str,
        liveness: &str,
    ) -> Result<(), Stuck> {
        let sees = |scene: &Self, observer: &String| {
            let members = scene.node(observer).cluster().members;
            members.iter().any(|member| member.name == peer && member.liveness == liveness)
        };
        self.until(&format!("{peer} is {liveness}"), async |scene: &Self| {
            observers.iter().all(|observer| observer == peer || sees(scene, observer))
        })
        .await
    }

    /// Cuts these nodes off from everybody, who know of it when this returns.
    pub(super) async fn cut_off(&self, nodes: &[String]) -> Result<(), Stuck> {
        for node in nodes {
            self.world.network.isolate(&name(node));
        }
        let others = self.world.names().into_iter().map(ToOwned::to_owned);
        let others: Vec<String> = others.filter(|node| !nodes.contains(node)).collect();
        for node in nodes {
            self.until_seen(&others, node, "down").await?;
        }
        Ok(())
    }

    /// Two nodes hear nothing of each other.
    pub(super) fn cut(&self, one: &str, other: &str) {
        self.world.network.cut(&name(one), &name(other));
    }

    /// What one node sends does not reach the other.
    pub(super) fn cut_one_way(&self, from: &str, to: &str) {
        self.world.network.cut_one_way(&name(from), &name(to));
    }

    /// Two nodes hear each other again.
    pub(super) fn heal(&self, one: &str, other: &str) {
        self.world.network.heal(&name(one), &name(other));
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }

    /// What a node holds of the key.
    pub(super) async fn held(&self, node: &str) -> Option<ReplicaReport> {
        self.node(node).replica(&self.key).await.ok()
    }

    /// Waits until a node keeps the key for so many homes.
    pub(super) async fn until_kept_for(&self, node: &str, homes: usize) -> Result<(), Stuck> {
        let what = format!("{node} keeps the key for {homes}");
        self.until(&what, async |scene: &Self| {
            scene.held(node).await.is_some_and(|held| held.marks.len() == homes)
        })
        .await
    }

    /// Waits until all homes hold the same, and something.
    pub(super) async fn until_equal(&self) -> Result<(), Stuck> {
        self.until("the homes are equal", async |scene: &Self| {
            let mut digests = Vec::new();
            for home in &scene.homes {
                digests.push(scene.held(home).await.and_then(|held| held.digest));
            }
            digests[0].is_some() && digests.iter().all(|digest| *digest == digests[0])
        })
        .await
    }

    fn invoke(&mut self, node: &str, op: Kind, sloppy: Option<bool>) -> (String, Invoke) {
        self.ids += 1;
        let id = format!("s{}", self.ids);
        let mut invoke = Invoke::new(self.book.now(), &id, op, KEY);
        (invoke.bucket, invoke.node, invoke.c) = (BUCKET.into(), node.into(), "s".into());
        invoke.quorum = (sloppy == Some(false)).then_some(Quorum::Strict);
        (id, invoke)
    }

    /// Puts a value, named as the operation, with the context of an earlier answer; whether it was
    /// acknowledged, and how the operation is called.
    pub(super) async fn put(
        &mut self,
        node: &str,
        seen: Option<&str>,
        mut options: PutOptions,
    ) -> (String, Result<(), RequestError>) {
        let (id, mut invoke) = self.invoke(node, Kind::Put, options.sloppy);
        (invoke.w, invoke.pw) = (options.w, options.pw);
        (invoke.val, invoke.ctx) =
            (Some(id.clone()), seen.iter().map(ToString::to_string).collect());
        self.book.write(Event::Invoke(invoke));
        options.context = self.context(seen);
        let value = Value::text(format!("{id}|"));
        let outcome = self.node(node).put(&self.key, value, options).await;
        (id.clone(), self.was_written(id, outcome))
    }

    /// The same, for a story that goes on only if it was acknowledged.
    pub(super) async fn put_ok(
        &mut self,
        node: &str,
        seen: Option<&str>,
        options: PutOptions,
    ) -> Result<String, Stuck> {
        let (id, outcome) = self.put(node, seen, options).await;
        outcome.map(|()| id).map_err(stuck)
    }

    /// Deletes what an earlier answer showed.
    pub(super) async fn delete_ok(
        &mut self,
        node: &str,
        seen: &str,
        mut options: DeleteOptions,
    ) -> Result<String, Stuck> {
        let (id, mut invoke) = self.invoke(node, Kind::Delete, options.sloppy);
        (invoke.w, invoke.pw, invoke.ctx) = (options.w, options.pw, vec![seen.to_owned()]);
        self.book.write(Event::Invoke(invoke));
        options.context = self.context(Some(seen));
        let outcome = self.node(node).delete(&self.key, options).await;
        self.was_written(id.clone(), outcome).map(|()| id).map_err(stuck)
    }

    fn context(&self, seen: Option<&str>) -> Context {
        seen.and_then(|id| self.contexts.get(id)).cloned().unwrap_or_default()
    }

    fn was_written(
        &mut self,
        id: String,
        outcome: Result<Answer<Written>, RequestError>,
    ) -> Result<(), RequestError> {
        let answer = outcome.inspect_err(|error| self.was_refused(&id, error))?;
        self.book.write(Event::Ok(Answered {
            t: self.book.now(),
            id: id.clone(),
            dot: Some(answer.body.dot.to_string()),
            acks: Some(answer.replicas.acks),
            fallbacks: Some(answer.replicas.fallbacks),
            ..Answered::default()
        }));
        self.contexts.insert(id, answer.body.context);
        Ok(())
    }

    fn was_refused(&self, id: &str, error: &RequestError) {
        let unanswered = unanswered(&self.book, id.to_owned(), Some(error));
        self.book.write(match error.fate() {
            Fate::NotApplied => Event::Fail(unanswered),
            Fate::Unknown => Event::Info(unanswered),
        });
    }

    /// Reads the key; how the operation is called, if it was served.
    pub(super) async fn get(&mut self, node: &str, options: ReadOptions) -> Option<String> {
        self.read(node, options, false).await
    }

    async fn read(&mut self, node: &str, options: ReadOptions, is_final: bool) -> Option<String> {
        let (id, mut invoke) = self.invoke(node, Kind::Get, options.sloppy);
        (invoke.r, invoke.pr, invoke.is_final) = (options.r, options.pr, is_final);
        self.book.write(Event::Invoke(invoke));
        match self.node(node).get(&self.key, options).await {
            Ok(answer) => {
                self.book.write(Event::Ok(Answered {
                    t: self.book.now(),
                    id: id.clone(),
                    acks: Some(answer.replicas.acks),
                    fallbacks: Some(answer.replicas.fallbacks),
                    ..shown(&answer.body)
                }));
                self.contexts.insert(id.clone(), answer.body.context());
                Some(id)
            }
            Err(error) => {
                self.was_refused(&id, &error);
                None
            }
        }
    }

    /// Kills a node, and takes its disk.
    pub(super) async fn wipe(&mut self, node: &str) {
        self.world.kill(node).await;
        self.world.wipe(node);
    }

    /// Lets every write to a node's disk fail, or none.
    pub(super) fn break_disk(&self, node: &str, broken: bool) {
        self.world.disk(node).set_faults(Faults { appends: broken, ..Faults::default() });
    }

    /// Changes a byte of the last value in a node's log.
    pub(super) fn rot(&self, node: &str) {
        let disk = self.world.disk(node);
        let files = disk.files("/data/shard-0".as_ref());
        let is_log = |path: &&PathBuf| path.extension().is_some_and(|end| end == "log");
        for path in files.iter().filter(is_log) {
            let mut bytes = disk.contents(path).unwrap_or_default();
            if let Some(at) = bytes.iter().rposition(|byte| *byte == b'|') {
                bytes[at] ^= 1;
                disk.overwrite(path, bytes);
            }
        }
    }

    /// Starts a node that does not run.
    pub(super) async fn start(&mut self, node: &str) -> Result<(), Stuck> {
        self.world.start(node, None).await.map_err(stuck)
    }

    /// Writes down what the homes hold.
    pub(super) async fn dump(&self, round: u32) {
        for home in &self.homes {
            if let Some(report) = self.held(home).await {
                self.book.write(Event::Replica(dump(&self.book, (BUCKET, KEY), report, round)));
            }
        }
    }

    /// Says that from now on replicas have to become equal.
    pub(super) fn mark_heal(&self) {
        self.book.write(Event::Mark(Mark::new(self.book.now(), MarkName::Heal)));
    }

    /// Ends all faults, waits until nothing is left to be done, and reads the key.
    pub(super) async fn end(&mut self, first_round: u32) -> Result<(), Stuck> {
        self.world.network.heal_all();
        for node in self.world.names() {
            self.break_disk(node, false);
            self.world.disk(node).set_capacity(None);
            self.world.disk(node).run_syncs();
            if self.world.poisoned().iter().any(|poisoned| poisoned == node) {
                self.world.kill(node).await;
            }
            if !self.world.runs(node) {
                self.start(node).await?;
            }
        }
        if first_round == 0 {
            self.mark_heal();
        }
        self.settle().await;
        self.dump(first_round).await;
        for (node, handle) in self.world.handles() {
            let hints = handle.hints().await.map(|hints| hints.homes).unwrap_or_default();
            let hints = hints.iter().map(|home| home.count).sum();
            let (t, node) = (self.book.now(), node.to_owned());
            self.book.write(Event::Node(NodeState { t, node, hints }));
        }
        let all = u8::try_from(self.homes.len()).unwrap_or(1);
        let reader = self.homes[0].clone();
        let options = ReadOptions { r: Some(all), ..ReadOptions::default() };
        for _ in 0..PATIENCE.as_secs() {
            if self.read(&reader, options.clone(), true).await.is_some() {
                return Ok(());
            }
            self.pass(1_000).await;
        }
        Err(Stuck("the key cannot be read from all homes".to_owned()))
    }

    /// Waits for replicas that become equal, and gives what may come back time to do so.
    async fn settle(&self) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            self.pass(250).await;
            let mut digests = Vec::new();
            for home in &self.homes {
                digests.push(self.held(home).await.map(|held| held.digest));
            }
            let kept = |handle: NodeHandle| async move {
                handle.hints().await.map_or(1, |hints| hints.homes.len())
            };
            let mut hints = 0;
            for handle in self.world.handles().into_values() {
                hints += kept(handle).await;
            }
            let equal = digests.iter().all(|one| one.is_some() && *one == digests[0]);
            if equal && hints == 0 && self.world.is_ready() {
                return;
            }
        }
    }
}

pub(super) fn stuck(error: impl Display) -> Stuck {
    Stuck(error.to_string())
}

fn plan(stage: Stage, seed: u64) -> WorldPlan {
    let adjust = move |_: &str, settings: &mut Settings| {
        settings.storage.sync_interval = stage.sync_interval;
        settings.anti_entropy.interval = stage.anti_entropy;
    };
    WorldPlan {
        seed,
        nodes: stage.nodes,
        shards: vec![1],
        profile: NetworkProfile { loss_percent: 0, ..NetworkProfile::default() },
        adjust: Rc::new(adjust),
    }
}
