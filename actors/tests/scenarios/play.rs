//! A story is played under several seeds, and judged; with a mistake planted it must be red.
#![allow(clippy::needless_pass_by_value, reason = "stories are named where they are played")]

use std::{collections::BTreeMap, ops::Range};

use henge_actors::simulation::{
    checkers::{self, Outcome, Verdict, ViolationKind},
    defects::{self, Defect},
    history::{Event, History},
    timeline,
};
use tokio::{runtime::Builder, task::LocalSet};

use crate::stage::{Plan, Stage};

/// How a story ended.
pub struct Ending {
    pub events: Vec<Event>,
    pub verdict: Verdict,
    pub problems: Vec<String>,
}

impl Ending {
    /// What shows first that it is red.
    pub fn red(&self) -> Option<String> {
        let violation = self.verdict.violations.first().map(ToString::to_string);
        violation.or_else(|| self.problems.first().cloned())
    }

    /// How often which error was told.
    fn refusals(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for event in &self.events {
            if let Event::Info(told) | Event::Fail(told) = event {
                *counts.entry(told.code.as_deref().unwrap_or_default()).or_default() += 1;
            }
        }
        counts
    }

    fn tell(&self, seed: u64) -> String {
        let mut lines = vec![format!("seed {seed} is no good run:")];
        lines.extend(self.problems.iter().cloned());
        lines.extend(self.verdict.violations.iter().map(ToString::to_string));
        lines.extend(self.verdict.unknown.iter().cloned());
        lines.push(format!("{:?}", self.refusals()));
        lines.extend(timeline(&self.events, self.verdict.violations.first(), 120));
        lines.join("\n")
    }
}

/// Plays a story once.
pub fn play(plan: &Plan, story: &impl AsyncFn(&mut Stage)) -> Ending {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let pen = LocalSet::new().block_on(&runtime, async {
        let mut stage = Stage::open(plan).await;
        story(&mut stage).await;
        stage.close().await
    });
    let (events, problems) = (pen.take(), pen.problems());
    let verdict = checkers::judge(&History::of(events.iter().cloned()).unwrap());
    Ending { events, verdict, problems }
}

/// Every run keeps every promise, and proves it.
pub fn green(seeds: Range<u64>, plan: impl Fn(u64) -> Plan, story: impl AsyncFn(&mut Stage)) {
    for seed in seeds {
        let ending = play(&plan(seed), &story);
        let is_good = ending.problems.is_empty() && ending.verdict.outcome() == Outcome::Valid;
        assert!(is_good, "{}", ending.tell(seed));
    }
}

/// With the mistake planted, one of the runs is red.
pub fn red(
    defect: Defect,
    seeds: Range<u64>,
    plan: impl Fn(u64) -> Plan,
    story: impl AsyncFn(&mut Stage),
) {
    defects::with(defect, || broken(defect.name(), seeds, plan, story));
}

/// With the mistake planted, one of the runs breaks just this promise.
pub fn breaks(
    kind: ViolationKind,
    defect: Defect,
    seeds: Range<u64>,
    plan: impl Fn(u64) -> Plan,
    story: impl AsyncFn(&mut Stage),
) {
    let broken = seeds.filter(|seed| {
        let ending = defects::with(defect, || play(&plan(*seed), &story));
        ending.verdict.kinds().contains_key(&kind)
    });
    assert!(broken.count() > 0, "{} breaks no promise of {}", defect.name(), kind.as_str());
}

/// Where the promise is not kept on purpose, one of the runs is red.
pub fn broken(
    why: &str,
    seeds: Range<u64>,
    plan: impl Fn(u64) -> Plan,
    story: impl AsyncFn(&mut Stage),
) {
    let mut runs = seeds.map(|seed| (seed, play(&plan(seed), &story)));
    let seen = runs.find_map(|(seed, ending)| Some((seed, ending.red()?)));
    let (seed, seen) = seen.unwrap_or_else(|| panic!("{why} is not seen"));
    println!("{why}, seed {seed}: {seen}");
}
