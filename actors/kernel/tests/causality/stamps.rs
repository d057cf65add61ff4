//! A stamp is greater than every stamp in its causal past, whatever the clocks say, under random
//! writes, repetitions, reads and merges: also greater than that of a repetition which was dropped
//! because what it repeats had been overwritten.

use std::collections::BTreeMap;

use henge_kernel::{
    causality::{Conflict, Context, Dot, Minter, Record, Stamp, Write},
    id::ShardUid,
    time::WallMillis,
};

use crate::support::put;

/// One home, with a clock of its own.
struct Home {
    record: Record,
    minter: Minter,
    skew: u64,
}

struct World {
    rng: fastrand::Rng,
    conflict: Conflict,
    homes: Vec<Home>,
    now: u64,
    /// Every version that there ever was.
    stamps: BTreeMap<Dot, Stamp>,
    contexts: Vec<Context>,
    writes: Vec<Write>,
    /// Dropped versions that were newer than all that stayed.
    folded: usize,
}

impl World {
    fn new(seed: u64, conflict: Conflict) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let home = |uid| Home {
            record: Record::default(),
            minter: Minter::new(ShardUid(uid)),
            skew: rng.u64(..3) * 50,
        };
        let homes = (0..3).map(home).collect();
        let contexts = vec![Context::default()];
        let (stamps, writes) = (BTreeMap::new(), Vec::new());
        Self { rng, conflict, homes, now: 1_000, stamps, contexts, writes, folded: 0 }
    }

    fn step(&mut self) {
        self.now += self.rng.u64(..20);
        let at = self.rng.usize(..self.homes.len());
        match self.rng.u8(..8) {
            0..3 => self.write(at),
            3 => self.repeat(at),
            4..6 => {
                let record = &self.homes[at].record;
                self.contexts.push(record.read(WallMillis(self.now)).context);
            }
            _ => self.merge(at),
        }
    }

    fn write(&mut self, at: usize) {
        let context = self.contexts[self.rng.usize(..self.contexts.len())].clone();
        let id = self.writes.len() + 1;
        let write = Write { context, ..put(id as u128, &format!("{id}")) };
        let write = Write { conflict: self.conflict, ..write };
        self.writes.push(write.clone());
        self.mint(at, write);
    }

    /// A write comes once more, under the same id, at any home.
    fn repeat(&mut self, at: usize) {
        if !self.writes.is_empty() {
            let write = self.writes[self.rng.usize(..self.writes.len())].clone();
            self.mint(at, write);
        }
    }

    fn mint(&mut self, at: usize, write: Write) {
        let home = &mut self.homes[at];
        let write = Write { wall: WallMillis(self.now + home.skew), ..write };
        let context = write.context.clone();
        let written = home.record.write_once(&mut home.minter, write).unwrap();
        self.contexts.push(written.context.clone());
        let Some(version) = home.record.versions().iter().find(|one| one.dot == written.dot) else {
            return;
        };
        if written.minted {
            let stamp = version.stamp;
            self.stamps.insert(written.dot, stamp);
            self.check(&context, stamp);
        }
    }

    /// Everything that the context of a write covers has a lesser stamp.
    fn check(&self, context: &Context, stamp: Stamp) {
        for (dot, past) in self.stamps.iter().filter(|(dot, _)| context.covers(**dot)) {
            assert!(*past < stamp, "{dot:?} at {past:?} is in the past of {stamp:?}");
        }
    }

    fn merge(&mut self, at: usize) {
        let other = self.homes[self.rng.usize(..self.homes.len())].record.clone();
        let record = &mut self.homes[at].record;
        let live: Vec<Dot> = record.versions().iter().map(|version| version.dot).collect();
        record.merge_once(&other, self.conflict);
        let seen = other.versions().iter().map(|version| version.dot).chain(live);
        let gone = |dot: &Dot| record.versions().iter().all(|version| version.dot != *dot);
        let newest = record.versions().iter().map(|version| version.stamp).max();
        self.folded += seen.filter(gone).filter(|dot| Some(self.stamps[dot]) > newest).count();
    }
}

#[test]
fn a_stamp_is_greater_than_every_stamp_in_its_past() {
    for conflict in [Conflict::Siblings, Conflict::Lww] {
        let mut folded = 0;
        for seed in 0..20_000 {
            let mut world = World::new(seed, conflict);
            for _ in 0..40 {
                world.step();
            }
            folded += world.folded;
        }
        let folds = conflict == Conflict::Siblings;
        assert_eq!(folded > 0, folds, "{folded} repetitions were the newest and were dropped");
    }
}
