//! How soon the simulation finds mistakes on purpose: see [`henge_kernel::planted`].

use henge_kernel::planted::plant;
pub use henge_kernel::planted::{AVAILABLE as CAN_BE_PLANTED, Defect};

use super::{Options, checkers::Verdict, run, scenarios};

/// A defect in a file: its name.
pub(super) mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Defect;

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub fn serialize<S: Serializer>(defect: &Option<Defect>, to: S) -> Result<S::Ok, S::Error> {
        match defect {
            Some(defect) => to.serialize_str(defect.name()),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Defect>, D::Error> {
        let Some(name) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let known = Defect::ALL.iter().copied().find(|defect| defect.name() == name);
        known.map(Some).ok_or_else(|| D::Error::custom(format!("{name} is no defect")))
    }
}

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
///
/// # Panics
///
/// Without the feature `planted-defects`.
pub fn with<T>(defect: Defect, act: impl FnOnce() -> T) -> T {
    if !CAN_BE_PLANTED {
        unreachable!("built without the feature planted-defects");
    }
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
    match scenarios::of(defect) {
        Some(scenario) => {
            let play = |seed| seen(&scenario.play(seed).verdict, &[]);
            look(defect, (first, seeds_max), Some(scenario.name), play)
        }
        None => find_by_chance(defect, first, seeds_max),
    }
}

/// Looks for a planted defect in what happens in up to `seeds_max` seeds from `first` on.
///
/// # Panics
///
/// Without the feature `planted-defects`.
pub fn find_by_chance(defect: Defect, first: u64, seeds_max: u64) -> Option<Found> {
    look(defect, (first, seeds_max), None, |seed| {
        let report = run(&Options::draw(seed));
        seen(&report.verdict, &report.problems)
    })
}

fn look(
    defect: Defect,
    (first, seeds_max): (u64, u64),
    scenario: Option<&'static str>,
    play: impl Fn(u64) -> Option<String>,
) -> Option<Found> {
    (1..=seeds_max).find_map(|seeds| {
        let seed = first + seeds - 1;
        let seen = with(defect, || play(seed))?;
        // What is red without it proves nothing.
        play(seed).is_none().then_some(Found { seeds, scenario, seen })
    })
}

/// What shows that a run is red.
fn seen(verdict: &Verdict, problems: &[String]) -> Option<String> {
    let violation = verdict.violations.first().map(ToString::to_string);
    violation.or_else(|| problems.first().cloned())
}
