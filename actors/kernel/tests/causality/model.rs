//! A world of shards, clients, messages and backups beside the plain model of it: every version
//! with the explicit set of the dots that its writer had seen.

use std::collections::{BTreeMap, BTreeSet};

use henge_kernel::{
    causality::{Conflict, Context, Dot, History, Record, Stamp, Write, Written},
    id::WriteId,
    time::WallMillis,
};

use crate::support::{Shard, delete, put};

pub type Dots = BTreeSet<Dot>;

/// Every dot of `history`, one by one.
pub fn dots(history: &History) -> Dots {
    let run = |run: &henge_kernel::causality::Run| {
        let actor = run.actor;
        (run.first..=run.last).map(move |counter| Dot { actor, counter })
    };
    history.entries().iter().flat_map(run).collect()
}

/// A replica as a set of causal histories: no version vector, no history of its own.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Plain {
    versions: BTreeMap<Dot, (WriteId, Dots)>,
}

impl Plain {
    fn seen(&self) -> Dots {
        self.versions.values().flat_map(|(_, past)| past).copied().collect()
    }

    fn write(&mut self, context: &Dots, dot: Dot, id: WriteId) {
        self.versions.retain(|dot, _| !context.contains(dot));
        let past = context.iter().copied().chain([dot]).collect();
        self.versions.insert(dot, (id, past));
    }

    /// Everything that nothing else has seen.
    fn merge(&mut self, other: &Self) {
        let seen_by_another = |all: &BTreeMap<Dot, (WriteId, Dots)>, dot: &Dot| {
            all.iter().any(|(by, (_, past))| by != dot && past.contains(dot))
        };
        self.versions.extend(other.versions.clone());
        let all = self.versions.clone();
        self.versions.retain(|dot, _| !seen_by_another(&all, dot));
    }
}

/// What is known to the omniscient about one write.
struct Fact {
    rank: (Stamp, bool, Dot),
}

#[derive(Clone, Default)]
struct Client {
    context: Context,
    seen: Dots,
    /// Its last write, and what it had seen then: it may retry it.
    last: Option<(Write, Dots)>,
}

type Copy = (Record, Plain);

pub struct World {
    conflict: Conflict,
    pub shards: Vec<Shard>,
    plains: Vec<Plain>,
    clients: Vec<Client>,
    messages: Vec<Copy>,
    backups: Vec<Copy>,
    facts: BTreeMap<Dot, Fact>,
    overwritten: Dots,
    next_uid: u64,
    next_id: u128,
}

impl World {
    pub fn new(conflict: Conflict) -> Self {
        Self {
            conflict,
            shards: (1..=3).map(Shard::new).collect(),
            plains: vec![Plain::default(); 3],
            clients: vec![Client::default(); 3],
            messages: Vec::new(),
            backups: Vec::new(),
            facts: BTreeMap::new(),
            overwritten: Dots::new(),
            next_uid: 4,
            next_id: 1,
        }
    }

    /// The world after `steps`, every one of which was checked.
    pub fn after(conflict: Conflict, steps: &[u32]) -> Self {
        let mut world = Self::new(conflict);
        for step in steps {
            world.step(*step);
        }
        world
    }

    fn step(&mut self, step: u32) {
        let [what, at, who, how] = step.to_le_bytes();
        let (at, who) = (usize::from(at) % 3, usize::from(who) % 3);
        let before = self.shards[at].record.clone();
        match what % 16 {
            0..=4 => self.write(at, who, how),
            5 => self.retry(at, who),
            6..=8 => self.read(at, who),
            9 | 10 => self.merge(at, (self.shards[who].record.clone(), self.plains[who].clone())),
            11 => self.messages.push(self.copy(at)),
            12 => self.merge_one_of(at, how),
            13 => self.backups.push(self.copy(at)),
            14 => self.lose(at),
            _ => self.restart(at, how),
        }
        if what % 16 < 13 {
            self.check_that_only_the_overwritten_went(&before, at);
        }
        self.check(at);
    }

    fn copy(&self, at: usize) -> Copy {
        (self.shards[at].record.clone(), self.plains[at].clone())
    }

    fn write(&mut self, at: usize, who: usize, how: u8) {
        let client = self.clients[who].clone();
        let blind = how.is_multiple_of(4);
        let (context, seen) =
            if blind { Default::default() } else { (client.context, client.seen) };
        let id = self.next_id;
        self.next_id += 1;
        let base =
            if how.is_multiple_of(5) { delete(id, context.clone()) } else { put(id, "value") };
        // Clocks are arbitrary.
        let wall = WallMillis(u64::from(how) * 7 % 40);
        let expires_at = (how.is_multiple_of(3)).then_some(WallMillis(20));
        let write = Write { context, wall, expires_at, conflict: self.conflict, ..base };
        self.apply(at, who, write, seen);
    }

    fn retry(&mut self, at: usize, who: usize) {
        if let Some((write, seen)) = self.clients[who].last.clone() {
            self.apply(at, who, write, seen);
        }
    }

    fn apply(&mut self, at: usize, who: usize, write: Write, seen: Dots) {
        let held = self.plains[at].versions.iter().find(|(_, (id, _))| *id == write.write_id);
        let held = held.map(|(dot, _)| *dot);
        let written = self.shards[at].write(write.clone());
        assert!(!written.amnesia, "nothing was rolled back within a run");
        if self.conflict == Conflict::Siblings {
            assert_eq!(held, (!written.minted).then_some(written.dot));
        }
        if written.minted {
            self.note(&written, &write, &seen);
            self.plains[at].write(&seen, written.dot, write.write_id);
        }
        let answered: Dots = seen.iter().copied().chain([written.dot]).collect();
        assert_eq!(dots(written.context.history()), answered, "own context and the new dot");
        self.clients[who] =
            Client { context: written.context, seen: answered, last: Some((write, seen)) };
    }

    /// One dot, one value, for ever; and a stamp above all that its writer had seen.
    fn note(&mut self, written: &Written, write: &Write, seen: &Dots) {
        let stamp = written.context.stamp();
        let fact = Fact { rank: (stamp, write.content.is_value(), written.dot) };
        assert!(seen.iter().all(|dot| self.facts[dot].rank.0 < stamp));
        assert!(self.facts.insert(written.dot, fact).is_none(), "one dot, two writes");
        self.overwritten.extend(seen);
    }

    fn read(&mut self, at: usize, who: usize) {
        let context = self.shards[at].record.read(WallMillis(10)).context;
        let seen = dots(context.history());
        self.clients[who] = Client { context, seen, last: self.clients[who].last.clone() };
    }

    fn merge(&mut self, at: usize, (record, plain): Copy) {
        let before = self.shards[at].record.clone();
        let merged = self.shards[at].record.merge(&record, self.conflict);
        let after = &self.shards[at].record;
        assert_eq!((merged.clashes, merged.amnesia), (0, false));
        assert_eq!(merged.changed, !same_replicated(&before, after));
        assert_eq!(before.right(), after.right(), "a good right survives a merge");
        self.plains[at].merge(&plain);
    }

    /// A late message; it may come again.
    fn merge_one_of(&mut self, at: usize, how: u8) {
        if let Some(copy) = pick(&self.messages, how) {
            self.merge(at, copy);
        }
    }

    /// Reaped, dropped, quarantined: gone within the run.
    fn lose(&mut self, at: usize) {
        self.shards[at].record = Record::default();
        self.plains[at] = Plain::default();
    }

    /// A new run: with what was there, rolled back, restored from anybody's backup, or bare.
    fn restart(&mut self, at: usize, how: u8) {
        let (record, plain) = match how % 3 {
            0 => self.copy(at),
            1 => Copy::default(),
            _ => pick(&self.backups, how).unwrap_or_default(),
        };
        self.shards[at].restart(self.next_uid, &record);
        self.next_uid += 1;
        self.plains[at] = plain;
    }

    /// An acknowledged version goes only under a write whose context held it (in siblings mode).
    fn check_that_only_the_overwritten_went(&self, before: &Record, at: usize) {
        let after = &self.shards[at].record;
        let stays = |dot: Dot| after.versions().iter().any(|version| version.dot == dot);
        for version in before.versions() {
            let lawful = stays(version.dot) || self.overwritten.contains(&version.dot);
            assert!(lawful || self.conflict == Conflict::Lww, "lost {}", version.dot);
        }
    }

    fn check(&self, at: usize) {
        let record = &self.shards[at].record;
        let live: Dots = record.versions().iter().map(|version| version.dot).collect();
        let seen = dots(record.history());
        assert!(live.is_subset(&seen));
        assert_eq!(live.is_empty(), seen.is_empty(), "a record with a history has a version");
        match self.conflict {
            Conflict::Siblings => {
                assert_eq!(live, self.plains[at].versions.keys().copied().collect());
                assert_eq!(seen, self.plains[at].seen());
            }
            // As every successor has the greater stamp, the winner is the greatest of all.
            Conflict::Lww => {
                let greatest = seen.iter().map(|dot| self.facts[dot].rank).max();
                assert_eq!(live, greatest.map(|(.., dot)| dot).into_iter().collect());
            }
        }
        for other in &self.shards {
            let equal = same_replicated(record, &other.record);
            assert_eq!(record.digest() == other.record.digest(), equal);
        }
    }
}

fn pick(copies: &[Copy], how: u8) -> Option<Copy> {
    let index = usize::from(how).checked_rem(copies.len())?;
    copies.get(index).cloned()
}

/// Whether the replicated parts are equal.
pub fn same_replicated(one: &Record, other: &Record) -> bool {
    one.history() == other.history() && one.versions() == other.versions()
}
