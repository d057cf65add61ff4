//! Write ids: a retry is the same write, however often it is minted.

use henge_kernel::time::WallMillis;

use crate::{
    naive::{Naive, NaiveRecord},
    support::{Shard, put, with},
};

const NOW: WallMillis = WallMillis(1_000);

#[test]
fn a_retry_is_answered_as_before_and_mints_nothing() {
    let mut home = Shard::with_one(1);
    let seen = home.context();
    let first = home.write(with(&seen, put(5, "x")));
    let before = home.record.clone();
    let again = home.write(with(&seen, put(5, "x")));
    assert!(!again.minted);
    assert_eq!((again.dot, again.context), (first.dot, first.context));
    assert_eq!(home.record, before);
}

/// One write that was minted at two homes, after a forward that seemed lost.
fn minted_twice() -> [Shard; 2] {
    [1, 2].map(|uid| {
        let mut home = Shard::new(uid);
        home.write(put(5, "x"));
        home
    })
}

#[test]
fn a_write_that_was_minted_twice_is_shown_once_and_covered_twice() {
    let [mut home, other] = minted_twice();
    home.pull(&other.record);
    let reading = home.record.read(NOW);
    assert_eq!(home.record.versions().len(), 2);
    assert_eq!(reading.values, home.record.versions()[..1]);
    assert!(home.record.versions().iter().all(|version| reading.context.covers(version.dot)));
    assert!(!reading.concurrent_delete);
    home.write(with(&reading.context, put(6, "y")));
    assert_eq!(home.texts(), ["y"]);
    home.pull(&other.record);
    assert_eq!(home.texts(), ["y"]);
}

#[test]
fn a_write_that_was_minted_twice_is_not_lost_between_two_merges() {
    let [mut home, mut other] = minted_twice();
    let from_home = home.record.clone();
    home.pull(&other.record);
    other.pull(&from_home);
    home.pull(&other.record);
    assert_eq!(home.texts(), ["x"]);

    // Naive: of one write id the version that is here stays, the other's dot is noted as seen.
    let version = Naive { stamp: 0, is_value: true, write_id: 5 };
    let (x, y) = (NaiveRecord::of(&[(1, version)]), NaiveRecord::of(&[(2, version)]));
    let keep_mine = |mine: &NaiveRecord, theirs: &NaiveRecord| {
        let mut all = mine.merge(theirs);
        let is_known = |id| mine.live.values().any(|version| version.write_id == id);
        all.live.retain(|dot, new| mine.live.contains_key(dot) || !is_known(new.write_id));
        all
    };
    assert!(keep_mine(&x, &y).merge(&keep_mine(&y, &x)).is_hollow());
}

#[test]
fn a_retry_after_its_version_was_overwritten_is_a_sibling_and_never_a_loss() {
    let mut home = Shard::new(1);
    let first = home.write(put(5, "x"));
    home.write(with(&first.context, put(6, "y")));
    assert!(home.write(put(5, "x")).minted);
    assert_eq!(home.texts(), ["x", "y"]);
}
