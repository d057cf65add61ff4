//! Faults: as many as there may be, and no more.

use std::collections::BTreeSet;

use henge_actors::simulation::{
    Fault, Options,
    history::{Event, MarkName},
    run,
};

use crate::short;

/// Which nodes lost what they had acknowledged, between one heal and the next.
fn damaged(events: &[Event]) -> Vec<BTreeSet<String>> {
    let mut all = vec![BTreeSet::new()];
    for event in events {
        let Event::Mark(mark) = event else { continue };
        if mark.name == MarkName::Heal {
            all.push(BTreeSet::new());
        }
        let kind = mark.kind.as_deref().and_then(|kind| kind.parse::<Fault>().ok());
        if kind.is_some_and(Fault::is_damage) {
            let node = mark.note.as_deref().and_then(|note| note.split(' ').next());
            all.last_mut().unwrap().insert(node.unwrap().to_owned());
        }
    }
    all
}

#[test]
fn fewer_nodes_lose_what_they_acknowledged_than_any_write_has_acknowledgements() {
    let mut seen = 0;
    for seed in 0..16 {
        let mut options = short(seed);
        options.faults = Fault::ALL.iter().copied().filter(|fault| fault.is_damage()).collect();
        options.fault_every_ms = 200;
        options.fault_ms_max = 300;
        options.settle();
        let acknowledgements = options.buckets.iter().map(|bucket| usize::from(bucket.w)).min();
        for nodes in damaged(&run(&options).events) {
            assert!(nodes.len() < acknowledgements.unwrap(), "seed {seed}: {nodes:?}");
            seen += nodes.len();
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_bucket_whose_writes_are_acknowledged_once_is_damaged_never() {
    let mut options = Options::draw(1);
    options.faults = Fault::ALL.iter().copied().collect();
    options.damaged_max = 2;
    options.buckets[0].w = 1;
    options.settle();
    assert!(!options.faults.iter().any(|fault| fault.is_damage()), "{options:?}");
    assert_eq!(options.damaged_max, 0);
}

#[test]
fn without_faults_nothing_goes_wrong() {
    for seed in 0..5 {
        let mut options = short(seed);
        options.faults.clear();
        options.settle();
        let report = run(&options);
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        assert!(!report.is_red() && !report.is_unknown(), "seed {seed}: {:?}", report.verdict);
        assert_eq!(report.problems, Vec::<String>::new());
    }
}
