//! Classes of spans of time, four to each power of two: the arithmetic of every histogram here.
//!
//! A class is at most a quarter wider than its lower edge. Classes 0 to 3 are 0 to 3 microseconds;
//! from 4 on, the two bits below the highest choose the quarter.

use core::time::Duration;

use crate::time::whole_micros;

/// The class of `span`, of a histogram of `classes` classes; the last one takes all that is longer.
pub fn class_of(span: Duration, classes: usize) -> usize {
    let micros = whole_micros(span);
    let octave = micros.checked_ilog2().and_then(|log| log.checked_sub(2));
    let class = octave.map_or(micros, |octave| (u64::from(octave) << 2) + (micros >> octave));
    usize::try_from(class).unwrap_or(usize::MAX).min(classes.saturating_sub(1))
}

/// The least span, in whole microseconds, that lies in no class up to `class`.
pub fn upper_edge(class: usize) -> Duration {
    let next = class as u64 + 1;
    let (octave, quarter) = ((next / 4).saturating_sub(1), next % 4);
    let micros = if next < 4 { next } else { (4 + quarter) << octave };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_ends_where_the_next_begins_and_is_a_quarter_wide() {
        for micros in (0..100_000u64).chain([1 << 20, (1 << 26) - 1, 60_000_000, (1 << 31) + 7]) {
            let span = Duration::from_micros(micros);
            let edge = upper_edge(class_of(span, 128));
            assert!(span < edge && edge <= span * 5 / 4 + Duration::from_micros(1));
            assert_eq!(class_of(edge, 128), class_of(span, 128) + 1, "{micros}");
        }
    }

    #[test]
    fn the_last_class_takes_all_that_is_longer() {
        assert_eq!(class_of(Duration::MAX, 108), 107);
    }
}
