//! The delivery of hints to one home.
//!
//! Hints are fetched in batches in the order of their keys, and sent as long as the window of the
//! receiver has room. A mark goes only when the receiver has the record on its disk, and only if
//! the record is still what was sent. Nothing here is stored: what was delivered is no longer
//! fetched, so a delivery that is cut off anywhere goes on where it was by starting over.
//!
//! While the home is down, hints older than [`AGE_MAX`] are offered to the other homes instead. If
//! each of them that is up has taken one, and there is at least one, the partition is noted as
//! dirty for the absent home, and only then the mark goes: anti-entropy among the homes does the
//! rest when it returns. With no home to give it to, the copy stays.

use core::{mem, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use smallvec::SmallVec;

use crate::{causality::Digest, id::NodeId, key::Key, machine::Machine, time::Instant};

mod events;

pub use events::{DeliveryEffect, DeliveryEvent, Due};

/// How old a hint becomes before the other homes take it.
pub const AGE_MAX: Duration = Duration::from_hours(24);
/// How often the hints are looked at although nothing calls for it: those of a home that is down
/// grow old.
pub const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// When the delivery goes on after a home did not take something; longer each time that nothing
/// came of it.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest such pause: what held the hints up may be over at any time, and a try costs a batch.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(4);
/// How long nothing at all may be acknowledged before all that is under way is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Hints that are fetched at a time, at most.
pub const BATCH_MAX: usize = 64;

/// A record that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flight {
    bytes: u64,
    /// Who has yet to acknowledge it.
    awaited: SmallVec<[NodeId; 6]>,
    /// What was acknowledged by those who did.
    digest: Option<Digest>,
    /// Whether it was read and sent again, since its generation had passed.
    resent: bool,
}

/// The machine that drains the hints of one home. It lives as long as there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    home: NodeId,
    home_up: bool,
    paused: bool,
    window: u64,
    /// The pass over the hints that is under way.
    pass: Option<Pass>,
    /// Whether another pass is called for as soon as this one ends.
    again: bool,
    /// What was fetched and has yet to be sent.
    queue: VecDeque<Due>,
    flights: BTreeMap<Key, Flight>,
    in_flight: u64,
    /// Where a pass that failed was cut off: the next one goes on there, so that a hint which is
    /// never taken does not stand before the others.
    resume: Option<Key>,
    retry_after: Duration,
    /// When to go on after a failure.
    retry: Option<Instant>,
    /// When to look at the hints in any case.
    sweep: Instant,
    /// When something was last sent or acknowledged.
    heard: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pass {
    /// Only aged hints, to the other homes.
    aged: bool,
    /// The last key that was fetched.
    cursor: Option<Key>,
    fetch: Fetching,
    /// Whether some hint was not taken.
    failed: bool,
}

/// How far the fetching of hints is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetching {
    /// More are to be fetched once the queue is empty.
    Due,
    /// Some were asked for.
    Asked,
    /// Nothing more is to be fetched.
    Done,
}

impl Delivery {
    /// A delivery to a home of which nothing is known yet, with a window of so many bytes.
    pub fn new(now: Instant, home: NodeId, window: u64) -> Self {
        Self {
            home,
            home_up: false,
            paused: false,
            window,
            pass: None,
            again: false,
            queue: VecDeque::new(),
            flights: BTreeMap::new(),
            in_flight: 0,
            resume: None,
            retry_after: RETRY_AFTER,
            retry: None,
            sweep: now.after(SWEEP_EVERY),
            heard: now,
        }
    }

    /// To whom it delivers.
    pub fn home(&self) -> NodeId {
        self.home
    }

    /// Bytes that were sent and are not acknowledged.
    pub fn bytes_in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bytes of a record that was to be sent to `node`, if it is still wanted there.
    pub fn bytes_awaited(&self, node: NodeId, key: &Key) -> Option<u64> {
        let flight = self.flights.get(key)?;
        flight.awaited.contains(&node).then_some(flight.bytes)
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.pass.is_none()
    }

    fn begin(&mut self) {
        let cursor = self.resume.take();
        (self.again, self.retry) = (cursor.is_some(), None);
        let (aged, fetch) = (!self.home_up, Fetching::Due);
        self.pass = Some(Pass { aged, cursor, fetch, failed: false });
    }

    /// Forgets what is under way: whatever was not acknowledged is kept as it was.
    fn stop(&mut self) {
        self.pass = None;
        self.queue.clear();
        self.flights.clear();
        self.in_flight = 0;
        (self.resume, self.retry, self.retry_after) = (None, None, RETRY_AFTER);
    }

    fn fetched(&mut self, (after, aged): (Option<&Key>, bool), hints: Vec<Due>) {
        let asked = |pass: &&mut Pass| {
            let same = pass.cursor.as_ref() == after && pass.aged == aged;
            pass.fetch == Fetching::Asked && same
        };
        let Some(pass) = self.pass.as_mut().filter(asked) else { return };
        let Some(last) = hints.last() else {
            pass.fetch = Fetching::Done;
            return;
        };
        (pass.fetch, pass.cursor) = (Fetching::Due, Some(last.key.clone()));
        // An old hint that no home can take stays where it is.
        let sendable = |due: &Due| !pass.aged || !due.others.is_empty();
        self.queue.extend(hints.into_iter().filter(sendable));
    }

    fn acknowledged(
        &mut self,
        now: Instant,
        (from, key, digest): (NodeId, Key, Digest),
        effects: &mut Vec<DeliveryEffect>,
    ) {
        self.heard = now;
        let Some(flight) = self.flights.get_mut(&key) else { return };
        let Some(at) = flight.awaited.iter().position(|node| *node == from) else { return };
        flight.awaited.swap_remove(at);
        if flight.digest.is_some_and(|other| other != digest) {
            // It changed between one send and the other: no two homes have the same.
            self.fail(&key);
        } else {
            flight.digest = Some(digest);
            self.settle(key, effects);
        }
    }

    /// Lets a record go that nobody is awaited for.
    fn settle(&mut self, key: Key, effects: &mut Vec<DeliveryEffect>) {
        let Some(flight) = self.flights.get(&key).filter(|flight| flight.awaited.is_empty()) else {
            return;
        };
        match flight.digest {
            None => self.fail(&key),
            // It stays in flight until that is noted.
            Some(_) if self.is_aged() => effects.push(DeliveryEffect::NoteDirty(key)),
            Some(digest) => self.release(key, digest, effects),
        }
    }

    fn release(&mut self, key: Key, digest: Digest, effects: &mut Vec<DeliveryEffect>) {
        self.land(&key);
        self.retry_after = RETRY_AFTER;
        effects.push(DeliveryEffect::Release { key, digest });
    }

    fn dirty_noted(&mut self, key: Key, effects: &mut Vec<DeliveryEffect>) {
        let Some(flight) = self.flights.get(&key).filter(|flight| flight.awaited.is_empty()) else {
            return;
        };
        if let Some(digest) = flight.digest {
            self.release(key, digest, effects);
        }
    }

    /// Sends a record again, once and at once: rounds of reaping raise generations as often as a
    /// pause would last.
    fn outdated(
        &mut self,
        now: Instant,
        (from, key): (NodeId, Key),
        effects: &mut Vec<DeliveryEffect>,
    ) {
        let Some(flight) = self.awaited_of(from, &key) else { return };
        if mem::replace(&mut flight.resent, true) {
            return self.fail(&key);
        }
        self.heard = now;
        effects.push(DeliveryEffect::Send { to: from, keys: vec![key] });
    }

    /// The flight of a record that `from` has yet to acknowledge.
    fn awaited_of(&mut self, from: NodeId, key: &Key) -> Option<&mut Flight> {
        self.flights.get_mut(key).filter(|flight| flight.awaited.contains(&from))
    }

    /// Keeps a hint that was not taken, and sends no more until the pause is over.
    fn fail(&mut self, key: &Key) {
        self.land(key);
        self.cut_off();
    }

    fn cut_off(&mut self) {
        self.queue.clear();
        if let Some(pass) = &mut self.pass {
            (pass.failed, pass.fetch) = (true, Fetching::Done);
        }
    }

    /// Goes over the hints again, after a pause.
    fn unreleased(&mut self, now: Instant) {
        match &mut self.pass {
            Some(pass) => pass.failed = true,
            None => {
                self.retry.get_or_insert(now.after(self.retry_after));
            }
        }
    }

    fn land(&mut self, key: &Key) {
        if let Some(flight) = self.flights.remove(key) {
            self.in_flight = self.in_flight.saturating_sub(flight.bytes);
        }
    }

    fn lose_member(&mut self, node: NodeId, effects: &mut Vec<DeliveryEffect>) {
        if node == self.home || !self.is_aged() {
            return;
        }
        for due in &mut self.queue {
            due.others.retain(|other| *other != node);
        }
        self.queue.retain(|due| !due.others.is_empty());
        let mut met = Vec::new();
        for (key, flight) in &mut self.flights {
            let count = flight.awaited.len();
            flight.awaited.retain(|other| *other != node);
            if flight.awaited.len() < count {
                met.push(key.clone());
            }
        }
        for key in met {
            self.settle(key, effects);
        }
    }

    /// When what is under way will have been silent for too long.
    fn silent_at(&self) -> Option<Instant> {
        let asked = |pass: &Pass| pass.fetch == Fetching::Asked;
        let fetching = self.pass.as_ref().is_some_and(asked);
        (fetching || !self.flights.is_empty()).then(|| self.heard.after(SILENCE_MAX))
    }

    fn next_pass(&self) -> Instant {
        self.retry.unwrap_or(self.sweep)
    }

    fn is_aged(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.aged)
    }

    /// Sends, fetches or ends the pass, as the state of things calls for.
    fn proceed(&mut self, now: Instant, effects: &mut Vec<DeliveryEffect>) {
        let idle = self.pass.is_none() && self.retry.is_none();
        if idle && self.again {
            self.begin();
        }
        if self.paused || self.pass.is_none() {
            return;
        }
        self.send(now, effects);
        let Some(pass) = &mut self.pass else { return };
        match pass.fetch {
            Fetching::Due if self.queue.is_empty() => {
                pass.fetch = Fetching::Asked;
                self.heard = now;
                let (after, aged) = (pass.cursor.clone(), pass.aged);
                effects.push(DeliveryEffect::Fetch { after, aged });
            }
            Fetching::Done if self.queue.is_empty() && self.flights.is_empty() => {
                self.end_pass(now, effects);
            }
            Fetching::Due | Fetching::Asked | Fetching::Done => {}
        }
    }

    fn end_pass(&mut self, now: Instant, effects: &mut Vec<DeliveryEffect>) {
        let Some(pass) = self.pass.take() else { return };
        self.sweep = now.after(SWEEP_EVERY);
        if pass.failed {
            self.resume = pass.cursor;
            self.retry = Some(now.after(self.retry_after));
            self.retry_after = RETRY_AFTER_MAX.min(self.retry_after * 2);
        } else if self.again {
            self.begin();
            self.proceed(now, effects);
        }
    }

    /// Sends what the window has room for; a record that is greater than it goes alone.
    fn send(&mut self, now: Instant, effects: &mut Vec<DeliveryEffect>) {
        let mut batches: BTreeMap<NodeId, Vec<Key>> = BTreeMap::new();
        while let Some(due) = self.queue.front() {
            let room = self.window.saturating_sub(self.in_flight);
            if due.bytes > room && !self.flights.is_empty() {
                break;
            }
            let Some(due) = self.queue.pop_front() else { break };
            if self.flights.contains_key(&due.key) {
                continue;
            }
            let awaited =
                if self.is_aged() { due.others } else { SmallVec::from_slice(&[self.home]) };
            for node in &awaited {
                batches.entry(*node).or_default().push(due.key.clone());
            }
            self.in_flight = self.in_flight.saturating_add(due.bytes);
            let flight = Flight { bytes: due.bytes, awaited, digest: None, resent: false };
            self.flights.insert(due.key, flight);
            self.heard = now;
        }
        effects.extend(batches.into_iter().map(|(to, keys)| DeliveryEffect::Send { to, keys }));
    }
}

impl Machine for Delivery {
    type Event = DeliveryEvent;
    type Effect = DeliveryEffect;

    fn handle(&mut self, now: Instant, event: DeliveryEvent, effects: &mut Vec<DeliveryEffect>) {
        match event {
            DeliveryEvent::HomeUp if !self.home_up => {
                self.stop();
                self.home_up = true;
                self.begin();
            }
            DeliveryEvent::HomeDown if self.home_up => {
                self.stop();
                self.home_up = false;
                self.sweep = now.after(SWEEP_EVERY);
            }
            DeliveryEvent::HomeUp | DeliveryEvent::HomeDown => {}
            DeliveryEvent::MemberDown(node) => self.lose_member(node, effects),
            DeliveryEvent::Hinted | DeliveryEvent::Changed => self.again |= self.home_up,
            DeliveryEvent::Unreleased => self.unreleased(now),
            DeliveryEvent::Fetched { after, aged, hints } => {
                self.fetched((after.as_ref(), aged), hints);
            }
            DeliveryEvent::Acknowledged { from, key, digest } => {
                self.acknowledged(now, (from, key, digest), effects);
            }
            DeliveryEvent::Failed { from, key } => {
                if self.awaited_of(from, &key).is_some() {
                    self.fail(&key);
                }
            }
            DeliveryEvent::Outdated { from, key } => self.outdated(now, (from, key), effects),
            DeliveryEvent::DirtyNoted(key) => self.dirty_noted(key, effects),
            DeliveryEvent::Window(window) => self.window = window,
            DeliveryEvent::Paused => self.paused = true,
            DeliveryEvent::Resumed => {
                self.paused = false;
                self.heard = now;
            }
        }
        self.proceed(now, effects);
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<DeliveryEffect>) {
        if self.pass.is_none() && now >= self.next_pass() {
            self.begin();
        } else if self.silent_at().is_some_and(|silent| now >= silent) {
            self.flights.clear();
            self.in_flight = 0;
            self.cut_off();
        }
        self.proceed(now, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.pass.is_none() { Some(self.next_pass()) } else { self.silent_at() }
    }
}
