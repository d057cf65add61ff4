//! Stories that chance does not tell: scripted, and judged like every other run.

use henge_kernel::planted::Defect;

use super::Report;

/// A story.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
}

impl Scenario {
    /// Plays it.
    pub fn run(&self, _seed: u64) -> Report {
        unreachable!()
    }
}

/// The one that finds a planted defect which chance does not.
pub fn of(_defect: Defect) -> Option<Scenario> {
    None
}
