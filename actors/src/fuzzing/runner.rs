//! Runs a target, and shrinks what breaks it.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use henge_kernel::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Allocates, Features, Target, mutation::Mutator};
use crate::environment::{Clock as _, SystemClock};

/// Inputs that are kept beside the first ones; past that a new one takes the place of another.
const KEPT_MAX: usize = 1_000;
/// The longest input, in bytes.
const LENGTH_MAX: usize = 4 << 10;
/// One run that takes longer hangs, for all we know. A busy machine alone does not explain it.
const RUN_MAX: Duration = Duration::from_secs(10);
/// Tries to make a crash shorter.
const SHRINKS_MAX: usize = 500;

/// How long a target is run, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Decides every change.
    pub seed: u64,
    /// So many changed inputs at most.
    pub executions: u64,
    /// For so long at most.
    pub time: Duration,
    /// Counts memory, if the program can.
    pub memory: Option<Memory>,
}

/// What the allocator of the program tells.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// From here on the peak is counted anew.
    pub reset: fn(),
    /// Bytes in use now.
    pub now: fn() -> usize,
    /// The most bytes in use since the last reset.
    pub peak: fn() -> usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that were run, the first ones included.
    pub executions: u64,
    /// How long that took.
    pub took: Duration,
    /// Inputs that showed something new, in the order in which they were found.
    pub kept: Vec<Vec<u8>>,
    /// How much was shown, in features.
    pub features: usize,
    /// The first input that broke the target; it is the last that was run.
    pub crash: Option<Crash>,
}

/// An input that breaks a target.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The input, made as short as could be.
    pub input: Vec<u8>,
    /// What broke.
    pub reason: String,
}

/// Runs every input of `corpus` and of the target's own seeds, then changed ones, until a bound is
/// reached or one breaks it.
pub fn fuzz(target: &Target, corpus: &[Vec<u8>], bounds: &Bounds) -> Report {
    let mut session = Session::new(target, bounds.memory);
    let first = corpus.iter().cloned().chain((target.seeds)());
    let mut inputs: Vec<Vec<u8>> = first.collect();
    for input in &inputs {
        session.run(input);
        if session.report.crash.is_some() {
            return session.end();
        }
    }
    inputs.push(Vec::new());
    let first = inputs.len();
    let seed = xxh3_64_with_seed(target.name.as_bytes(), bounds.seed);
    let mut mutator = Mutator::new(seed, target.words, LENGTH_MAX);
    for _ in 0..bounds.executions {
        if session.since_start() >= bounds.time {
            break;
        }
        let input = session.changed(&mut mutator, &inputs);
        if session.run(&input) {
            session.report.kept.push(input.clone());
            if inputs.len() < first + KEPT_MAX {
                inputs.push(input);
            } else {
                let place = mutator.random.usize(first..inputs.len());
                inputs[place] = input;
            }
        }
        if session.report.crash.is_some() {
            break;
        }
    }
    session.end()
}

/// Runs one input as it is; what breaks, if something does.
pub fn replay(target: &Target, input: &[u8], memory: Option<Memory>) -> Option<Crash> {
    let mut session = Session::new(target, memory);
    let reason = session.attempt(input).err()?;
    Some(Crash { input: input.to_vec(), reason })
}

/// Of these inputs, the shorter first, those that show something that neither the target's seeds nor
/// `corpus` nor one before them does.
pub fn distil(target: &Target, corpus: &[Vec<u8>], inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut session = Session::new(target, None);
    for input in corpus.iter().cloned().chain((target.seeds)()) {
        session.run(&input);
    }
    let mut inputs = inputs.to_vec();
    inputs.sort_by_key(Vec::len);
    inputs.retain(|input| session.run(input));
    inputs
}

struct Session<'a> {
    target: &'a Target,
    memory: Option<Memory>,
    clock: SystemClock,
    begun: Instant,
    features: Features,
    report: Report,
}

impl<'a> Session<'a> {
    fn new(target: &'a Target, memory: Option<Memory>) -> Self {
        let clock = SystemClock::start();
        let (features, report) = (Features::default(), Report::default());
        Self { target, memory, begun: clock.now(), clock, features, report }
    }

    fn since_start(&self) -> Duration {
        self.clock.now().since(self.begun)
    }

    fn changed(&self, mutator: &mut Mutator, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut any = || mutator.random.usize(0..inputs.len());
        let (base, other) = (any(), any());
        let mut input = inputs[base].clone();
        mutator.mutate(&mut input, &inputs[other]);
        if let (Some(mend), 1..) = (self.target.mend, mutator.random.u8(0..4)) {
            // What breaks here breaks again when it is run.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| mend(&mut input)));
        }
        input
    }

    /// Runs an input; whether it showed something new.
    fn run(&mut self, input: &[u8]) -> bool {
        self.report.executions += 1;
        match self.attempt(input) {
            Ok(()) => self.features.take_fresh(),
            Err(reason) => {
                self.report.crash = Some(self.shrunk(input, reason));
                false
            }
        }
    }

    fn attempt(&mut self, input: &[u8]) -> Result<(), String> {
        let begun = self.clock.now();
        // What the features take is not the target's.
        let before = self.memory.map(|memory| {
            (memory.reset)();
            (memory.now)()
        });
        let features = &mut self.features;
        let run = || (self.target.run)(input, features);
        panic::catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("it panics: {}", text.unwrap_or("without words"))
        })?;
        let took = self.clock.now().since(begun);
        if took > RUN_MAX {
            return Err(format!("it takes {took:?}"));
        }
        let (Some(memory), Some(before)) = (self.memory, before) else { return Ok(()) };
        check_memory(self.target.allocates, input.len(), (memory.peak)().saturating_sub(before))
    }

    /// The same crash by a shorter input, if cutting pieces out leads to one.
    fn shrunk(&mut self, input: &[u8], reason: String) -> Crash {
        let mut crash = Crash { input: input.to_vec(), reason };
        let mut tries = 0;
        let mut length = crash.input.len() / 2;
        while length > 0 {
            let mut at = 0;
            while at < crash.input.len() && tries < SHRINKS_MAX {
                let mut shorter = crash.input.clone();
                shorter.drain(at..(at + length).min(crash.input.len()));
                tries += 1;
                match self.attempt(&shorter) {
                    Err(reason) => crash = Crash { input: shorter, reason },
                    Ok(()) => at += length,
                }
            }
            length /= 2;
        }
        crash
    }

    fn end(mut self) -> Report {
        self.report.took = self.since_start();
        self.report.features = self.features.count();
        self.report
    }
}

fn check_memory(allocates: Allocates, length: usize, used: usize) -> Result<(), String> {
    let bound = allocates.bound(length);
    if used <= bound {
        return Ok(());
    }
    Err(format!("it allocates {used} bytes for {length}; {bound} would be in proportion"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(run: fn(&[u8], &mut Features)) -> Target {
        Target {
            name: "planted",
            seeds: || vec![b"(one (two))".to_vec()],
            words: &[],
            mend: None,
            run,
            allocates: Allocates::LITTLE,
        }
    }

    fn bounds(executions: u64) -> Bounds {
        Bounds { seed: 1, executions, time: Duration::MAX, memory: None }
    }

    /// How deep the brackets of a text go; breaks at the fifth.
    fn planted(input: &[u8], features: &mut Features) {
        const NAMES: [&str; 5] = ["none", "one", "two", "three", "four"];
        let depth = input.iter().take_while(|byte| **byte == b'(').count();
        assert!(depth < NAMES.len(), "too deep");
        features.tell(&NAMES[depth]);
    }

    #[test]
    fn a_planted_bug_is_found_step_by_step_shrunk_and_replayed() {
        let target = target(planted);
        let report = fuzz(&target, &[], &bounds(1_000_000));
        let crash = report.crash.expect("found");
        assert_eq!(crash.input, b"(((((");
        assert_eq!(crash.reason, "it panics: too deep");
        assert!(replay(&target, &crash.input, None).is_some());
        assert!(replay(&target, b"((((", None).is_none());
    }

    #[test]
    fn the_same_seed_runs_the_same_inputs() {
        let run = |seed| fuzz(&target(planted), &[], &Bounds { seed, ..bounds(2_000) });
        let (first, again, other) = (run(1), run(1), run(2));
        assert_eq!((&first.kept, first.executions), (&again.kept, again.executions));
        assert_ne!(first.kept, other.kept);
    }

    #[test]
    fn what_allocates_out_of_proportion_breaks_its_bound() {
        assert!(check_memory(Allocates::LITTLE, 10, 17 << 10).is_err());
        assert!(check_memory(Allocates::LITTLE, 1_000, 17 << 10).is_ok());
    }
}
