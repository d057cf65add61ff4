//! Who may mint: schedules of lost, rolled back and restored records.

use henge_kernel::{
    causality::{Conflict, Context, Minter, Record},
    id::ShardUid,
};

use crate::support::{Shard, delete, put, texts, with};

/// A home that wrote three times, lost the last two writes in a power cut, and writes again. Its
/// peer has all three. Gives the dots of the lost second write and of the new one.
fn rolled_back(uid_after: u64) -> (Shard, Shard, [henge_kernel::causality::Dot; 2]) {
    let (mut home, mut peer) = (Shard::new(1), Shard::new(2));
    home.write(put(1, "one"));
    let on_disk = home.record.clone();
    let lost = home.write(put(2, "two")).dot;
    home.write(put(3, "three"));
    peer.pull(&home.record);
    home.restart(uid_after, &on_disk);
    let again = home.write(put(4, "four")).dot;
    (home, peer, [lost, again])
}

#[test]
fn a_rolled_back_record_mints_under_a_new_name() {
    let (mut home, peer, [lost, again]) = rolled_back(9);
    assert_ne!(lost, again);
    home.pull(&peer.record);
    assert_eq!(home.texts(), ["four", "one", "three", "two"]);

    // Naive: the uid outlives the start. One dot names two writes, and one of them is lost.
    let (mut home, peer, [lost, again]) = rolled_back(1);
    assert_eq!(lost, again);
    assert_eq!(home.record.merge(&peer.record, Conflict::Siblings).clashes, 1);
    assert_eq!(home.texts().len(), 3);
}

#[test]
fn a_right_of_another_run_is_void_even_if_its_record_never_left_the_memory() {
    let mut home = Shard::with_one(1);
    home.minter = Minter::new(ShardUid(9));
    assert_eq!(home.write(put(2, "two")).dot.actor.uid, ShardUid(9));
}

#[test]
fn a_dot_that_left_before_its_write_was_stored_is_not_minted_again() {
    let run_after_kill = |uid| {
        let mut home = Shard::with_one(1);
        let on_disk = home.record.clone();
        let sent = home.write(put(2, "sent, then killed")).dot;
        home.restart(uid, &on_disk);
        home.write(put(3, "after")).dot == sent
    };
    assert!(!run_after_kill(9));
    assert!(run_after_kill(1), "naive: same boot, so the uid is kept");
}

#[test]
fn a_restored_backup_mints_under_a_new_name() {
    let mut home = Shard::with_one(1);
    let backup = home.record.clone();
    let written = home.write(put(2, "after the backup")).dot;
    home.restart(2, &backup);
    assert!(home.write(put(3, "other")).dot.actor != written.actor);
    // The same backup, restored once more.
    home.restart(3, &backup);
    assert_eq!(home.write(put(4, "another")).dot.actor.uid, ShardUid(3));
}

#[test]
fn a_merge_that_knows_more_of_a_right_than_the_record_voids_it() {
    let mut home = Shard::with_one(1);
    let forgetful = home.record.clone();
    home.write(put(2, "forgotten"));
    let peer = std::mem::replace(&mut home.record, forgetful);
    let merged = home.record.merge(&peer, Conflict::Siblings);
    assert!(merged.amnesia && merged.changed);
    assert_eq!(home.record.right(), None);
    assert_eq!(home.write(put(3, "next")).dot.actor.epoch, 2);
    assert_eq!(home.texts(), ["forgotten", "next", "one"]);
}

#[test]
fn a_context_that_knows_more_of_a_right_than_the_record_voids_it() {
    let mut home = Shard::with_one(1);
    let forgetful = home.record.clone();
    let ahead = home.write(put(2, "forgotten")).context;
    home.record = forgetful.clone();
    let written = home.write(with(&ahead, put(3, "next")));
    assert!(written.amnesia);
    assert_eq!((written.dot.actor.epoch, written.dot.counter), (2, 1));

    // Naive: being seen ahead is the only reason to void a right. Whoever writes without having
    // seen anything is given the same dot again.
    home.record = forgetful;
    assert!(ahead.covers(home.write(put(4, "blind")).dot));
}

#[test]
fn merging_into_a_record_keeps_its_right() {
    let mut home = Shard::with_one(1);
    let right = home.record.right();
    home.pull(&Shard::with_one(2).record);
    assert_eq!(home.record.right(), right);
    assert!(home.write(put(3, "x")).dot.actor == right.unwrap().actor());
}

#[test]
fn a_record_that_came_by_replication_has_no_right() {
    let mut home = Shard::new(1);
    home.pull(&Shard::with_one(2).record);
    assert_eq!(home.record.right(), None);
}

/// A key at three homes: written everywhere, then lost at one of them (or all), then written there
/// again by a client that sees only what is left.
#[test]
fn a_shard_that_lost_its_record_and_mints_again_loses_nobodys_write() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for lost in [&[0][..], &[0, 1], &[0, 1, 2]] {
        for order in orders {
            let mut homes = [1, 2, 3].map(Shard::new);
            let late = write_round(&mut homes, 0);
            for at in lost {
                homes[*at].record = Record::default();
            }
            write_round(&mut homes, 10);
            let mut all = Record::default();
            for at in order {
                all.merge(&homes[at].record, Conflict::Siblings);
            }
            // What was lost arrives after all, from a message that was long under way.
            all.merge(&late, Conflict::Siblings);
            assert_eq!(texts(&all), ["0", "1", "10", "11", "12", "2"]);
        }
    }
}

/// A blind put at every home; the record of all of them, as a message might carry it.
fn write_round(homes: &mut [Shard; 3], first: u128) -> Record {
    let mut all = Record::default();
    for (home, id) in homes.iter_mut().zip(first..) {
        home.write(put(id, &id.to_string()));
        all.merge(&home.record, Conflict::Siblings);
    }
    all
}

#[test]
fn a_tombstone_from_before_a_reap_does_not_eat_a_recreated_key() {
    let recreate = |forget_epochs: bool| {
        let mut home = Shard::with_one(1);
        let seen = home.context();
        home.write(delete(2, seen));
        let late = std::mem::take(&mut home.record);
        if forget_epochs {
            home.minter = Minter::new(ShardUid(1));
        }
        home.write(put(3, "new"));
        home.record.merge(&late, Conflict::Siblings);
        home
    };
    let home = recreate(false);
    assert_eq!(home.texts(), ["new"]);
    assert!(home.record.read(henge_kernel::time::WallMillis(0)).concurrent_delete);
    // Naive: an actor per life of the shard, without an epoch per record.
    assert!(recreate(true).texts().is_empty());
}

#[test]
fn two_keys_of_one_run_have_two_actors() {
    let mut home = Shard::with_one(1);
    let one = home.record.right().unwrap().actor();
    home.record = Record::default();
    home.write(with(&Context::default(), put(2, "another key")));
    assert_ne!(home.record.right().unwrap().actor(), one);
}
