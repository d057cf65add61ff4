//! Mistakes on purpose are found: by the scenario that is about them, or by chance.

use henge_actors::simulation::{
    checkers::Outcome,
    defects::{Defect, find},
    scenarios::{Scenario, Told, of},
};

#[track_caller]
fn is_valid(scenario: &Scenario, told: &Told) {
    let Told { verdict, stuck, .. } = told;
    let valid = stuck.is_none() && verdict.outcome() == Outcome::Valid;
    assert!(valid, "{}: {stuck:?}, {verdict:#?}", scenario.name);
}

#[test]
fn every_scenario_keeps_all_promises() {
    for scenario in Scenario::all() {
        is_valid(&scenario, &scenario.play(7));
    }
}

#[test]
fn every_scenario_finds_the_mistakes_that_it_is_about() {
    let mut missed = Vec::new();
    for scenario in Scenario::all() {
        for defect in scenario.finds {
            assert_eq!(of(*defect).map(|one| one.name), Some(scenario.name), "one is enough");
            if find(*defect, 0, 20).is_none() {
                missed.push((scenario.name, defect.name()));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// The whole list takes a while: `henge simulate --defects`.
#[test]
fn five_mistakes_are_found_by_chance() {
    for defect in [
        Defect::AckBelowW,
        Defect::ContextIgnored,
        Defect::FullHistoryOnPut,
        Defect::MergeByUnion,
        Defect::TwinShownTwice,
    ] {
        let found = find(defect, 0, 50);
        assert!(found.is_some(), "{} is not found in 50 seeds", defect.name());
    }
}
