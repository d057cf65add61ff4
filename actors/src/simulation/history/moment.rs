//! Times of a history.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};

/// Microseconds since a run began; in a file milliseconds, with decimals where there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// So many milliseconds after the beginning.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// So long after the beginning; what is below a microsecond is cut off.
    pub fn after(since_beginning: Duration) -> Self {
        Self(u64::try_from(since_beginning.as_micros()).unwrap_or(u64::MAX))
    }

    /// So many milliseconds later.
    #[must_use]
    pub fn later(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1000)))
    }

    /// Whole milliseconds since `earlier`; 0 if that is later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1000, self.0 % 1000)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u64(self.0 / 1000)
        } else {
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MillisVisitor)
    }
}

struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds from 0")
    }

    fn visit_u64<E: Error>(self, millis: u64) -> Result<Moment, E> {
        millis
            .checked_mul(1000)
            .map(Moment)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(millis), &self))
    }

    fn visit_f64<E: Error>(self, millis: f64) -> Result<Moment, E> {
        // Far beyond 30 years a float no longer tells microseconds apart.
        if !(0.0..1e12).contains(&millis) {
            return Err(E::invalid_value(Unexpected::Float(millis), &self));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Ok(Moment((millis * 1000.0).round() as u64))
    }
}
