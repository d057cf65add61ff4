//! A stamp is greater than every stamp in its causal past, whatever the clocks say, under random
//! writes, repetitions, reads and merges.
//!
//! With one exception, where it does no harm: a repetition that was folded away takes its stamp
//! with it. Only a record of siblings can fold, and among siblings stamps decide nothing.

use std::collections::BTreeMap;

use henge_kernel::{
    causality::{Conflict, Context, Dot, Minter, Record, Stamp, Write},
    id::{ShardUid, WriteId},
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
    stamps: BTreeMap<Dot, (Stamp, WriteId)>,
    contexts: Vec<Context>,
    writes: Vec<Write>,
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
        let (context, id) = (write.context.clone(), write.write_id);
        let written = home.record.write_once(&mut home.minter, write).unwrap();
        self.contexts.push(written.context.clone());
        let Some(version) = home.record.versions().iter().find(|one| one.dot == written.dot) else {
            return;
        };
        if written.minted {
            let stamp = version.stamp;
            self.stamps.insert(written.dot, (stamp, id));
            self.check(&context, stamp);
        }
    }

    /// Everything that the context of a write covers has a lesser stamp.
    fn check(&mut self, context: &Context, stamp: Stamp) {
        let past = self.stamps.iter().filter(|(dot, _)| context.covers(**dot));
        for (dot, (past, id)) in past.filter(|(_, (past, _))| *past >= stamp) {
            let repeated = self.stamps.values().filter(|(_, other)| other == id).count() > 1;
            let folded = self.conflict == Conflict::Siblings && repeated;
            assert!(folded, "{dot:?} at {past:?} is in the past of {stamp:?}");
            self.folded += 1;
        }
    }

    fn merge(&mut self, at: usize) {
        let other = self.homes[self.rng.usize(..self.homes.len())].record.clone();
        let record = &mut self.homes[at].record;
        let before = record.versions().len();
        record.merge_once(&other, self.conflict);
        assert!(self.conflict != Conflict::Lww || record.versions().len() <= 1.max(before));
    }
}

#[test]
fn a_stamp_is_greater_than_every_stamp_in_its_past_where_stamps_decide() {
    for seed in 0..20_000 {
        let mut world = World::new(seed, Conflict::Lww);
        for _ in 0..40 {
            world.step();
        }
    }
}

#[test]
fn among_siblings_only_a_folded_repetition_leaves_a_greater_stamp_behind() {
    let mut folded = 0;
    for seed in 0..20_000 {
        let mut world = World::new(seed, Conflict::Siblings);
        for _ in 0..40 {
            world.step();
        }
        folded += world.folded;
    }
    assert!(folded > 0, "the exception is real");
}
