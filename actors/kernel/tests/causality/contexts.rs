//! Contexts: a write overwrites what its writer has seen, and nothing else.

use henge_kernel::causality::{Context, Dot, History, Stamp};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::{
    laws::CASES,
    support::{Shard, dot, put, with},
};

#[test]
fn a_context_with_gaps_covers_its_dots_and_not_what_lies_between() {
    let mut home = Shard::with_one(1);
    home.write(put(2, "two"));
    let third = home.write(put(3, "three"));
    home.write(with(&third.context, put(4, "four")));
    assert_eq!(home.texts(), ["four", "one", "two"]);

    // Naive: a threshold by actor. Two values go that the writer never saw.
    let up_to_third: Vec<Dot> = (1..=third.dot.counter).map(|counter| dot(1, counter)).collect();
    let threshold = Context::new(up_to_third.into_iter().collect(), Stamp(0));
    let mut home = Shard::with_one(1);
    home.write(put(2, "two"));
    home.write(put(3, "three"));
    home.write(with(&threshold, put(4, "four")));
    assert_eq!(home.texts(), ["four"]);
}

#[test]
fn a_puts_answer_with_the_whole_history_would_erase_the_unseen() {
    let mut home = Shard::with_one(1);
    home.write(put(2, "mine"));
    let naive = home.context();
    home.write(with(&naive, put(3, "mine again")));
    assert_eq!(home.texts(), ["mine again"]);
}

/// Two writers who chain their own answers through one home, a thousand times each.
fn chain(home: &mut Shard) -> (Context, usize) {
    let (mut ann, mut bob) = (Context::default(), Context::default());
    let mut greatest = 0;
    for round in 0..1_000 {
        ann = home.write(with(&ann, put(2 * round, "ann"))).context;
        bob = home.write(with(&bob, put(2 * round + 1, "bob"))).context;
        greatest = greatest.max(ann.history().range_count());
    }
    (ann, greatest)
}

#[test]
fn a_chain_of_answers_does_not_grow_without_bound() {
    let mut home = Shard::new(1);
    let (ann, greatest) = chain(&mut home);
    assert!(greatest <= 65, "{greatest} ranges");
    assert_eq!(home.texts(), ["ann", "bob"]);
    assert_eq!(home.record.history().range_count(), 1);
    let seen = home.record.versions().iter().filter(|version| ann.covers(version.dot)).count();
    assert_eq!(seen, 1, "the trimmed context holds what the writer wrote, and not the other's");

    // Naive: the answer keeps every dot.
    let naive: History = (0..1_000).map(|round| dot(1, 2 * round + 1)).collect();
    assert_eq!(naive.range_count(), 1_000);
}

/// The same chain, where every answer is trimmed and the next put goes to another home.
#[test]
fn what_a_trimmed_answer_forgot_comes_back_as_a_sibling_at_most() {
    let mut homes = [Shard::new(1), Shard::new(2)];
    let (mut ann, mut bob) = (Context::default(), Context::default());
    for round in 0..300 {
        ann = homes[0].write(with(&ann, put(2 * round, "ann"))).context;
        bob = homes[0].write(with(&bob, put(2 * round + 1, "bob"))).context;
        homes.swap(0, 1);
        if round % 20 == 0 {
            let [one, other] = &mut homes;
            one.pull(&other.record);
            other.pull(&one.record);
            assert_eq!(one.texts(), ["ann", "bob"], "round {round}");
        }
    }
}

/// The dots that a put overwrites stay in its trimmed answer: another home may still show them.
#[test]
fn a_trimmed_answer_keeps_the_dots_that_it_overwrote() {
    let mut home = Shard::new(1);
    drop(chain(&mut home));
    let many: History = (0..80).map(|index| dot(7, 2 * index + 2)).collect();
    let mut seen = many.clone();
    let mut stale = Shard::new(2);
    stale.pull(&home.record);
    let live: Vec<Dot> = home.record.versions().iter().map(|version| version.dot).collect();
    for dot in &live {
        seen.insert(*dot);
    }
    let written = home.write(with(&Context::new(seen, Stamp(0)), put(9_000, "both")));
    assert!(live.iter().all(|dot| written.context.covers(*dot)));
    assert!(!many.entries().iter().any(|run| written.context.covers(dot(7, run.first))));
    stale.write(with(&written.context, put(9_001, "next")));
    assert_eq!(stale.texts(), ["next"]);
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    /// Two writers who mostly take turns, through two homes: long enough that most are trimmed.
    #[test]
    fn a_chain_of_trimmed_answers_loses_nothing_and_ends_with_one_value_each(
        steps in vec(any::<u8>(), 180..240),
    ) {
        let mut homes = [Shard::new(1), Shard::new(2)];
        let (mut writers, mut who) = ([Context::default(), Context::default()], 0);
        for (id, step) in (0..).zip(steps) {
            let (turns, at) = (step % 16 > 0, usize::from(step > 240));
            who = if turns { 1 - who } else { who };
            let write = put(id, ["ann", "bob"][who]);
            writers[who] = homes[at].write(with(&writers[who], write)).context;
            prop_assert!(writers[who].history().range_count() <= 2 + 65);
            prop_assert!(homes[at].texts().contains(&["ann", "bob"][who].to_owned()));
        }
        let [mut home, other] = homes;
        home.pull(&other.record);
        prop_assert_eq!(home.texts(), ["ann", "bob"]);
    }
}
