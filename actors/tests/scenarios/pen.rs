//! Clients: each request goes into the history before it leaves, and its answer when it is there.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    NodeHandle,
    api::Got,
    simulation::history::{
        Answered, Event, Expectation, Invoke, Kind, Mark, MarkName, Moment, Quorum, Recorder,
        Unanswered,
    },
};
use henge_kernel::{
    causality::{Context, Value},
    coordination::{DeleteOptions, Fate, PutOptions, ReadOptions, RequestError},
    id::WriteId,
    key::Key,
};
use tokio::time::{Instant, timeout};

/// The key of that name: in the bucket before its `/`, if it has one.
pub fn key(text: &str) -> Key {
    let (bucket, text) = parts(text);
    Key::new(bucket.to_owned(), text.to_owned()).unwrap()
}

pub fn parts(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or(("bucket", text))
}

/// Between the name of a value and what fills it up.
const SEPARATOR: char = '|';

/// What a client was given.
#[derive(Clone, Default)]
pub struct Seen {
    /// By which operation; empty if by none.
    pub id: String,
    pub context: Context,
    /// The values that a get showed, in the order of their names.
    pub vals: Vec<String>,
    /// The value that a put wrote.
    pub own: Vec<String>,
}

/// Why a client was given nothing.
#[derive(Debug)]
pub struct Failed {
    pub code: String,
    pub fate: Fate,
}

/// A write, as its client names it across retries.
#[derive(Clone)]
pub struct Name {
    val: String,
    id: WriteId,
}

/// All clients write with it.
#[derive(Clone)]
pub struct Pen {
    inside: Rc<Inside>,
}

struct Inside {
    began: Instant,
    recorder: RefCell<Recorder>,
    turn: Cell<u64>,
    doors: RefCell<BTreeMap<String, NodeHandle>>,
    /// What each write id wrote, and every key that was written.
    names: RefCell<BTreeMap<u128, String>>,
    keys: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<String>>,
}

impl Pen {
    pub fn new() -> Self {
        let inside = Inside {
            began: Instant::now(),
            recorder: RefCell::new(Recorder::keeping()),
            turn: Cell::new(0),
            doors: RefCell::default(),
            names: RefCell::default(),
            keys: RefCell::default(),
            problems: RefCell::default(),
        };
        Self { inside: Rc::new(inside) }
    }

    pub fn now(&self) -> Moment {
        Moment::after(self.inside.began.elapsed())
    }

    pub fn write(&self, event: Event) {
        self.inside.recorder.borrow_mut().record(event).unwrap();
    }

    pub fn take(&self) -> Vec<Event> {
        let mut recorder = self.inside.recorder.borrow_mut();
        std::mem::replace(&mut *recorder, Recorder::keeping()).finish().unwrap()
    }

    /// Something is wrong that no client sees.
    pub fn complain(&self, problem: impl Into<String>) {
        self.inside.problems.borrow_mut().push(problem.into());
    }

    pub fn problems(&self) -> Vec<String> {
        self.inside.problems.borrow().clone()
    }

    pub fn fault(&self, kind: &str, note: impl Into<String>) {
        let note = Some(note.into()).filter(|note: &String| !note.is_empty());
        let kind = Some(kind.to_owned());
        self.write(Event::Mark(Mark { kind, note, ..Mark::new(self.now(), MarkName::Fault) }));
    }

    /// A fault during which all nodes but those that are down have to serve.
    pub fn fault_that_nobody_notices(&self, kind: &str, down: &[&str]) {
        self.write(Event::Mark(Mark {
            kind: Some(kind.to_owned()),
            down: down.iter().map(|&node| node.to_owned()).collect(),
            expect: Some(Expectation::Available),
            ..Mark::new(self.now(), MarkName::Fault)
        }));
    }

    pub fn heal(&self) {
        self.write(Event::Mark(Mark::new(self.now(), MarkName::Heal)));
    }

    /// Shows clients the nodes that run.
    pub fn open(&self, doors: BTreeMap<&str, NodeHandle>) {
        let doors = doors.into_iter().map(|(node, door)| (node.to_owned(), door));
        *self.inside.doors.borrow_mut() = doors.collect();
    }

    pub fn doors(&self) -> Vec<String> {
        self.inside.doors.borrow().keys().cloned().collect()
    }

    /// Every key that a client ever wrote to.
    pub fn keys(&self) -> Vec<String> {
        self.inside.keys.borrow().iter().cloned().collect()
    }

    /// What was written under a write id, in hexadecimal.
    pub fn named(&self, write_id: &str) -> Option<String> {
        let write_id = u128::from_str_radix(write_id, 16).ok()?;
        self.inside.names.borrow().get(&write_id).cloned()
    }

    fn next(&self) -> u64 {
        self.inside.turn.set(self.inside.turn.get() + 1);
        self.inside.turn.get()
    }

    /// A name for a write that may have to be sent again.
    pub fn name(&self) -> Name {
        let turn = self.next();
        Name { val: format!("v{turn}"), id: WriteId(u128::from(turn) << 64 | 7) }
    }

    pub fn get(&self, node: &str, key: &str) -> Request {
        Request::new(self, Kind::Get, node, key)
    }

    pub fn put(&self, node: &str, key: &str) -> Request {
        Request::new(self, Kind::Put, node, key)
    }

    /// Deletes what was seen.
    pub fn delete(&self, node: &str, key: &str, seen: &Seen) -> Request {
        Request::new(self, Kind::Delete, node, key).over(seen)
    }
}

/// A request before it is sent.
#[must_use]
pub struct Request {
    pen: Pen,
    kind: Kind,
    node: String,
    key: String,
    seen: Vec<Seen>,
    name: Option<Name>,
    quorum: Option<u8>,
    sloppy: Option<bool>,
    patience: Duration,
    ttl: Option<Duration>,
    bytes: usize,
    is_final: bool,
}

impl Request {
    fn new(pen: &Pen, kind: Kind, node: &str, key: &str) -> Self {
        Self {
            pen: pen.clone(),
            kind,
            node: node.to_owned(),
            key: key.to_owned(),
            seen: Vec::new(),
            name: None,
            quorum: None,
            sloppy: None,
            patience: Duration::from_secs(2),
            ttl: None,
            bytes: 0,
            is_final: false,
        }
    }

    /// With the context of what was seen; of nothing it is blind.
    pub fn over(mut self, seen: &Seen) -> Self {
        self.seen.extend(Some(seen.clone()).filter(|seen| !seen.id.is_empty()));
        self
    }

    /// As the write of that name, which may have been sent before.
    pub fn named(self, name: &Name) -> Self {
        Self { name: Some(name.clone()), ..self }
    }

    /// R, or W.
    pub fn of(self, nodes: u8) -> Self {
        Self { quorum: Some(nodes), ..self }
    }

    /// PR, or PW.
    pub fn strict(self) -> Self {
        Self { sloppy: Some(false), ..self }
    }

    pub fn within(self, ms: u64) -> Self {
        Self { patience: Duration::from_millis(ms), ..self }
    }

    pub fn ttl(self, ms: u64) -> Self {
        Self { ttl: Some(Duration::from_millis(ms)), ..self }
    }

    pub fn filled_to(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    pub fn at_last(self) -> Self {
        Self { is_final: true, ..self }
    }

    /// Sends it; what the client has seen then.
    pub async fn send(self) -> Option<Seen> {
        self.try_send().await.ok()
    }

    /// Sends what has to be served; complains if it is not.
    pub async fn must(self) -> Seen {
        let (pen, what) = (self.pen.clone(), format!("{:?} {}", self.kind, self.key));
        let node = self.node.clone();
        self.try_send().await.unwrap_or_else(|failed| {
            pen.complain(format!("{what} through {node}: {failed:?}"));
            Seen::default()
        })
    }

    pub async fn try_send(self) -> Result<Seen, Failed> {
        let door = self.pen.inside.doors.borrow().get(&self.node).cloned();
        let nobody = Failed { code: "unreachable".to_owned(), fate: Fate::NotApplied };
        let door = door.ok_or(nobody)?;
        let name = match self.kind {
            Kind::Get => None,
            _ => Some(self.name.clone().unwrap_or_else(|| self.pen.name())),
        };
        let id = format!("o{}", self.pen.next());
        self.invoke(&id, name.as_ref());
        let waits = self.patience + Duration::from_millis(500);
        let answer = timeout(waits, self.ask(&door, name.as_ref())).await;
        let pen = &self.pen;
        match answer {
            Ok(Ok((answer, context))) => {
                let mut vals = answer.vals.clone();
                vals.sort();
                let own = name.map(|name| name.val).into_iter().collect();
                pen.write(Event::Ok(Answered { t: pen.now(), id: id.clone(), ..answer }));
                Ok(Seen { id, context, vals, own })
            }
            Ok(Err(error)) => Err(self.fail(id, error.code(), error.fate(), error.to_string())),
            Err(_) => Err(self.fail(id, "no_answer", Fate::Unknown, String::new())),
        }
    }

    fn invoke(&self, id: &str, name: Option<&Name>) {
        let (pen, (bucket, text)) = (&self.pen, parts(&self.key));
        if let Some(Name { val, id }) = name {
            pen.inside.names.borrow_mut().insert(id.0, val.clone());
            pen.inside.keys.borrow_mut().insert(self.key.clone());
        }
        let quorum = self.quorum;
        let is_get = self.kind == Kind::Get;
        pen.write(Event::Invoke(Invoke {
            c: "client".to_owned(),
            bucket: bucket.to_owned(),
            node: self.node.clone(),
            val: name.map(|name| name.val.clone()),
            wid: name.map(|name| name.id.to_string()),
            ctx: self.seen.iter().map(|seen| seen.id.clone()).collect(),
            quorum: Some(if self.sloppy == Some(false) { Quorum::Strict } else { Quorum::Sloppy }),
            r: quorum.filter(|_| is_get),
            w: quorum.filter(|_| !is_get),
            ttl_ms: self.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap()),
            is_final: self.is_final,
            ..Invoke::new(pen.now(), id, self.kind, text)
        }));
    }

    fn context(&self) -> Context {
        let mut seen = self.seen.iter().map(|seen| seen.context.clone());
        seen.next().unwrap_or_default()
    }

    async fn ask(
        &self,
        door: &NodeHandle,
        name: Option<&Name>,
    ) -> Result<(Answered, Context), RequestError> {
        let (key, context) = (key(&self.key), self.context());
        let (sloppy, timeout) = (self.sloppy, Some(self.patience));
        let write_id = name.map(|name| name.id);
        let written = match self.kind {
            Kind::Get => {
                let r = self.quorum;
                let answer = door
                    .get(&key, ReadOptions { r, sloppy, timeout, ..ReadOptions::default() })
                    .await?;
                let mut shown = shown(&answer.body);
                (shown.acks, shown.fallbacks) =
                    (Some(answer.replicas.acks), Some(answer.replicas.fallbacks));
                return Ok((shown, answer.body.context()));
            }
            Kind::Put => {
                let value = content(name.map_or("", |name| &name.val), self.bytes);
                let options = PutOptions {
                    context,
                    w: self.quorum,
                    sloppy,
                    timeout,
                    ttl: self.ttl,
                    write_id,
                    ..PutOptions::default()
                };
                door.put(&key, value, options).await?
            }
            Kind::Delete => {
                let options = DeleteOptions {
                    context,
                    w: self.quorum,
                    sloppy,
                    timeout,
                    write_id,
                    ..DeleteOptions::default()
                };
                door.delete(&key, options).await?
            }
        };
        let answered = Answered {
            dot: Some(written.body.dot.to_string()),
            acks: Some(written.replicas.acks),
            fallbacks: Some(written.replicas.fallbacks),
            ..Answered::default()
        };
        Ok((answered, written.body.context))
    }

    fn fail(&self, id: String, code: &str, fate: Fate, words: String) -> Failed {
        let (t, code) = (self.pen.now(), code.to_owned());
        let unanswered = Unanswered { t, id, code: Some(code.clone()), err: Some(words) };
        // A read has nothing to apply.
        let surely_not = fate == Fate::NotApplied || self.kind == Kind::Get;
        let event = if surely_not { Event::Fail(unanswered) } else { Event::Info(unanswered) };
        self.pen.write(event);
        Failed { code, fate }
    }
}

/// The bytes of a value: its name, and as much more as is wanted.
fn content(name: &str, bytes: usize) -> Value {
    let filling = bytes.saturating_sub(name.len() + 1);
    Value::plain(Bytes::from(format!("{name}{SEPARATOR}{}", "x".repeat(filling))))
}

fn shown(got: &Got) -> Answered {
    let mut answered = Answered::default();
    for version in got.versions() {
        let text = version.value().and_then(Value::as_text).unwrap_or_default();
        match text.split_once(SEPARATOR) {
            Some((name, rest)) if rest.chars().all(|filling| filling == 'x') => {
                answered.vals.push(name.to_owned());
                answered.dots.push(version.dot.to_string());
            }
            _ => answered.corrupt.push(text.to_owned()),
        }
    }
    match got {
        Got::Value { concurrent_delete, .. } | Got::Siblings { concurrent_delete, .. } => {
            answered.concurrent_delete = *concurrent_delete;
        }
        Got::Deleted { .. } => answered.deleted = true,
        Got::NotFound => {}
    }
    answered
}
