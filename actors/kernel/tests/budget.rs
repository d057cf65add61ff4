//! The budget of background work.
#![allow(clippy::unwrap_used, reason = "tests")]

use henge_kernel::{budget::Budget, time::Instant};
use proptest::prelude::*;

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

#[test]
fn a_hundredth_of_a_second_may_be_spent_at_once_and_then_what_is_earned() {
    let mut budget = Budget::new(at(0), 10_000, 100_000);
    assert_eq!(budget.take(at(0), 100), Ok(()));
    let next = budget.take(at(0), 50).unwrap_err();
    assert_eq!(budget.take(at(4), 50).unwrap_err(), next);
    assert_eq!(budget.take(next, 50), Ok(()));
}

#[test]
fn what_is_greater_than_the_bucket_is_paid_for_afterwards() {
    let mut budget = Budget::new(at(0), 10_000, 10_000);
    assert_eq!(budget.take(at(0), 300), Ok(()));
    assert!(budget.take(at(19), 1).is_err());
    assert_eq!(budget.take(at(21), 1), Ok(()));
}

#[test]
fn it_begins_with_little_grows_by_steps_and_is_halved_when_clients_wait() {
    let mut budget = Budget::new(at(0), 300, 1_000);
    let mut rates = vec![budget.rate()];
    for is_waited in [false, false, true] {
        budget.adapt(at(0), is_waited);
        rates.push(budget.rate());
    }
    assert_eq!(rates, [300, 310, 320, 300]);
    for _ in 0..100 {
        budget.adapt(at(0), false);
    }
    assert_eq!(budget.rate(), 1_000);
    budget.adapt(at(0), true);
    assert_eq!(budget.rate(), 500);
    budget.begin_anew(at(0));
    assert_eq!(budget.rate(), 300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_more_is_spent_than_was_earned(
        rate in 1..10_000u64,
        takes in prop::collection::vec((0..2_000u64, 0..3_000u64), 1..50),
    ) {
        let mut budget = Budget::new(at(0), rate, rate);
        let (mut now, mut spent, mut last) = (0, 0, 0);
        for (wait, bytes) in takes {
            now += wait;
            match budget.take(at(now), bytes) {
                Ok(()) => (spent, last) = (spent + bytes, bytes),
                Err(next) => prop_assert!(next > at(now)),
            }
            // What the bucket holds at the start, and the last one may go beyond.
            prop_assert!(spent <= rate / 100 + rate * now / 1_000 + last + 1);
        }
    }
}
