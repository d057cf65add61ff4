//! The rules of the put over sets of replicas: who counts, who lacks the record, who may mint.

use super::facts::{Case, Doing, Errand, Fact, Facts, Said, Verdict};
use crate::support::LATE;

/// A put as far as it has come.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub case: &'a Case,
    pub facts: &'a Facts,
}

impl<'a> Rules<'a> {
    pub fn homes(self) -> &'a [Fact] {
        &self.facts.replicas[..self.case.n]
    }

    pub fn fallbacks(self) -> core::ops::Range<usize> {
        self.case.n..self.facts.replicas.len()
    }

    fn is_up(self, replica: usize) -> bool {
        !self.facts.replicas[replica].down
    }

    pub fn homes_that(self, which: impl Fn(&Fact) -> bool) -> usize {
        self.homes().iter().filter(|fact| which(fact)).count()
    }

    fn fallbacks_that(self, which: impl Fn(usize) -> bool) -> usize {
        self.fallbacks().filter(|fallback| which(*fallback)).count()
    }

    fn errands(self, which: impl Fn(&Errand) -> bool) -> bool {
        self.facts.errands.iter().any(which)
    }

    /// Whether a fallback has kept the record for somebody.
    fn keeps(self, fallback: usize) -> bool {
        self.errands(|errand| errand.fallback == fallback && errand.done == Some(true))
    }

    pub fn has_errand(self, fallback: usize) -> bool {
        self.errands(|errand| errand.fallback == fallback && errand.done.is_none())
    }

    pub fn primaries(self) -> usize {
        self.homes_that(|fact| fact.said == Said::Yes)
    }

    pub fn fallback_acks(self) -> usize {
        if self.case.sloppy { self.fallbacks_that(|fallback| self.keeps(fallback)) } else { 0 }
    }

    pub fn acks(self) -> usize {
        self.primaries() + self.fallback_acks()
    }

    fn suffices(self, homes: usize, fallbacks: usize) -> bool {
        let fallbacks = if self.case.sloppy { fallbacks } else { 0 };
        self.acks() + homes + fallbacks >= self.case.w.into()
            && self.primaries() + homes >= self.case.pw.into()
    }

    pub fn is_met(self) -> bool {
        self.suffices(0, 0)
    }

    /// Whether the member view alone leaves the write a chance.
    pub fn is_possible(self) -> bool {
        let fallbacks = self.fallbacks_that(|fallback| self.is_up(fallback)).min(self.case.n);
        self.suffices(self.homes_that(|fact| !fact.down), fallbacks)
    }

    pub fn can_be_met(self) -> bool {
        if self.facts.doing == Doing::Minting {
            return self.is_possible();
        }
        let homes = self.homes_that(Fact::is_awaited);
        let asked =
            |fallback| self.is_up(fallback) && self.has_errand(fallback) && !self.keeps(fallback);
        let open = (0..self.case.n).filter(|home| !self.is_safe(*home)).count();
        let fresh = self.fallbacks_that(|fallback| self.is_fresh(fallback)).min(open);
        self.suffices(homes, self.fallbacks_that(asked) + fresh)
    }

    /// Whether a home has the record, or a fallback keeps it for that home.
    pub fn is_safe(self, home: usize) -> bool {
        let kept = |errand: &Errand| errand.home == home && errand.done == Some(true);
        self.homes()[home].said == Said::Yes || self.errands(kept)
    }

    fn is_fresh(self, fallback: usize) -> bool {
        let known = self.errands(|errand| errand.fallback == fallback);
        self.facts.replicas[fallback].is_spare() && !known
    }

    /// Who takes the next errand: one that has had none, or else one that did all of its own.
    pub fn next_fallback(self) -> Option<usize> {
        let errands =
            |fallback| self.facts.errands.iter().filter(move |errand| errand.fallback == fallback);
        let done = |fallback: &usize| {
            let last = errands(*fallback).next_back();
            self.is_up(*fallback) && last.is_some_and(|errand| errand.done == Some(true))
        };
        self.fallbacks().find(|one| self.is_fresh(*one)).or_else(|| self.fallbacks().find(done))
    }

    /// The errand for a home that may yet be done: the last one.
    fn hope_of(self, home: usize) -> Option<&'a Errand> {
        let last = self.facts.errands.iter().rev().find(|errand| errand.home == home);
        last.filter(|errand| errand.done.is_none() && !errand.silent && self.is_up(errand.fallback))
    }

    fn is_absent(self, home: usize) -> bool {
        let fact = &self.homes()[home];
        fact.down || fact.silent || matches!(fact.said, Said::Failed(_) | Said::No)
    }

    /// The first home that lacks the record and has nobody to keep it.
    pub fn next_absent(self) -> Option<usize> {
        let alone = |home: &usize| {
            !self.is_safe(*home) && self.is_absent(*home) && self.hope_of(*home).is_none()
        };
        (0..self.case.n).find(alone)
    }

    /// The next moment at which somebody will have been silent for too long.
    pub fn next_silence(self) -> Option<u64> {
        self.next_fallback()?;
        let since = |home: usize| {
            if self.is_absent(home) {
                self.hope_of(home).map(|errand| errand.since)
            } else {
                self.homes()[home].is_awaited().then(|| self.homes()[home].sent)
            }
        };
        let open = (0..self.case.n).filter(|home| !self.is_safe(*home));
        open.filter_map(since).min().map(|since| since + LATE)
    }

    pub fn awaits_nobody(self) -> bool {
        let errand = |fallback: usize| self.is_up(fallback) && self.has_errand(fallback);
        self.homes_that(Fact::is_awaited) == 0 && self.fallbacks_that(errand) == 0
    }

    /// Who is to mint next: a home; if none has answered, a fallback.
    pub fn next_minter(self) -> Option<usize> {
        let spare = |replica: &usize| self.facts.replicas[*replica].is_spare();
        let spread = self.case.sloppy && !self.facts.shed;
        let fallback = || self.fallbacks().filter(|_| spread).find(spare);
        let next = (0..self.case.n).find(spare).or_else(fallback);
        next.filter(|_| self.facts.refusal != Some(Verdict::Never))
    }

    /// For whom a fallback keeps what it mints.
    pub fn minted_for(self) -> usize {
        self.homes().iter().position(Fact::seems_down).unwrap_or(0)
    }
}
