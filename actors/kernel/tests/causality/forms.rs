//! Forms: equal records are equal bytes, and what a clock says is no part of them.

use henge_kernel::{
    causality::{
        Conflict, Content, Context, History, Merged, Record, Stamp, Value, Version, Write,
    },
    id::WriteId,
    time::WallMillis,
};

use crate::{
    naive::{Naive, NaiveRecord},
    support::{Shard, delete, dot, put, texts, with},
};

const NOW: WallMillis = WallMillis(1_000);

#[test]
fn one_set_of_dots_has_one_form() {
    let mut folded = Record::default();
    let mut shard = Shard::new(1);
    let mut context = Context::default();
    for id in 1..=3 {
        context = shard.write(with(&context, put(id, "x"))).context;
    }
    folded.merge(&shard.record, Conflict::Siblings);
    // The third dot first, as a replica might hear of them.
    let late: History = [dot(1, 3), dot(1, 1), dot(1, 2)].into_iter().collect();
    assert_eq!(&late, folded.history());
    assert_eq!(folded.digest(), shard.record.digest());

    // Naive: vector and cloud side by side, never folded.
    let (vector_of_three, vector_of_two) = ((3, vec![]), (2, vec![3]));
    let holds = |(vector, cloud): &(u64, Vec<u64>), counter: u64| {
        counter <= *vector || cloud.contains(&counter)
    };
    assert!((1..9).all(|c| holds(&vector_of_three, c) == holds(&vector_of_two, c)));
    assert_ne!(vector_of_three, vector_of_two);
}

#[test]
fn one_dot_with_two_values_is_an_alarm_and_settled_alike_everywhere() {
    let [mut one, mut other] = [1, 1].map(Shard::new);
    one.write(put(1, "this"));
    other.write(put(1, "that"));
    let before = one.record.clone();
    assert_eq!(one.record.merge(&other.record, Conflict::Siblings).clashes, 1);
    assert_eq!(other.record.merge(&before, Conflict::Siblings).clashes, 1);
    assert_eq!(one.record.digest(), other.record.digest());
    assert_eq!(one.texts(), other.texts());
    let checksum = |text: &'static str| {
        let content = Content::Value(Value::plain(text));
        Version::new(dot(1, 1), content, Stamp(0), WriteId(0), None).checksum()
    };
    let greater = if checksum("this") > checksum("that") { "this" } else { "that" };
    assert_eq!(one.texts(), [greater]);
    assert_eq!(one.record.merge(&other.record, Conflict::Siblings), Merged::default());
}

#[test]
fn expiry_is_judged_by_the_reader_and_changes_nothing() {
    let mut home = Shard::new(1);
    home.write(Write { expires_at: Some(WallMillis(2_000)), ..put(1, "x") });
    let (before, digest) = (home.record.clone(), home.record.digest());
    assert_eq!(home.record.read(WallMillis(1_999)).values.len(), 1);
    let late = home.record.read(WallMillis(2_000));
    assert!(late.is_deleted() && late.concurrent_delete && !late.is_nothing());
    assert_eq!(late.context, home.record.read(NOW).context);
    assert_eq!((&home.record, home.record.digest()), (&before, digest));

    // Naive: who deems a value expired drops its body. Each replica keeps its own form, for ever.
    let value = Naive { stamp: 0, is_value: true, write_id: 0 };
    let (x, y) = (
        NaiveRecord::of(&[(1, Naive { is_value: false, ..value })]),
        NaiveRecord::of(&[(1, value)]),
    );
    assert_ne!(x.merge(&y), y.merge(&x));
}

#[test]
fn a_value_beside_a_delete_lives_and_says_so() {
    let mut home = Shard::with_one(1);
    let seen = home.context();
    home.write(put(2, "concurrent"));
    home.write(delete(3, seen));
    let reading = home.record.read(NOW);
    assert_eq!(texts(&home.record), ["concurrent"]);
    assert!(reading.concurrent_delete && !reading.is_deleted());
    home.write(delete(4, reading.context));
    assert!(home.record.read(NOW).is_deleted());
    assert!(Record::default().read(NOW).is_nothing());
}

#[test]
fn a_delete_at_a_home_that_has_nothing_leaves_a_tombstone() {
    let holder = Shard::with_one(1);
    let mut home = Shard::new(2);
    home.write(delete(2, holder.context()));
    assert!(home.record.read(NOW).is_deleted());
    home.pull(&holder.record);
    assert!(home.texts().is_empty());
}
