//! Durations and sizes as text: an integer and a unit, in queries, flags, files and JSON alike.
//!
//! `250ms`, `2s`, `5m`, `1h`, `30d`; `512B`, `64KiB`, `1MiB`, `2GiB`. A bare number, zero, a sign, a
//! fraction or more than the limit is refused. What [`Span`] and [`Size`] print can be parsed again.

use core::{fmt, time::Duration};

use crate::time::whole_millis;

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Parses a duration of at most `limit`.
pub fn parse_duration(text: &str, limit: Duration) -> Result<Duration, InvalidQuantity> {
    let most = whole_millis(limit);
    let explain = || Refusal { units: "ms, s, m, h or d", limit: Span(limit).to_string() };
    parse(text, &DURATIONS, most, explain).map(Duration::from_millis)
}

/// Parses a size of at most `limit` bytes.
pub fn parse_size(text: &str, limit: u64) -> Result<u64, InvalidQuantity> {
    let explain = || Refusal { units: "B, KiB, MiB or GiB", limit: Size(limit).to_string() };
    parse(text, &SIZES, limit, explain)
}

/// Prints a duration in the largest unit that divides it; less than a millisecond is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&show(whole_millis(self.0), &DURATIONS))
    }
}

/// Prints a number of bytes in the largest unit that divides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&show(self.0, &SIZES))
    }
}

/// A duration or size that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Not an integer followed by a unit.
    #[error("{value:?} is not {}", self.expected())]
    Malformed {
        /// The refused text.
        value: String,
        /// The units that would do.
        units: &'static str,
    },
    /// Zero: switch the thing off by leaving it out.
    #[error("{value} is zero; it must be {}", self.expected())]
    Zero {
        /// The refused text.
        value: String,
        /// The greatest quantity.
        limit: String,
    },
    /// More than the limit.
    #[error("{value} is more than the limit of {limit}")]
    TooGreat {
        /// The refused text.
        value: String,
        /// The greatest quantity.
        limit: String,
    },
}

impl InvalidQuantity {
    /// What would be accepted, as text: "an integer followed by …", "at most …".
    pub fn expected(&self) -> String {
        match self {
            Self::Malformed { units, .. } => format!("an integer followed by {units}"),
            Self::Zero { limit, .. } => format!("more than 0 and at most {limit}"),
            Self::TooGreat { limit, .. } => format!("at most {limit}"),
        }
    }
}

struct Refusal {
    units: &'static str,
    limit: String,
}

fn parse(
    text: &str,
    units: &[(&str, u64)],
    most: u64,
    explain: impl Fn() -> Refusal,
) -> Result<u64, InvalidQuantity> {
    let value = || text.chars().take(64).collect::<String>();
    let malformed = || InvalidQuantity::Malformed { value: value(), units: explain().units };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let scale = scale.filter(|_| digits > 0).ok_or_else(malformed)?;
    // Digits alone can fail to be a number only by being too many.
    let amount = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    match amount {
        Some(0) => Err(InvalidQuantity::Zero { value: value(), limit: explain().limit }),
        Some(amount) if amount <= most => Ok(amount),
        _ => Err(InvalidQuantity::TooGreat { value: value(), limit: explain().limit }),
    }
}

fn show(amount: u64, units: &[(&'static str, u64)]) -> String {
    let fits = |&&(_, scale): &&(&str, u64)| amount >= scale && amount.is_multiple_of(scale);
    let (name, scale) = units.iter().rev().find(fits).copied().unwrap_or((units[0].0, 1));
    format!("{}{name}", amount / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn an_integer_and_a_unit_is_a_quantity() {
        assert_eq!(parse_duration("250ms", HOUR), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("60m", HOUR), Ok(HOUR));
        assert_eq!(parse_size("1MiB", 1 << 20), Ok(1 << 20));
    }

    #[test]
    fn bare_numbers_signs_fractions_and_unknown_units_are_refused() {
        for text in ["", "2", "s", "-2s", "+2s", "1.5s", "2 s", " 2s", "2sec", "2S", "abc", "٢s"] {
            let refused = parse_duration(text, HOUR);
            assert!(matches!(refused, Err(InvalidQuantity::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn zero_and_more_than_the_limit_are_refused_naming_both() {
        let zero = parse_duration("0ms", HOUR).unwrap_err();
        assert_eq!(zero.to_string(), "0ms is zero; it must be more than 0 and at most 1h");
        for text in ["61m", "99999999999999999999999s", "18446744073709551615d"] {
            let refused = parse_duration(text, HOUR).unwrap_err();
            assert_eq!(refused.to_string(), format!("{text} is more than the limit of 1h"));
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_parsed_again(amount in 1u64..=u64::MAX) {
            let span = Duration::from_millis(amount);
            prop_assert_eq!(parse_duration(&Span(span).to_string(), Duration::MAX), Ok(span));
            prop_assert_eq!(parse_size(&Size(amount).to_string(), u64::MAX), Ok(amount));
        }
    }
}
