//! How a request ends: what an answer rests on, or why there is none.

use core::time::Duration;
use std::{borrow::Cow, sync::Arc};

use crate::{
    bucket::{Violation, Violations},
    causality::{BadContext, Context, Dot, Record, WriteRefused},
    key::InvalidKey,
    units::Span,
};

/// Which replicas an answer rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Distinct nodes that counted when the answer was given.
    pub acks: u8,
    /// How many of `acks` were no complete homes: fallbacks, standing in for homes, or, where a
    /// sloppy read had nothing better, homes that are being filled.
    pub fallbacks: u8,
    /// Homes that the key has: `n`, or all nodes if there are fewer.
    pub homes: u8,
}

/// A get's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct GetAnswer {
    /// What the replicas hold together; the empty record if they hold nothing.
    pub record: Arc<Record>,
    /// Who stood for it.
    pub replicas: Replicas,
}

/// A put's or delete's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct PutAnswer {
    /// What the client has now seen: its own context and the new dot.
    pub context: Context,
    /// The name of the write.
    pub dot: Dot,
    /// The record of the home that minted, if the request wanted it in return.
    pub record: Option<Arc<Record>>,
    /// Who stood for it.
    pub replicas: Replicas,
}

/// What became of the write of a failed request. A read has nothing to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Surely not applied.
    NotApplied,
    /// May have been applied, and may yet become visible: a failed write is not rolled back.
    Unknown,
}

impl Fate {
    /// `not_applied` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a request has no answer, with the numbers that made it so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A field breaks its rule.
    #[error("{field} is {value}; it must be {limit}")]
    BadRequest {
        /// The field, as the client knows it.
        field: Cow<'static, str>,
        /// The refused value, as text.
        value: String,
        /// What would be accepted, as text with its numbers.
        limit: String,
    },
    /// The context is damaged, or of another key, bucket or cluster.
    #[error("{reason}")]
    BadContext {
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// A delete came without a context.
    #[error("a delete needs the context of what it deletes")]
    ContextRequired,
    /// The client said that the key must not exist, and it does.
    #[error("the key exists")]
    PreconditionFailed,
    /// The value is longer than the bucket allows.
    #[error("the value has {size} bytes; the bucket takes {max}")]
    TooLarge {
        /// Bytes of the value, as far as they were counted.
        size: u64,
        /// The greatest size, in bytes.
        max: u64,
    },
    /// The record is full, and the write's context covers none of its live versions.
    #[error(
        "the key has {versions} siblings (limit {versions_max}), with this value {record_bytes} \
         bytes (limit {record_bytes_max}); read it and write with its context"
    )]
    TooManySiblings {
        /// Versions in the minting home's record.
        versions: usize,
        /// The limit of versions.
        versions_max: usize,
        /// Bytes of all values, the refused one included.
        record_bytes: usize,
        /// The limit of bytes.
        record_bytes_max: usize,
    },
    /// The client may not do this.
    #[error("not allowed: {action}")]
    Forbidden {
        /// What was asked.
        action: Cow<'static, str>,
    },
    /// `n` or `conflict` of a bucket, once chosen, never change.
    #[error("{field} of the bucket is {fixed} for ever; it cannot become {value}")]
    BucketPropertyFixed {
        /// The property.
        field: Cow<'static, str>,
        /// What it is.
        fixed: String,
        /// What was asked for.
        value: String,
    },
    /// The request was made with bucket properties that have been replaced.
    #[error("the bucket's properties are at version {newest}; the request used {used}")]
    StaleProperties {
        /// The version that the request used.
        used: u64,
        /// The version that the answering node knows.
        newest: u64,
    },
    /// A bound was reached; the request was shed before anything was done for it.
    #[error("overloaded: try again in {}", Span(*retry_after))]
    Overloaded {
        /// When it may be worth trying again.
        retry_after: Duration,
    },
    /// The node or the bucket cannot serve this yet, or no longer.
    #[error("not ready: {reason}")]
    NotReady {
        /// What is missing.
        reason: Cow<'static, str>,
    },
    /// The disk of the minting home is nearly full: it takes deletes and reads only.
    #[error("the disk has {free} bytes left; puts need {needed}")]
    StorageFull {
        /// Bytes left.
        free: u64,
        /// Bytes that must be left for a put.
        needed: u64,
    },
    /// Fewer replicas than needed can answer.
    #[error("{got} of {needed} needed replicas answered; {homes_down} homes are down")]
    QuorumNotMet {
        /// Replicas that had to answer.
        needed: u8,
        /// Replicas that did.
        got: u8,
        /// Homes that are down as far as this node knows.
        homes_down: u8,
        /// What became of the write.
        fate: Fate,
    },
    /// Time ran out while enough replicas were believed alive.
    #[error("{got} of {needed} needed replicas answered within {}", Span(*after))]
    TimedOut {
        /// Replicas that had to answer.
        needed: u8,
        /// Replicas that did.
        got: u8,
        /// How long the request waited.
        after: Duration,
    },
    /// The part of the node that carried the request was restarted under it.
    #[error("the request was interrupted")]
    Interrupted,
}

impl RequestError {
    /// The error's name on every surface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "bad_request",
            Self::BadContext { .. } => "bad_context",
            Self::ContextRequired => "context_required",
            Self::PreconditionFailed => "precondition_failed",
            Self::TooLarge { .. } => "too_large",
            Self::TooManySiblings { .. } => "too_many_siblings",
            Self::Forbidden { .. } => "forbidden",
            Self::BucketPropertyFixed { .. } => "bucket_property_fixed",
            Self::StaleProperties { .. } => "stale_properties",
            Self::Overloaded { .. } => "overloaded",
            Self::NotReady { .. } => "not_ready",
            Self::StorageFull { .. } => "storage_full",
            Self::QuorumNotMet { .. } => "quorum_not_met",
            Self::TimedOut { .. } => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }

    /// What became of the write. Whatever was refused was surely not applied.
    pub fn fate(&self) -> Fate {
        match self {
            Self::QuorumNotMet { fate, .. } => *fate,
            Self::TimedOut { .. } | Self::Interrupted => Fate::Unknown,
            _ => Fate::NotApplied,
        }
    }

    /// Whether the refusal is about the node that gave it, so that another may well serve.
    pub fn is_of_the_node(&self) -> bool {
        let about_it = matches!(
            self,
            Self::Overloaded { .. }
                | Self::NotReady { .. }
                | Self::StaleProperties { .. }
                | Self::QuorumNotMet { .. }
                | Self::StorageFull { .. }
        );
        about_it && self.fate() == Fate::NotApplied
    }

    /// A field that breaks its rule.
    pub(super) fn bad_request(field: &'static str, value: String, limit: String) -> Self {
        Self::BadRequest { field: Cow::Borrowed(field), value, limit }
    }
}

impl From<Violation> for RequestError {
    fn from(violation: Violation) -> Self {
        let Violation { field, value, limit } = violation;
        Self::BadRequest { field, value, limit }
    }
}

impl From<Violations> for RequestError {
    /// The first of them names the field; its limit is followed by all others as they read.
    fn from(Violations(violations): Violations) -> Self {
        let mut violations = violations.into_iter();
        let Some(Violation { field, value, limit }) = violations.next() else {
            return Self::bad_request("properties", String::new(), "valid".to_owned());
        };
        let limit = violations.fold(limit, |limits, other| format!("{limits}; {other}"));
        Self::BadRequest { field, value, limit }
    }
}

impl From<InvalidKey> for RequestError {
    fn from(InvalidKey { field, length, limit }: InvalidKey) -> Self {
        Self::bad_request(field, format!("{length} bytes"), format!("1 to {limit} bytes"))
    }
}

impl From<BadContext> for RequestError {
    fn from(refused: BadContext) -> Self {
        Self::BadContext { reason: refused.to_string().into() }
    }
}

impl From<WriteRefused> for RequestError {
    fn from(refused: WriteRefused) -> Self {
        let WriteRefused::TooManySiblings {
            versions,
            versions_max,
            record_bytes,
            record_bytes_max,
        } = refused;
        Self::TooManySiblings { versions, versions_max, record_bytes, record_bytes_max }
    }
}
