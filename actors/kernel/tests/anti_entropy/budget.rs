//! The budget of background work.

use core::time::Duration;

use henge_kernel::{anti_entropy::Budget, time::Instant};
use proptest::prelude::*;

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

#[test]
fn a_second_may_be_spent_at_once_and_then_what_is_earned() {
    let mut budget = Budget::new(at(0), 100, 1_000);
    assert_eq!(budget.take(at(0), 1_000), Ok(()));
    let next = budget.take(at(0), 100).unwrap_err();
    assert_eq!(budget.take(at(99), 100).unwrap_err(), next);
    assert_eq!(budget.take(next, 100), Ok(()));
}

#[test]
fn what_is_greater_than_the_bucket_is_paid_for_afterwards() {
    let mut budget = Budget::new(at(0), 100, 1_000);
    assert_eq!(budget.take(at(0), 3_000), Ok(()));
    assert!(budget.take(at(1_999), 1).is_err());
    assert_eq!(budget.take(at(2_100), 1), Ok(()));
}

#[test]
fn clients_that_wait_too_long_halve_it_down_to_its_least() {
    let mut budget = Budget::new(at(0), 300, 1_000);
    let millis = Duration::from_millis;
    let mut rates = vec![];
    for latency in [13, 13, 13, 11, 11] {
        budget.adapt(at(0), millis(latency), millis(10));
        rates.push(budget.rate());
    }
    assert_eq!(rates, [500, 300, 300, 400, 500]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_more_is_spent_than_was_earned(
        rate in 1..10_000u64,
        takes in prop::collection::vec((0..2_000u64, 0..3_000u64), 1..50),
    ) {
        let mut budget = Budget::new(at(0), 1, rate);
        let (mut now, mut spent, mut last) = (0, 0, 0);
        for (wait, bytes) in takes {
            now += wait;
            match budget.take(at(now), bytes) {
                Ok(()) => (spent, last) = (spent + bytes, bytes),
                Err(next) => prop_assert!(next > at(now)),
            }
            // One second's worth at the start, and the last one may go beyond.
            prop_assert!(spent <= rate + rate * now / 1_000 + last);
        }
    }
}
