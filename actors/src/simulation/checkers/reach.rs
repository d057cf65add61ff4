//! Requests that had to be served, one by one: as far as the world says which nodes can work.
//!
//! A `service` mark says with how many nodes, itself included, each node can do its work from then
//! on; and, where it expects that, that all nodes can work with all others. A request of whose whole
//! span such marks tell, and that had enough time, is served: every one where all nodes can work, and
//! else each write that may be sloppy and wants no more nodes than are within reach.

use super::{
    account::key_text,
    service::{DESERVED, error},
    verdict::{Verdict, ViolationKind},
};
use crate::simulation::history::{
    Expectation, History, Kind, Mark, MarkName, Moment, Operation, Outcome, Quorum,
};

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    let Some(enough) = history.meta.serve_ms else { return };
    let marks = history.marks.iter().filter(|mark| mark.name == MarkName::Service);
    let marks: Vec<&Mark> = marks.collect();
    let given = |one: &&Operation| one.invoke.timeout_ms.is_some_and(|given| given >= enough);
    for operation in history.operations.iter().filter(given) {
        let Some(end) = end(operation) else { continue };
        // One of the same moment may have been written after the request had left.
        let later = marks.partition_point(|mark| mark.t < operation.invoke.t);
        let Some(first) = later.checked_sub(1) else { continue };
        let mut span = marks[first..].iter().take_while(|mark| mark.t <= end);
        let deserved = error(operation).and_then(|(_, error)| error.code.as_deref());
        let deserved = deserved.is_some_and(|code| DESERVED.contains(&code));
        if deserved || !span.all(|mark| promises(mark, operation, history)) {
            continue;
        }
        verdict.counts.expected += 1;
        if operation.answer().is_some() {
            verdict.counts.served += 1;
            continue;
        }
        accuse(history, operation, verdict);
    }
}

fn end(operation: &Operation) -> Option<Moment> {
    match &operation.outcome {
        Outcome::Open => None,
        Outcome::Ok(_, answer) => Some(answer.t),
        Outcome::Info(_, error) | Outcome::Fail(_, error) => Some(error.t),
    }
}

/// Whether a mark says that a request is served.
fn promises(mark: &Mark, operation: &Operation, history: &History) -> bool {
    let invoke = &operation.invoke;
    let reach = mark.reach.get(&invoke.node).copied().unwrap_or(0);
    if reach > 0 && mark.expect == Some(Expectation::Available) {
        return true;
    }
    let sloppy = invoke.quorum.unwrap_or(history.meta.quorum) == Quorum::Sloppy;
    let any_node = sloppy && invoke.pw.unwrap_or(0) == 0;
    invoke.op != Kind::Get && any_node && invoke.w.unwrap_or(history.meta.w) <= reach
}

fn accuse(history: &History, operation: &Operation, verdict: &mut Verdict) {
    let (id, node) = (&operation.invoke.id, &operation.invoke.node);
    let (line, why) = match error(operation) {
        Some((line, error)) => (Some(line), error.code.as_deref().unwrap_or_default()),
        None => (None, ""),
    };
    let detail = format!("{id} was not served by {node}, which could: {why}");
    let key = Some(key_text(history, operation.key));
    let lines = [operation.line].into_iter().chain(line);
    verdict.accuse(ViolationKind::Unavailable, key, detail, lines);
}
