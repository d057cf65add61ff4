//! All that is known of one key.
#![expect(clippy::disallowed_types, reason = "looked up by key, and never walked")]

use std::collections::HashMap;

use super::bits::Bits;
use crate::simulation::history::{BucketRules, History, Kind, Moment, Operation, Outcome};

/// Beyond so many writes of one key their pasts take too much memory: 300 MB at this number.
const WRITES_MAX: usize = 50_000;

/// Where each key's operations are.
pub(super) struct Names {
    operations: Vec<Vec<usize>>,
}

impl Names {
    pub(super) fn of(history: &History) -> Self {
        let mut operations = vec![Vec::new(); history.keys.len()];
        for (place, operation) in history.operations.iter().enumerate() {
            operations[operation.key].push(place);
        }
        Self { operations }
    }
}

/// A key as people know it.
pub(super) fn key_text(history: &History, key: usize) -> String {
    let (bucket, key) = &history.keys[key];
    key_name(bucket, key)
}

pub(super) fn key_name(bucket: &str, key: &str) -> String {
    if bucket.is_empty() { key.to_owned() } else { format!("{bucket}/{key}") }
}

/// A put or delete, with all its retries.
pub(super) struct Write<'a> {
    pub(super) name: &'a str,
    pub(super) attempts: Vec<&'a Operation>,
    /// The dots under which it was shown.
    dots: Vec<&'a str>,
    /// Its number among all versions; the versions of twins follow.
    pub(super) bit: usize,
    /// What it had seen: writes by their own number, versions by theirs.
    pub(super) past: Bits,
}

impl Write<'_> {
    /// Whether it is surely not applied.
    pub(super) fn is_refused(&self) -> bool {
        self.attempts.iter().all(|attempt| matches!(attempt.outcome, Outcome::Fail(..)))
    }

    /// Where it was acknowledged first.
    pub(super) fn acked_at(&self) -> Option<usize> {
        let answers = self.attempts.iter().filter_map(|attempt| attempt.answer());
        answers.map(|(line, _)| line).min()
    }

    pub(super) fn is_put(&self) -> bool {
        self.first().invoke.op == Kind::Put
    }

    pub(super) fn first(&self) -> &Operation {
        self.attempts[0]
    }

    /// Whether it can stand in for nothing: a tombstone, or a value whose time is over by `now`.
    pub(super) fn may_be_gone(&self, now: Moment, skew: Option<u64>) -> bool {
        let Some(ttl) = self.first().invoke.ttl_ms else { return !self.is_put() };
        skew.is_none_or(|skew| self.first().invoke.t.later(ttl) <= now.later(skew))
    }

    pub(super) fn is_twin(&self) -> bool {
        self.dots.len() > 1
    }

    /// The number of the version under `dot`, if it can be told from others of this write.
    fn version(&self, dot: Option<&str>) -> Option<usize> {
        match (self.dots.len(), dot) {
            (0, _) if self.attempts.len() > 1 => None,
            (0 | 1, _) => Some(self.bit),
            (_, dot) => {
                let place = self.dots.iter().position(|known| Some(*known) == dot)?;
                Some(self.bit + 1 + place)
            }
        }
    }

    /// How many numbers it takes.
    fn width(&self) -> usize {
        if self.is_twin() { 1 + self.dots.len() } else { 1 }
    }
}

/// A version in an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The write, by its place in [`Account::writes`].
    pub(super) write: usize,
    /// The version's own number, if it is known which of the write's it is.
    pub(super) version: Option<usize>,
}

/// All that is known of one key.
pub(super) struct Account<'a> {
    pub(super) history: &'a History,
    pub(super) rules: BucketRules,
    pub(super) name: String,
    pub(super) operations: Vec<&'a Operation>,
    /// In the order of their first invocations.
    pub(super) writes: Vec<Write<'a>>,
    by_name: HashMap<&'a str, usize>,
    /// Of each number the write.
    by_bit: Vec<usize>,
}

impl<'a> Account<'a> {
    /// `None` if it was written more often than can be judged.
    pub(super) fn open(history: &'a History, names: &Names, key: usize) -> Option<Self> {
        let places = &names.operations[key];
        let operations = places.iter().map(|place| &history.operations[*place]).collect();
        let mut account = Self {
            history,
            rules: history.rules(&history.keys[key].0),
            name: key_text(history, key),
            operations,
            writes: Vec::new(),
            by_name: HashMap::new(),
            by_bit: Vec::new(),
        };
        account.collect_writes();
        if account.writes.len() > WRITES_MAX {
            return None;
        }
        account.collect_dots();
        account.number();
        account.look_back();
        Some(account)
    }

    fn collect_writes(&mut self) {
        for operation in &self.operations {
            let Some(name) = operation.written() else { continue };
            let next = self.writes.len();
            let place = *self.by_name.entry(name).or_insert(next);
            if place == next {
                let (dots, past) = (Vec::new(), Bits::default());
                self.writes.push(Write { name, attempts: Vec::new(), dots, bit: 0, past });
            }
            self.writes[place].attempts.push(operation);
        }
    }

    fn collect_dots(&mut self) {
        for operation in &self.operations {
            let Some((_, answer)) = operation.answer() else { continue };
            let own = operation.written().zip(answer.dot.as_deref());
            let shown = answer.vals.iter().zip(&answer.dots);
            let shown = shown.map(|(val, dot)| (val.as_str(), dot.as_str()));
            for (name, dot) in shown.chain(own) {
                let Some(place) = self.by_name.get(name) else { continue };
                let dots = &mut self.writes[*place].dots;
                if !dots.contains(&dot) {
                    dots.push(dot);
                }
            }
        }
    }

    fn number(&mut self) {
        for (place, write) in self.writes.iter_mut().enumerate() {
            write.bit = self.by_bit.len();
            self.by_bit.extend(std::iter::repeat_n(place, write.width()));
        }
    }

    fn look_back(&mut self) {
        for place in 0..self.writes.len() {
            let mut past = Bits::default();
            for context in &self.writes[place].first().context {
                for sight in self.sights(&self.history.operations[*context]) {
                    // What is seen before it was written is told elsewhere.
                    if sight.write < place {
                        self.cover(sight, &mut past);
                    }
                }
            }
            self.writes[place].past = past;
        }
    }

    /// What an operation's answer showed, or nothing without one: only what was written.
    pub(super) fn sights(&self, operation: &Operation) -> Vec<Sight> {
        let Some((_, answer)) = operation.answer() else { return Vec::new() };
        let dots = answer.dots.iter().map(|dot| Some(dot.as_str()));
        let dots = dots.chain(std::iter::repeat(None));
        let vals = answer.vals.iter().map(String::as_str).zip(dots);
        let tombs = answer.tombs.iter().map(|name| (name.as_str(), None));
        let own = operation.written().map(|name| (name, answer.dot.as_deref()));
        let own = own.filter(|(name, _)| !answer.vals.iter().any(|val| val == name));
        let named = vals.chain(tombs).chain(own);
        named.filter_map(|(name, dot)| self.sight(name, dot)).collect()
    }

    pub(super) fn sight(&self, name: &str, dot: Option<&str>) -> Option<Sight> {
        let write = *self.by_name.get(name)?;
        Some(Sight { write, version: self.writes[write].version(dot) })
    }

    /// Adds a version and all that it had seen.
    pub(super) fn cover(&self, sight: Sight, covered: &mut Bits) {
        let write = &self.writes[sight.write];
        covered.unite(&write.past);
        covered.insert(write.bit);
        sight.version.into_iter().for_each(|version| covered.insert(version));
    }

    /// All that versions cover.
    pub(super) fn cover_of(&self, sights: &[Sight]) -> Bits {
        let mut covered = Bits::default();
        for sight in sights {
            self.cover(*sight, &mut covered);
        }
        covered
    }

    /// The write that a number belongs to.
    pub(super) fn write_of(&self, bit: usize) -> &Write<'a> {
        &self.writes[self.by_bit[bit]]
    }

    /// The writes after which a key may be empty: deletes, and puts whose time may be over.
    pub(super) fn ends(&self, now: Moment) -> Vec<&Write<'a>> {
        let skew = self.history.meta.skew_ms;
        let ends = |write: &&Write<'a>| !write.is_refused() && write.may_be_gone(now, skew);
        self.writes.iter().filter(ends).collect()
    }

    /// Whether, where the last writer wins, a put may have lost to what is shown, or, if nothing
    /// is, to what may have ended the key. Of an end that the put had seen, a twin may have won,
    /// which nobody shows: any end will do.
    pub(super) fn may_have_lost(&self, bit: usize, shown: &[Sight], ends: &[&Write<'a>]) -> bool {
        let past = &self.write_of(bit).past;
        let seen = |sight: &Sight| sight.version.is_some_and(|version| past.contains(version));
        if shown.is_empty() { !ends.is_empty() } else { !shown.iter().all(seen) }
    }
}

/// What need not be there because of these ends.
pub(super) fn excused_by(ends: &[&Write<'_>]) -> Bits {
    let mut excused = Bits::default();
    for end in ends {
        excused.unite(&end.past);
        excused.insert(end.bit);
    }
    excused
}
