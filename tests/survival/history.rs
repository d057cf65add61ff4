//! What clients did and what they were shown: all that the judge knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One put or delete, unique in a run. A put's value is its number, so that every value that is
/// ever shown tells which write it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

impl WriteId {
    /// As the header `Henge-Write-Id` wants it, and as replicas show it.
    pub fn uuid(self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.0)
    }

    /// The other way round; `None` if it is none of ours.
    pub fn of_uuid(uuid: &str) -> Option<Self> {
        let digits = uuid.replace('-', "");
        let number = digits.strip_prefix("00000000000040008000")?;
        u64::from_str_radix(number, 16).ok().map(Self)
    }

    /// The write that made a value.
    pub fn of_value(value: &str) -> Option<Self> {
        value.parse().ok().map(Self)
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Put,
    Delete,
}

/// What a client was told of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Acknowledged,
    /// An error that promises that nothing was written.
    NotApplied,
    /// An error that promises nothing, or no answer at all.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Write {
    pub key: String,
    pub kind: Kind,
    pub fate: Fate,
    /// The writes that its context covered, as far as the client had been shown them.
    pub covers: BTreeSet<WriteId>,
}

/// The values that one answer showed.
#[derive(Clone, Debug)]
pub struct Answer {
    pub key: String,
    pub shown: Vec<WriteId>,
}

/// A value that was shown: whose it is, and under which dot.
pub type Shown = (WriteId, String);

/// Everything that some clients did.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub writes: BTreeMap<WriteId, Write>,
    pub answers: Vec<Answer>,
    /// The dots under which each value was seen.
    pub dots: BTreeMap<WriteId, BTreeSet<String>>,
    /// Requests that reached a node and were served, of those sent at all.
    pub served: usize,
    pub sent: usize,
    /// Why the others were not, and how often.
    pub refusals: BTreeMap<String, usize>,
}

impl History {
    pub fn add(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.answers.extend(other.answers);
        for (write, dots) in other.dots {
            self.dots.entry(write).or_default().extend(dots);
        }
        self.served += other.served;
        self.sent += other.sent;
        for (why, times) in other.refusals {
            *self.refusals.entry(why).or_default() += times;
        }
    }

    /// Notes what an answer or a replica showed; the writes alone.
    pub fn note(&mut self, shown: Vec<Shown>) -> Vec<WriteId> {
        let note = |(write, dot): Shown| {
            self.dots.entry(write).or_default().insert(dot);
            write
        };
        shown.into_iter().map(note).collect()
    }

    /// Whether two nodes have made the same write: one of them was not heard of in time.
    pub fn is_twin(&self, write: WriteId) -> bool {
        self.dots.get(&write).is_some_and(|dots| dots.len() > 1)
    }

    pub fn acknowledged(&self, kind: Kind) -> usize {
        let wanted = |write: &&Write| write.kind == kind && write.fate == Fate::Acknowledged;
        self.writes.values().filter(wanted).count()
    }

    pub fn keys(&self) -> BTreeSet<String> {
        self.writes.values().map(|write| write.key.clone()).collect()
    }
}
