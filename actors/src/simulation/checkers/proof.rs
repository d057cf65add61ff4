//! What a run must have tried before it proves anything.

use std::collections::BTreeSet;

use super::verdict::Verdict;
use crate::simulation::history::{History, Operation, Outcome};

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    let (meta, counts) = (&history.meta, &verdict.counts);
    let acked = counts.acked_puts + counts.acked_deletes;
    let wanted = meta.min_acked.unwrap_or(1).max(1);
    let mut unknown = Vec::new();
    if acked < wanted {
        unknown.push(format!("{acked} writes were acknowledged; {wanted} are needed"));
    }
    for kind in meta.require_faults.iter().filter(|kind| !counts.faults.contains_key(*kind)) {
        unknown.push(format!("no {kind} happened"));
    }
    if meta.converge_ms.is_some() {
        unknown.extend(convergence(history));
    }
    verdict.unknown.extend(unknown);
}

/// What is missing to see that replicas were equal at last.
fn convergence(history: &History) -> Vec<String> {
    let mut unknown = Vec::new();
    let last = history.dumps.iter().map(|dump| dump.round).max();
    let dumps = history.dumps.iter().filter(|dump| Some(dump.round) == last);
    let asked: BTreeSet<(&str, &str)> =
        dumps.map(|dump| (dump.bucket.as_str(), dump.key.as_str())).collect();
    let maybe =
        |one: &&Operation| one.written().is_some() && !matches!(one.outcome, Outcome::Fail(..));
    let written: BTreeSet<usize> =
        history.operations.iter().filter(maybe).map(|one| one.key).collect();
    let names = written.iter().map(|key| &history.keys[*key]);
    let missing = names.filter(|(bucket, key)| !asked.contains(&(bucket, key))).count();
    if missing > 0 {
        unknown.push(format!("replicas of {missing} keys were not compared at the end"));
    }
    if history.nodes.is_empty() {
        unknown.push("no node told what it keeps for others".to_owned());
    }
    unknown
}
