//! One member's side, one statement each.

use core::time::Duration;

use henge_kernel::{
    causality::{Context, Digest, Minter, Record, Stamp},
    coordination::Generation,
    id::ShardUid,
    key::Key,
    reaping::{
        Due, Fence, KEYS_MAX, Purpose,
        fence::{Copy, Held, LeftBehind, Outdated, Refusal, Standing},
        is_dead,
    },
    time::WallMillis,
};

use crate::support::{ask, key, overwrite, write};

const D: Digest = Digest(1);
const STANDING: Standing = Standing { epoch: 7, being_filled: false, suspect: false };

fn at(generation: u64) -> Fence {
    Fence { generation: Generation(generation), ..Fence::default() }
}

fn home(copy: Copy) -> impl Fn(&Key) -> Held {
    move |_| Held { is_home: true, copy }
}

fn record(digest: Digest) -> Copy {
    Copy::Record { digest, dead: true }
}

#[test]
fn what_was_read_before_a_promise_is_refused_after_it() {
    let mut fence = at(4);
    assert_eq!(fence.admit(Generation(4)), Ok(()));
    assert_eq!(fence.promise(&ask(Purpose::Reap, 5, D), STANDING, home(record(D))), Ok(()));
    let refused = Outdated { read: Generation(4), generation: Generation(5) };
    assert_eq!(fence.admit(Generation(4)), Err(refused));
    assert_eq!(fence.admit(Generation(6)), Ok(()), "who read it is ahead");
}

#[test]
fn a_member_that_does_not_promise_raises_nothing() {
    let alive = Copy::Record { digest: D, dead: false };
    let cases = [
        (STANDING, record(Digest(2)), Refusal::Differs(key())),
        (STANDING, Copy::Nothing, Refusal::Differs(key())),
        (STANDING, Copy::Quarantined, Refusal::Quarantined(key())),
        (STANDING, alive, Refusal::Alive(key())),
        (Standing { epoch: 8, ..STANDING }, record(D), Refusal::Epoch(8)),
        (Standing { being_filled: true, ..STANDING }, record(D), Refusal::BeingFilled),
        (Standing { suspect: true, ..STANDING }, record(D), Refusal::Suspect),
    ];
    for (standing, copy, refusal) in cases {
        let mut fence = at(4);
        let refused = fence.promise(&ask(Purpose::Reap, 5, D), standing, home(copy));
        assert_eq!((refused, fence), (Err(refusal), at(4)));
    }
}

#[test]
fn a_member_that_is_no_home_may_hold_nothing_but_nothing_else() {
    let elsewhere = |copy| move |_: &Key| Held { is_home: false, copy };
    let ask = ask(Purpose::Reap, 5, D);
    assert_eq!(at(4).promise(&ask, STANDING, elsewhere(Copy::Nothing)), Ok(()));
    assert_eq!(at(4).promise(&ask, STANDING, elsewhere(record(D))), Ok(()));
    let refused = at(4).promise(&ask, STANDING, elsewhere(record(Digest(2))));
    assert_eq!(refused, Err(Refusal::Differs(key())));
}

#[test]
fn of_two_rounds_with_one_generation_one_fails() {
    let mut fence = at(4);
    let ask = ask(Purpose::Reap, 5, D);
    assert_eq!(fence.promise(&ask, STANDING, home(record(D))), Ok(()));
    let refused = fence.promise(&ask, STANDING, home(record(D)));
    assert_eq!(refused, Err(Refusal::Passed(Generation(5))));
}

#[test]
fn a_round_has_so_many_keys() {
    let mut ask = ask(Purpose::Reap, 5, D);
    ask.keys = vec![(key(), D); KEYS_MAX + 1];
    let refused = at(4).promise(&ask, STANDING, home(record(D)));
    assert_eq!(refused, Err(Refusal::TooMany(KEYS_MAX + 1)));
}

#[test]
fn only_what_is_still_the_same_goes_and_its_stamp_is_remembered() {
    let ask = ask(Purpose::Reap, 5, D);
    let mut fence = at(5);
    assert_eq!(fence.finish(&ask, home(record(Digest(2)))), Ok(vec![]));
    assert_eq!(fence.finish(&ask, home(Copy::Nothing)), Ok(vec![]));
    assert_eq!(fence.finish(&ask, home(record(D))), Ok(vec![key()]));
    let expected = Fence { finished: Generation(5), reaped: Stamp(500), ..at(5) };
    assert_eq!(fence, expected, "by those too who had nothing: they may mint next");
}

#[test]
fn a_member_that_was_restored_is_told_by_the_first_finished_generation_it_meets() {
    let behind = LeftBehind { finished: Generation(5), generation: Generation(4) };
    assert_eq!(at(4).meet(Generation(5)), Err(behind));
    assert_eq!(at(4).finish(&ask(Purpose::Reap, 5, D), home(record(D))), Err(behind));
    let mut next = ask(Purpose::Reap, 6, D);
    next.finished = Generation(5);
    let refused = at(4).promise(&next, STANDING, home(record(D)));
    assert_eq!(refused, Err(Refusal::LeftBehind(behind)));
    assert_eq!(at(5).meet(Generation(5)), Ok(()));
}

#[test]
fn a_tombstone_beside_a_value_is_not_reaped_and_a_young_one_not_yet() {
    let mut record = Record::default();
    assert!(!is_dead(&record, WallMillis(0)), "there is nothing to reap");
    let mut minter = Minter::new(ShardUid(1));
    overwrite(&mut record, &mut minter, Some("a"), 1);
    overwrite(&mut record, &mut minter, None, 2);
    assert!(is_dead(&record, WallMillis(0)));
    let hour = Duration::from_hours(1);
    let stamp = record.stamp().0;
    let due = Due::of(&record).unwrap();
    assert_eq!(
        (due.purpose, due.since(Some(hour))),
        (Purpose::Reap, WallMillis(stamp + 3_600_000))
    );
    record.write(&mut minter, write(Some("b"), Context::default(), 3)).unwrap();
    assert!(!is_dead(&record, WallMillis(0)));
    assert_eq!(Due::of(&record), None, "a value that never expires lives on");
}

#[test]
fn an_expired_value_is_dead_by_the_clock_of_the_asked_only() {
    let mut record = Record::default();
    let mut expiring = write(Some("a"), Context::default(), 1);
    expiring.expires_at = Some(WallMillis(5_000));
    record.write(&mut Minter::new(ShardUid(1)), expiring).unwrap();
    assert!(!is_dead(&record, WallMillis(4_999)));
    assert!(is_dead(&record, WallMillis(5_000)));
}

#[test]
fn a_member_that_missed_a_promise_follows_when_it_has_heard_all() {
    let theirs = Fence { generation: Generation(6), finished: Generation(3), reaped: Stamp(9) };
    let mut fence = at(4);
    assert_eq!(fence.follow(&theirs, false), Ok(Some(Generation(6))), "it may be a restored one");
    assert_eq!((fence.generation, fence.reaped), (Generation(4), Stamp(9)));
    assert_eq!(fence.follow(&theirs, true), Ok(None));
    assert_eq!(fence.generation, Generation(6));
    assert_eq!(fence.follow(&at(2), true), Ok(None));
    assert_eq!(fence.generation, Generation(6), "nobody goes back");
}

#[test]
fn a_member_that_was_left_behind_follows_nobody_and_begins_anew() {
    let theirs = Fence { generation: Generation(7), finished: Generation(6), reaped: Stamp(9) };
    let mut fence = at(4);
    let left = LeftBehind { finished: Generation(6), generation: Generation(4) };
    assert_eq!((fence.follow(&theirs, true), fence), (Err(left), at(4)));
    let anew = fence.anew(left.finished, theirs.reaped);
    let expected = Fence { generation: Generation(6), finished: Generation(6), reaped: Stamp(9) };
    assert_eq!(anew, expected);
}
