//! Clients, and what they remember.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use henge_kernel::{
    causality::{Context, Value, Version},
    coordination::{DeleteOptions, Fate, PutOptions, ReadOptions},
    id::WriteId,
    key::Key,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    book::Book,
    history::{Answered, Event, Invoke, Kind, Quorum, Unanswered},
    options::{Bucket, Mix, Wishes},
};
use crate::{
    api::{Got, Written},
    store::{Store, StoreError},
};

/// The doors that are open, as clients find them: those of the nodes that run, or of clients far
/// away.
pub type Doors<S> = Rc<RefCell<BTreeMap<&'static str, S>>>;

/// What clients have to do.
#[derive(Clone, Debug)]
pub struct Work {
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// Keys, shared out among the buckets.
    pub keys: usize,
    /// Values are so long.
    pub value_bytes: usize,
    /// How often they do what.
    pub mix: Mix,
    /// What single requests want for themselves.
    pub wishes: Wishes,
    /// The fewest acknowledgements that a write with a quorum of its own may want.
    pub w_min: u8,
    /// Whether the network repeats what was sent, as no stream does: who has refused a write that was
    /// forwarded to it may take the same write a moment later.
    pub repeats: bool,
}

/// Refusals that lie in the state of a node or of a record, and go with it.
const PASSING: [&str; 4] = ["not_ready", "overloaded", "storage_full", "too_many_siblings"];

/// What is between a value's name and what fills it up.
const SEPARATOR: char = '|';

/// A key, and what is to be known of its bucket.
pub struct Place {
    /// The key.
    pub key: Key,
    /// Its name in the bucket.
    pub text: String,
    /// Its bucket.
    pub bucket: Bucket,
}

/// The keys of a run.
pub fn places(work: &Work) -> Vec<Rc<Place>> {
    let place = |number: usize| {
        let bucket = work.buckets[number % work.buckets.len()].clone();
        let text = format!("k{number}");
        let key = Key::new(bucket.name.clone(), text.clone());
        let key = key.unwrap_or_else(|error| unreachable!("{error}"));
        Rc::new(Place { key, text, bucket })
    };
    (0..work.keys).map(place).collect()
}

/// Something that a client was given: by which operation.
pub type Seen = (String, Context);

/// How many contexts a client remembers of a key.
const REMEMBERED_MAX: usize = 12;

/// Who must answer a request.
#[derive(Clone, Copy)]
struct Wanted {
    /// Replicas that must answer.
    count: u8,
    /// How many of them must be homes, if the request says so.
    homes: Option<u8>,
    sloppy: bool,
}

/// A client: it sends one request after the other, and writes down what it is told.
pub struct Client<S> {
    name: String,
    turn: u64,
    rng: fastrand::Rng,
    work: Arc<Work>,
    places: Vec<Rc<Place>>,
    doors: Doors<S>,
    book: Book,
    /// By key: what it was given, the latest last; and with its last write.
    seen: BTreeMap<usize, Vec<Seen>>,
    written: BTreeMap<usize, Seen>,
}

/// What a client wants to write.
struct Wish {
    place: Rc<Place>,
    /// What its context is of; without one it is blind.
    seen: Option<Seen>,
    is_delete: bool,
    write_id: Option<WriteId>,
    ttl: Option<Duration>,
}

impl<S: Store + Clone> Client<S> {
    /// A client named `name`, that `seed` decides.
    pub fn new(
        name: String,
        seed: u64,
        work: Arc<Work>,
        places: Vec<Rc<Place>>,
        doors: Doors<S>,
        book: Book,
    ) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        let (seen, written) = (BTreeMap::new(), BTreeMap::new());
        Self { name, turn: 0, rng, work, places, doors, book, seen, written }
    }

    /// Works until `end`, with a pause of so many milliseconds before each act, on average.
    pub async fn work(mut self, pause_ms: u64, end: Instant) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.rng.u64(0..=2 * pause_ms))).await;
            self.act().await;
        }
    }

    fn percent(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    /// What came later draws nothing where it is off: runs that are kept stay what they were.
    fn later_percent(&mut self, percent: u8) -> bool {
        percent > 0 && self.percent(percent)
    }

    /// Who must answer: as many as the bucket has it, or at least so many.
    fn wanted(&mut self, bucket: &Bucket, usual: u8, least: u8) -> Wanted {
        if !self.later_percent(self.work.wishes.quorum_percent) {
            return Wanted { count: usual, homes: None, sloppy: bucket.sloppy };
        }
        let count = self.rng.u8(least.min(bucket.n)..=bucket.n);
        let homes = self.rng.bool().then(|| self.rng.u8(1..=count));
        Wanted { count, homes, sloppy: self.rng.bool() }
    }

    /// How long a value lives, if not for ever.
    fn ttl(&mut self) -> Option<Duration> {
        let Wishes { ttl_percent, ttl_ms_max, .. } = self.work.wishes;
        let expires = self.later_percent(ttl_percent);
        expires.then(|| Duration::from_millis(self.rng.u64(50..=ttl_ms_max.max(50))))
    }

    /// Reads, writes, or reads and then writes: as the mix has it.
    pub async fn act(&mut self) {
        let number = self.rng.usize(..self.places.len());
        let mix = self.work.mix;
        let weights = [mix.read, mix.update, mix.blind, mix.chained, mix.stale, mix.delete];
        let mut drawn = self.rng.u32(..weights.iter().sum::<u32>().max(1));
        let chosen = weights.iter().position(|weight| match drawn.checked_sub(*weight) {
            Some(left) => {
                drawn = left;
                false
            }
            None => true,
        });
        match chosen {
            Some(1) => {
                if let Some(seen) = self.read(number, None).await {
                    self.write(number, Some(seen), false).await;
                }
            }
            Some(2) => self.write(number, None, false).await,
            Some(3) => {
                let seen = self.written.get(&number).cloned();
                self.write(number, seen, false).await;
            }
            Some(4) => {
                let old = self.seen.get(&number).map_or(0, Vec::len);
                let old = if old == 0 { 0 } else { self.rng.usize(..old) };
                let seen = self.seen.get(&number).and_then(|seen| seen.get(old)).cloned();
                self.write(number, seen, false).await;
            }
            Some(5) => {
                let seen = self.read(number, None).await;
                if let Some(seen) = seen.filter(|(_, context)| !context.is_empty()) {
                    self.write(number, Some(seen), true).await;
                }
            }
            _ => drop(self.read(number, None).await),
        }
    }

    /// A door, at random; `None` while no node runs.
    fn door(&mut self) -> Option<(&'static str, S)> {
        let doors = self.doors.borrow();
        let chosen = self.rng.usize(..doors.len().max(1));
        doors.iter().nth(chosen).map(|(node, handle)| (*node, handle.clone()))
    }

    fn next_id(&mut self) -> String {
        self.turn += 1;
        format!("{}-{}", self.name, self.turn)
    }

    /// How long the store has, and how long the client waits for it.
    fn patience(&mut self) -> (Duration, Duration) {
        let given = self.rng.u64(200..2_500);
        let waits = if self.percent(self.work.mix.impatient_percent) {
            self.rng.u64(1..given)
        } else {
            given + 500
        };
        (Duration::from_millis(given), Duration::from_millis(waits))
    }

    fn invoke(
        &self,
        (id, op): (&str, Kind),
        node: &str,
        place: &Place,
        wanted: Wanted,
        (given, waits): (Duration, Duration),
    ) -> Invoke {
        Invoke {
            c: self.name.clone(),
            bucket: place.bucket.name.clone(),
            node: node.to_owned(),
            quorum: Some(if wanted.sloppy { Quorum::Sloppy } else { Quorum::Strict }),
            timeout_ms: u64::try_from(given.min(waits).as_millis()).ok(),
            ..Invoke::new(self.book.now(), id, op, place.text.clone())
        }
    }

    /// What a request is judged by.
    /// Reads a key; what it has seen then. The `last` time so many homes must answer, and nobody
    /// in their place: a node that has just come back may not know yet that they are up.
    pub async fn read(&mut self, number: usize, last: Option<u8>) -> Option<Seen> {
        let (node, door) = self.door()?;
        let place = Rc::clone(&self.places[number]);
        let id = self.next_id();
        let (given, waits) = self.patience();
        let Bucket { r, .. } = place.bucket;
        let wanted = match last {
            Some(count) => Wanted { count, homes: None, sloppy: false },
            None => self.wanted(&place.bucket, r, 1),
        };
        let (r, pr) = (Some(wanted.count), wanted.homes);
        self.book.write(Event::Invoke(Invoke {
            r,
            pr,
            is_final: last.is_some(),
            ..self.invoke((&id, Kind::Get), node, &place, wanted, (given, waits))
        }));
        let options = ReadOptions { r, pr, sloppy: Some(wanted.sloppy), timeout: Some(given) };
        match timeout(waits, door.get(&place.key, options)).await {
            Ok(Ok(answer)) => {
                let shown = shown(&answer.body);
                self.book.write(Event::Ok(Answered {
                    t: self.book.now(),
                    id: id.clone(),
                    acks: Some(answer.replicas.acks),
                    fallbacks: Some(answer.replicas.fallbacks),
                    ..shown
                }));
                let seen = (id, answer.body.context());
                self.remember(number, seen.clone());
                Some(seen)
            }
            Ok(Err(error)) => {
                // A read has nothing to apply.
                self.book.write(Event::Fail(unanswered(&self.book, id, Some(&error))));
                None
            }
            Err(_) => {
                self.book.write(Event::Info(unanswered::<S::Error>(&self.book, id, None)));
                None
            }
        }
    }

    fn remember(&mut self, number: usize, seen: Seen) {
        let all = self.seen.entry(number).or_default();
        if all.len() == REMEMBERED_MAX {
            let forgotten = self.rng.usize(..all.len());
            drop(all.remove(forgotten));
        }
        all.push(seen);
    }

    async fn write(&mut self, number: usize, seen: Option<Seen>, is_delete: bool) {
        let named = self.percent(self.work.mix.write_id_percent);
        let write_id = named.then(|| WriteId(self.rng.u128(..)));
        let place = Rc::clone(&self.places[number]);
        let ttl = if is_delete { None } else { self.ttl() };
        let wish = Wish { place, seen, is_delete, write_id, ttl };
        let mut value = None;
        for _ in 0..3 {
            match self.try_to_write(&wish, value.take()).await {
                Tried::Written(seen) => {
                    self.written.insert(number, seen.clone());
                    self.remember(number, seen);
                    return;
                }
                // Under its name it is one write, however often it is sent.
                Tried::Failed(sent) => value = sent.filter(|_| wish.write_id.is_some()),
            }
            if !self.percent(self.work.mix.retry_percent) {
                return;
            }
        }
    }

    async fn try_to_write(&mut self, wish: &Wish, value: Option<String>) -> Tried {
        let Some((node, door)) = self.door() else { return Tried::Failed(value) };
        let id = self.next_id();
        let value = value.unwrap_or_else(|| id.clone());
        let (given, waits) = self.patience();
        let Wish { place, seen, is_delete, write_id, ttl } = wish;
        let wanted = self.wanted(&place.bucket, place.bucket.w, self.work.w_min);
        let (w, pw) = (Some(wanted.count), wanted.homes);
        let op = if *is_delete { Kind::Delete } else { Kind::Put };
        self.book.write(Event::Invoke(Invoke {
            val: Some(value.clone()),
            wid: write_id.map(|id| id.to_string()),
            ctx: seen.iter().map(|(operation, _)| operation.clone()).collect(),
            w,
            pw,
            ttl_ms: ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok()),
            ..self.invoke((&id, op), node, place, wanted, (given, waits))
        }));
        let context = seen.as_ref().map(|(_, context)| context.clone()).unwrap_or_default();
        let (sloppy, timed) = (Some(wanted.sloppy), Some(given));
        let return_body = !is_delete && self.percent(10);
        let written = if *is_delete {
            let (write_id, durability) = (*write_id, None);
            let options =
                DeleteOptions { context, w, pw, sloppy, timeout: timed, durability, write_id };
            timeout(waits, door.delete(&place.key, options)).await
        } else {
            let options = PutOptions {
                context,
                w,
                pw,
                sloppy,
                timeout: timed,
                ttl: *ttl,
                write_id: *write_id,
                return_body,
                ..PutOptions::default()
            };
            let content = Value::text(content(&value, self.work.value_bytes));
            timeout(waits, door.put(&place.key, content, options)).await
        };
        match written {
            Ok(Ok(answer)) => {
                let (acks, fallbacks) = (answer.replicas.acks, answer.replicas.fallbacks);
                let seen = self.was_written(&id, answer.body, (acks, fallbacks));
                Tried::Written((id, seen))
            }
            Ok(Err(error)) => {
                let unanswered = unanswered(&self.book, id, Some(&error));
                let repeated = self.work.repeats && PASSING.contains(&error.code());
                self.book.write(match error.fate() {
                    Fate::NotApplied if !repeated => Event::Fail(unanswered),
                    _ => Event::Info(unanswered),
                });
                Tried::Failed(Some(value))
            }
            Err(_) => {
                self.book.write(Event::Info(unanswered::<S::Error>(&self.book, id, None)));
                Tried::Failed(Some(value))
            }
        }
    }

    /// Writes an acknowledgement down; what the client has seen then.
    fn was_written(&self, id: &str, written: Written, (acks, fallbacks): (u8, u8)) -> Context {
        let Written { context, dot, got } = written;
        let shown = got.as_ref().map(shown).unwrap_or_default();
        self.book.write(Event::Ok(Answered {
            t: self.book.now(),
            id: id.to_owned(),
            dot: Some(dot.to_string()),
            acks: Some(acks),
            fallbacks: Some(fallbacks),
            ..shown
        }));
        self.book.count_acknowledged();
        got.map_or(context, |got| got.context())
    }
}

/// How a write went.
enum Tried {
    /// Acknowledged: what the client has seen now.
    Written(Seen),
    /// Not acknowledged; the value, if it left.
    Failed(Option<String>),
}

/// The bytes of a value: its name, and as much more as the run wants.
fn content(name: &str, bytes: usize) -> String {
    let mut content = format!("{name}{SEPARATOR}");
    while content.len() < bytes {
        content.push_str(name);
    }
    content
}

/// What an answer shows.
pub(super) fn shown(got: &Got) -> Answered {
    let mut answered = Answered::default();
    for version in got.versions() {
        match named(version) {
            Ok(name) => {
                answered.vals.push(name);
                answered.dots.push(version.dot.to_string());
            }
            Err(damaged) => answered.corrupt.push(damaged),
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

/// The name of a value, or what is no value of this run.
fn named(version: &Version) -> Result<String, String> {
    let text = version.value().and_then(Value::as_text).unwrap_or_default();
    let (name, rest) = text.split_once(SEPARATOR).ok_or_else(|| text.to_owned())?;
    let is_whole = rest.as_bytes().chunks(name.len().max(1)).all(|piece| piece == name.as_bytes());
    if is_whole { Ok(name.to_owned()) } else { Err(text.to_owned()) }
}

pub(super) fn unanswered<E: StoreError>(book: &Book, id: String, error: Option<&E>) -> Unanswered {
    let code = error.map_or("no_answer", E::code);
    Unanswered {
        t: book.now(),
        id,
        code: Some(code.to_owned()),
        err: error.map(ToString::to_string),
    }
}
