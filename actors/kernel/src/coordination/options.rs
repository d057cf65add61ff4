//! What a request may choose for itself, and its check against the bucket's properties.
//!
//! Nothing is clamped: a choice that breaks a rule is refused, naming the field, its value and the
//! limit. What is not chosen is the bucket's. A request that lowers `r` below the bucket's `pr` is
//! refused too, unless it lowers `pr` as well: `pr` is a promise of the bucket, which nobody gives
//! up by accident. The same goes for `w` and `pw`.
//!
//! A chosen number is at least 1. A bucket may have `pr` and `pw` of 0, which want no homes; a
//! request that wants none leaves them out, and so cannot undo what its bucket promises.

use core::time::Duration;

use super::{outcome::RequestError, quorum::QuorumSize};
use crate::{
    bucket::{BucketProperties, Durability, TTL_MAX},
    causality::Context,
    id::WriteId,
    units::Span,
};

/// How long a request waits unless it says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// How long a request can wait at most.
pub const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// Choices of a get; what is `None` is the bucket's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Replicas that must answer: 1 to the bucket's `n`.
    pub r: Option<u8>,
    /// How many of `r` must be homes: 1 to `r`.
    pub pr: Option<u8>,
    /// Whether fallbacks may stand in for homes.
    pub sloppy: Option<bool>,
    /// How long to wait; [`TIMEOUT_DEFAULT`] if not said.
    pub timeout: Option<Duration>,
}

/// Choices of a put; what is `None` is the bucket's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PutOptions {
    /// What the client has seen of the key; empty for a blind put, which makes a sibling.
    pub context: Context,
    /// Replicas that must acknowledge: 1 to the bucket's `n`.
    pub w: Option<u8>,
    /// How many of `w` must be homes: 1 to `w`.
    pub pw: Option<u8>,
    /// Whether fallbacks may stand in for homes.
    pub sloppy: Option<bool>,
    /// How long to wait; [`TIMEOUT_DEFAULT`] if not said.
    pub timeout: Option<Duration>,
    /// How long the value lives.
    pub ttl: Option<Duration>,
    /// When a replica may acknowledge.
    pub durability: Option<Durability>,
    /// The name of this write across the client's own retries; drawn by the node if not given.
    pub write_id: Option<WriteId>,
    /// Whether the answer carries the record, siblings and all.
    pub return_body: bool,
}

/// Choices of a delete; what is `None` is the bucket's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteOptions {
    /// What the client has seen of the key, and deletes. A delete without is refused.
    pub context: Context,
    /// Replicas that must acknowledge: 1 to the bucket's `n`.
    pub w: Option<u8>,
    /// How many of `w` must be homes: 1 to `w`.
    pub pw: Option<u8>,
    /// Whether fallbacks may stand in for homes.
    pub sloppy: Option<bool>,
    /// How long to wait; [`TIMEOUT_DEFAULT`] if not said.
    pub timeout: Option<Duration>,
    /// When a replica may acknowledge.
    pub durability: Option<Durability>,
    /// The name of this write across the client's own retries; drawn by the node if not given.
    pub write_id: Option<WriteId>,
}

/// Chained setters, one a field: `ReadOptions::default().r(1).timeout(span)`.
macro_rules! setters {
    ($($name:ident: $type:ty, $what:literal;)*) => {$(
        #[doc = $what]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name.into();
            self
        }
    )*};
}

impl ReadOptions {
    setters! {
        r: u8, "Sets how many replicas must answer, 1 to the bucket's `n`.";
        pr: u8, "Sets how many of them must be homes, 1 to `r`.";
        sloppy: bool, "Sets whether fallbacks may stand in for homes.";
        timeout: Duration, "Sets how long to wait.";
    }

    /// What these choices come to in a bucket with `properties`.
    pub fn resolve(&self, properties: &BucketProperties) -> Result<ReadPlan, RequestError> {
        let quorum = resolve_quorum(
            &Names { needed: "r", primary: "pr" },
            (self.r, self.pr),
            (properties.r, properties.pr, properties.n),
        )?;
        let sloppy = self.sloppy.unwrap_or(properties.sloppy);
        Ok(ReadPlan { quorum, sloppy, timeout: resolve_timeout(self.timeout)? })
    }
}

impl PutOptions {
    setters! {
        context: Context, "Sets what the client has seen of the key.";
        w: u8, "Sets how many replicas must acknowledge, 1 to the bucket's `n`.";
        pw: u8, "Sets how many of them must be homes, 1 to `w`.";
        sloppy: bool, "Sets whether fallbacks may stand in for homes.";
        timeout: Duration, "Sets how long to wait.";
        ttl: Duration, "Sets how long the value lives.";
        durability: Durability, "Sets when a replica may acknowledge.";
        write_id: WriteId, "Names this write.";
        return_body: bool, "Sets whether the answer carries the record.";
    }

    /// What these choices come to in a bucket with `properties`.
    pub fn resolve(&self, properties: &BucketProperties) -> Result<WritePlan, RequestError> {
        let quorum = resolve_write_quorum(self.w, self.pw, properties)?;
        Ok(WritePlan {
            quorum,
            sloppy: self.sloppy.unwrap_or(properties.sloppy),
            timeout: resolve_timeout(self.timeout)?,
            durability: self.durability.unwrap_or(properties.durability),
            ttl: resolve_ttl(self.ttl)?.or(properties.ttl),
        })
    }
}

impl DeleteOptions {
    setters! {
        context: Context, "Sets what the client has seen of the key.";
        w: u8, "Sets how many replicas must acknowledge, 1 to the bucket's `n`.";
        pw: u8, "Sets how many of them must be homes, 1 to `w`.";
        sloppy: bool, "Sets whether fallbacks may stand in for homes.";
        timeout: Duration, "Sets how long to wait.";
        durability: Durability, "Sets when a replica may acknowledge.";
        write_id: WriteId, "Names this write.";
    }

    /// What these choices come to in a bucket with `properties`; refused without a context.
    pub fn resolve(&self, properties: &BucketProperties) -> Result<WritePlan, RequestError> {
        if self.context.is_empty() {
            return Err(RequestError::ContextRequired);
        }
        Ok(WritePlan {
            quorum: resolve_write_quorum(self.w, self.pw, properties)?,
            sloppy: self.sloppy.unwrap_or(properties.sloppy),
            timeout: resolve_timeout(self.timeout)?,
            durability: self.durability.unwrap_or(properties.durability),
            ttl: None,
        })
    }
}

/// A get, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    /// Who must answer.
    pub quorum: QuorumSize,
    /// Whether fallbacks may stand in for homes.
    pub sloppy: bool,
    /// How long to wait.
    pub timeout: Duration,
}

/// A put or delete, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritePlan {
    /// Who must acknowledge.
    pub quorum: QuorumSize,
    /// Whether fallbacks may stand in for homes.
    pub sloppy: bool,
    /// How long to wait.
    pub timeout: Duration,
    /// When a replica may acknowledge.
    pub durability: Durability,
    /// How long the value lives, counted from the node that first takes the put.
    pub ttl: Option<Duration>,
}

/// The names by which a client knows the two numbers of a quorum.
struct Names {
    needed: &'static str,
    primary: &'static str,
}

fn resolve_write_quorum(
    w: Option<u8>,
    pw: Option<u8>,
    bucket: &BucketProperties,
) -> Result<QuorumSize, RequestError> {
    let names = Names { needed: "w", primary: "pw" };
    resolve_quorum(&names, (w, pw), (bucket.w, bucket.pw, bucket.n))
}

fn resolve_quorum(
    names: &Names,
    chosen: (Option<u8>, Option<u8>),
    (needed, primary, n): (u8, u8, u8),
) -> Result<QuorumSize, RequestError> {
    let needed = chosen.0.unwrap_or(needed);
    let bound = chosen.1.unwrap_or(primary);
    let refuse =
        |field, value: u8, limit| Err(RequestError::bad_request(field, value.to_string(), limit));
    if !(1..=n).contains(&needed) {
        return refuse(names.needed, needed, format!("1 to {n} (n)"));
    }
    if chosen.1.is_some() && !(1..=needed).contains(&bound) {
        return refuse(names.primary, bound, format!("1 to {needed} ({})", names.needed));
    }
    if bound > needed {
        let limit = format!("{bound} ({} of the bucket) to {n} (n)", names.primary);
        return refuse(names.needed, needed, limit);
    }
    Ok(QuorumSize { needed, primary: bound })
}

fn resolve_timeout(chosen: Option<Duration>) -> Result<Duration, RequestError> {
    let timeout = chosen.unwrap_or(TIMEOUT_DEFAULT);
    check_span("timeout", timeout, TIMEOUT_MAX).map(|()| timeout)
}

fn resolve_ttl(chosen: Option<Duration>) -> Result<Option<Duration>, RequestError> {
    chosen.map_or(Ok(()), |ttl| check_span("ttl", ttl, TTL_MAX)).map(|()| chosen)
}

/// Spans are counted in whole milliseconds; less than one is none.
fn check_span(field: &'static str, span: Duration, max: Duration) -> Result<(), RequestError> {
    if span.as_millis() == 0 || span > max {
        let limit = format!("1ms to {}", Span(max));
        return Err(RequestError::bad_request(field, Span(span).to_string(), limit));
    }
    Ok(())
}
