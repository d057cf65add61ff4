//! How soon the simulation finds mistakes on purpose: see [`henge_kernel::planted`].

pub use henge_kernel::planted::{AVAILABLE as CAN_BE_PLANTED, Defect};
use henge_kernel::planted::{AVAILABLE, plant};

use super::{Options, checkers::Verdict, run, scenarios};

/// How a planted defect was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How many seeds were run, the one that found it included.
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

/// Looks for a planted defect, in up to `seeds_max` seeds from `first` on: of its scenario, if it has
/// one, and else of whatever happens. `None` if it is not found.
///
/// # Panics
///
/// Without the feature `planted-defects`.
pub fn find(defect: Defect, first: u64, seeds_max: u64) -> Option<Found> {
    let scenario = scenarios::of(defect);
    let name = scenario.map(|scenario| scenario.name);
    (1..=seeds_max).find_map(|seeds| {
        let seed = first + seeds - 1;
        let seen = with(defect, || match scenario {
            Some(scenario) => seen(&scenario.play(seed).verdict, &[]),
            None => {
                let report = run(&Options::draw(seed));
                seen(&report.verdict, &report.problems)
            }
        });
        seen.map(|seen| Found { seeds, scenario: name, seen })
    })
}

/// What shows that a run is red.
fn seen(verdict: &Verdict, problems: &[String]) -> Option<String> {
    let violation = verdict.violations.first().map(ToString::to_string);
    violation.or_else(|| problems.first().cloned())
}
