//! When the next replica is asked although nobody failed.

use core::time::Duration;

use henge_kernel::coordination::hedge::{
    EARLY_MIN, HEDGES_SAVED_MAX, Hedging, LATE_MIN, REQUESTS_PER_HEDGE, late_delay,
};

const TIMEOUT: Duration = Duration::from_secs(2);

fn after(latencies: impl IntoIterator<Item = u64>) -> Duration {
    let mut hedging = Hedging::default();
    latencies.into_iter().for_each(|micros| hedging.observe(Duration::from_micros(micros)));
    hedging.begin(TIMEOUT).early
}

#[test]
fn early_hedges_are_bounded_but_late_ones_are_not() {
    let mut hedging = Hedging::default();
    let mut granted = 0;
    for request in 1..=100_000 {
        assert_eq!(hedging.begin(TIMEOUT).late, Duration::from_millis(200));
        granted += u32::from(hedging.grant());
        assert!(granted * REQUESTS_PER_HEDGE <= request, "{granted} of {request}");
    }
    assert_eq!(granted, 5_000, "all of the budget can be had");
}

#[test]
fn quiet_times_save_up_only_so_many_hedges() {
    let mut hedging = Hedging::default();
    for _ in 0..100_000 {
        hedging.begin(TIMEOUT);
    }
    let granted = (0..1_000).filter(|_| hedging.grant()).count();
    assert_eq!(u32::try_from(granted), Ok(HEDGES_SAVED_MAX));
}

#[test]
fn the_late_delay_is_a_tenth_of_the_timeout_but_not_below_its_least() {
    assert_eq!(late_delay(Duration::from_millis(100)), LATE_MIN);
    assert_eq!(late_delay(Duration::from_mins(1)), Duration::from_secs(6));
}

#[test]
fn the_early_delay_has_a_least_value() {
    assert_eq!(after([]), EARLY_MIN);
    assert_eq!(after([100; 1_000]), EARLY_MIN);
}

#[test]
fn the_early_delay_follows_the_95th_percentile() {
    // 94 % take 3 ms, 6 % take 40 ms: the 95th percentile lies among the slow ones.
    let slow = after((0..1_000).map(|index| if index % 100 < 94 { 3_000 } else { 40_000 }));
    assert!(slow >= Duration::from_millis(40) && slow <= Duration::from_millis(50), "{slow:?}");
    let fast = after((0..1_000).map(|index| if index % 100 < 96 { 3_000 } else { 40_000 }));
    assert!(fast >= Duration::from_millis(3) && fast <= Duration::from_micros(3_750), "{fast:?}");
}

#[test]
fn the_recent_past_weighs_most() {
    let calm = core::iter::repeat_n(3_000, 100_000);
    let storm = core::iter::repeat_n(80_000, 1_000);
    assert!(after(calm.clone().chain(storm.clone())) >= Duration::from_millis(80));
    assert!(after(storm.chain(calm)) <= Duration::from_millis(4));
}
