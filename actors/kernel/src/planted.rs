//! Defects on purpose, so that those who judge the store are judged themselves: does the simulator
//! see it if the store forgets a hint?
//!
//! Each is one `if planted(…)` at the place where the real mistake would be made. One at a time is
//! planted, for one thread, while a test runs. Without the feature `planted-defects` nothing can be
//! planted, and nothing of this is left in the program.

macro_rules! defects {
    ($($(#[doc = $meaning:literal])+ $defect:ident = $name:literal,)*) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Defect {
            $($(#[doc = $meaning])+ $defect,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$defect),*];

            /// What people call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$defect => $name,)*
                }
            }
        }
    };
}

defects! {
    // Quorums.
    /// A write is acknowledged by one node fewer than was asked for.
    AckBelowW = "ack-below-w",
    /// `pr` and `pw` are not looked at.
    PrimariesIgnored = "primaries-ignored",
    /// A strict write counts nodes that are no homes.
    StrictCountsFallbacks = "strict-counts-fallbacks",
    /// A fallback that keeps a record for two homes counts twice.
    FallbackCountedTwice = "fallback-counted-twice",
    /// "Nothing" from a fallback counts as an answer.
    EmptyFallbackCounts = "empty-fallback-counts",
    /// A home that is being filled, or suspects its log, counts towards a read.
    IncompleteHomeCounts = "incomplete-home-counts",
    /// A write that may have been applied is called "not applied".
    FateTooSure = "fate-too-sure",
    // Causality.
    /// A merge keeps what either side has, whatever the other has seen.
    MergeByUnion = "merge-by-union",
    /// A write overwrites nothing.
    ContextIgnored = "context-ignored",
    /// A write with a context overwrites all that is there.
    StaleContextCoversAll = "stale-context-covers-all",
    /// A delete takes what its client has not seen.
    DeleteTakesAll = "delete-takes-all",
    /// A put's answer covers all that its home has seen.
    FullHistoryOnPut = "full-history-on-put",
    /// A right to mint outlives the run of its shard.
    RightOfEarlierRun = "right-of-earlier-run",
    /// A shard has the same uid at every start.
    UidKept = "uid-kept",
    /// A key that was forgotten begins again under the epoch that it had.
    EpochRepeated = "epoch-repeated",
    /// A key takes as many siblings as are written.
    SiblingsUnbounded = "siblings-unbounded",
    /// A context brings no stamp along.
    StampNotInContext = "stamp-not-in-context",
    /// Of a write that was made twice each replica keeps its own, and says that it has seen the
    /// other.
    TwinMergedAway = "twin-merged-away",
    /// A write that was made twice is shown twice.
    TwinShownTwice = "twin-shown-twice",
    /// A digest says who wrote, not what.
    DigestWithoutValues = "digest-without-values",
    // Storage.
    /// A home answers for a write that it has minted before it is written.
    DotBeforeWrite = "dot-before-write",
    /// A replica acknowledges a record before it is written.
    StoredBeforeWrite = "stored-before-write",
    /// What is to be acknowledged when it is synced is acknowledged when it is written.
    DurableUnsynced = "durable-unsynced",
    /// A record that is damaged, or cannot be read, is taken for none.
    CorruptIsNothing = "corrupt-is-nothing",
    // Repair.
    /// A read tells nobody that he is behind.
    ReadRepairDropped = "read-repair-dropped",
    /// Anti-entropy finds what differs, and mends nothing.
    NothingMended = "nothing-mended",
    // Hints.
    /// A fallback stores the record, and not for whom.
    HintForgotten = "hint-forgotten",
    /// A mark goes when the record is sent, not when it has arrived.
    HintReleasedBeforeAck = "hint-released-before-ack",
    /// A mark goes although the record has changed since it was sent.
    ChangedHintReleased = "changed-hint-released",
    /// A record that is kept for several homes goes with the first of them.
    FirstMarkDropsRecord = "first-mark-drops-record",
    // Reaping.
    /// A tombstone goes when it is old enough.
    ReapByClock = "reap-by-clock",
    /// A promise to forget is given before its log is synced.
    PromiseUnsynced = "promise-unsynced",
    /// What was read under an earlier generation is taken in.
    NoGenerationCheck = "no-generation-check",
    /// Who was left behind does not notice.
    LeftBehindUnnoticed = "left-behind-unnoticed",
}

pub use switch::{AVAILABLE, plant, planted};

#[cfg(feature = "planted-defects")]
mod switch {
    use core::cell::Cell;

    use super::Defect;

    /// Whether defects can be planted.
    pub const AVAILABLE: bool = true;

    thread_local! {
        static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Plants a defect for this thread, or none, in the place of what was planted.
    pub fn plant(defect: Option<Defect>) {
        PLANTED.set(defect);
    }

    /// Whether this defect is planted.
    pub fn planted(defect: Defect) -> bool {
        PLANTED.get() == Some(defect)
    }
}

#[cfg(not(feature = "planted-defects"))]
mod switch {
    use super::Defect;

    /// Whether defects can be planted.
    pub const AVAILABLE: bool = false;

    /// Plants nothing.
    pub fn plant(_: Option<Defect>) {}

    /// Nothing is planted.
    pub const fn planted(_: Defect) -> bool {
        false
    }
}
