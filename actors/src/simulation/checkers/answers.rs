//! What is wrong with an answer by itself, at any time and in any mode.

use std::collections::BTreeSet;

use super::{
    account::{Account, Sight, Write},
    verdict::{Verdict, ViolationKind},
};
use crate::simulation::history::{Answered, Kind, Operation, Quorum};

pub(super) fn check(account: &Account<'_>, verdict: &mut Verdict) {
    verdict.counts.twins += account.writes.iter().filter(|write| write.is_twin()).count();
    for operation in &account.operations {
        let Some((line, answer)) = operation.answer() else { continue };
        let shown = Shown { account, operation, line, answer };
        shown.origins(verdict);
        shown.deletions(verdict);
        shown.crowd(verdict);
        shown.dominated(verdict);
        shown.expired(verdict);
        shown.quorum(verdict);
    }
}

/// One answer.
struct Shown<'a> {
    account: &'a Account<'a>,
    operation: &'a Operation,
    line: usize,
    answer: &'a Answered,
}

impl Shown<'_> {
    fn accuse(
        &self,
        verdict: &mut Verdict,
        kind: ViolationKind,
        detail: String,
        others: impl IntoIterator<Item = usize>,
    ) {
        let lines = [self.operation.line, self.line].into_iter().chain(others);
        verdict.accuse(kind, Some(self.account.name.clone()), detail, lines);
    }

    /// Whether each version was written, to this key, before, and not in vain.
    fn origins(&self, verdict: &mut Verdict) {
        let vals = self.answer.vals.iter().map(|name| (name, true));
        let tombs = self.answer.tombs.iter().map(|name| (name, false));
        for (name, is_value) in vals.chain(tombs) {
            let write =
                self.account.sight(name, None).map(|sight| &self.account.writes[sight.write]);
            let Some(write) = write.filter(|write| write.is_put() == is_value) else {
                let detail = format!("nobody wrote {name} to it");
                self.accuse(verdict, ViolationKind::Phantom, detail, []);
                continue;
            };
            let first = write.first().line;
            if first > self.line {
                let detail = format!("{name} is shown before it was sent");
                self.accuse(verdict, ViolationKind::Early, detail, [first]);
            }
            if write.is_refused() {
                let detail = format!("{name} is shown, and was told to be not applied");
                self.accuse(verdict, ViolationKind::FailedVisible, detail, [first]);
            }
        }
        for damaged in &self.answer.corrupt {
            self.accuse(verdict, ViolationKind::Corrupt, damaged.clone(), []);
        }
    }

    /// Whether what is called deleted can have been deleted, or have expired.
    fn deletions(&self, verdict: &mut Verdict) {
        let Answered { deleted, concurrent_delete, .. } = self.answer;
        let can_end = |write: &&Write<'_>| !write.is_put() || write.first().invoke.ttl_ms.is_some();
        let before = |write: &&Write<'_>| write.first().line < self.line && !write.is_refused();
        let called = *deleted || *concurrent_delete;
        if called && !self.account.writes.iter().filter(can_end).any(|write| before(&write)) {
            let detail = "a delete is shown that nobody asked for".to_owned();
            self.accuse(verdict, ViolationKind::Phantom, detail, []);
        }
    }

    /// How many versions there are, and whether some are one.
    fn crowd(&self, verdict: &mut Verdict) {
        let vals = &self.answer.vals;
        verdict.counts.siblings_max = verdict.counts.siblings_max.max(vals.len());
        let distinct: BTreeSet<&String> = vals.iter().collect();
        if distinct.len() < vals.len() {
            let detail = format!("one write is shown twice among {}", vals.join(", "));
            self.accuse(verdict, ViolationKind::Repeated, detail, []);
        }
        let bound = self.account.history.meta.max_siblings.unwrap_or(usize::MAX);
        let bound = if self.account.rules.lww { 1 } else { bound };
        if distinct.len() > bound {
            let detail = format!("{} versions, where {bound} may be", distinct.len());
            self.accuse(verdict, ViolationKind::Siblings, detail, []);
        }
    }

    fn dominated(&self, verdict: &mut Verdict) {
        let write = |sight: &Sight| &self.account.writes[sight.write];
        let mut sights = self.account.sights(self.operation);
        if !self.answer.vals.is_empty() {
            // An answer that lists what the key holds comes later than the write: that may have
            // been overwritten meanwhile.
            let listed = |name: &str| self.answer.vals.iter().any(|val| val == name);
            let own = self.operation.written().filter(|name| !listed(name));
            sights.retain(|sight| own.is_none_or(|own| write(sight).name != own));
        }
        if sights.len() < 2 {
            return;
        }
        for one in &sights {
            let Some(version) = one.version else { continue };
            let by = sights.iter().find(|by| write(by).past.contains(version));
            if let Some(by) = by {
                let (one, by) = (write(one), write(by));
                let detail = format!("{} is shown beside {}, which had seen it", one.name, by.name);
                let lines = [one.first().line, by.first().line];
                self.accuse(verdict, ViolationKind::Dominated, detail, lines);
            }
        }
    }

    /// Values whose time was over, by every clock, when the get began.
    fn expired(&self, verdict: &mut Verdict) {
        let (Some(skew), Kind::Get) = (self.account.history.meta.skew_ms, self.operation.invoke.op)
        else {
            return;
        };
        for sight in self.account.sights(self.operation) {
            let write = &self.account.writes[sight.write];
            // Which of several attempts set the time is not known.
            let [attempt] = write.attempts[..] else { continue };
            let (Some(ttl), Some((line, answer))) = (attempt.invoke.ttl_ms, attempt.answer())
            else {
                continue;
            };
            if self.operation.invoke.t > answer.t.later(ttl).later(skew) {
                let detail =
                    format!("{} is shown, and expired {ttl} ms after line {line}", write.name);
                self.accuse(verdict, ViolationKind::ExpiredShown, detail, [line]);
            }
        }
    }

    /// Whether as many nodes stood for the answer as were asked for.
    fn quorum(&self, verdict: &mut Verdict) {
        let Some(acks) = self.answer.acks else { return };
        let strangers = self.answer.fallbacks.unwrap_or(0);
        let Answered { vals, tombs, deleted, .. } = self.answer;
        let nothing = vals.is_empty() && tombs.is_empty() && !deleted;
        if self.operation.invoke.op == Kind::Get && nothing && strangers > 0 {
            let detail =
                format!("nothing is found, on the word of {strangers} nodes that are no homes");
            self.accuse(verdict, ViolationKind::Guessed, detail, []);
        }
        let (invoke, meta) = (&self.operation.invoke, &self.account.history.meta);
        let (needed, of_homes) = match invoke.op {
            Kind::Get => (invoke.r.unwrap_or(meta.r), invoke.pr),
            Kind::Put | Kind::Delete => (invoke.w.unwrap_or(meta.w), invoke.pw),
        };
        let strict = invoke.quorum.unwrap_or(meta.quorum) == Quorum::Strict;
        let of_homes = if strict { needed } else { of_homes.unwrap_or(0) };
        let homes = acks.saturating_sub(strangers);
        if acks < needed || homes < of_homes {
            let detail = format!(
                "{acks} nodes, {homes} of them homes, stand for an answer that needs {needed} and \
                 {of_homes}"
            );
            self.accuse(verdict, ViolationKind::ShortQuorum, detail, []);
        }
    }
}
