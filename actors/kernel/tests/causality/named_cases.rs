//! The cases by which the rules are usually explained.

use henge_kernel::causality::Context;

use crate::support::{Shard, put, with};

#[test]
fn two_writers_who_use_their_own_answers_stay_at_two_siblings() {
    let mut home = Shard::new(1);
    let (mut ann, mut bob) = (Context::default(), Context::default());
    for round in 0..100 {
        ann = home.write(with(&ann, put(2 * round, "ann"))).context;
        bob = home.write(with(&bob, put(2 * round + 1, "bob"))).context;
        assert!(home.record.versions().len() <= 2);
    }
    assert_eq!(home.texts(), ["ann", "bob"]);
}

#[test]
fn fifty_blind_writers_make_fifty_siblings_and_one_who_read_makes_one() {
    let mut home = Shard::new(1);
    for writer in 0..50 {
        home.write(put(writer, &format!("{writer:02}")));
    }
    assert_eq!(home.texts().len(), 50);
    home.write(with(&home.context(), put(50, "one")));
    assert_eq!(home.texts(), ["one"]);
}

#[test]
fn a_writer_cannot_erase_a_sibling_that_it_never_saw_by_its_answer() {
    let mut home = Shard::new(1);
    home.write(put(1, "unseen"));
    let answer = home.write(put(2, "mine")).context;
    home.write(with(&answer, put(3, "mine again")));
    assert_eq!(home.texts(), ["mine again", "unseen"]);
}

#[test]
fn ten_thousand_alternating_puts_through_two_homes_leave_two_actors() {
    let mut homes = [Shard::new(1), Shard::new(2)];
    let mut context = Context::default();
    for round in 0..10_000 {
        let [home, other] = &mut homes;
        context = home.write(with(&context, put(round, "x"))).context;
        other.pull(&home.record);
        homes.swap(0, 1);
    }
    for home in &homes {
        assert_eq!(home.record.history().actor_count(), 2);
        assert_eq!(home.record.history().range_count(), 2);
        assert_eq!(home.record.versions().len(), 1);
    }
}
