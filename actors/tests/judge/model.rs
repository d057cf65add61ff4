//! A store that keeps its promises, in a page: histories of it must never be accused.
//!
//! Three homes and two nodes that stand in. Records are sets of causal histories; they merge now and
//! then, and all of them at the end. A put may be made twice, a client may retry, and be told
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use henge_actors::simulation::history::{
    Answered, Dump, Event, Invoke, Kind, Mark, MarkName, Meta, Moment, NodeState, Quorum,
    Unanswered,
};

const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];
const HOMES: usize = 3;

/// What the clients do.
#[expect(clippy::struct_excessive_bools, reason = "choices, not states")]
#[derive(Clone, Debug)]
pub struct Options {
    pub keys: usize,
    pub steps: usize,
    /// Whether answers tell dots.
    pub dots: bool,
    /// Whether clients retry, and forwarded puts are made twice.
    pub twins: bool,
    pub ttl: bool,
    pub lww: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { keys: 2, steps: 150, dots: true, twins: true, ttl: true, lww: false }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Version {
    name: String,
    is_put: bool,
    stamp: u64,
    ends: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Context {
    dots: BTreeSet<u64>,
    stamp: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Record {
    seen: BTreeSet<u64>,
    versions: BTreeMap<u64, Version>,
}

impl Record {
    fn merge(&mut self, other: &Self, lww: bool) {
        self.versions
            .retain(|dot, _| other.versions.contains_key(dot) || !other.seen.contains(dot));
        for (dot, version) in &other.versions {
            if !self.seen.contains(dot) {
                self.versions.insert(*dot, version.clone());
            }
        }
        self.seen.extend(&other.seen);
        self.settle(lww);
    }

    fn write(&mut self, dot: u64, mut version: Version, context: &Context, lww: bool) -> Context {
        let greatest = self.versions.values().map(|version| version.stamp).max().unwrap_or(0);
        version.stamp = version.stamp.max(greatest + 1).max(context.stamp + 1);
        let mut covered = context.clone();
        covered.stamp = version.stamp;
        covered.dots.insert(dot);
        self.versions.retain(|dot, _| !context.dots.contains(dot));
        self.versions.insert(dot, version);
        self.seen.extend(&covered.dots);
        self.settle(lww);
        covered
    }

    fn settle(&mut self, lww: bool) {
        let rank = |(dot, one): (&u64, &Version)| (one.stamp, one.is_put, *dot);
        let winner = self.versions.iter().map(rank).max();
        if let Some((_, _, winner)) = winner.filter(|_| lww) {
            self.versions.retain(|dot, _| *dot == winner);
        }
    }

    fn context(&self) -> Context {
        let stamp = self.versions.values().map(|version| version.stamp).max().unwrap_or(0);
        Context { dots: self.seen.clone(), stamp }
    }

    /// The values, each with its smallest dot.
    fn values(&self, now: u64) -> Vec<(String, u64)> {
        let mut values: BTreeMap<&String, u64> = BTreeMap::new();
        for (dot, version) in &self.versions {
            if version.is_put && version.ends.is_none_or(|ends| now < ends) {
                values.entry(&version.name).or_insert(*dot);
            }
        }
        values.into_iter().map(|(name, dot)| (name.clone(), dot)).collect()
    }
}

/// A request that was sent, and not answered yet.
struct Open {
    invoke: Invoke,
    key: usize,
    context: Context,
    fate: Fate,
    /// What it will be answered with, if it was carried out already.
    done: Option<(Answered, Context)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Ok,
    Info,
    Fail,
}

struct Run<'a> {
    options: &'a Options,
    random: fastrand::Rng,
    events: Vec<Event>,
    now: u64,
    ids: u64,
    dots: u64,
    /// By key and node.
    records: Vec<Vec<Record>>,
    open: Vec<Open>,
    /// What clients were answered, by key: operation and context.
    contexts: Vec<Vec<(String, Context)>>,
    /// Puts of which nobody knows, to be tried again.
    doubtful: Vec<(Invoke, usize, Context)>,
}

/// The history of a run in which every promise is kept.
pub fn run(seed: u64, options: &Options) -> Vec<Event> {
    let mut run = Run {
        options,
        random: fastrand::Rng::with_seed(seed),
        events: Vec::new(),
        now: 0,
        ids: 0,
        dots: 0,
        records: vec![vec![Record::default(); NODES.len()]; options.keys],
        open: Vec::new(),
        contexts: vec![Vec::new(); options.keys],
        doubtful: Vec::new(),
    };
    run.begin();
    for _ in 0..options.steps {
        run.step();
    }
    while !run.open.is_empty() {
        run.complete();
    }
    run.end();
    run.events
}

impl Run<'_> {
    fn at(&mut self) -> Moment {
        self.now += self.random.u64(1..4);
        Moment::from_millis(self.now)
    }

    fn begin(&mut self) {
        let meta = Meta {
            skew_ms: Some(0),
            converge_ms: Some(10_000),
            max_siblings: Some(1_000),
            require_faults: vec!["partition".to_owned()],
            ..Meta::new("model")
        };
        self.events.push(Event::Meta(meta));
        let lww = Mark { lww: self.options.lww, ..Mark::new(Moment(0), MarkName::Bucket) };
        self.events.push(Event::Mark(lww));
        let kind = Some("partition".to_owned());
        let fault = Mark { kind, ..Mark::new(Moment(0), MarkName::Fault) };
        self.events.push(Event::Mark(fault));
    }

    fn step(&mut self) {
        match self.random.u8(..10) {
            0..4 if self.open.len() < 4 => self.invoke(),
            4 if self.options.twins => self.retry(),
            5 => self.gossip(),
            _ => self.complete(),
        }
    }

    /// One node hears what another has.
    fn gossip(&mut self) {
        let key = self.random.usize(..self.options.keys);
        let (from, to) = (self.random.usize(..NODES.len()), self.random.usize(..NODES.len()));
        self.send(key, from, to);
    }

    fn send(&mut self, key: usize, from: usize, to: usize) {
        let record = self.records[key][from].clone();
        self.records[key][to].merge(&record, self.options.lww);
    }

    fn invoke(&mut self) {
        self.ids += 1;
        let key = self.random.usize(..self.options.keys);
        let known = self.contexts[key].len();
        let op = match self.random.u8(..10) {
            0..4 => Kind::Get,
            4 if known > 0 => Kind::Delete,
            _ => Kind::Put,
        };
        let mut invoke = Invoke::new(self.at(), format!("o{}", self.ids), op, format!("k{key}"));
        let mut context = Context::default();
        // A late context more often than none.
        if op != Kind::Get && known > 0 && (op == Kind::Delete || self.random.u8(..4) > 0) {
            let from = known.saturating_sub(4);
            let (id, held) = self.contexts[key][self.random.usize(from..known)].clone();
            invoke.ctx = vec![id];
            context = held;
        }
        if op == Kind::Put {
            invoke.val = Some(format!("v{}", self.ids));
            invoke.wid = self.options.twins.then(|| format!("w{}", self.ids));
            let ttl = self.options.ttl && self.random.u8(..4) == 0;
            invoke.ttl_ms = ttl.then(|| self.random.u64(1..60));
        }
        match self.random.u8(..4) {
            0 => invoke.quorum = Some(Quorum::Strict),
            1 if op == Kind::Get => invoke.pr = Some(2),
            1 => invoke.pw = Some(2),
            _ => {}
        }
        self.sent(invoke, key, context);
    }

    fn retry(&mut self) {
        let Some((mut invoke, key, context)) = self.doubtful.pop() else { return };
        self.ids += 1;
        (invoke.t, invoke.id) = (self.at(), format!("o{}", self.ids));
        self.sent(invoke, key, context);
    }

    fn sent(&mut self, invoke: Invoke, key: usize, context: Context) {
        self.events.push(Event::Invoke(invoke.clone()));
        let fate = match self.random.u8(..10) {
            0 => Fate::Fail,
            1..3 => Fate::Info,
            _ => Fate::Ok,
        };
        let mut open = Open { invoke, key, context, fate, done: None };
        if self.random.bool() {
            self.carry_out(&mut open);
        }
        self.open.push(open);
    }

    fn complete(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let mut open = self.open.swap_remove(self.random.usize(..self.open.len()));
        if open.done.is_none() {
            self.carry_out(&mut open);
        }
        let (t, id) = (self.at(), open.invoke.id.clone());
        let (mut answer, context) = open.done.unwrap_or_default();
        let error =
            |code: &str| Unanswered { t, id: id.clone(), code: Some(code.to_owned()), err: None };
        let event = match open.fate {
            Fate::Ok => {
                self.contexts[open.key].push((id.clone(), context));
                (answer.t, answer.id) = (t, id);
                Event::Ok(answer)
            }
            Fate::Info => {
                if open.invoke.op == Kind::Put {
                    self.doubtful.push((open.invoke, open.key, open.context));
                }
                Event::Info(error("timed_out"))
            }
            Fate::Fail => Event::Fail(error("not_ready")),
        };
        self.events.push(event);
    }

    fn carry_out(&mut self, open: &mut Open) {
        if open.fate == Fate::Fail {
            return;
        }
        let homes = open.invoke.quorum == Some(Quorum::Strict)
            || open.invoke.pr.is_some()
            || open.invoke.pw.is_some();
        let mut nodes: Vec<usize> = (0..if homes { HOMES } else { NODES.len() }).collect();
        self.random.shuffle(&mut nodes);
        open.done = match open.invoke.op {
            Kind::Get => Some(self.read(open.key, &nodes[..2])),
            _ => self.write(open, &nodes),
        };
    }

    fn read(&mut self, key: usize, nodes: &[usize]) -> (Answered, Context) {
        let mut record = Record::default();
        for node in nodes {
            record.merge(&self.records[key][*node], self.options.lww);
        }
        let now = self.now;
        let (vals, dots): (Vec<_>, Vec<_>) = record.values(now).into_iter().unzip();
        let ended = record
            .versions
            .values()
            .any(|one| !one.is_put || one.ends.is_some_and(|ends| ends <= now));
        let answer = Answered {
            deleted: vals.is_empty() && ended,
            concurrent_delete: !vals.is_empty() && ended,
            vals,
            dots: dots.iter().filter(|_| self.options.dots).map(ToString::to_string).collect(),
            acks: Some(2),
            ..Answered::default()
        };
        (answer, record.context())
    }

    fn write(&mut self, open: &Open, nodes: &[usize]) -> Option<(Answered, Context)> {
        let reached = match open.fate {
            Fate::Ok => self.random.usize(2..=nodes.len()),
            _ => self.random.usize(..nodes.len()),
        };
        let nodes = &nodes[..reached];
        let minter = *nodes.first()?;
        let (answer, context) = self.mint(open, minter);
        for node in &nodes[1..] {
            if self.options.twins && self.random.u8(..8) == 0 {
                // The first that made it is not heard of: another makes it anew.
                self.mint(open, *node);
            }
            self.send(open.key, minter, *node);
        }
        Some((answer, context))
    }

    fn mint(&mut self, open: &Open, node: usize) -> (Answered, Context) {
        let name = open.invoke.val.clone().unwrap_or_else(|| open.invoke.id.clone());
        let record = &mut self.records[open.key][node];
        let known = record.versions.iter().find(|(_, version)| version.name == name);
        if let Some((dot, version)) = known {
            let (dot, stamp) = (*dot, version.stamp);
            let mut context = open.context.clone();
            context.dots.insert(dot);
            context.stamp = context.stamp.max(stamp);
            return (self.acknowledged(dot), context);
        }
        self.dots += 1;
        let version = Version {
            name,
            is_put: open.invoke.op == Kind::Put,
            // Clocks of nodes are apart.
            stamp: self.now * 3 + node as u64 * 40,
            ends: open.invoke.ttl_ms.map(|ttl| self.now + ttl),
        };
        let context = record.write(self.dots, version, &open.context, self.options.lww);
        (self.acknowledged(self.dots), context)
    }

    fn acknowledged(&self, dot: u64) -> Answered {
        let dot = self.options.dots.then(|| dot.to_string());
        Answered { dot, acks: Some(2), ..Answered::default() }
    }

    fn end(&mut self) {
        self.dump(0);
        let t = self.at();
        self.events.push(Event::Mark(Mark::new(t, MarkName::Heal)));
        for key in 0..self.options.keys {
            for node in 1..NODES.len() {
                self.send(key, node, 0);
            }
            for node in 1..HOMES {
                self.send(key, 0, node);
            }
            self.records[key][HOMES..].fill(Record::default());
        }
        for round in 1..3 {
            self.dump(round);
        }
        for node in NODES {
            let t = self.at();
            self.events.push(Event::Node(NodeState { t, node: node.to_owned(), hints: 0 }));
        }
        for key in 0..self.options.keys {
            self.ids += 1;
            let id = format!("o{}", self.ids);
            let mut invoke = Invoke::new(self.at(), id, Kind::Get, format!("k{key}"));
            invoke.is_final = true;
            self.events.push(Event::Invoke(invoke.clone()));
            let (mut answer, _) = self.read(key, &[0, 1]);
            (answer.t, answer.id) = (self.at(), invoke.id);
            self.events.push(Event::Ok(answer));
        }
    }

    fn dump(&mut self, round: u32) {
        for key in 0..self.options.keys {
            for (place, node) in NODES.iter().enumerate() {
                let t = self.at();
                let record = &self.records[key][place];
                let vals = record.values(self.now).into_iter().map(|(name, _)| name).collect();
                let dots =
                    record.versions.iter().map(|(dot, one)| (dot.to_string(), one.name.clone()));
                self.events.push(Event::Replica(Dump {
                    t,
                    round,
                    node: (*node).to_owned(),
                    key: format!("k{key}"),
                    vals,
                    homes: NODES[..HOMES].iter().map(|home| (*home).to_owned()).collect(),
                    digest: (!record.seen.is_empty()).then(|| format!("{record:?}")),
                    dots: dots.collect(),
                    ..Dump::default()
                }));
            }
        }
    }
}
