//! Limits: what a record takes from those who do not look.

use henge_kernel::{
    causality::{Conflict, Content, Context, RecordLimits, Stamp, Write, WriteRefused},
    time::WallMillis,
};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::{
    laws::CASES,
    naive::{Naive, NaiveRecord},
    support::{Shard, delete, dot, put, with},
};

const NOW: WallMillis = WallMillis(1_000);

fn small(versions_max: usize) -> RecordLimits {
    RecordLimits { versions_max, ..RecordLimits::default() }
}

fn full_home() -> Shard {
    let mut home = Shard::new(1);
    (0..64).for_each(|id| drop(home.write(put(id, "sibling"))));
    home
}

#[test]
fn a_full_record_refuses_blind_puts_and_stays_as_it_was() {
    let mut home = full_home();
    let before = home.record.clone();
    let refused = home.try_write(put(64, "sibling")).unwrap_err();
    let WriteRefused::TooManySiblings { versions, versions_max, record_bytes, .. } = refused;
    assert_eq!((versions, versions_max, record_bytes), (64, 64, 65 * "sibling".len()));
    assert_eq!(home.record, before);
    // Retries of what it holds, and whoever has seen one of its versions, are served.
    assert!(!home.write(put(63, "sibling")).minted);
    let one = home.record.versions()[7].dot;
    let seen = Context::new([one].into_iter().collect(), Stamp(0));
    assert_eq!(home.write(with(&seen, put(65, "sibling"))).versions, 64);
}

/// One client that keeps the token of its first read.
#[test]
fn puts_under_one_stale_context_do_not_make_siblings_without_end() {
    let stale_puts = |limits: RecordLimits| {
        let mut home = Shard::with_one(1);
        let first_read = home.context();
        for id in 10..1_010 {
            // Some are refused.
            home.try_write(Write { limits, ..with(&first_read, put(id, "x")) }).ok();
        }
        home.record.versions().len()
    };
    assert_eq!(stale_puts(RecordLimits::default()), 64);
    assert_eq!(stale_puts(small(usize::MAX)), 1_000, "naive: only puts without context are blind");
}

#[test]
fn a_record_is_bounded_in_bytes_too() {
    let limits = RecordLimits { record_bytes_max: 100, ..RecordLimits::default() };
    let sixty = "x".repeat(60);
    let mut home = Shard::new(1);
    home.write(Write { limits, ..put(1, &sixty) });
    let refused = home.try_write(Write { limits, ..put(2, &sixty) }).unwrap_err();
    let WriteRefused::TooManySiblings { record_bytes, record_bytes_max, .. } = refused;
    assert_eq!((record_bytes, record_bytes_max), (120, 100));
    let seen = home.context();
    assert_eq!(home.write(Write { limits, ..with(&seen, put(3, &sixty)) }).versions, 1);
}

/// Two homes, and writers who have seen one version each time, the same at both homes.
#[test]
fn concurrent_puts_over_one_version_do_not_pass_the_limit_again_and_again() {
    let siblings_after_ten_rounds = |limits: RecordLimits| {
        let mut homes = [full_home(), Shard::new(2)];
        let mut seen = Context::default();
        for round in 0..10 {
            let [one, other] = &mut homes;
            one.pull(&other.record);
            other.pull(&one.record);
            if round == 0 {
                let first = one.record.versions()[0].dot;
                seen = Context::new([first].into_iter().collect(), Stamp(0));
            }
            let context = seen.clone();
            for (home, id) in homes.iter_mut().zip([1_000 + 2 * round, 1_001 + 2 * round]) {
                let put = Write { limits, ..with(&context, put(id, "x")) };
                if let (Ok(written), 0) = (home.try_write(put), id % 2) {
                    seen = written.context;
                }
            }
        }
        let [mut one, other] = homes;
        one.pull(&other.record);
        one.record.versions().len()
    };
    assert_eq!(siblings_after_ten_rounds(RecordLimits::default()), 65);
    // Naive: whoever covers something is let in.
    assert_eq!(siblings_after_ten_rounds(small(usize::MAX)), 74);
}

#[test]
fn a_merge_refuses_nothing() {
    let mut home = full_home();
    let mut other = Shard::new(2);
    (100..164).for_each(|id| drop(other.write(put(id, "sibling"))));
    home.pull(&other.record);
    assert_eq!(home.record.versions().len(), 128);
}

#[test]
fn a_delete_is_never_refused_and_deletes_do_not_pile_up() {
    let mut home = full_home();
    for id in 100..110 {
        let elsewhere = Context::new([dot(id, 1)].into_iter().collect(), Stamp(0));
        let written = home.write(delete(u128::from(id), elsewhere));
        assert!(written.minted);
        assert_eq!(written.versions, 65);
    }
    assert_eq!(home.texts().len(), 64, "no value went that no context held");
    assert!((100..110).all(|id| home.record.history().contains(dot(id, 1))));
}

/// Two full homes; each is told to delete everything that the other one has.
#[test]
fn deletes_that_cross_at_full_records_leave_a_tombstone() {
    let mut homes = [Shard::new(1), Shard::new(2)];
    for (home, id) in homes.iter_mut().zip([10, 20]) {
        home.write(put(id, "x"));
        home.write(put(id + 1, "y"));
    }
    let contexts = [1, 0].map(|other: usize| homes[other].context());
    for ((home, context), id) in homes.iter_mut().zip(contexts).zip([30, 31]) {
        home.write(Write { limits: small(2), ..delete(id, context) });
    }
    let [mut home, other] = homes;
    home.pull(&other.record);
    assert!(home.record.read(NOW).is_deleted());
    assert_eq!(home.record.versions().len(), 2);

    // Naive: a delete that covers nothing here only widens the history. Nothing is left to say so.
    let version = Naive { stamp: 0, is_value: true, write_id: 0 };
    let (mut x, mut y) = (NaiveRecord::of(&[(1, version)]), NaiveRecord::of(&[(2, version)]));
    x.seen.insert(2);
    y.seen.insert(1);
    assert!(x.merge(&y).is_hollow());
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    /// Two small homes, writers with any context, deletes and merges in any order.
    #[test]
    fn a_home_adds_one_tombstone_to_a_full_record_and_no_value(steps in vec(any::<u32>(), 0..40)) {
        let mut homes = [Shard::new(1), Shard::new(2)];
        let mut contexts = vec![Context::default()];
        let limits = small(3);
        for (id, step) in (0..).zip(steps) {
            let [what, at, which, _] = step.to_le_bytes();
            let [home, other] = &mut homes;
            let home = if at % 2 == 0 { home } else { other };
            let context = contexts[usize::from(which) % contexts.len()].clone();
            let before = home.record.clone();
            match what % 8 {
                0..=3 => {
                    let write = Write { limits, ..with(&context, put(id, "x")) };
                    let written = home.try_write(write);
                    prop_assert!(written.is_ok() || home.record == before);
                    contexts.extend(written.map(|written| written.context));
                }
                4 | 5 => {
                    let tombstone = Write { limits, ..delete(id, context) };
                    contexts.push(home.write(tombstone).context);
                    prop_assert_eq!(home.record.versions().iter().filter(|v| v.write_id.0 == id).count(), 1);
                }
                6 => contexts.push(home.context()),
                _ => {
                    let [home, other] = &mut homes;
                    home.record.merge(&other.record, Conflict::Siblings);
                    other.record.merge(&home.record, Conflict::Siblings);
                }
            }
            for home in &homes {
                let record = &home.record;
                prop_assert_eq!(record.history().is_empty(), record.versions().is_empty());
                let values = record.versions().iter().filter(|v| v.content != Content::Tombstone);
                // Merges may pass the limits, once for each home that mints.
                prop_assert!(values.count() <= 2 * 3);
                prop_assert!(record.versions().len() <= 2 * (3 + 1));
            }
        }
    }
}
