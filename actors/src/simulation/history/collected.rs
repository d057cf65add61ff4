//! A history as a whole: operations with their outcomes, and the rest by kind.
#![expect(clippy::disallowed_types, reason = "looked up by key, and never walked")]

use std::collections::{BTreeMap, HashMap};

use super::{
    Answered, Dump, Event, Invoke, Kind, Malformed, Mark, MarkName, Meta, NodeState, Unanswered,
};

/// Everything that happened in a run. Events are named by their line, from 1.
#[derive(Clone, Debug)]
pub struct History {
    /// What was promised.
    pub meta: Meta,
    /// The keys that were used: bucket and key.
    pub keys: Vec<(String, String)>,
    /// The buckets with properties of their own.
    pub buckets: BTreeMap<String, BucketRules>,
    /// The operations, in the order of their invocations.
    pub operations: Vec<Operation>,
    /// What was done to the cluster.
    pub marks: Vec<Mark>,
    /// What nodes held.
    pub dumps: Vec<Dump>,
    /// What nodes told of themselves.
    pub nodes: Vec<NodeState>,
}

/// What holds for the keys of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRules {
    /// Whether the last writer wins.
    pub lww: bool,
    /// Homes of a key.
    pub n: u8,
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The line of the invocation.
    pub line: usize,
    /// The key, by its place in [`History::keys`].
    pub key: usize,
    /// What was asked.
    pub invoke: Invoke,
    /// The operations whose contexts were sent, by their place in [`History::operations`].
    pub context: Vec<usize>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Operation {
    /// The line and the answer, if it was served.
    pub fn answer(&self) -> Option<(usize, &Answered)> {
        match &self.outcome {
            Outcome::Ok(line, answer) => Some((*line, answer)),
            _ => None,
        }
    }

    /// The name of what it writes: a put's value; of a delete its own, if it has no other.
    pub fn written(&self) -> Option<&str> {
        match self.invoke.op {
            Kind::Get => None,
            Kind::Put | Kind::Delete => {
                Some(self.invoke.val.as_ref().unwrap_or(&self.invoke.id).as_str())
            }
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nobody knows: the history ends before it does.
    Open,
    /// Served, with the line of the answer.
    Ok(usize, Answered),
    /// Not served, and may have been applied.
    Info(usize, Unanswered),
    /// Not served, and surely not applied.
    Fail(usize, Unanswered),
}

impl History {
    /// Puts events together; the first is line 1.
    ///
    /// # Errors
    ///
    /// At the first event that contradicts the ones before it.
    pub fn collect<E>(events: impl IntoIterator<Item = Result<Event, E>>) -> Result<Self, E>
    where
        E: From<Malformed>,
    {
        let mut collector: Option<Collector> = None;
        for (index, event) in events.into_iter().enumerate() {
            let (line, event) = (index + 1, event?);
            let taken = match (&mut collector, event) {
                (Some(collector), event) => collector.take(line, event),
                (none, Event::Meta(meta)) => {
                    *none = Some(Collector::new(meta));
                    Ok(())
                }
                (None, _) => Err("a history begins with its meta line".to_owned()),
            };
            taken.map_err(|why| Malformed::Contradiction { line, why })?;
        }
        let nothing = || Malformed::Contradiction { line: 1, why: "nothing is there".to_owned() };
        Ok(collector.ok_or_else(nothing)?.history)
    }

    /// Puts events together that were never in a file.
    ///
    /// # Errors
    ///
    /// At the first event that contradicts the ones before it.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Result<Self, Malformed> {
        Self::collect(events.into_iter().map(Ok::<_, Malformed>))
    }

    /// What holds for the keys of a bucket.
    pub fn rules(&self, bucket: &str) -> BucketRules {
        let default = BucketRules { lww: false, n: self.meta.n };
        self.buckets.get(bucket).copied().unwrap_or(default)
    }
}

/// What is needed to see whether an event fits those before it.
struct Collector {
    history: History,
    operations: HashMap<String, usize>,
    keys: HashMap<(String, String), usize>,
    /// The first operation that wrote each name.
    written: HashMap<String, usize>,
}

impl Collector {
    fn new(meta: Meta) -> Self {
        let history = History {
            meta,
            keys: Vec::new(),
            buckets: BTreeMap::new(),
            operations: Vec::new(),
            marks: Vec::new(),
            dumps: Vec::new(),
            nodes: Vec::new(),
        };
        Self { history, operations: HashMap::new(), keys: HashMap::new(), written: HashMap::new() }
    }

    fn take(&mut self, line: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Meta(_) => Err("a second meta line".to_owned()),
            Event::Invoke(invoke) => self.invoke(line, invoke),
            Event::Ok(answer) => {
                let (dots, vals) = (answer.dots.len(), answer.vals.len());
                if dots != 0 && dots != vals {
                    return Err(format!("{dots} dots for {vals} values"));
                }
                let (id, t) = (answer.id.clone(), answer.t);
                self.complete(&id, t, Outcome::Ok(line, answer))
            }
            Event::Info(error) => {
                let (id, t) = (error.id.clone(), error.t);
                self.complete(&id, t, Outcome::Info(line, error))
            }
            Event::Fail(error) => {
                let (id, t) = (error.id.clone(), error.t);
                self.complete(&id, t, Outcome::Fail(line, error))
            }
            Event::Mark(mark) => self.mark(mark),
            Event::Replica(dump) => {
                self.history.dumps.push(dump);
                Ok(())
            }
            Event::Node(state) => {
                self.history.nodes.push(state);
                Ok(())
            }
        }
    }

    fn invoke(&mut self, line: usize, invoke: Invoke) -> Result<(), String> {
        let place = self.history.operations.len();
        if invoke.op == Kind::Put && invoke.val.is_none() {
            return Err(format!("the put {} has no val", invoke.id));
        }
        let key = self.key(&invoke);
        let context: Result<Vec<usize>, String> =
            invoke.ctx.iter().map(|id| self.context(id, key)).collect();
        let operation = Operation { line, key, invoke, context: context?, outcome: Outcome::Open };
        if let Some(name) = operation.written() {
            let first = *self.written.entry(name.to_owned()).or_insert(place);
            if let Some(first) = self.history.operations.get(first) {
                repeats(first, &operation)?;
            }
        }
        let id = operation.invoke.id.clone();
        if self.operations.insert(id, place).is_some() {
            return Err(format!("a second operation {}", operation.invoke.id));
        }
        self.history.operations.push(operation);
        Ok(())
    }

    fn key(&mut self, invoke: &Invoke) -> usize {
        let name = (invoke.bucket.clone(), invoke.key.clone());
        let keys = &mut self.history.keys;
        *self.keys.entry(name).or_insert_with_key(|name| {
            keys.push(name.clone());
            keys.len() - 1
        })
    }

    /// The place of an operation whose context can have been sent for `key`.
    fn context(&self, id: &str, key: usize) -> Result<usize, String> {
        let place = *self.operations.get(id).ok_or(format!("ctx names {id}, which is unknown"))?;
        let operation = &self.history.operations[place];
        if operation.answer().is_none() {
            return Err(format!("ctx names {id}, which was not answered"));
        }
        if operation.key != key {
            return Err(format!("ctx names {id}, which is of another key"));
        }
        Ok(place)
    }

    fn complete(&mut self, id: &str, t: super::Moment, outcome: Outcome) -> Result<(), String> {
        let place = *self.operations.get(id).ok_or(format!("{id} was never invoked"))?;
        let operation = &mut self.history.operations[place];
        if !matches!(operation.outcome, Outcome::Open) {
            return Err(format!("{id} completes twice"));
        }
        if t < operation.invoke.t {
            return Err(format!("{id} completes at {t}, before it began"));
        }
        operation.outcome = outcome;
        Ok(())
    }

    fn mark(&mut self, mark: Mark) -> Result<(), String> {
        match mark.name {
            MarkName::Fault if mark.kind.is_none() => {
                return Err("a fault has no kind".to_owned());
            }
            MarkName::Bucket => {
                let rules = BucketRules { lww: mark.lww, n: mark.n.unwrap_or(self.history.meta.n) };
                self.history.buckets.insert(mark.bucket.clone(), rules);
            }
            _ => {}
        }
        self.history.marks.push(mark);
        Ok(())
    }
}

/// Refuses a name that is written again by what is no retry.
fn repeats(first: &Operation, again: &Operation) -> Result<(), String> {
    let write = |one: &Operation| (one.invoke.op, one.key, one.invoke.wid.clone());
    let name = again.written().unwrap_or_default();
    if write(first) != write(again) || again.invoke.wid.is_none() {
        let first = &first.invoke.id;
        return Err(format!("{name} is written by {first} already, and this is no retry of it"));
    }
    if first.context != again.context {
        return Err(format!("{name} is written again with another context"));
    }
    Ok(())
}
