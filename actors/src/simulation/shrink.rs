//! Making the options of a red run smaller while it stays red.

use super::{Fault, Options, Report, run};

/// How many runs are tried at most.
const RUNS_MAX: usize = 120;

/// Turns off and makes smaller what can be, one thing at a time, as long as the run stays red in
/// the same way. Returns the smallest red run that was found.
pub fn shrink(red: Report, told: &mut dyn FnMut(&Options)) -> Report {
    let mut smallest = red;
    let mut runs = 0;
    loop {
        let mut shrunk = false;
        for candidate in smaller(&smallest.options) {
            if runs == RUNS_MAX {
                return smallest;
            }
            runs += 1;
            told(&candidate);
            let tried = run(&candidate);
            if is_as_red(&tried, &smallest) {
                smallest = tried;
                shrunk = true;
                // What else can go is asked of what is left.
                break;
            }
        }
        if !shrunk {
            return smallest;
        }
    }
}

/// Whether a run shows one of the faults that another shows: a different one would be another bug.
fn is_as_red(tried: &Report, before: &Report) -> bool {
    let mut kinds = tried.verdict.violations.iter().map(|violation| violation.kind);
    let known = |kind| before.verdict.violations.iter().any(|violation| violation.kind == kind);
    // A problem says what it is before the colon.
    let kind = |problem: &String| problem.split(':').next().map(str::to_owned);
    let mut problems = tried.problems.iter().map(kind);
    let is_known = |problem| before.problems.iter().map(kind).any(|known| known == problem);
    kinds.any(known) || problems.any(is_known)
}

/// Options that are smaller in one way, the greatest steps first.
fn smaller(options: &Options) -> Vec<Options> {
    let mut all = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Options)| {
        let mut candidate = options.clone();
        change(&mut candidate);
        candidate.settle();
        if candidate != *options && !candidate.buckets.is_empty() {
            all.push(candidate);
        }
    };
    let faults: Vec<Fault> = options.faults.iter().copied().collect();
    if faults.len() > 3 {
        for half in faults.chunks(faults.len().div_ceil(2)) {
            offer(&|smaller| smaller.faults.retain(|fault| !half.contains(fault)));
        }
    }
    offer(&|smaller| smaller.bursts = 1);
    offer(&|smaller| smaller.keys = smaller.keys.div_ceil(2));
    offer(&|smaller| smaller.clients = smaller.clients.div_ceil(2));
    for fault in &faults {
        offer(&|smaller| smaller.faults.retain(|other| other != fault));
    }
    offer(&|smaller| smaller.buckets.truncate(1));
    offer(&|smaller| drop(smaller.buckets.remove(0)));
    offer(&|smaller| smaller.burst_ms = (smaller.burst_ms / 2).max(500));
    offer(&|smaller| smaller.nodes = 3);
    offer(&|smaller| smaller.nodes = (smaller.nodes - 1).max(3));
    offer(&|smaller| smaller.shards = vec![1]);
    offer(&|smaller| smaller.value_bytes = 16);
    for weight in [
        (|mix| &mut mix.read) as fn(&mut super::options::Mix) -> &mut u32,
        |mix| &mut mix.blind,
        |mix| &mut mix.chained,
        |mix| &mut mix.stale,
        |mix| &mut mix.delete,
    ] {
        offer(&|smaller| *weight(&mut smaller.mix) = 0);
    }
    all
}
