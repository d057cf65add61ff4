//! Stamps, and buckets in which the last writer wins.

use henge_kernel::{
    causality::{Conflict, Content, Context, Record, Stamp, Version, Write},
    time::WallMillis,
};

use crate::{
    naive::{Naive, NaiveRecord},
    support::{Shard, dot, put, texts, with},
};

fn lww(id: u128, text: &str, wall: u64) -> Write {
    Write { conflict: Conflict::Lww, wall: WallMillis(wall), ..put(id, text) }
}

fn merged(one: &Record, other: &Record) -> Record {
    let mut all = one.clone();
    all.merge(other, Conflict::Lww);
    all
}

/// v (a fast clock) and u are concurrent. A client that read v writes w over it, at a home that
/// has seen neither and whose clock is slow.
fn two_replicas_after(context: impl Fn(Context) -> Context) -> [Record; 2] {
    let (mut fast, mut slow, mut third) = (Shard::new(1), Shard::new(2), Shard::new(3));
    fast.write(lww(1, "v", 100));
    third.write(lww(2, "u", 75));
    let read = context(fast.context());
    slow.write(with(&read, lww(3, "w", 50)));
    let x = merged(&merged(&fast.record, &third.record), &slow.record);
    let y = merged(&slow.record, &third.record);
    [x, y]
}

#[test]
fn a_successor_wins_wherever_it_was_minted() {
    let [x, y] = two_replicas_after(|context| context);
    assert_eq!((texts(&x), texts(&y)), (vec!["w".to_owned()], vec!["w".to_owned()]));
    assert_eq!(merged(&x, &y).digest(), merged(&y, &x).digest());
    assert_eq!(texts(&merged(&x, &y)), ["w"]);

    // Naive: the context names dots, and no stamp. Each replica kills the other's winner.
    let [x, y] = two_replicas_after(|context| Context::new(context.history().clone(), Stamp(0)));
    assert!(merged(&x, &y).versions().is_empty());
}

#[test]
fn a_stamp_from_a_fast_clock_is_merged_like_any_other() {
    let (mut fast, mut home) = (Shard::new(1), Shard::new(2));
    fast.write(lww(1, "fast", 100_000));
    home.write(lww(2, "slow", 10));
    let naive_merge = |mine: &Record, theirs: &Record| {
        let refused = theirs.stamp() > Stamp(10 + 5_000);
        if refused { mine.clone() } else { merged(mine, theirs) }
    };
    // Naive: stamps more than 5 s ahead are refused. The replicas stay apart.
    assert_ne!(
        naive_merge(&home.record, &fast.record).digest(),
        naive_merge(&fast.record, &home.record).digest()
    );
    assert_eq!(
        merged(&home.record, &fast.record).digest(),
        merged(&fast.record, &home.record).digest()
    );
}

#[test]
fn what_has_expired_by_one_clock_alone_settles_nothing() {
    let (mut one, mut other) = (Shard::new(1), Shard::new(2));
    let expiring = Write { expires_at: Some(WallMillis(2_000)), ..lww(1, "v", 1_000) };
    other.write(expiring);
    one.write(lww(2, "u", 1_000));
    // Equal stamps: the kind as written is equal too, so the greater dot stays, by every clock.
    let all = merged(&one.record, &other.record);
    assert_eq!(all.versions(), other.record.versions());
    assert_eq!(all.digest(), merged(&other.record, &one.record).digest());
    assert!(all.read(WallMillis(3_000)).is_deleted());
    assert_eq!(all.read(WallMillis(1_999)).values.len(), 1);

    // Naive: an expired value ranks as a tombstone. Clocks differ, and each replica prunes what
    // the other one keeps.
    let version = Naive { stamp: 1_000, is_value: true, write_id: 0 };
    let both = NaiveRecord::of(&[(1, version), (2, version)]);
    let by_clock = |has_expired: bool| {
        let rank = move |dot, version: Naive| (version.stamp, !(has_expired && dot == 2), dot);
        both.clone().keep_greatest(rank)
    };
    assert!(by_clock(true).merge(&by_clock(false)).is_hollow());
}

#[test]
fn a_value_stays_over_a_tombstone_of_the_same_stamp() {
    let (mut one, mut other) = (Shard::new(1), Shard::new(2));
    one.write(lww(1, "value", 1_000));
    other.write(Write { content: Content::Tombstone, ..lww(2, "", 1_000) });
    assert_eq!(texts(&merged(&one.record, &other.record)), ["value"]);
    assert_eq!(texts(&merged(&other.record, &one.record)), ["value"]);
}

/// A tombstone from a clock two hours ahead is reaped at two homes of three; then the key is put
/// again; then the third home's tombstone comes back.
#[test]
fn a_reaped_tombstone_from_a_fast_clock_does_not_beat_what_came_after() {
    let recreate = |remember: bool| {
        let mut third = Shard::new(3);
        third.write(Write { content: Content::Tombstone, ..lww(1, "", 7_200_000) });
        let reaped_stamp = if remember { third.record.stamp() } else { Stamp(0) };
        let mut home = Shard::new(1);
        home.write(Write { reaped_stamp, ..lww(2, "new", 1_000) });
        texts(&merged(&home.record, &third.record))
    };
    assert_eq!(recreate(true), ["new"]);
    assert!(recreate(false).is_empty(), "naive: what was reaped is forgotten");
}

#[test]
fn the_losers_dot_stays_in_the_history() {
    let (mut one, mut other) = (Shard::new(1), Shard::new(2));
    let loser = one.write(lww(1, "loser", 10)).dot;
    other.write(lww(2, "winner", 20));
    let lone = one.record.clone();
    one.record.merge(&other.record, Conflict::Lww);
    assert!(one.record.history().contains(loser));
    assert!(!one.record.merge(&lone, Conflict::Lww).changed);
    assert_eq!(one.texts(), ["winner"]);
}

#[test]
fn a_blind_write_wins_where_it_was_minted_and_is_never_refused() {
    let mut home = Shard::new(1);
    for id in 0..100 {
        assert_eq!(
            home.write(lww(id, &id.to_string(), 1_000 - 5 * u64::try_from(id).unwrap())).versions,
            1
        );
    }
    assert_eq!(home.texts(), ["99"]);
    assert_eq!(home.record.stamp(), Stamp(1_099));
}

#[test]
fn a_broken_clock_leaves_room_for_stamps_above_it() {
    let mut home = Shard::new(1);
    let first = home.write(lww(1, "broken", u64::MAX)).context;
    let second = home.write(with(&first, lww(2, "sane", 5))).context;
    assert!(second.stamp() > first.stamp());
    assert!(second.stamp() < Stamp(u64::MAX / 2));
}

#[test]
fn every_source_of_a_stamp_counts() {
    let history = [dot(9, 1)].into_iter().collect();
    let context = Context::new(history, Stamp(3_000));
    let stamp = |write: Write| Shard::new(1).write(write).context.stamp();
    assert_eq!(stamp(put(1, "wall")), Stamp(1_000));
    assert_eq!(stamp(with(&context, put(1, "context"))), Stamp(3_001));
    assert_eq!(stamp(Write { reaped_stamp: Stamp(2_000), ..put(1, "reaped") }), Stamp(2_001));
    let mut home = Shard::with_one(1);
    home.write(Write { wall: WallMillis(0), ..put(2, "record") });
    assert_eq!(home.record.versions().iter().map(|v: &Version| v.stamp.0).max(), Some(1_001));
}
