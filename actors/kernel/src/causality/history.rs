//! Histories: sets of dots in one canonical form.

use smallvec::SmallVec;

use super::{Actor, Dot};

/// Consecutive dots of one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Who minted them.
    pub actor: Actor,
    /// The first counter; from 1.
    pub first: u64,
    /// The last counter, not below `first`.
    pub last: u64,
}

impl Run {
    /// Whether `next`, which sorts behind this run, overlaps it or follows without a gap.
    fn touches(&self, next: &Self) -> bool {
        self.actor == next.actor && next.first <= self.last.saturating_add(1)
    }

    fn holds(&self, other: &Self) -> bool {
        self.actor == other.actor && self.first <= other.first && other.last <= self.last
    }
}

/// The set of dots that a record or a client has seen: version vector and dot cloud in one.
///
/// One set has one form: runs sorted by (actor, counter), disjoint, and never adjacent. So equal
/// sets are equal bytes, and replicas that know the same have the same digest. A run that starts
/// at 1 is what is usually called the entry of a version vector; the others are the cloud. Most
/// keys are minted by one or two actors, whose runs lie inline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    runs: SmallVec<[Run; 2]>,
}

impl History {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no dot is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether `dot` is in the set.
    pub fn contains(&self, dot: Dot) -> bool {
        self.run_at_or_before(dot.actor, dot.counter).is_some_and(|run| dot.counter <= run.last)
    }

    /// The greatest counter of `actor` in the set; 0 if there is none.
    pub fn greatest(&self, actor: Actor) -> u64 {
        self.run_at_or_before(actor, u64::MAX).map_or(0, |run| run.last)
    }

    /// Adds one dot. A counter of 0 names no write and is ignored.
    pub fn insert(&mut self, dot: Dot) {
        if dot.counter == 0 || self.contains(dot) {
            return;
        }
        let at = self.index_behind(dot.actor, dot.counter);
        let run = Run { actor: dot.actor, first: dot.counter, last: dot.counter };
        let joins_next = self.runs.get(at).is_some_and(|next| run.touches(next));
        let joins_previous = at > 0 && self.runs[at - 1].touches(&run);
        match (joins_previous, joins_next) {
            (true, true) => self.runs[at - 1].last = self.runs.remove(at).last,
            (true, false) => self.runs[at - 1].last = dot.counter,
            (false, true) => self.runs[at].first = dot.counter,
            (false, false) => self.runs.insert(at, run),
        }
    }

    /// Adds all dots of `other`; whether any of them was new.
    pub fn union(&mut self, other: &Self) -> bool {
        if self.is_superset(other) {
            return false;
        }
        let mut united = SmallVec::with_capacity(self.runs.len().max(other.runs.len()));
        let (mut mine, mut theirs) = (self.runs.as_slice(), other.runs.as_slice());
        while let Some(run) = take_first(&mut mine, &mut theirs) {
            append(&mut united, run);
        }
        self.runs = united;
        true
    }

    /// Whether every dot of `other` is in this set.
    pub fn is_superset(&self, other: &Self) -> bool {
        // Runs are never adjacent, so a run of `other` lies within one run or is not covered.
        let covers = |run: &Run| {
            self.run_at_or_before(run.actor, run.first).is_some_and(|mine| mine.holds(run))
        };
        other.runs.iter().all(covers)
    }

    /// How many actors have dots in the set.
    pub fn actor_count(&self) -> usize {
        self.actors().count()
    }

    /// The actors that have dots in the set, sorted.
    pub fn actors(&self) -> impl Iterator<Item = Actor> {
        self.runs.chunk_by(|one, next| one.actor == next.actor).map(|runs| runs[0].actor)
    }

    /// How many runs the set has; at least one per actor.
    pub fn range_count(&self) -> usize {
        self.runs.len()
    }

    /// The runs of the set, sorted by (actor, counter).
    pub fn entries(&self) -> &[Run] {
        &self.runs
    }

    /// Appends a run that sorts behind all others and touches none.
    pub(super) fn push(&mut self, run: Run) {
        debug_assert!(self.runs.last().is_none_or(|last| {
            (last.actor, last.first) < (run.actor, run.first) && !last.touches(&run)
        }));
        self.runs.push(run);
    }

    /// How many runs are no entries of the version vector.
    pub(super) fn cloud_count(&self) -> usize {
        self.runs.iter().filter(|run| run.first > 1).count()
    }

    /// Forgets all runs but the entries of the version vector.
    pub(super) fn keep_vector(&mut self) {
        self.runs.retain(|run| run.first == 1);
    }

    /// Forgets the dots of all other actors; whether there were any.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Actor) -> bool) -> bool {
        let count = self.runs.len();
        self.runs.retain(|run| keep(run.actor));
        self.runs.len() < count
    }

    fn index_behind(&self, actor: Actor, counter: u64) -> usize {
        self.runs.partition_point(|run| (run.actor, run.first) <= (actor, counter))
    }

    fn run_at_or_before(&self, actor: Actor, counter: u64) -> Option<&Run> {
        let run = self.runs[..self.index_behind(actor, counter)].last()?;
        (run.actor == actor).then_some(run)
    }
}

impl FromIterator<Dot> for History {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut history = Self::new();
        dots.into_iter().for_each(|dot| history.insert(dot));
        history
    }
}

fn take_first<'a>(mine: &mut &'a [Run], theirs: &mut &'a [Run]) -> Option<Run> {
    let from = match (mine.first(), theirs.first()) {
        (Some(one), Some(other)) if (other.actor, other.first) < (one.actor, one.first) => theirs,
        (None, _) => theirs,
        _ => mine,
    };
    let (first, rest) = from.split_first()?;
    *from = rest;
    Some(*first)
}

fn append(runs: &mut SmallVec<[Run; 2]>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.touches(&run) => last.last = last.last.max(run.last),
        _ => runs.push(run),
    }
}
