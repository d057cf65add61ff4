//! One seed, one run.

use henge_actors::simulation::run;

use crate::short;

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let (first, again) = (run(&short(seed)), run(&short(seed)));
        assert!(first.tally.operations > 10, "seed {seed}: {:?}", first.tally);
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.events, again.events, "seed {seed}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "threads that share nothing")]
fn the_same_seed_is_the_same_run_on_another_thread_beside_others() {
    let alone: Vec<u64> = (20..24).map(|seed| run(&short(seed)).trace).collect();
    let beside: Vec<_> =
        (20..24).map(|seed| std::thread::spawn(move || run(&short(seed)).trace)).collect();
    let beside: Vec<u64> = beside.into_iter().map(|run| run.join().unwrap()).collect();
    assert_eq!(alone, beside);
}

#[test]
fn another_seed_is_another_run() {
    let mut options = short(1);
    let first = run(&options).trace;
    options.seed = 2;
    assert_ne!(run(&options).trace, first);
}
