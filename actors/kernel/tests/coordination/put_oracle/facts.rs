//! What a put is, what can happen to it, and what has.

use henge_kernel::{
    causality::Context,
    coordination::{Failure, Replicas, RequestError, outcome::PutAnswer, put::Minted},
};

use crate::support::{record, replica};

/// One put: who takes it, and from whom.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub n: usize,
    pub w: u8,
    pub pw: u8,
    pub local: Option<usize>,
    pub may_mint: bool,
    pub forwarded: bool,
    pub down: u8,
}

/// What has become of one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    NotAsked,
    Nothing,
    Yes,
    Failed(Failure),
    /// Refused a forward.
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub said: Said,
    pub down: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    Minting,
    Storing,
    Forwarding,
}

/// What a home says of a put that was forwarded to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Done.
    Done,
    /// No home will take it.
    Never,
    /// This home does not take it.
    NotMe,
    /// It may have been applied.
    Unknown,
}

/// Everything that has happened so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Facts {
    pub homes: [Fact; 7],
    pub doing: Doing,
    /// The refusal to be told if nobody takes the put.
    pub refusal: Option<Verdict>,
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
    MintRefused,
    MintUnable,
    MintFailed,
    Stored { home: usize },
    Forwarded { home: usize, verdict: Verdict },
    Fail { home: usize, failure: Failure },
    Down { home: usize },
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
            Self::Unknown => Err(RequestError::Interrupted),
        }
    }
}
