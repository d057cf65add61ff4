//! A fallback, its homes and everything that can go wrong between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use henge_kernel::{
    causality::{Conflict, Digest, Record},
    handoff::{
        Delivery, HintIndex,
        delivery::{BATCH_MAX, DeliveryEffect, DeliveryEvent, Due},
        hint::{Hint, Released, release},
    },
    id::NodeId,
    key::Key,
    machine::Machine,
    time::{Instant, WallMillis},
};

use crate::support::{HOME, OTHER, THIRD, at, key, written};

const WINDOW: u64 = 250;
const KEYS: usize = 6;

/// What is on its way.
#[derive(Clone)]
enum Message {
    Event(DeliveryEvent),
    Record { to: NodeId, key: Key, record: Arc<Record> },
}

/// The fallback's shard and index, the disks of the homes, and the messages between them.
struct World {
    now: Instant,
    machine: Delivery,
    shard: BTreeMap<Key, Record>,
    index: HintIndex,
    disks: BTreeMap<NodeId, BTreeMap<Key, Record>>,
    up: BTreeSet<NodeId>,
    dirty: BTreeSet<Key>,
    mail: Vec<Message>,
    /// All writes that the fallback has acknowledged.
    acknowledged: Vec<(Key, Record)>,
    writes: u64,
    /// Bytes of the greatest record there ever was.
    bytes_most: u64,
    rng: fastrand::Rng,
}

impl World {
    fn new(seed: u64) -> Self {
        let homes = [HOME, OTHER, THIRD];
        Self {
            now: at(0),
            machine: Delivery::new(at(0), HOME, WINDOW),
            shard: BTreeMap::new(),
            index: HintIndex::new(u64::MAX),
            disks: homes.map(|home| (home, BTreeMap::new())).into(),
            up: BTreeSet::new(),
            dirty: BTreeSet::new(),
            mail: Vec::new(),
            acknowledged: Vec::new(),
            writes: 0,
            bytes_most: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    fn handle(&mut self, event: DeliveryEvent) {
        let mut effects = Vec::new();
        self.machine.handle(self.now, event, &mut effects);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<DeliveryEffect>) {
        for effect in effects {
            match effect {
                DeliveryEffect::Fetch { after, aged } => {
                    let due = self.due(after.as_ref(), aged);
                    let fetched = DeliveryEvent::Fetched { after, aged, hints: due };
                    self.mail.push(Message::Event(fetched));
                }
                DeliveryEffect::Send { to, keys } => {
                    for key in keys {
                        self.send(to, key);
                    }
                }
                DeliveryEffect::NoteDirty(key) => {
                    self.dirty.insert(key.clone());
                    self.mail.push(Message::Event(DeliveryEvent::DirtyNoted(key)));
                }
                DeliveryEffect::Release { key, digest } => self.release(&key, digest),
            }
        }
        // A record that is greater than the window goes alone.
        let bound = WINDOW.max(self.bytes_most);
        assert!(self.machine.bytes_in_flight() <= bound, "the window is a bound");
    }

    fn due(&self, after: Option<&Key>, aged: bool) -> Vec<Due> {
        // Here every hint is old.
        let others = [OTHER, THIRD].into_iter().filter(|node| aged && self.up.contains(node));
        let hints = self.index.of(HOME, after).take(BATCH_MAX.min(3));
        let due = |(key, hint): (&Key, &Hint)| Due {
            key: key.clone(),
            bytes: hint.bytes,
            others: others.clone().collect(),
        };
        hints.map(due).collect()
    }

    fn send(&mut self, to: NodeId, key: Key) {
        match self.shard.get(&key) {
            Some(record) => {
                let record = Arc::new(record.clone());
                self.mail.push(Message::Record { to, key, record });
            }
            None => self.mail.push(Message::Event(DeliveryEvent::Failed { from: to, key })),
        }
    }

    fn release(&mut self, key: &Key, digest: Digest) {
        let Some(record) = self.shard.get_mut(key) else { return };
        match release(record, HOME, digest, false) {
            Released::Kept => self.mail.push(Message::Event(DeliveryEvent::Changed)),
            Released::Unmarked => {
                self.index.remove(HOME, key);
            }
            Released::Dropped => {
                self.shard.remove(key);
                self.index.remove(HOME, key);
            }
        }
    }

    /// The fallback takes another write in the place of the home.
    fn write(&mut self) {
        self.writes += 1;
        let key = key(self.rng.usize(0..KEYS));
        let new = written(self.writes, "value");
        let record = self.shard.entry(key.clone()).or_default();
        record.merge(&new, Conflict::Siblings);
        record.mark(HOME);
        let hint = Hint { since: WallMillis(self.writes), bytes: bytes_of(record) };
        self.bytes_most = self.bytes_most.max(hint.bytes);
        self.index.insert(HOME, key.clone(), hint);
        self.acknowledged.push((key, new));
        self.handle(DeliveryEvent::Hinted);
    }

    /// One message arrives, twice, or never; those within the node too: an actor may restart.
    fn pass_mail(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let at = self.rng.usize(0..self.mail.len());
        let message =
            if self.rng.u8(..) < 32 { self.mail[at].clone() } else { self.mail.swap_remove(at) };
        if self.rng.u8(..) >= 32 {
            self.arrive(message);
        }
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.handle(event),
            Message::Record { to, key, record } if self.up.contains(&to) => {
                let disk = self.disks.get_mut(&to).unwrap();
                disk.entry(key.clone()).or_default().merge(&record, Conflict::Siblings);
                let digest = record.digest();
                let event = DeliveryEvent::Acknowledged { from: to, key, digest };
                self.mail.push(Message::Event(event));
            }
            Message::Record { to, key, .. } => {
                self.mail.push(Message::Event(DeliveryEvent::Failed { from: to, key }));
            }
        }
    }

    fn turn(&mut self, node: NodeId) {
        let comes = self.up.insert(node) || !self.up.remove(&node);
        self.handle(match (node == HOME, comes) {
            (true, true) => DeliveryEvent::HomeUp,
            (true, false) => DeliveryEvent::HomeDown,
            (false, true) => return,
            (false, false) => DeliveryEvent::MemberDown(node),
        });
    }

    fn wait(&mut self) {
        if let Some(deadline) = self.machine.deadline() {
            self.now = deadline;
            let mut effects = Vec::new();
            self.machine.expire(self.now, &mut effects);
            self.perform(effects);
        }
    }

    /// The fallback restarts: all that it knew of the delivery is gone, all that it stored is not.
    fn restart(&mut self) {
        self.machine = Delivery::new(self.now, HOME, WINDOW);
        self.mail.retain(|message| matches!(message, Message::Record { .. }));
        if self.up.contains(&HOME) {
            self.handle(DeliveryEvent::HomeUp);
        }
    }

    /// What a fallback acknowledged is in its shard, marked, or on the disk of a home: of the one
    /// that it is for, unless the partition is noted as dirty for that one.
    fn check(&self) {
        for (key, write) in &self.acknowledged {
            let holds = |record: Option<&Record>| {
                record.is_some_and(|record| record.history().is_superset(write.history()))
            };
            let kept = self.shard.get(key);
            let kept = holds(kept) && kept.is_some_and(|record| record.marks() == [HOME]);
            let home = holds(self.disks[&HOME].get(key));
            let others = [OTHER, THIRD].iter().any(|node| holds(self.disks[node].get(key)));
            let passed_on = others && self.dirty.contains(key);
            assert!(kept || home || passed_on, "{key:?} is lost");
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..) {
            0..40 => self.write(),
            40..180 => self.pass_mail(),
            180..205 => self.wait(),
            205..215 => self.turn(HOME),
            215..235 => {
                let node = self.rng.choice([OTHER, THIRD]).unwrap();
                self.turn(node);
            }
            235..240 => self.restart(),
            240..244 => self.handle(DeliveryEvent::Window(WINDOW)),
            244..250 => self.handle(DeliveryEvent::Paused),
            250.. => self.handle(DeliveryEvent::Resumed),
        }
        self.check();
    }
}

fn bytes_of(record: &Record) -> u64 {
    let mut bytes = Vec::new();
    record.encode_stored(&mut bytes);
    bytes.len() as u64
}

#[test]
fn nothing_that_a_fallback_acknowledged_is_lost_and_all_of_it_comes_home() {
    for seed in 0..10_000 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.step();
        }
        // From now on nothing fails: within a bounded number of steps nothing is left.
        if !world.up.contains(&HOME) {
            world.turn(HOME);
        }
        world.handle(DeliveryEvent::Resumed);
        for _ in 0..1_000 {
            match world.mail.pop() {
                Some(message) => world.arrive(message),
                None => world.wait(),
            }
            world.check();
            if world.mail.is_empty() && world.index.totals().count == 0 {
                break;
            }
        }
        assert_eq!(world.index.totals().count, 0, "seed {seed}");
        assert!(world.shard.is_empty(), "seed {seed}");
    }
}
