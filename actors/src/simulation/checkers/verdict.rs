//! What is said of a run.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::simulation::history::{History, Kind, MarkName, Outcome as Fate};

/// What the checkers found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// The promises that were broken, in the order of keys and then of lines.
    pub violations: Vec<Violation>,
    /// Why the run proves too little, if it does.
    pub unknown: Vec<String>,
    /// What was judged.
    pub counts: Counts,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All that was promised was kept, and enough was tried.
    Valid,
    /// A promise was broken.
    Violation,
    /// No promise was seen broken, but too little was tried.
    Unknown,
}

impl Outcome {
    /// `valid`, `violation` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Violation => "violation",
            Self::Unknown => "unknown",
        }
    }
}

impl Verdict {
    /// What can be counted before anything is judged.
    pub(super) fn of(history: &History) -> Self {
        let mut counts = Counts { keys: history.keys.len(), ..Counts::default() };
        for operation in &history.operations {
            counts.operations += 1;
            let (kind, fate) = (operation.invoke.op, &operation.outcome);
            match (kind, fate) {
                (Kind::Get, Fate::Ok(..)) => counts.gets += 1,
                (Kind::Put, Fate::Ok(..)) => counts.acked_puts += 1,
                (Kind::Delete, Fate::Ok(..)) => counts.acked_deletes += 1,
                (_, Fate::Fail(..)) => counts.refused += 1,
                (_, Fate::Info(..) | Fate::Open) => counts.unknown += 1,
            }
            counts.final_reads += usize::from(operation.invoke.is_final);
        }
        for mark in history.marks.iter().filter(|mark| mark.name == MarkName::Fault) {
            let kind = mark.kind.clone().unwrap_or_default();
            *counts.faults.entry(kind).or_default() += 1;
        }
        Self { counts, ..Self::default() }
    }

    /// How the run ends.
    pub fn outcome(&self) -> Outcome {
        match (self.violations.is_empty(), self.unknown.is_empty()) {
            (false, _) => Outcome::Violation,
            (true, false) => Outcome::Unknown,
            (true, true) => Outcome::Valid,
        }
    }

    /// How often each kind of promise was broken.
    pub fn kinds(&self) -> BTreeMap<ViolationKind, usize> {
        let mut kinds = BTreeMap::new();
        for violation in &self.violations {
            *kinds.entry(violation.kind).or_default() += 1;
        }
        kinds
    }

    pub(super) fn accuse(
        &mut self,
        kind: ViolationKind,
        key: Option<String>,
        detail: impl Into<String>,
        events: impl IntoIterator<Item = usize>,
    ) {
        let mut events: Vec<usize> = events.into_iter().collect();
        events.sort_unstable();
        events.dedup();
        self.violations.push(Violation { kind, key, detail: detail.into(), events });
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub kind: ViolationKind,
    /// The key, after its bucket and `/` if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What was seen.
    pub detail: String,
    /// The lines that show it.
    pub events: Vec<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, detail, events } = self;
        f.write_str(kind.as_str())?;
        if let Some(key) = key {
            write!(f, " {key}")?;
        }
        write!(f, ": {detail}")?;
        if !events.is_empty() {
            let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
            write!(f, " (lines {})", lines.join(", "))?;
        }
        Ok(())
    }
}

macro_rules! kinds {
    ($($name:ident $text:literal $meaning:literal)*) => {
        /// Which promise was broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ViolationKind {
            $(#[doc = $meaning] $name,)*
        }

        impl ViolationKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in reports.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    Lost "lost" "An acknowledged put is gone."
    Dominated "dominated" "A version was shown beside one that had seen it."
    Resurrected "resurrected" "What an acknowledged put had seen is there at the end."
    Undeleted "undeleted" "What an acknowledged delete had seen is there at the end."
    Phantom "phantom" "Something was shown that nobody wrote."
    Early "early" "Something was shown before it was written."
    FailedVisible "failed-visible" "Something was shown that was told to be not applied."
    Corrupt "corrupt" "Something was shown that is damaged."
    Repeated "repeated" "One write was shown twice."
    ExpiredShown "expired-shown" "A value was shown after its time."
    StaleStrict "stale-strict" "A get of overlapping quorums missed a write."
    Diverged "diverged" "Replicas, or final reads, differ."
    SlowConverge "slow-converge" "Replicas differed for too long."
    HintsLeft "hints-left" "A node still keeps something for others."
    HintDropped "hint-dropped" "What a node kept for others is nowhere."
    Unavailable "unavailable" "Too few requests were served."
    Siblings "siblings" "An answer showed more versions than there may be."
    Guessed "guessed" "A node that is no home made a not-found."
    ShortQuorum "short-quorum" "An answer rests on fewer nodes than were asked for."
    OpaqueError "opaque-error" "An error has no name, or none that is known."
    Auth "auth" "Bad credentials were served."
    DotReused "dot-reused" "A dot named two values."
}

impl Serialize for ViolationKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests.
    pub operations: usize,
    /// Keys.
    pub keys: usize,
    /// Gets that were served.
    pub gets: usize,
    /// Gets that had to be fresh: their quorums overlapped with those of acknowledged writes.
    pub fresh_gets: usize,
    /// Gets that missed an acknowledged write, as a sloppy quorum may.
    pub stale_gets: usize,
    /// Final reads.
    pub final_reads: usize,
    /// Puts that were acknowledged.
    pub acked_puts: usize,
    /// Deletes that were acknowledged.
    pub acked_deletes: usize,
    /// Requests that were surely not applied.
    pub refused: usize,
    /// Requests of which nobody knows.
    pub unknown: usize,
    /// Writes that were seen under more than one dot.
    pub twins: usize,
    /// The most versions in one answer.
    pub siblings_max: usize,
    /// Faults, by kind.
    pub faults: BTreeMap<String, usize>,
    /// Requests that had to be served during faults.
    pub expected: usize,
    /// Those of them that were.
    pub served: usize,
    /// Dumps of replicas.
    pub dumps: usize,
    /// Milliseconds from the last heal, or write, until all replicas were equal.
    pub converged_ms: Option<u64>,
}
