//! Runs in which every promise was kept are never accused, and one lie in them is told.

use henge_actors::simulation::{
    checkers::{Outcome, Verdict, ViolationKind, judge},
    history::{Event, History},
};

use crate::model::{Options, run};

fn judged(events: Vec<Event>) -> Verdict {
    judge(&History::of(events).unwrap())
}

#[track_caller]
fn are_never_accused(options: &Options) {
    let (mut fresh, mut stale, mut twins, mut valid) = (0, 0, 0, 0);
    for seed in 0..400 {
        let verdict = judged(run(seed, options));
        assert!(verdict.violations.is_empty(), "seed {seed}: {:#?}", verdict.violations);
        valid += usize::from(verdict.outcome() == Outcome::Valid);
        fresh += verdict.counts.fresh_gets;
        stale += verdict.counts.stale_gets;
        twins += verdict.counts.twins;
    }
    assert!(valid > 390, "{valid} of 400 runs prove something");
    assert!(fresh > 1_000 && stale > 40, "{fresh} gets had to be fresh, {stale} were stale");
    assert!(twins > 100 || !options.twins || !options.dots, "{twins} twins");
}

#[test]
fn runs_with_siblings_are_never_accused() {
    are_never_accused(&Options { ttl: false, ..Options::default() });
}

#[test]
fn runs_in_which_values_expire_are_never_accused() {
    are_never_accused(&Options::default());
}

#[test]
fn runs_in_which_the_last_writer_wins_are_never_accused() {
    are_never_accused(&Options { lww: true, ..Options::default() });
}

#[test]
fn runs_whose_dots_nobody_tells_are_never_accused() {
    are_never_accused(&Options { dots: false, twins: false, ..Options::default() });
}

/// The final read of a key, where there is one.
fn final_read(events: &mut [Event]) -> &mut Vec<String> {
    let Some(Event::Ok(answer)) = events.last_mut() else { panic!("no final read") };
    answer.dots.clear();
    &mut answer.vals
}

fn plain() -> Options {
    Options { keys: 1, ttl: false, twins: false, ..Options::default() }
}

#[test]
fn a_value_that_is_taken_from_the_final_read_is_lost() {
    let (mut told, mut tried) = (0, 0);
    for seed in 0..200 {
        let mut events = run(seed, &plain());
        let acked: Vec<String> = events
            .iter()
            .filter_map(|event| match event {
                Event::Ok(answer) => Some(answer.id.replace('o', "v")),
                _ => None,
            })
            .collect();
        let vals = final_read(&mut events);
        // Without deletes of its own past: a value that survived the whole run was not deleted.
        let Some(place) = vals.iter().position(|val| acked.contains(val)) else { continue };
        vals.remove(place);
        tried += 1;
        told += usize::from(judged(events).kinds().contains_key(&ViolationKind::Lost));
    }
    // The others were in the past of a delete that came to nothing.
    assert!(tried > 100 && told * 10 > tried * 9, "{told} of {tried}");
}

#[test]
fn a_value_that_is_put_into_the_final_read_is_told() {
    let (mut told, mut tried) = (0, 0);
    for seed in 0..200 {
        let mut events = run(seed, &plain());
        let written: Vec<String> = events
            .iter()
            .filter_map(|event| match event {
                Event::Invoke(invoke) => invoke.val.clone(),
                _ => None,
            })
            .collect();
        let vals = final_read(&mut events);
        let Some(old) = written.into_iter().find(|val| !vals.contains(val)) else { continue };
        vals.push(old);
        tried += 1;
        told += usize::from(judged(events).outcome() == Outcome::Violation);
    }
    // The others may have survived: nobody was told that they had been overwritten.
    assert!(tried > 150 && told * 10 > tried * 8, "{told} of {tried}");
}
