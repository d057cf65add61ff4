//! What many runs come to.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use henge_actors::simulation::{Fault, Options, Report, Site, Tally};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{super::screen::count_text, red::Story};
use crate::{cli::SimulateArgs, commands::output};

/// How often progress is told where there is no terminal.
const TOLD_EVERY: Duration = Duration::from_secs(30);
/// How many seeds are named of each colour.
const NAMED_MAX: usize = 20;

/// The sum of all runs so far.
pub struct Summary {
    began: Instant,
    told: Instant,
    took: Option<Duration>,
    threads: usize,
    demand: Option<u64>,
    runs: u64,
    red: Vec<Options>,
    unknown: Vec<u64>,
    simulated: Duration,
    tally: Tally,
    faults: BTreeMap<Fault, u64>,
    passes: BTreeMap<Site, u64>,
    converged_ms: Vec<u64>,
    fresh_gets: u64,
    /// Requests that had to be served, whatever was broken elsewhere.
    expected: u64,
    /// The most siblings that a get showed.
    siblings_max: usize,
}

impl Summary {
    /// Nothing yet; the time begins.
    pub fn begin(args: &SimulateArgs, threads: usize) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            told: now,
            took: None,
            threads,
            demand: args.demand,
            runs: 0,
            red: Vec::new(),
            unknown: Vec::new(),
            simulated: Duration::ZERO,
            tally: Tally::default(),
            faults: BTreeMap::new(),
            passes: BTreeMap::new(),
            converged_ms: Vec::new(),
            fresh_gets: 0,
            expected: 0,
            siblings_max: 0,
        }
    }

    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        if report.is_red() {
            self.red.push(report.options.clone());
        } else if report.is_unknown() {
            self.unknown.push(report.options.seed);
        }
        self.simulated += report.simulated;
        self.tally.operations += report.tally.operations;
        self.tally.acknowledged += report.tally.acknowledged;
        self.tally.refused += report.tally.refused;
        self.tally.unknown += report.tally.unknown;
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (site, count) in &report.passes {
            *self.passes.entry(*site).or_default() += count;
        }
        let counts = &report.verdict.counts;
        self.converged_ms.extend(counts.converged_ms);
        self.fresh_gets += counts.fresh_gets as u64;
        self.expected += counts.expected as u64;
        self.siblings_max = self.siblings_max.max(counts.siblings_max);
    }

    /// The red runs.
    pub fn reds(&self) -> &[Options] {
        &self.red
    }

    /// The kinds of faults that never happened.
    fn missing(&self) -> Vec<&'static str> {
        let happened = |fault: &&Fault| !self.faults.contains_key(fault);
        Fault::ALL.iter().filter(happened).map(|fault| fault.name()).collect()
    }

    /// Why all this proves too little, if somebody asked.
    fn unmet(&self) -> Option<String> {
        let demand = self.demand?;
        let acknowledged = self.tally.acknowledged;
        if acknowledged < demand {
            return Some(format!("{acknowledged} writes were acknowledged, {demand} are demanded"));
        }
        let missing = self.missing();
        (!missing.is_empty()).then(|| format!("never happened: {}", missing.join(", ")))
    }

    /// Whether nothing is red, and what was demanded was met.
    pub fn is_good(&self) -> bool {
        self.red.is_empty() && self.unmet().is_none()
    }

    /// Shows how far it is: in one line on a terminal, now and then a line elsewhere.
    pub fn show_progress(&mut self, all: usize) {
        let line = || {
            format!(
                "{} of {all} seeds, {} red, {} unknown, {:.0} operations per second",
                self.runs,
                self.red.len(),
                self.unknown.len(),
                self.per_second(self.tally.operations, 1),
            )
        };
        if io::stderr().is_terminal() {
            // There is nobody to tell if that fails.
            let _ = write!(io::stderr(), "\r\x1b[2K{}", line());
        } else if self.told.elapsed() > TOLD_EVERY {
            output::message(&line());
            self.told = Instant::now();
        }
    }

    /// The runs are over: the time ends, and the line of progress goes.
    pub fn end_progress(&mut self) {
        self.took = Some(self.began.elapsed());
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }

    fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.began.elapsed())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn per_second(&self, count: u64, threads: usize) -> f64 {
        count as f64 / self.took().as_secs_f64().max(1e-3) / threads as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn speedup(&self) -> f64 {
        self.simulated.as_secs_f64() / self.took().as_secs_f64().max(1e-3) / self.threads as f64
    }

    /// How long replicas took to be equal: at the median, at worst.
    fn converged(&self) -> Option<(u64, u64)> {
        let mut all = self.converged_ms.clone();
        all.sort_unstable();
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }

    /// All of it, for programs.
    pub fn document(&self, stories: &[Story]) -> Value {
        let by_name = |(fault, count): (&Fault, &u64)| (fault.name().to_owned(), json!(count));
        let by_site = |(site, count): (&Site, &u64)| (site.name().to_owned(), json!(count));
        let (median, worst) = self.converged().unzip();
        json!({
            "seeds": self.runs,
            "red": self.red.iter().map(|options| options.seed).collect::<Vec<_>>(),
            "unknown": self.unknown,
            "unmet": self.unmet(),
            "seconds": self.took().as_secs_f64(),
            "threads": self.threads,
            "simulated_seconds": self.simulated.as_secs_f64(),
            "simulated_seconds_per_second_and_core": self.speedup(),
            "operations": self.tally.operations,
            "operations_per_second_and_core": self.per_second(self.tally.operations, self.threads),
            "acknowledged_writes": self.tally.acknowledged,
            "refused": self.tally.refused,
            "fate_unknown": self.tally.unknown,
            "fresh_gets": self.fresh_gets,
            "had_to_be_served": self.expected,
            "siblings_max": self.siblings_max,
            "converged_ms_median": median,
            "converged_ms_max": worst,
            "faults": self.faults.iter().map(by_name).collect::<serde_json::Map<_, _>>(),
            "never_happened": self.missing(),
            "sites": self.passes.iter().map(by_site).collect::<serde_json::Map<_, _>>(),
            "stories": stories,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { operations, acknowledged, refused, unknown } = self.tally;
        let seconds = self.took().as_secs_f64();
        let s = if self.runs == 1 { "" } else { "s" };
        let (red, open) = (self.red.len(), self.unknown.len());
        writeln!(f, "{} seed{s} · {red} red · {open} unknown", count_text(self.runs))?;
        writeln!(
            f,
            "  simulated   {:.1} h in {seconds:.1} s: {:.0} s per second and core",
            self.simulated.as_secs_f64() / 3600.0,
            self.speedup(),
        )?;
        writeln!(
            f,
            "  operations  {} judged, {:.0} per second and core; {refused} refused, {unknown} of \
             unknown fate",
            count_text(operations),
            self.per_second(operations, self.threads),
        )?;
        writeln!(
            f,
            "  judged      {} acknowledged writes, {} gets that had to be fresh, {} requests that had \
             to be served; {} siblings at most",
            count_text(acknowledged),
            count_text(self.fresh_gets),
            count_text(self.expected),
            self.siblings_max,
        )?;
        if let Some((median, worst)) = self.converged() {
            writeln!(f, "  converged   after {median} ms at the median, {worst} ms at worst")?;
        }
        let faults = self.faults.iter().map(|(fault, count)| format!("{fault} {count}"));
        write_list(f, "faults", faults)?;
        write_list(f, "not seen", self.missing().into_iter().map(str::to_owned))?;
        let sites = self.passes.iter().map(|(site, count)| format!("{} {count}", site.name()));
        write_list(f, "sites", sites)?;
        let named = |seeds: Vec<u64>| {
            seeds.into_iter().take(NAMED_MAX).map(|seed| seed.to_string()).collect::<Vec<_>>()
        };
        write_list(f, "red", named(self.red.iter().map(|options| options.seed).collect()))?;
        write_list(f, "unknown", named(self.unknown.clone()))?;
        self.unmet().map_or(Ok(()), |why| writeln!(f, "  unmet       {why}"))
    }
}

/// A list under its name, in lines of a terminal's width; nothing of an empty one.
fn write_list(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    items: impl IntoIterator<Item = String>,
) -> fmt::Result {
    let mut lines = vec![String::new()];
    for item in items {
        let is_full = lines.last().is_some_and(|line| line.len() + item.len() > 86);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push_str(" · ");
            }
            line.push_str(&item);
        }
    }
    for (place, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        writeln!(f, "  {:<10}  {line}", if place == 0 { name } else { "" })?;
    }
    Ok(())
}
