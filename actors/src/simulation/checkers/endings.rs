//! What the final reads of a key must show, and what not.

use std::collections::BTreeSet;

use super::{
    account::{Account, Sight, Write, excused_by},
    bits::Bits,
    verdict::{Verdict, ViolationKind},
};
use crate::simulation::history::{Moment, Operation};

pub(super) fn check(account: &Account<'_>, verdict: &mut Verdict) {
    if account.writes.iter().all(Write::is_refused) {
        return;
    }
    let Some(ending) = Ending::of(account) else {
        verdict.unknown.push(format!("{} has no final read", account.name));
        return;
    };
    let began = ending.reads[0].line;
    let late = |write: &&Write<'_>| write.attempts.iter().any(|attempt| attempt.line > began);
    if let Some(write) = account.writes.iter().find(late) {
        let why = format!("{} is written to {} after its final read", write.name, account.name);
        verdict.unknown.push(why);
    }
    ending.lost(verdict);
    ending.returned(verdict);
    ending.agree(verdict);
}

struct Ending<'a> {
    account: &'a Account<'a>,
    /// The final reads that were answered, at least one.
    reads: Vec<&'a Operation>,
    /// What they show, together.
    sights: Vec<Sight>,
    /// When the last of them was answered.
    at: Moment,
}

impl<'a> Ending<'a> {
    fn of(account: &'a Account<'_>) -> Option<Self> {
        let is_final = |one: &&&'a Operation| one.invoke.is_final && one.answer().is_some();
        let reads: Vec<&Operation> = account.operations.iter().filter(is_final).copied().collect();
        let sights = reads.iter().flat_map(|read| account.sights(read)).collect();
        let at = reads.iter().filter_map(|read| read.answer()).map(|(_, answer)| answer.t).max()?;
        Some(Self { account, reads, sights, at })
    }

    fn lost(&self, verdict: &mut Verdict) {
        let (account, began) = (self.account, self.reads[0].line);
        let mut acked = Bits::default();
        for write in account.writes.iter().filter(|write| write.is_put()) {
            if write.acked_at().is_some_and(|line| line < began) {
                acked.insert(write.bit);
            }
        }
        let ends = account.ends(self.at);
        let excused = excused_by(&ends);
        let covered = account.cover_of(&self.sights);
        for bit in acked.without(&[&covered, &excused]) {
            if account.rules.lww && account.may_have_lost(bit, &self.sights, &ends) {
                continue;
            }
            let write = account.write_of(bit);
            let detail = format!("{} was acknowledged, and nothing there has seen it", write.name);
            self.accuse(ViolationKind::Lost, write, detail, verdict);
        }
    }

    fn returned(&self, verdict: &mut Verdict) {
        let (began, mut told) = (self.reads[0].line, BTreeSet::new());
        for sight in &self.sights {
            let Some(version) = sight.version.filter(|version| told.insert(*version)) else {
                continue;
            };
            let seen = |by: &&Write<'_>| {
                by.acked_at().is_some_and(|line| line < began) && by.past.contains(version)
            };
            let Some(by) = self.account.writes.iter().find(seen) else { continue };
            let kind =
                if by.is_put() { ViolationKind::Resurrected } else { ViolationKind::Undeleted };
            let write = &self.account.writes[sight.write];
            let detail = format!("{} is there, and {} had seen it", write.name, by.name);
            self.accuse(kind, write, detail, verdict);
        }
    }

    /// Whether all final reads show the same; values that may be gone aside.
    fn agree(&self, verdict: &mut Verdict) {
        let shown = |read: &&Operation| -> BTreeSet<usize> {
            let lasting =
                |sight: &Sight| self.account.writes[sight.write].first().invoke.ttl_ms.is_none();
            let sights = self.account.sights(read).into_iter().filter(lasting);
            sights.map(|sight| sight.write).collect()
        };
        let first = shown(&self.reads[0]);
        if let Some(other) = self.reads.iter().find(|read| shown(read) != first) {
            let detail = "final reads differ".to_owned();
            let lines = [self.reads[0].line, other.line];
            let key = Some(self.account.name.clone());
            verdict.accuse(ViolationKind::Diverged, key, detail, lines);
        }
    }

    fn accuse(
        &self,
        kind: ViolationKind,
        write: &Write<'_>,
        detail: String,
        verdict: &mut Verdict,
    ) {
        let reads = self.reads.iter().filter_map(|read| read.answer()).map(|(line, _)| line);
        let lines = reads.chain([write.first().line]).chain(write.acked_at());
        verdict.accuse(kind, Some(self.account.name.clone()), detail, lines);
    }
}
