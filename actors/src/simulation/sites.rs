//! Named places of the code at which a simulation can let a process die or stop.

use std::cell::RefCell;

use super::sandbox::Gate;
use crate::failpoint::Site;

/// What is to happen at a named place.
#[derive(Clone, Copy, Debug)]
pub struct Armed {
    /// Where.
    pub site: Site,
    /// How often the process passes there before it happens.
    pub passes: u32,
    /// What happens.
    pub act: Act,
}

/// What happens at a named place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The process dies, as by kill -9.
    Die,
    /// The process stops, as by SIGSTOP; whoever armed the place lets it go on.
    Stop,
}

thread_local! {
    /// How often each site was passed since [`take_passes`].
    static PASSES: RefCell<[u64; Site::ALL.len()]> = const { RefCell::new([0; Site::ALL.len()]) };
}

/// How often each site was passed on this thread since the last call.
pub fn take_passes() -> Vec<(Site, u64)> {
    let counts = PASSES.take();
    Site::ALL.into_iter().zip(counts).collect()
}

/// Code of the current process comes by.
pub(crate) fn pass(site: Site) {
    let Some(gate) = Gate::current() else { return };
    PASSES.with_borrow_mut(|passes| passes[site as usize] += 1);
    let mut armed = gate.armed.borrow_mut();
    let Some(plan) = armed.as_mut().filter(|plan| plan.site == site) else { return };
    if plan.passes > 0 {
        plan.passes -= 1;
        return;
    }
    let act = plan.act;
    *armed = None;
    drop(armed);
    match act {
        Act::Stop => gate.stop_at(site),
        Act::Die => gate.die_at(site),
    }
}
