//! What a put is, what can happen to it, and what has.

use core::time::Duration;

use henge_kernel::{
    causality::Context,
    coordination::{Failure, Replicas, RequestError, outcome::PutAnswer, put::Minted},
};

use crate::support::{record, replica};

/// One put: who takes it, and from whom. Replicas are counted from 0: `n` homes, then the
/// fallbacks.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub n: usize,
    pub fallbacks: usize,
    pub sloppy: bool,
    pub w: u8,
    pub pw: u8,
    pub local: Option<usize>,
    pub may_mint: bool,
    pub forwarded: bool,
    pub down: u16,
}

/// What has become of what one replica was asked: as a home to store, as anybody to mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    NotAsked,
    Nothing,
    Yes,
    Failed(Failure),
    /// Refused to mint.
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub said: Said,
    pub down: bool,
    /// When a home was sent the record, and whether it has been silent for too long since.
    pub sent: u64,
    pub silent: bool,
    /// Whether the outcome of a forward may yet come.
    pub forward: bool,
}

/// One fallback asked to keep the record for one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Errand {
    pub fallback: usize,
    pub home: usize,
    pub since: u64,
    pub silent: bool,
    /// Whether it was done; `None` while nothing is known.
    pub done: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    Minting,
    Storing,
    Forwarding,
}

/// What a replica says of a put that was forwarded to it, or that it was to mint itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Done.
    Done,
    /// No replica will take it.
    Never,
    /// This one does not take it: its disk may be full.
    NotMe,
    /// This one is overloaded now.
    Shed,
    /// It may have been applied.
    Unknown,
}

/// Everything that has happened so far.
#[expect(clippy::struct_excessive_bools, reason = "facts, each for itself")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Facts {
    pub replicas: Vec<Fact>,
    pub errands: Vec<Errand>,
    pub doing: Doing,
    /// The refusal to be told if nobody takes the put.
    pub refusal: Option<Verdict>,
    /// A home is overloaded: its load is not to be spread.
    pub shed: bool,
    /// Something was lost that may have been applied.
    pub lost: bool,
    pub next: u64,
    pub repeats: u8,
    pub replied: bool,
    pub over: bool,
    pub now: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Happening {
    Minted,
    MintRefused(Verdict),
    MintUnable,
    MintFailed,
    Stored { replica: usize },
    Forwarded { replica: usize, verdict: Verdict },
    Fail { replica: usize, failure: Failure },
    Down { replica: usize },
    Timer,
    Deadline,
}

pub fn minted() -> Minted {
    let dot = record(2).versions()[0].dot;
    Minted { context: Context::default(), dot, record: replica(3, 7) }
}

pub fn answer(replicas: Replicas) -> PutAnswer {
    let Minted { context, dot, record } = minted();
    PutAnswer { context, dot, record: Some(record.record), replicas }
}

pub fn not_ready() -> RequestError {
    RequestError::NotReady { reason: "this node may not mint for the key".into() }
}

impl Verdict {
    pub fn outcome(self) -> Result<PutAnswer, RequestError> {
        match self {
            Self::Done => Ok(answer(Replicas { acks: 2, fallbacks: 0, homes: 3 })),
            Self::Never => Err(RequestError::TooLarge { size: 9, max: 8 }),
            Self::NotMe => Err(not_ready()),
            Self::Shed => Err(RequestError::Overloaded { retry_after: Duration::from_secs(1) }),
            Self::Unknown => Err(RequestError::Interrupted),
        }
    }
}

impl Fact {
    /// As far as this node can tell.
    pub fn seems_down(&self) -> bool {
        self.down || matches!(self.said, Said::Failed(Failure::Lost | Failure::Unreachable))
    }

    pub fn is_awaited(&self) -> bool {
        self.said == Said::Nothing && !self.down
    }

    pub fn is_spare(&self) -> bool {
        self.said == Said::NotAsked && !self.down
    }
}
