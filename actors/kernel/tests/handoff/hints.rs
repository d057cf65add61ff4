//! The index of hints, and when a mark may go.

use std::collections::BTreeMap;

use henge_kernel::{
    causality::Conflict,
    handoff::hint::{HINT_BYTES, Hint, HintIndex, HintTotals, Released, release},
    id::NodeId,
    key::Key,
    time::WallMillis,
};
use proptest::prelude::*;

use crate::support::{HOME, OTHER, THIRD, key, written};

fn hint(bytes: u64, since: u64) -> Hint {
    Hint { since: WallMillis(since), bytes }
}

#[test]
fn a_copy_past_the_bound_is_refused_and_one_that_is_there_may_be_replaced() {
    let mut index = HintIndex::new(2 * HINT_BYTES + 300);
    index.insert(HOME, key(0), hint(100, 0));
    assert!(index.admit(HOME, &key(1), 201).is_err());
    assert!(index.admit(HOME, &key(1), 200).is_ok());
    index.insert(HOME, key(1), hint(200, 0));
    assert!(index.admit(OTHER, &key(0), 0).is_err(), "full");
    assert!(index.admit(HOME, &key(1), 200).is_ok(), "it takes no more than before");
    let refused = index.admit(HOME, &key(1), 201).unwrap_err();
    let (bytes, bytes_max) = (2 * HINT_BYTES + 300, 2 * HINT_BYTES + 300);
    assert_eq!((refused.bytes, refused.wanted, refused.bytes_max), (bytes, bytes + 1, bytes_max));
}

#[test]
fn what_was_acknowledged_is_indexed_whatever_the_bound_says() {
    let mut index = HintIndex::new(0);
    index.insert(HOME, key(0), hint(100, 0));
    assert_eq!(index.totals().count, 1);
    assert!(index.admit(HOME, &key(0), 90).is_ok(), "smaller than before");
}

#[test]
fn a_hint_that_is_written_again_stays_as_old_as_it_was() {
    let mut index = HintIndex::new(10_000);
    index.insert(HOME, key(0), hint(1, 5_000));
    index.insert(HOME, key(0), hint(2, 9_000));
    let expected = hint(2, 5_000);
    assert_eq!(index.get(HOME, &key(0)), Some(&expected));
}

#[test]
fn hints_of_a_home_that_left_are_kept_for_those_who_came() {
    let mut index = HintIndex::new(10_000);
    index.insert(HOME, key(0), hint(1, 5_000));
    index.readdress(HOME, &key(0), &[OTHER, THIRD]);
    let homes: Vec<_> = index.homes().map(|(home, totals)| (home, totals.count)).collect();
    assert_eq!(homes, [(OTHER, 1), (THIRD, 1)]);
    assert_eq!(index.totals().oldest, Some(WallMillis(5_000)));
}

#[test]
fn a_mark_goes_only_if_the_record_is_still_what_was_acknowledged() {
    let mut record = written(1, "a");
    record.mark(HOME);
    let sent = record.digest();
    record.merge(&written(2, "b"), Conflict::Siblings);
    assert_eq!(release(&mut record, HOME, sent, false), Released::Kept);
    assert_eq!(record.marks(), [HOME]);
    let sent = record.digest();
    assert_eq!(release(&mut record, HOME, sent, false), Released::Dropped);
    assert_eq!(release(&mut record, HOME, sent, false), Released::Kept, "there is none to take");
}

#[test]
fn a_record_stays_until_its_last_mark() {
    let mut record = written(1, "a");
    assert!(record.mark(HOME) && record.mark(OTHER));
    let sent = record.digest();
    assert_eq!(release(&mut record, HOME, sent, false), Released::Unmarked);
    assert_eq!(record.marks(), [OTHER]);
    assert_eq!(release(&mut record, OTHER, sent, false), Released::Dropped);
}

#[test]
fn a_record_stays_where_the_node_has_become_a_home_of_its_key() {
    let mut record = written(1, "a");
    record.mark(HOME);
    let sent = record.digest();
    assert_eq!(release(&mut record, HOME, sent, true), Released::Unmarked);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, usize, Hint),
    Remove(u64, usize),
    Readdress(u64, usize, Vec<u64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let home = 0..4u64;
    let hint = (0..9_000u64, 0..500u64).prop_map(|(since, bytes)| hint(bytes, since));
    let step = prop_oneof![
        4 => (home.clone(), 0..6usize, hint).prop_map(|(h, k, hint)| Step::Insert(h, k, hint)),
        2 => (home.clone(), 0..6usize).prop_map(|(h, k)| Step::Remove(h, k)),
        1 => (home.clone(), 0..6usize, prop::collection::vec(home, 0..3))
            .prop_map(|(h, k, to)| Step::Readdress(h, k, to)),
    ];
    prop::collection::vec(step, 0..40)
}

fn insert(model: &mut BTreeMap<(NodeId, Key), Hint>, home: u64, key: Key, mut hint: Hint) {
    let held = model.get(&(NodeId(home), key.clone()));
    hint.since = held.map_or(hint.since, |held| held.since.min(hint.since));
    model.insert((NodeId(home), key), hint);
}

fn totals(hints: &BTreeMap<(NodeId, Key), Hint>, home: Option<NodeId>) -> HintTotals {
    let of = |node: &NodeId| home.is_none_or(|home| home == *node);
    let hints: Vec<_> = hints.iter().filter(|((node, _), _)| of(node)).map(|(_, h)| h).collect();
    let second = |hint: &&Hint| WallMillis(hint.since.0 / 1_000 * 1_000);
    HintTotals {
        count: hints.len() as u64,
        bytes: hints.iter().map(|hint| hint.bytes + HINT_BYTES).sum(),
        oldest: hints.iter().map(second).min(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_index_is_a_map_with_totals(steps in steps(), after in 0..6usize) {
        let (mut index, mut model) = (HintIndex::new(1_000), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(home, place, hint) => {
                    index.insert(NodeId(home), key(place), hint);
                    insert(&mut model, home, key(place), hint);
                }
                Step::Remove(home, place) => {
                    let removed = model.remove(&(NodeId(home), key(place)));
                    prop_assert_eq!(index.remove(NodeId(home), &key(place)), removed);
                }
                Step::Readdress(home, place, to) => {
                    let nodes: Vec<_> = to.iter().copied().map(NodeId).collect();
                    index.readdress(NodeId(home), &key(place), &nodes);
                    if let Some(hint) = model.remove(&(NodeId(home), key(place))) {
                        for home in to {
 insert(&mut model, home, key(place), hint);
 }
                    }
                }
            }
        }
        prop_assert_eq!(index.totals(), totals(&model, None));
        for home in (0..4).map(NodeId) {
            let listed = index.homes().find(|(node, _)| *node == home).map(|(_, totals)| totals);
            let expected = totals(&model, Some(home));
            prop_assert_eq!(listed.unwrap_or_default(), expected);
            let behind = |at: &Key| *at > key(after);
            let kept = model.iter().filter(|((node, at), _)| *node == home && behind(at));
            let kept: Vec<_> = kept.map(|((_, at), hint)| (at, hint)).collect();
            prop_assert_eq!(index.of(home, Some(&key(after))).collect::<Vec<_>>(), kept);
        }
    }
}
