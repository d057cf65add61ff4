//! `henge judge`: whether a run kept its promises.

use std::{fmt::Write as _, fs::File, io::BufReader};

use henge_actors::simulation::{
    checkers::{Counts, Outcome, Verdict, judge},
    history::{Malformed, read_history},
};
use serde_json::json;

use super::{Exit, Failure, output};
use crate::cli::{GlobalArgs, JudgeArgs};

pub(super) fn run(args: &JudgeArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    let name = args.file.display();
    let unread = |why: &dyn std::error::Error| {
        let what = format!("{name} is no history");
        Failure::usage(what, why.to_string(), "name a file that `henge simulate` has written")
    };
    let file = File::open(&args.file).map_err(|error| unread(&error))?;
    let read = read_history(BufReader::with_capacity(1 << 20, file));
    let mut history = read.map_err(|error: Malformed| unread(&error))?;
    history.meta.min_acked = args.min_acked.or(history.meta.min_acked);
    history.meta.require_faults.extend(args.require_fault.iter().cloned());
    let verdict = judge(&history);
    if global.json {
        let outcome = verdict.outcome();
        output::json(&json!({ "file": name.to_string(), "verdict": outcome, "judged": verdict }))?;
    } else {
        output::text(&told(&verdict, args.show))?;
    }
    Ok(match verdict.outcome() {
        Outcome::Valid => Exit::Ok,
        Outcome::Violation => Exit::Failed,
        Outcome::Unknown => Exit::Unknown,
    })
}

/// A verdict for people: what was broken, why it is no proof, and what was judged.
pub(super) fn told(verdict: &Verdict, show: usize) -> String {
    let mut text = verdict.outcome().as_str().to_owned();
    let kinds = verdict.kinds();
    if !kinds.is_empty() {
        let kinds = kinds.iter().map(|(kind, times)| format!("{times} {}", kind.as_str()));
        let _ = write!(text, ": {}", kinds.collect::<Vec<_>>().join(", "));
    }
    text += "\n";
    for violation in verdict.violations.iter().take(show) {
        let _ = writeln!(text, "  {violation}");
    }
    let left = verdict.violations.len().saturating_sub(show);
    if left > 0 {
        let _ = writeln!(text, "  and {left} more; --json shows all");
    }
    for why in &verdict.unknown {
        let _ = writeln!(text, "  proves too little: {why}");
    }
    text + &judged(&verdict.counts)
}

fn judged(counts: &Counts) -> String {
    let Counts { operations, keys, gets, fresh_gets, stale_gets, final_reads, .. } = counts;
    let Counts { acked_puts, acked_deletes, refused, unknown, dumps, .. } = counts;
    let mut text = format!(
        "judged: {operations} requests on {keys} keys: {acked_puts} puts and {acked_deletes} deletes \
         acknowledged, {gets} gets ({fresh_gets} had to be fresh, {stale_gets} were stale, \
         {final_reads} were final), {refused} refused, {unknown} of unknown outcome; {dumps} dumps of \
         replicas\n"
    );
    if let Some(took) = counts.converged_ms {
        let _ = writeln!(text, "replicas equal {took} ms after the last heal or write");
    }
    if counts.expected > 0 {
        let (served, expected) = (counts.served, counts.expected);
        let _ = writeln!(text, "served during faults: {served} of {expected}");
    }
    if !counts.faults.is_empty() {
        let faults = counts.faults.iter().map(|(kind, times)| format!("{times} {kind}"));
        let _ = writeln!(text, "faults: {}", faults.collect::<Vec<_>>().join(", "));
    }
    text
}
