//! What a run was, for people and programs.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::Path,
    time::Duration,
};

use hdrhistogram::Histogram;
use henge_actors::simulation::{
    checkers::{DESERVED, Outcome, Verdict},
    history::{Event, Kind, Moment, Unanswered},
};
use serde_json::{Value, json};

use super::super::{judge::told, screen::count_text};
use crate::cli::TortureArgs;

/// Of the errors that say that the client did wrong, the one that ours may deserve.
const MAY_HAPPEN: &str = "too_many_siblings";
/// How many broken promises are shown.
const SHOWN_MAX: usize = 20;

/// The figures, and the verdict.
pub struct Report<'a> {
    args: &'a TortureArgs,
    seed: u64,
    seconds: f64,
    requests: u64,
    served: u64,
    /// Why the others were not, and how often.
    refusals: BTreeMap<String, u64>,
    /// Of those that were served, in microseconds.
    gets: Histogram<u64>,
    writes: Histogram<u64>,
    verdict: Verdict,
    problems: Vec<String>,
}

impl<'a> Report<'a> {
    /// Of a run whose clients worked for `span`.
    pub fn new(
        args: &'a TortureArgs,
        seed: u64,
        span: Duration,
        events: &[Event],
        verdict: Verdict,
        problems: Vec<String>,
    ) -> Self {
        let mut report = Self {
            args,
            seed,
            seconds: span.as_secs_f64(),
            requests: 0,
            served: 0,
            refusals: BTreeMap::new(),
            gets: latencies(),
            writes: latencies(),
            verdict,
            problems,
        };
        report.count(events);
        report
    }

    fn count(&mut self, events: &[Event]) {
        let mut open: HashMap<&str, (Kind, Moment)> = HashMap::new();
        for event in events {
            match event {
                // What closes the run is no load.
                Event::Invoke(invoke) if !invoke.is_final => {
                    self.requests += 1;
                    open.insert(&invoke.id, (invoke.op, invoke.t));
                }
                Event::Ok(answer) => {
                    if let Some((kind, began)) = open.remove(answer.id.as_str()) {
                        self.served += 1;
                        let of_kind =
                            if kind == Kind::Get { &mut self.gets } else { &mut self.writes };
                        of_kind.saturating_record(answer.t.0.saturating_sub(began.0).max(1));
                    }
                }
                Event::Info(error) | Event::Fail(error)
                    if open.remove(error.id.as_str()).is_some() =>
                {
                    self.count_error(error);
                }
                _ => {}
            }
        }
    }

    fn count_error(&mut self, error: &Unanswered) {
        let code = error.code.clone().unwrap_or_default();
        if DESERVED.contains(&code.as_str()) && code != MAY_HAPPEN {
            let why = error.err.as_deref().unwrap_or_default();
            self.problems.push(format!("{} was called wrong: {code}, {why}", error.id));
        }
        *self.refusals.entry(code).or_default() += 1;
    }

    /// How the run ends.
    pub fn outcome(&self) -> Outcome {
        if self.problems.is_empty() { self.verdict.outcome() } else { Outcome::Violation }
    }

    fn per_second(&self) -> f64 {
        precise(self.requests) / self.seconds.max(1e-3)
    }

    fn acknowledged(&self) -> usize {
        self.verdict.counts.acked_puts + self.verdict.counts.acked_deletes
    }

    /// All of it, for programs; `kept` is where the history is, if it was kept.
    pub fn document(&self, kept: Option<&Path>) -> Value {
        let quantiles = |of: &Histogram<u64>| {
            let at = |quantile| of.value_at_quantile(quantile);
            json!({
                "served": of.len(),
                "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": of.max(),
            })
        };
        json!({
            "seed": self.seed,
            "nodes": self.args.nodes,
            "clients": self.args.clients,
            "keys": self.args.keys,
            "seconds": self.seconds,
            "requests": self.requests,
            "requests_per_second": self.per_second(),
            "served": self.served,
            "not_served": self.refusals,
            "acknowledged_writes": self.acknowledged(),
            "get": quantiles(&self.gets),
            "write": quantiles(&self.writes),
            "problems": self.problems,
            "verdict": self.outcome(),
            "judged": self.verdict,
            "history": kept,
        })
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TortureArgs { nodes, clients, keys, .. } = self.args;
        let seconds = self.seconds;
        writeln!(
            f,
            "{nodes} nodes · {clients} clients · {keys} keys · {seconds:.0} s · seed {}",
            self.seed
        )?;
        let refusals = self.refusals.iter().map(|(code, times)| format!("{times} {code}"));
        let refusals: Vec<_> = refusals.collect();
        writeln!(
            f,
            "  requests    {}, {:.0} a second; {:.2} % served, not: {}",
            count_text(self.requests),
            self.per_second(),
            100.0 * precise(self.served) / precise(self.requests.max(1)),
            if refusals.is_empty() { "none".to_owned() } else { refusals.join(", ") },
        )?;
        writeln!(
            f,
            "  judged      {} acknowledged writes",
            count_text(self.acknowledged() as u64)
        )?;
        for (name, of) in [("gets", &self.gets), ("writes", &self.writes)] {
            let ms = |micros: u64| precise(micros) / 1e3;
            let at = |quantile| ms(of.value_at_quantile(quantile));
            let (p50, p99, p999, max) = (at(0.5), at(0.99), at(0.999), ms(of.max()));
            writeln!(
                f,
                "  {name:<10}  p50 {p50:.1} ms · p99 {p99:.1} ms · p99.9 {p999:.1} ms · max {max:.1} ms"
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem     {problem}")?;
        }
        write!(f, "{}", told(&self.verdict, SHOWN_MAX))
    }
}

/// To three digits, up to two minutes.
fn latencies() -> Histogram<u64> {
    // The bounds that make this fail are constants.
    Histogram::new_with_bounds(1, 120_000_000, 3).unwrap_or_else(|error| unreachable!("{error}"))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 53 bits are enough")]
fn precise(number: u64) -> f64 {
    number as f64
}
