//! Very many hints for one home: the delivery holds a window of them, whatever there are.

use std::collections::VecDeque;

use henge_kernel::{
    handoff::{
        Delivery, HintIndex,
        delivery::{BATCH_MAX, DeliveryEffect, DeliveryEvent, Due},
        hint::Hint,
    },
    key::Key,
    machine::Machine,
    time::WallMillis,
};

use crate::support::{HOME, at, digest};

const BYTES: u64 = 1_000;
const WINDOW: u64 = 1 << 20;

/// What the delivery of so many hints came to.
struct Drained {
    fetches: usize,
    /// The most that were sent or waited to be sent at a time.
    held_max: usize,
    in_flight_max: u64,
}

fn index_of(count: usize) -> HintIndex {
    let mut index = HintIndex::new(u64::MAX);
    for number in 0..count {
        let key = Key::new("bucket", format!("key-{number:09}")).unwrap();
        // Kept over a day.
        let since = WallMillis(number as u64 * 86_400_000 / count as u64);
        index.insert(HOME, key, Hint { since, bytes: BYTES });
    }
    index
}

/// Delivers them all to a home that acknowledges as late as it may.
fn drain(index: &mut HintIndex) -> Drained {
    let (mut delivery, now) = (Delivery::new(at(0), HOME, WINDOW), at(1));
    let (mut wanted, mut effects) = (VecDeque::new(), Vec::new());
    let (mut sent, mut held) = (VecDeque::<Key>::new(), 0);
    let mut drained = Drained { fetches: 0, held_max: 0, in_flight_max: 0 };
    delivery.handle(now, DeliveryEvent::HomeUp, &mut effects);
    loop {
        wanted.extend(effects.drain(..));
        drained.held_max = drained.held_max.max(held);
        drained.in_flight_max = drained.in_flight_max.max(delivery.bytes_in_flight());
        let event = match wanted.pop_front() {
            Some(DeliveryEffect::Fetch { after, aged }) => {
                drained.fetches += 1;
                let hints = index.of(HOME, after.as_ref()).take(BATCH_MAX);
                let hints = hints.map(|(key, hint)| Due::for_home(key.clone(), hint.bytes));
                let hints: Vec<_> = hints.collect();
                held += hints.len();
                DeliveryEvent::Fetched { after, aged, hints }
            }
            Some(DeliveryEffect::Send { keys, .. }) => {
                sent.extend(keys);
                continue;
            }
            Some(DeliveryEffect::Release { key, .. }) => {
                index.remove(HOME, &key);
                held -= 1;
                continue;
            }
            Some(DeliveryEffect::NoteDirty(_)) => panic!("the home is up"),
            None => match sent.pop_front() {
                Some(key) => DeliveryEvent::Acknowledged { from: HOME, key, digest: digest(1) },
                None => return drained,
            },
        };
        delivery.handle(now, event, &mut effects);
    }
}

fn assert_bounded(count: usize, drained: &Drained) {
    let Drained { fetches, held_max, in_flight_max } = *drained;
    let window = usize::try_from(WINDOW / BYTES).unwrap();
    assert!(held_max <= window + BATCH_MAX, "{held_max} of {count} were held");
    assert!(held_max > window / 2, "the window was used: {held_max}");
    assert!(in_flight_max <= WINDOW, "{in_flight_max}");
    assert!(fetches <= count / BATCH_MAX + 2, "{fetches} fetches");
}

#[test]
fn a_delivery_holds_a_window_of_the_hints_and_not_all() {
    for count in [3_000, 30_000] {
        let mut index = index_of(count);
        let drained = drain(&mut index);
        assert_eq!(index.totals().count, 0);
        assert_bounded(count, &drained);
    }
}

/// `cargo test --release -p henge-kernel --test handoff million -- --ignored --nocapture`
#[test]
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "its figures are times")]
#[ignore = "figures of a million hints, for a release build"]
fn a_million_hints_for_one_home_are_indexed_and_delivered_within_a_window() {
    use std::time::Instant as Clock;
    let began = Clock::now();
    let mut index = index_of(1_000_000);
    let indexed = began.elapsed();
    let totals = index.totals();
    let began = Clock::now();
    let drained = drain(&mut index);
    println!(
        "{} hints of {} MB: indexed in {indexed:?}, delivered in {:?}, at most {} held",
        totals.count,
        totals.bytes / 1_000_000,
        began.elapsed(),
        drained.held_max,
    );
    assert_bounded(1_000_000, &drained);
}
