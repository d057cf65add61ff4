//! Read repairs on their way, one statement each.

use henge_kernel::{
    causality::Conflict,
    coordination::{
        Generation, ReplicaRecord,
        repair::{Offered, PATIENCE, REPAIRS_MAX, Repairs},
    },
    key::Key,
};

use crate::support::{at, node, record, replica};

fn key(text: &str) -> Key {
    Key::new("bucket", text.to_owned()).unwrap()
}

fn offer(repairs: &mut Repairs, home: usize, text: &str, set: u8) -> Offered {
    offer_at(repairs, 0, (home, text, set), false)
}

fn offer_at(
    repairs: &mut Repairs,
    now: u64,
    (home, text, set): (usize, &str, u8),
    busy: bool,
) -> Offered {
    let to = (node(home), &key(text));
    repairs.offer(at(now), to, &replica(set, 1), Conflict::Siblings, busy)
}

#[test]
fn many_of_the_same_are_one() {
    let mut repairs = Repairs::default();
    assert_eq!(offer(&mut repairs, 0, "k", 1), Offered::Send);
    for _ in 0..100 {
        assert_eq!(offer(&mut repairs, 0, "k", 1), Offered::Joined);
    }
    assert_eq!(repairs.ended(at(1), node(0), &key("k")), None, "all were that one");
    assert_eq!(offer(&mut repairs, 0, "k", 1), Offered::Send);
}

#[test]
fn another_home_and_another_key_are_others() {
    let mut repairs = Repairs::default();
    for (home, text) in [(0, "k"), (1, "k"), (0, "j")] {
        assert_eq!(offer(&mut repairs, home, text, 1), Offered::Send);
    }
}

#[test]
fn what_a_later_one_has_on_top_follows_in_one_piece() {
    let mut repairs = Repairs::default();
    offer(&mut repairs, 0, "k", 1);
    assert_eq!(offer(&mut repairs, 0, "k", 3), Offered::Joined);
    let low = ReplicaRecord { generation: Generation(0), ..replica(5, 1) };
    let to = (node(0), &key("k"));
    assert_eq!(repairs.offer(at(0), to, &low, Conflict::Siblings, false), Offered::Joined);
    let next = repairs.ended(at(1), node(0), &key("k")).unwrap();
    assert_eq!(next.record.digest(), record(7).digest(), "nothing shrinks");
    assert_eq!(next.generation, Generation(0), "the lowest of both");
    assert_eq!(repairs.ended(at(1), node(0), &key("k")), None);
}

#[test]
fn beyond_the_bound_and_while_clients_have_no_room_they_are_shed() {
    let mut repairs = Repairs::default();
    assert_eq!(offer_at(&mut repairs, 0, (0, "k", 1), true), Offered::Shed);
    for at in 0..REPAIRS_MAX {
        assert_eq!(offer(&mut repairs, 0, &at.to_string(), 1), Offered::Send);
    }
    assert_eq!(offer(&mut repairs, 0, "one more", 1), Offered::Shed);
    assert_eq!(offer(&mut repairs, 0, "0", 1), Offered::Joined, "which takes no room");
    repairs.ended(at(1), node(0), &key("0"));
    assert_eq!(offer(&mut repairs, 0, "one more", 1), Offered::Send);
}

#[test]
fn one_that_nobody_answers_does_not_keep_its_place() {
    let mut repairs = Repairs::default();
    let late = 2 * u64::try_from(PATIENCE.as_millis()).unwrap();
    assert_eq!(offer(&mut repairs, 0, "k", 1), Offered::Send);
    assert_eq!(offer_at(&mut repairs, late, (0, "k", 1), false), Offered::Send);
    assert_eq!(repairs.ended(at(late), node(1), &key("k")), None, "never sent");
}
