//! Write ids: a retry is the same write, however often it is minted.

use henge_kernel::{
    causality::{Conflict, Merged, Record, Write, Written},
    time::WallMillis,
};

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

/// A home that names what is overwritten in its records, as shards do.
struct Naming(Shard);

impl Naming {
    fn new(uid: u64) -> Self {
        Self(Shard::new(uid))
    }

    /// That was given a write and saw it overwritten.
    fn after_an_overwrite() -> Self {
        let mut home = Self::new(1);
        let first = home.write(put(5, "x"));
        home.write(with(&first.context, put(6, "y")));
        home
    }

    fn write(&mut self, write: Write) -> Written {
        let Shard { record, minter } = &mut self.0;
        record.write_once(minter, write).unwrap()
    }

    fn pull(&mut self, other: &Record) -> Merged {
        self.0.record.merge_once(other, Conflict::Siblings)
    }

    fn record(&self) -> &Record {
        &self.0.record
    }

    fn texts(&self) -> Vec<String> {
        self.0.texts()
    }
}

/// The other home, that had stood still and mints the write that nobody waits for any more.
fn late() -> Shard {
    let mut other = Shard::new(2);
    other.write(put(5, "x"));
    other
}

/// What a node reads of a record that was sent or stored.
fn sent(record: &Record) -> Record {
    let mut bytes = Vec::new();
    record.encode_replicated(&mut bytes);
    Record::decode_replicated(&bytes.into()).unwrap()
}

#[test]
fn a_repetition_that_comes_after_the_overwrite_is_known_again() {
    let (mut home, mut other) = (Naming::after_an_overwrite(), late());
    let mut naive = home.record().clone();
    naive.merge(&other.record, Conflict::Siblings);
    assert_eq!(naive.versions().len(), 2, "nothing is known of it by its dot");
    assert!(home.pull(&other.record).changed);
    assert_eq!(home.texts(), ["y"]);
    // The other home learns it as it learns every overwrite.
    other.pull(home.record());
    assert_eq!(other.record.digest(), home.record().digest());
    assert!(!home.pull(&other.record).changed, "once is enough");
}

#[test]
fn the_home_of_a_repetition_knows_it_again_by_what_another_home_sends() {
    // Every node was started anew since: all that is known is in the records.
    let overwritten = sent(Naming::after_an_overwrite().record());
    let mut home = Naming(late());
    home.pull(&overwritten);
    assert_eq!(home.texts(), ["y"]);
    // And so does a node that only reads.
    let mut read = sent(&late().record);
    assert!(read.merge_once(&overwritten, Conflict::Siblings).changed);
    assert_eq!(read.digest(), home.record().digest());
}

#[test]
fn a_replica_that_saw_the_overwrite_by_a_merge_knows_the_repetition_too() {
    let mut replica = Naming::new(3);
    let mut home = Shard::new(1);
    let first = home.write(put(5, "x"));
    replica.pull(&home.record);
    home.write(with(&first.context, put(6, "y")));
    replica.pull(&home.record);
    replica.pull(&late().record);
    assert_eq!(replica.texts(), ["y"]);
}

#[test]
fn a_repetition_at_the_home_itself_is_answered_and_mints_nothing() {
    let mut home = Naming::after_an_overwrite();
    let before = home.record().clone();
    let answer = home.write(put(5, "x"));
    assert!(!answer.minted && answer.context.covers(answer.dot));
    assert_eq!(home.record(), &before);
    assert!(home.write(put(7, "x")).minted, "it was never written");
    assert!(home.write(put(5, "z")).minted, "it has other content");
}

#[test]
fn the_last_version_of_a_record_is_never_taken_for_overwritten() {
    let mut home = Naming::after_an_overwrite();
    home.write(Write { context: home.0.context(), ..put(5, "x") });
    let mut other = late();
    other.write(with(&other.context(), put(8, "x")));
    home.pull(&other.record);
    assert!(!home.record().versions().is_empty());
    // Two names of one write that nothing has overwritten stay both.
    let mut twice = Naming(late());
    let mut one = Shard::new(4);
    one.write(put(5, "x"));
    twice.pull(&one.record);
    assert_eq!(twice.record().versions().len(), 2);
}

#[test]
fn a_record_names_the_last_four_writes_that_were_overwritten_within_a_minute() {
    let mut home = Naming::new(1);
    for id in 1..=10 {
        let context = home.0.context();
        home.write(Write {
            wall: WallMillis(1_000 * u64::try_from(id).unwrap()),
            context,
            ..put(id, "x")
        });
    }
    let is_known = |home: &Naming, id| {
        let mut shard = Shard::new(9);
        shard.record = sent(home.record());
        !shard.record.write_once(&mut shard.minter, put(id, "x")).unwrap().minted
    };
    let known: Vec<u128> = (1..=9).filter(|id| is_known(&home, *id)).collect();
    assert_eq!(known, [6, 7, 8, 9], "10 lives");
    // An hour later.
    let context = home.0.context();
    home.write(Write { wall: WallMillis(3_600_000), context, ..put(11, "x") });
    let known: Vec<u128> = (1..=10).filter(|id| is_known(&home, *id)).collect();
    assert_eq!(known, [10], "but the last one is named as long as the record is what it is");
}

#[test]
fn a_put_that_covers_one_name_of_a_write_covers_all() {
    let mut home = Naming::new(1);
    let first = home.write(put(5, "x"));
    // The repetition is there before the overwrite, whose client has not heard of it.
    home.pull(&late().record);
    home.write(with(&first.context, put(6, "y")));
    assert_eq!(home.texts(), ["y"]);
    assert!(!home.pull(&late().record).changed);
}

#[test]
fn the_answer_to_a_known_repetition_has_the_stamp_of_what_it_covers() {
    let mut home = Naming::new(1);
    let first = home.write(Write { wall: WallMillis(9_000), ..put(5, "x") });
    home.write(with(&first.context, put(6, "y")));
    // The client of a slow clock sends it again, and then writes where nobody has heard of it.
    let answer = home.write(put(5, "x"));
    assert_eq!(answer.context.stamp(), first.context.stamp());
    let mut elsewhere = Shard::new(2);
    elsewhere.write(with(&answer.context, put(7, "z")));
    assert!(elsewhere.record.stamp() > first.context.stamp());
}

#[test]
fn a_write_that_comes_after_its_overwrite_is_named_as_well() {
    // The second put went to a home that had not heard of the first, but had its context.
    let mut first = Shard::new(1);
    let seen = first.write(put(5, "x")).context;
    for arrivals in [[&late().record, &first.record], [&first.record, &late().record]] {
        let mut home = Naming::new(3);
        home.write(with(&seen, put(6, "y")));
        for record in arrivals {
            home.pull(record);
        }
        assert_eq!(home.texts(), ["y"]);
    }
}

#[test]
fn a_pruned_record_names_no_write_of_an_actor_that_it_forgot() {
    let mut home = Naming::new(1);
    let first = home.write(put(5, "x"));
    let mut other = Naming::new(3);
    other.pull(home.record());
    other.write(with(&first.context, put(6, "y")));
    assert!(other.0.record.prune());
    // A name without its actor could not be read back.
    assert!(sent(other.record()).history().actors().eq([other.record().versions()[0].dot.actor]));
    other.pull(&late().record);
    assert_eq!(other.texts().len(), 2, "it is a stranger now");
}
