//! What a bucket promises, validated as a whole.

use core::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize, Serializer};

use super::change::BucketChange;
use crate::{
    causality::Conflict,
    units::{Size, Span},
    violation::Violation,
};

/// The greatest replication factor of a bucket.
pub const N_MAX: u8 = 7;

/// The greatest time to live: ten years.
pub const TTL_MAX: Duration = Duration::from_hours(24 * 3650);

/// The greatest value limit that a bucket can set, in bytes: half of what a record may hold.
pub const VALUE_BYTES_MAX: u32 = 2 << 20;

/// When a write counts as stored. Every mode survives kill -9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// After write(2).
    Os,
    /// After write(2), with an fdatasync every 100 ms: a power cut loses at most that window.
    #[default]
    Periodic,
}

impl Durability {
    /// The mode as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Periodic => "periodic",
        }
    }
}

impl FromStr for Durability {
    type Err = InvalidDurability;

    fn from_str(text: &str) -> Result<Self, InvalidDurability> {
        match text {
            "os" => Ok(Self::Os),
            "periodic" => Ok(Self::Periodic),
            "group" => Err(InvalidDurability::GroupNotAvailable),
            _ => Err(InvalidDurability::Unknown),
        }
    }
}

/// A durability that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDurability {
    /// `group`, acknowledging after the group's fdatasync, is refused by name: a weaker mode in its
    /// place would be a broken promise.
    #[error("durability must be {}", self.expected())]
    GroupNotAvailable,
    /// No such mode.
    #[error("durability must be {}", self.expected())]
    Unknown,
}

impl InvalidDurability {
    /// What would be accepted, as text.
    pub fn expected(self) -> &'static str {
        match self {
            Self::GroupNotAvailable => "os or periodic (group is not available in this version)",
            Self::Unknown => "os or periodic",
        }
    }
}

/// The properties of a bucket.
///
/// A value of this type may still break the rules between its fields; [`validate`] tells. Read from
/// text (JSON, TOML) it is valid, and what the text leaves out has its default.
///
/// [`validate`]: BucketProperties::validate
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BucketChange")]
pub struct BucketProperties {
    /// Replicas of each key, 1 to [`N_MAX`]. Fixed by the first setting.
    pub n: u8,
    /// Replicas that answer a get, 1 to `n`.
    pub r: u8,
    /// Replicas that acknowledge a put, 1 to `n`.
    pub w: u8,
    /// How many of `r` must be homes, 0 to `r`.
    pub pr: u8,
    /// How many of `w` must be homes, 0 to `w`.
    pub pw: u8,
    /// Whether fallbacks may stand in for homes.
    pub sloppy: bool,
    /// What becomes of concurrent versions. Fixed by the first setting.
    #[serde(serialize_with = "conflict_as_text")]
    pub conflict: Conflict,
    /// How long a value lives unless its put says otherwise; at most [`TTL_MAX`].
    #[serde(serialize_with = "ttl_as_text")]
    pub ttl: Option<Duration>,
    /// When a write counts as stored.
    #[serde(serialize_with = "durability_as_text")]
    pub durability: Durability,
    /// The longest value, in bytes; 1 to [`VALUE_BYTES_MAX`].
    #[serde(serialize_with = "size_as_text")]
    pub value_bytes_max: u32,
}

impl Default for BucketProperties {
    fn default() -> Self {
        Self {
            n: 3,
            r: 2,
            w: 2,
            pr: 0,
            pw: 0,
            sloppy: true,
            conflict: Conflict::Siblings,
            ttl: None,
            durability: Durability::Periodic,
            value_bytes_max: 1 << 20,
        }
    }
}

impl BucketProperties {
    /// The names of all properties, in their order.
    pub const NAMES: [&'static str; 10] =
        ["n", "r", "w", "pr", "pw", "sloppy", "conflict", "ttl", "durability", "value_bytes_max"];

    /// Checks all rules and names every one that is broken.
    pub fn validate(&self) -> Result<(), Violations> {
        let mut violations = check_quorums(self.quorums().map(i64::from));
        if let Some(ttl) = self.ttl.filter(|ttl| *ttl > TTL_MAX || ttl.as_millis() == 0) {
            let limit = format!("1ms to {}", Span(TTL_MAX));
            violations.push(Violation::new("ttl", Span(ttl), limit));
        }
        if !(1..=VALUE_BYTES_MAX).contains(&self.value_bytes_max) {
            let value = Size(self.value_bytes_max.into());
            let limit = format!("1B to {}", Size(VALUE_BYTES_MAX.into()));
            violations.push(Violation::new("value_bytes_max", value, limit));
        }
        Violations::none_of(violations)
    }

    /// Some total order that all nodes share.
    pub(super) fn order(&self) -> impl Ord {
        let settled = (self.conflict == Conflict::Lww, self.sloppy);
        (self.quorums(), settled, self.ttl, self.durability, self.value_bytes_max)
    }

    /// `n`, `r`, `w`, `pr`, `pw`.
    pub(super) fn quorums(&self) -> [u8; 5] {
        [self.n, self.r, self.w, self.pr, self.pw]
    }
}

/// The rules between `n`, `r`, `w`, `pr`, `pw`, over numbers as they were written.
pub(super) fn check_quorums([n, r, w, pr, pw]: [i64; 5]) -> Vec<Violation> {
    let most_n = i64::from(N_MAX);
    // An n that is itself refused must not make noise about the others.
    let homes = if (1..=most_n).contains(&n) { n } else { most_n };
    let rules = [
        ("n", n, 1, most_n, "any bucket"),
        ("r", r, 1, homes, "n"),
        ("w", w, 1, homes, "n"),
        ("pr", pr, 0, r.clamp(1, homes), "r"),
        ("pw", pw, 0, w.clamp(1, homes), "w"),
    ];
    let broken =
        rules.into_iter().filter(|(_, value, least, most, _)| value < least || value > most);
    broken
        .map(|(field, value, least, most, of)| {
            Violation::new(field, value, format!("{least} to {most} ({of})"))
        })
        .collect()
}

/// All broken rules at once; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    pub(super) fn none_of(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() { Ok(()) } else { Err(Self(violations)) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

/// `siblings` or `lww`.
pub fn conflict_name(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Siblings => "siblings",
        Conflict::Lww => "lww",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn conflict_as_text<S: Serializer>(conflict: &Conflict, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(conflict_name(*conflict))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn durability_as_text<S: Serializer>(durability: &Durability, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(durability.as_str())
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn ttl_as_text<S: Serializer>(ttl: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match ttl {
        Some(ttl) => to.collect_str(&Span(*ttl)),
        None => to.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn size_as_text<S: Serializer>(bytes: &u32, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Size(u64::from(*bytes)))
}
