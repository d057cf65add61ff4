//! A run: bursts of work under faults, each followed by quiet in which all must become equal; at
//! the end every key is read, and the history judged.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use henge_kernel::{bucket::BucketChange, coordination::RequestError, key::PartitionCount};
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Fault, Site, World, WorldPlan,
    atlas::Atlas,
    book::{Book, Tally},
    checkers::{self, Verdict},
    defects,
    history::{Dump, Event, History, Mark, MarkName, Meta, NodeState, Quorum},
    options::{Bucket, Options},
    panics, sites,
    workload::{Client, Doors, Place, Work, places},
};
use crate::{NodeHandle, reports::ReplicaReport, settings::Settings};

/// How long after the end of all faults replicas may differ, in ms.
pub const CONVERGE_MS: u64 = 10_000;
/// In so much time a request is served where it can be, in ms.
const SERVE_MS: u64 = 2_000;
/// How long a cluster may take to be ready, without faults.
const READY: Duration = Duration::from_secs(20);
/// How long the run looks on before it judges what does not become equal.
const PATIENCE: Duration = Duration::from_secs(30);
/// No run takes so long in its own time.
const PLAY_MAX: Duration = Duration::from_mins(20);
/// How often a key is read at the end before it is given up.
const READ_TRIES: u32 = 40;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// What a run was.
#[derive(Debug)]
pub struct Report {
    /// What decided it.
    pub options: Options,
    /// What clients did and were told.
    pub events: Vec<Event>,
    /// What the checkers say to that.
    pub verdict: Verdict,
    /// What went wrong beyond what clients can see.
    pub problems: Vec<String>,
    /// How often which fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How often which named place of the code was passed.
    pub passes: Vec<(Site, u64)>,
    /// What clients did, in numbers.
    pub tally: Tally,
    /// How much time passed in the simulation.
    pub simulated: Duration,
    /// A hash over all that was delivered and all that clients saw: the same run has the same.
    pub trace: u64,
}

impl Report {
    /// Whether something was broken.
    pub fn is_red(&self) -> bool {
        !self.problems.is_empty() || !self.verdict.violations.is_empty()
    }

    /// Whether too little was tried to say so.
    pub fn is_unknown(&self) -> bool {
        !self.is_red() && !self.verdict.unknown.is_empty()
    }
}

/// Runs what `options` decide, on this thread. A panic that nobody planted is a problem of the run.
///
/// # Panics
///
/// If a mistake is to be planted, without the feature `planted-defects`.
pub fn run(options: &Options) -> Report {
    match options.planted {
        Some(defect) => defects::with(defect, || run_as_it_is(options)),
        None => run_as_it_is(options),
    }
}

fn run_as_it_is(options: &Options) -> Report {
    sites::take_passes();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| unreachable!("a runtime of timers: {error}"));
    let (played, panics) = panics::watch(|| {
        catch_unwind(AssertUnwindSafe(|| {
            // What is left of nodes goes before the clock that they ask.
            LocalSet::new().block_on(&runtime, play(Arc::new(options.clone())))
        }))
    });
    let Played { events, mut problems, faults, tally, simulated, trace } =
        played.unwrap_or_default();
    problems.extend(panics);
    let verdict = match History::of(events.iter().cloned()) {
        Ok(history) => checkers::judge(&history),
        Err(error) => {
            problems.push(format!("the history is malformed: {error}"));
            Verdict::default()
        }
    };
    let (options, passes) = (options.clone(), sites::take_passes());
    Report { options, events, verdict, problems, faults, passes, tally, simulated, trace }
}

/// What a run leaves to be judged.
#[derive(Default)]
struct Played {
    events: Vec<Event>,
    problems: Vec<String>,
    faults: BTreeMap<Fault, u64>,
    tally: Tally,
    simulated: Duration,
    trace: u64,
}

async fn play(options: Arc<Options>) -> Played {
    let book = Book::open();
    let began = Instant::now();
    book.write(Event::Meta(meta(&options)));
    let doors = Doors::default();
    let work = Arc::new(options.work());
    let mut stage = Stage {
        world: World::new(plan(&options)),
        atlas: Atlas::new(Arc::clone(&options), book.clone(), Rc::clone(&doors)),
        places: places(&work),
        work,
        book: book.clone(),
        doors,
        options: Arc::clone(&options),
    };
    if timeout(PLAY_MAX, stage.play()).await.is_err() {
        stage.atlas.problems.push("the run does not come to an end".to_owned());
    }
    let Stage { world, atlas, .. } = stage;
    let mut faults = atlas.counts;
    let mishaps = world.network.mishaps();
    let weather = [
        (Fault::Loss, mishaps.lost),
        (Fault::Duplication, mishaps.duplicated),
        (Fault::Reordering, mishaps.reordered),
        (Fault::Delay, u64::from(options.faults.contains(&Fault::Delay))),
    ];
    faults.extend(weather.into_iter().filter(|(_, count)| *count > 0));
    Played {
        problems: atlas.problems,
        faults,
        tally: book.tally(),
        simulated: began.elapsed(),
        trace: world.network.trace_hash() ^ book.hash().rotate_left(1),
        // A book that only keeps cannot fail.
        events: book.close().unwrap_or_default(),
    }
}

fn meta(options: &Options) -> Meta {
    let bent =
        options.faults.contains(&Fault::ClockJump) || options.faults.contains(&Fault::ClockDrift);
    Meta {
        seed: Some(options.seed),
        quorum: Quorum::Sloppy,
        // A node that was started anew does not drop what it had promised to: the next regular
        // comparison makes up for that.
        converge_ms: Some(CONVERGE_MS + options.tuning.anti_entropy_ms),
        // Clocks show whole milliseconds.
        skew_ms: (!bent).then_some(1),
        lossy: options.damaged_max > 0,
        max_siblings: options.siblings_max(),
        serve_ms: Some(SERVE_MS),
        ..Meta::new("simulation")
    }
}

fn plan(options: &Options) -> WorldPlan {
    let (tuning, partitions) = (options.tuning, PartitionCount::new(options.partitions));
    let adjust = move |_: &str, settings: &mut Settings| {
        if let Some(partitions) = partitions {
            settings.ring.partitions = partitions;
        }
        settings.storage.sync_interval = Duration::from_millis(tuning.sync_interval_ms);
        settings.storage.tombstone_min_age = Duration::from_millis(tuning.tombstone_min_age_ms);
        settings.anti_entropy.interval = Duration::from_millis(tuning.anti_entropy_ms);
        settings.handoff.hint_bytes_max = tuning.hint_bytes_max;
        settings.storage.reserve_bytes = tuning.reserve_bytes;
    };
    WorldPlan {
        seed: options.seed,
        nodes: options.nodes,
        shards: options.shards.clone(),
        profile: Options::calm_profile(),
        adjust: Rc::new(adjust),
    }
}

/// A home, and what it says that it holds of a key.
type Held = (String, Result<ReplicaReport, RequestError>);

/// All that plays together.
struct Stage {
    world: World,
    atlas: Atlas,
    places: Vec<Rc<Place>>,
    book: Book,
    doors: Doors<NodeHandle>,
    work: Arc<Work>,
    options: Arc<Options>,
}

impl Stage {
    async fn play(&mut self) {
        if !self.rise().await {
            return;
        }
        for burst in 0..self.options.bursts {
            self.burst(burst).await;
            self.atlas.calm(&mut self.world).await;
            self.book.write(Event::Mark(Mark::new(self.book.now(), MarkName::Heal)));
            if !self.rest().await {
                break;
            }
            self.atlas.forgive();
        }
        self.close().await;
    }

    /// Starts all nodes, and makes the buckets.
    async fn rise(&mut self) -> bool {
        for node in self.world.names() {
            if let Err(error) = self.world.start(node, None).await {
                self.atlas.problems.push(format!("does not start: {node}, {error}"));
                return false;
            }
        }
        self.atlas.open_doors(&self.world);
        if !self.until_ready().await {
            return false;
        }
        for bucket in &self.options.buckets {
            if let Err(error) = self.found(bucket).await {
                self.atlas.problems.push(format!("no bucket: {} {error}", bucket.name));
                return false;
            }
        }
        true
    }

    async fn until_ready(&mut self) -> bool {
        let began = Instant::now();
        while !self.world.is_ready() {
            if began.elapsed() > READY {
                let readiness: Vec<_> = self.world.handles().into_iter().collect();
                let readiness: Vec<_> = readiness
                    .iter()
                    .map(|(node, handle)| format!("{node} {:?}", handle.readiness()))
                    .collect();
                let problem = format!("not ready in time: {}", readiness.join(", "));
                self.atlas.problems.push(problem);
                return false;
            }
            sleep(Duration::from_millis(10)).await;
            self.mend().await;
        }
        true
    }

    /// A site that was armed before may have been reached since; an actor that fell before may
    /// have been given up now. What ended by itself starts again at once.
    async fn mend(&mut self) {
        self.atlas.tend(&mut self.world).await;
        self.atlas.calm(&mut self.world).await;
    }

    /// Sets the properties of a bucket, and waits until every node knows them.
    async fn found(&self, bucket: &Bucket) -> Result<(), String> {
        let name = Bytes::from(bucket.name.clone());
        let conflict = if bucket.lww { "lww" } else { "siblings" };
        let pairs = [
            format!("n={}", bucket.n),
            format!("r={}", bucket.r),
            format!("w={}", bucket.w),
            format!("sloppy={}", bucket.sloppy),
            format!("conflict={conflict}"),
            format!("durability={}", bucket.durability),
        ];
        let mut change = BucketChange::default();
        for pair in pairs {
            change = change.parse_pair(&pair).ok_or(pair)?;
        }
        self.book.write(Event::Mark(Mark {
            bucket: bucket.name.clone(),
            lww: bucket.lww,
            n: Some(bucket.n),
            ..Mark::new(self.book.now(), MarkName::Bucket)
        }));
        let first = self.world.node(self.world.names()[0]);
        first.set_bucket(&name, change).await.map_err(|error| error.to_string())?;
        let began = Instant::now();
        loop {
            let handles = self.world.handles();
            let knows = |handle: &NodeHandle| {
                handle.bucket(&name).is_ok_and(|held| held.established && held.version.counter > 0)
            };
            if handles.values().all(knows) {
                return Ok(());
            }
            if began.elapsed() > READY {
                return Err("not every node knows it".to_owned());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Clients work while things go wrong.
    async fn burst(&mut self, burst: usize) {
        self.world.network.set_profile(self.options.profile());
        let end = Instant::now() + Duration::from_millis(self.options.burst_ms);
        let clients: Vec<_> = (0..self.options.clients)
            .map(|number| {
                let seed = self.atlas.rng.u64(..);
                let client = Client::new(
                    format!("c{burst}{number}"),
                    seed,
                    Arc::clone(&self.work),
                    self.places.clone(),
                    Rc::clone(&self.doors),
                    self.book.clone(),
                );
                spawn_local(client.work(self.options.pause_ms, end))
            })
            .collect();
        let mut next_fault = Instant::now();
        while clients.iter().any(|client| !client.is_finished()) {
            let now = Instant::now();
            if now >= next_fault && now < end {
                self.atlas.begin(&mut self.world).await;
                let pause = self.atlas.rng.u64(0..=2 * self.options.fault_every_ms);
                next_fault = now + Duration::from_millis(pause);
            }
            self.atlas.tend(&mut self.world).await;
            let soon = Instant::now() + Duration::from_millis(50);
            let wake = self.atlas.next_relief().map_or(soon, |relief| relief.min(soon));
            sleep_until(wake.max(Instant::now() + Duration::from_millis(1))).await;
        }
    }

    /// Waits until all nodes are ready, all replicas are equal, and nobody keeps anything for others.
    async fn rest(&mut self) -> bool {
        if !self.until_ready().await {
            return false;
        }
        let (began, mut told) = (Instant::now(), String::new());
        loop {
            sleep(LOOK).await;
            self.mend().await;
            let Some(why) = self.unequal().await else { return true };
            if told != why {
                self.book.note(why.clone());
                told.clone_from(&why);
            }
            if began.elapsed() > PATIENCE {
                self.atlas
                    .problems
                    .push(format!("not settled: after {PATIENCE:?} without faults {why}"));
                return false;
            }
        }
    }

    /// What is not yet as it must be in the end.
    async fn unequal(&self) -> Option<String> {
        if let Some(node) = self.world.names().into_iter().find(|node| !self.world.runs(node)) {
            return Some(format!("{node} does not run"));
        }
        for (node, handle) in self.world.handles() {
            let doubts = handle.anti_entropy();
            let (incomplete, damaged) = (doubts.incomplete, doubts.quarantined);
            if incomplete + damaged > 0 {
                return Some(format!("{node} doubts {incomplete} partitions, {damaged} keys"));
            }
            match handle.hints().await {
                Ok(hints) if hints.homes.is_empty() => {}
                hints => return Some(format!("{node} keeps {hints:?}")),
            }
        }
        for place in &self.places {
            let reports = self.replicas(place).await;
            let held: Vec<_> = reports
                .iter()
                .map(|(node, report)| (node, report.as_ref().map(|report| &report.digest)))
                .collect();
            if held.iter().any(|(_, digest)| digest.is_err() || *digest != held[0].1) {
                return Some(format!("{}/{} differs: {held:?}", place.bucket.name, place.text));
            }
        }
        None
    }

    /// What the homes of a key hold.
    async fn replicas(&self, place: &Place) -> Vec<Held> {
        let mut reports = Vec::new();
        let handles = self.world.handles();
        let Some(first) = handles.values().next() else { return reports };
        for home in first.preference_list(&place.key).homes {
            if let Some(handle) = handles.get(home.as_str()) {
                reports.push((home, handle.replica(&place.key).await));
            }
        }
        reports
    }

    /// Writes down what all nodes hold, and reads every key.
    async fn close(&mut self) {
        for (node, handle) in self.world.handles() {
            let hints = handle.hints().await.map(|hints| hints.homes);
            let count = hints.map_or(1, |homes| homes.iter().map(|home| home.count).sum());
            let (t, node) = (self.book.now(), node.to_owned());
            self.book.write(Event::Node(NodeState { t, node, hints: count }));
        }
        for place in &self.places {
            for (_, report) in self.replicas(place).await {
                let Ok(report) = report else { continue };
                let key = (place.bucket.name.as_str(), place.text.as_str());
                self.book.write(Event::Replica(dump(&self.book, key, report, 0)));
            }
        }
        let seed = self.atlas.rng.u64(..);
        let mut reader = Client::new(
            "final".to_owned(),
            seed,
            Arc::clone(&self.work),
            self.places.clone(),
            Rc::clone(&self.doors),
            self.book.clone(),
        );
        for number in 0..self.places.len() {
            let mut tries = 0;
            let homes = self.places[number].bucket.n;
            // Damage that nobody had met yet is mended first.
            while reader.read(number, Some(homes)).await.is_none() && tries < READ_TRIES {
                tries += 1;
                sleep(LOOK).await;
            }
            if tries == READ_TRIES {
                let place = &self.places[number];
                let text = format!("{}/{}", place.bucket.name, place.text);
                self.atlas.problems.push(format!("cannot be read without faults: {text}"));
            }
        }
    }
}

/// What a node tells of its own record of a key, as histories have it.
pub fn dump(book: &Book, (bucket, key): (&str, &str), report: ReplicaReport, round: u32) -> Dump {
    let dots = report.versions.into_iter().map(|version| (version.dot, version.checksum));
    Dump {
        t: book.now(),
        round,
        node: report.node,
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        vals: Vec::new(),
        homes: report.homes,
        digest: report.digest,
        dots: dots.collect(),
    }
}
