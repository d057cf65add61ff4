//! What is missing, and until when: one statement each.

use bytes::Bytes;
use henge_kernel::{
    anti_entropy::{
        Ledger, Trust,
        ledger::{QUARANTINED_MAX, Settled},
    },
    id::NodeId,
    key::{Key, PartitionId},
};

const P: PartitionId = PartitionId(7);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

fn key(text: &str) -> Key {
    Key::new(Bytes::from_static(b"bucket"), Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// Settles at a home whose others are B and C, of which those in `down` are.
fn settle(ledger: &mut Ledger, down: &[NodeId]) -> Settled {
    ledger.settle(|_, _| vec![B, C], |node| down.contains(&node))
}

fn doubtful() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.doubt(P);
    ledger
}

#[test]
fn a_partition_is_in_doubt_until_every_other_home_was_found_equal() {
    let mut ledger = doubtful();
    assert_eq!(ledger.trust(P, &key("k")), Trust::Incomplete);
    assert_eq!(ledger.trust(PartitionId(8), &key("k")), Trust::Whole);
    ledger.found_equal(B, &[PartitionId(8)], 1);
    ledger.found_equal(C, &[P], 1);
    assert!(settle(&mut ledger, &[]).is_nothing());
    ledger.found_equal(B, &[P], 1);
    assert_eq!(settle(&mut ledger, &[]), Settled { partitions: 1, ..Settled::default() });
    assert_eq!(ledger.trust(P, &key("k")), Trust::Whole);
}

#[test]
fn homes_that_are_down_are_not_waited_for_but_one_must_have_been_asked() {
    let mut ledger = doubtful();
    assert!(settle(&mut ledger, &[B, C]).is_nothing(), "alone it knows no better");
    ledger.found_equal(B, &[P], 1);
    assert!(settle(&mut ledger, &[]).is_nothing(), "the other one may be about to come");
    assert!(!settle(&mut ledger, &[C]).is_nothing());
}

#[test]
fn who_is_no_home_or_the_only_one_has_nobody_to_ask() {
    let mut ledger = doubtful();
    ledger.quarantine(P, key("k"));
    let settled = ledger.settle(|_, _| Vec::new(), |_| false);
    assert_eq!(settled, Settled { partitions: 1, keys: 1, asked: Vec::new() }, "nobody was asked");
}

#[test]
fn a_damaged_record_waits_for_every_home_whoever_is_down() {
    let mut ledger = Ledger::default();
    ledger.quarantine(P, key("k"));
    assert_eq!(ledger.trust(P, &key("k")), Trust::Quarantined);
    assert_eq!(ledger.trust(P, &key("other")), Trust::Whole);
    ledger.found_equal(B, &[P], 1);
    assert!(settle(&mut ledger, &[C]).is_nothing());
    ledger.found_equal(C, &[P], 1);
    assert_eq!(settle(&mut ledger, &[]), Settled { partitions: 0, keys: 1, asked: vec![key("k")] });
}

#[test]
fn what_was_compared_before_the_damage_proves_nothing() {
    let mut ledger = doubtful();
    let before = ledger.number();
    ledger.quarantine(P, key("k"));
    for peer in [B, C] {
        ledger.found_equal(peer, &[P], before);
    }
    assert_eq!(settle(&mut ledger, &[]), Settled { partitions: 1, ..Settled::default() });
    for peer in [B, C] {
        ledger.found_equal(peer, &[P], ledger.number());
    }
    // Damaged again.
    ledger.quarantine(P, key("k"));
    assert!(settle(&mut ledger, &[]).is_nothing());
}

#[test]
fn beyond_the_bound_of_keys_their_partitions_are_in_doubt() {
    let mut ledger = Ledger::default();
    for at in 0..QUARANTINED_MAX {
        ledger.quarantine(P, key(&at.to_string()));
    }
    ledger.quarantine(PartitionId(9), key("one more"));
    ledger.quarantine(P, key("0"));
    assert_eq!(ledger.quarantined().count(), QUARANTINED_MAX);
    assert_eq!(ledger.incomplete().collect::<Vec<_>>(), [PartitionId(9)]);
    assert_eq!(ledger.doubted().into_iter().collect::<Vec<_>>(), [P, PartitionId(9)]);
}

#[test]
fn what_is_owed_is_paid_by_an_exchange_that_began_later() {
    let mut ledger = Ledger::behind(5);
    assert!(ledger.owe(B, P));
    assert!(!ledger.owe(B, P), "twice is once");
    assert!(!ledger.found_equal(B, &[P], 6), "that was before the second");
    assert!(!ledger.found_equal(C, &[P], 7));
    assert_eq!(ledger.owed().collect::<Vec<_>>(), [(B, P)]);
    assert!(ledger.found_equal(B, &[P], 7));
    assert_eq!(ledger.owed().count(), 0);
}
