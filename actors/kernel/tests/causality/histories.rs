//! Histories against plain sets of dots.

use henge_kernel::causality::{Context, Dot, History, Stamp};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::{
    laws::CASES,
    model::{Dots, dots},
    support::dot,
};

/// Few actors and counters, so that runs meet, overlap and fuse.
fn any_dots() -> impl Strategy<Value = Vec<Dot>> {
    let any_dot =
        any::<u16>().prop_map(|bits| dot(u64::from(bits % 3), u64::from(bits / 3 % 24) + 1));
    vec(any_dot, 0..40)
}

fn history(dots: &[Dot]) -> History {
    dots.iter().copied().collect()
}

fn is_canonical(history: &History) -> bool {
    let apart = |pair: &[henge_kernel::causality::Run]| {
        let [one, next] = pair else { return false };
        one.actor < next.actor || (one.actor == next.actor && one.last + 1 < next.first)
    };
    history.entries().windows(2).all(apart)
        && history.entries().iter().all(|run| 1 <= run.first && run.first <= run.last)
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    #[test]
    fn a_history_is_a_set_of_dots_in_one_form(one in any_dots(), other in any_dots()) {
        let (a, b) = (history(&one), history(&other));
        let plain: Dots = one.iter().copied().collect();
        let both: Dots = one.iter().chain(&other).copied().collect();
        prop_assert_eq!(dots(&a), plain.clone());
        prop_assert!(is_canonical(&a));
        let probes = (0..3).flat_map(|uid| (0..26).map(move |counter| dot(uid, counter)));
        let differs = probes.filter(|probe| a.contains(*probe) != plain.contains(probe)).count();
        prop_assert_eq!(differs, 0);
        for uid in 0..3 {
            let of_actor = plain.iter().filter(|seen| seen.actor == dot(uid, 1).actor);
            let greatest = of_actor.map(|seen| seen.counter).max().unwrap_or(0);
            prop_assert_eq!(a.greatest(dot(uid, 1).actor), greatest);
        }

        let mut united = a.clone();
        prop_assert_eq!(united.union(&b), !a.is_superset(&b));
        prop_assert_eq!(a.is_superset(&b), both == plain);
        prop_assert_eq!(dots(&united), both.clone());
        prop_assert!(is_canonical(&united));

        // Whatever the order of arrival, equal sets are equal values.
        let backwards: Vec<_> = other.iter().rev().chain(one.iter().rev()).copied().collect();
        prop_assert_eq!(&history(&backwards), &united);
        let actors: std::collections::BTreeSet<_> = both.iter().map(|seen| seen.actor).collect();
        prop_assert_eq!(united.actor_count(), actors.len());
    }

    #[test]
    fn a_context_survives_its_encoding(seen in any_dots(), stamp in any::<u64>()) {
        let context = Context::new(history(&seen), Stamp(stamp));
        let mut bytes = Vec::new();
        context.encode(&mut bytes);
        prop_assert_eq!(Context::decode(&bytes), Ok(context));
    }
}

#[test]
fn the_greatest_counter_ends_a_history_and_breaks_nothing() {
    let mut history = history(&[dot(1, u64::MAX), dot(1, u64::MAX - 1), dot(2, 1)]);
    assert!(history.contains(dot(1, u64::MAX)));
    assert_eq!(history.range_count(), 2);
    history.insert(dot(1, 0));
    assert_eq!(history.range_count(), 2, "a counter of 0 names no write");
    let mut bytes = Vec::new();
    Context::new(history.clone(), Stamp(0)).encode(&mut bytes);
    assert_eq!(Context::decode(&bytes).unwrap().history(), &history);
}
