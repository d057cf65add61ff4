//! Histories that lose what nobody needs.

use henge_kernel::{
    causality::{Conflict, Minter, Record},
    id::ShardUid,
};

use crate::support::overwrite;

/// A record that was written in two runs of the shard.
fn written_in_two_runs() -> (Record, Minter) {
    let mut record = Record::default();
    overwrite(&mut record, &mut Minter::new(ShardUid(1)), Some("a"), 1);
    let mut copy = Record::default();
    copy.merge(&record, Conflict::Siblings);
    let mut minter = Minter::new(ShardUid(2));
    overwrite(&mut copy, &mut minter, Some("b"), 2);
    (copy, minter)
}

#[test]
fn an_actor_that_names_no_version_goes_and_the_others_stay() {
    let (mut record, _) = written_in_two_runs();
    assert_eq!(record.history().actor_count(), 2);
    assert!(record.prune());
    let actors: Vec<_> = record.history().actors().collect();
    assert_eq!(actors, [record.versions()[0].dot.actor]);
    assert!(!record.prune(), "there is no more to prune");
}

#[test]
fn a_right_that_names_a_version_is_good_and_an_idle_one_is_void() {
    let (mut record, _) = written_in_two_runs();
    assert!(!record.void_idle_right());
    let mut other = Record::default();
    other.merge(&record, Conflict::Siblings);
    overwrite(&mut other, &mut Minter::new(ShardUid(3)), Some("c"), 3);
    record.merge(&other, Conflict::Siblings);
    assert!(record.right().is_some());
    assert!(record.void_idle_right());
    assert_eq!(record.right(), None);
}

#[test]
fn what_is_written_after_a_promise_to_prune_has_a_name_that_was_never_pruned() {
    let (mut record, mut minter) = written_in_two_runs();
    let mut other = Record::default();
    other.merge(&record, Conflict::Siblings);
    overwrite(&mut other, &mut Minter::new(ShardUid(3)), Some("c"), 3);
    record.merge(&other, Conflict::Siblings);
    let before = record.history().clone();
    record.void_idle_right();
    record.prune();
    overwrite(&mut record, &mut minter, Some("d"), 4);
    let actor = record.versions()[0].dot.actor;
    assert!(before.actors().all(|known| known != actor));
}

#[test]
fn replicas_that_were_equal_are_equal_after_pruning() {
    let (mut record, _) = written_in_two_runs();
    let mut replica = Record::default();
    replica.merge(&record, Conflict::Siblings);
    record.prune();
    replica.prune();
    assert_eq!(record.digest(), replica.digest());
}
