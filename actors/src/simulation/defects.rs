//! How soon the simulation finds mistakes on purpose: see [`henge_kernel::planted`].

pub use henge_kernel::planted::{AVAILABLE as CAN_BE_PLANTED, Defect};
use henge_kernel::planted::{AVAILABLE, plant};

use super::{Options, Report, run, scenarios};

/// How a planted defect was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How many seeds were run, the one that found it included; 0 if a scenario did.
    pub seeds: u64,
    /// The scenario that found it.
    pub scenario: Option<&'static str>,
    /// What was seen first: the kind of promise that was broken, or what went wrong.
    pub seen: String,
}

/// Runs `act` with a defect planted on this thread.
pub fn with<T>(defect: Defect, act: impl FnOnce() -> T) -> T {
    assert!(AVAILABLE, "built without the feature planted-defects");
    plant(Some(defect));
    let done = act();
    plant(None);
    done
}

/// Looks for a planted defect: in its scenario, if it has one, and else in up to `seeds_max` seeds
/// from `first` on. `None` if it is not found.
///
/// # Panics
///
/// Without the feature `planted-defects`.
pub fn find(defect: Defect, first: u64, seeds_max: u64) -> Option<Found> {
    if let Some(scenario) = scenarios::of(defect) {
        let told = with(defect, || scenario.play(first));
        let seen = told.verdict.violations.first().map(ToString::to_string);
        return seen.map(|seen| Found { seeds: 0, scenario: Some(scenario.name), seen });
    }
    (1..=seeds_max).find_map(|seeds| {
        let options = Options::draw(first + seeds - 1);
        let report = with(defect, || run(&options));
        seen(&report).map(|seen| Found { seeds, scenario: None, seen })
    })
}

/// What shows that a run is red.
fn seen(report: &Report) -> Option<String> {
    let violation = report.verdict.violations.first().map(ToString::to_string);
    violation.or_else(|| report.problems.first().cloned())
}
