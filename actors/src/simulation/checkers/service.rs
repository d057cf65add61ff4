//! Whether requests were served: availability, errors that say something, access.

use super::{
    account::key_text,
    verdict::{Verdict, ViolationKind},
};
use crate::simulation::history::{
    Expectation, History, Mark, MarkName, Operation, Outcome, Unanswered,
};

/// The names of errors that users can look up: the store's own, and those of clients to whom nobody
/// answered.
const CODES: [&str; 20] = [
    "bad_context",
    "bad_request",
    "bucket_property_fixed",
    "closed",
    "connection_lost",
    "context_required",
    "forbidden",
    "interrupted",
    "no_answer",
    "not_ready",
    "not_started",
    "overloaded",
    "precondition_failed",
    "quorum_not_met",
    "stale_properties",
    "storage_full",
    "timed_out",
    "too_large",
    "too_many_siblings",
    "unreachable",
];

/// Refusals that are the client's own fault.
pub const DESERVED: [&str; 8] = [
    "bad_context",
    "bad_request",
    "bucket_property_fixed",
    "context_required",
    "forbidden",
    "precondition_failed",
    "too_large",
    "too_many_siblings",
];

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    let mut windows = windows(history);
    for operation in &history.operations {
        errors(history, operation, verdict);
        let after = windows.partition_point(|window| window.mark.t <= operation.invoke.t);
        if let Some(window) = windows[..after].last_mut().filter(|window| window.holds(operation)) {
            window.expected += 1;
            window.served += usize::from(operation.answer().is_some());
        }
    }
    for window in &windows {
        window.check(history, verdict);
    }
}

pub(super) fn error(operation: &Operation) -> Option<(usize, &Unanswered)> {
    match &operation.outcome {
        Outcome::Info(line, error) | Outcome::Fail(line, error) => Some((*line, error)),
        _ => None,
    }
}

fn errors(history: &History, operation: &Operation, verdict: &mut Verdict) {
    let key = || Some(key_text(history, operation.key));
    if let (Some((line, _)), Some(cred)) = (operation.answer(), &operation.invoke.cred) {
        let detail =
            format!("{} was served in spite of its credentials: {cred}", operation.invoke.id);
        verdict.accuse(ViolationKind::Auth, key(), detail, [operation.line, line]);
    }
    let Some((line, error)) = error(operation) else { return };
    if !error.code.as_deref().is_some_and(|code| CODES.contains(&code)) {
        let code = error.code.as_deref().unwrap_or("none");
        let said = error.err.as_deref().unwrap_or_default();
        let detail = format!("the error of {} has the code {code}: {said}", operation.invoke.id);
        verdict.accuse(ViolationKind::OpaqueError, key(), detail, [operation.line, line]);
    }
}

/// The time from one fault or heal to the next, and the requests that had to be served in it.
struct Window<'a> {
    mark: &'a Mark,
    expected: usize,
    served: usize,
}

fn windows(history: &History) -> Vec<Window<'_>> {
    let faults = |mark: &&Mark| matches!(mark.name, MarkName::Fault | MarkName::Heal);
    let marks = history.marks.iter().filter(faults);
    let mut windows: Vec<_> = marks.map(|mark| Window { mark, expected: 0, served: 0 }).collect();
    windows.sort_by_key(|window| window.mark.t);
    windows
}

impl Window<'_> {
    /// Whether a request that began in it has to be served.
    fn holds(&self, operation: &Operation) -> bool {
        let code = error(operation).and_then(|(_, error)| error.code.as_deref());
        let deserved = code.is_some_and(|code| DESERVED.contains(&code));
        let down = self.mark.down.contains(&operation.invoke.node);
        let expected = self.mark.expect == Some(Expectation::Available);
        expected && !deserved && !down && operation.invoke.cred.is_none()
    }

    fn check(&self, history: &History, verdict: &mut Verdict) {
        let Self { mark, expected, served } = self;
        verdict.counts.expected += expected;
        verdict.counts.served += served;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
        let part = *served as f64 / (*expected).max(1) as f64;
        let promised = history.meta.min_avail.unwrap_or(0.0);
        if *expected > 0 && part < promised {
            let kind = mark.kind.as_deref().unwrap_or_default();
            let detail = format!(
                "{served} of {expected} requests were served during {kind} from {} on; {promised} \
                 of them are promised",
                mark.t
            );
            verdict.accuse(ViolationKind::Unavailable, None, detail, []);
        }
    }
}
