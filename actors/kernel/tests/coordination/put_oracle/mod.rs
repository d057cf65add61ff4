//! Every put, in every order of everything that can happen to it, against the rules stated once
//! more: over sets of replicas, without state machines.

use core::time::Duration;

use henge_kernel::{
    coordination::{
        Failure, Fate, PutCoordination, Replicas, RequestError,
        outcome::PutAnswer,
        put::{PutEffect, PutEvent, PutRequest},
        quorum::QuorumSize,
    },
    machine::Machine,
};

use crate::support::{DEADLINE, LATE, STRANGER, at, node, replica, seats};

mod explore;
mod facts;
mod rules;

use facts::{
    Case, Doing, Errand, Fact, Facts, Happening, Said, Verdict, answer, minted, not_ready,
};
use rules::Rules;

#[derive(Clone)]
struct World {
    case: Case,
    facts: Facts,
    machine: PutCoordination,
}

impl World {
    fn start(case: Case) -> Self {
        let down = |index: usize| case.down & (1 << index) != 0;
        let replicas = 0..case.n + case.fallbacks;
        let fact = |index| Fact {
            said: Said::NotAsked,
            down: down(index),
            sent: 0,
            silent: false,
            forward: false,
        };
        let facts = Facts {
            replicas: replicas.map(fact).collect(),
            errands: Vec::new(),
            doing: Doing::Forwarding,
            refusal: None,
            shed: false,
            lost: false,
            next: LATE,
            repeats: 0,
            replied: false,
            over: false,
            now: 0,
        };
        let mut world = Self { case, facts, machine: PutCoordination::default() };
        let request = PutRequest {
            homes: seats(0..case.n, case.down),
            fallbacks: seats(case.n..case.n + case.fallbacks, case.down),
            sloppy: case.sloppy,
            node: case.local.map_or(STRANGER, node),
            may_mint: case.may_mint,
            forwarded: case.forwarded,
            quorum: QuorumSize { needed: case.w, primary: case.pw },
            return_body: true,
            deadline: at(DEADLINE),
            patience: Duration::from_millis(LATE),
        };
        let mut effects = Vec::new();
        world.machine.start(at(0), request, &mut effects);
        let expected = world.expect_start();
        world.compare(&effects, &expected, "start");
        world
    }

    fn rules(&self) -> Rules<'_> {
        Rules { case: &self.case, facts: &self.facts }
    }

    fn is_fallback(&self, replica: Option<usize>) -> bool {
        replica.is_some_and(|replica| replica >= self.case.n)
    }

    fn quorum_not_met(&self, fate: Fate) -> RequestError {
        let rules = self.rules();
        RequestError::QuorumNotMet {
            needed: self.case.w,
            got: u8::try_from(rules.acks()).unwrap(),
            homes_down: u8::try_from(rules.homes_that(Fact::seems_down)).unwrap(),
            fate,
        }
    }

    fn reply(&mut self, outcome: Result<PutAnswer, RequestError>, expected: &mut Vec<PutEffect>) {
        if !self.facts.replied {
            self.facts.replied = true;
            expected.push(PutEffect::Reply(outcome));
        }
    }

    fn finish(&mut self, expected: &mut Vec<PutEffect>) {
        self.facts.over = true;
        expected.push(PutEffect::Finish);
    }

    fn expect_start(&mut self) -> Vec<PutEffect> {
        let mut expected = Vec::new();
        let case = self.case;
        let fallback = self.is_fallback(case.local);
        let mints = match case.local {
            Some(_) if fallback => case.may_mint && case.forwarded && case.sloppy,
            local => case.may_mint && local.is_some(),
        };
        if !self.rules().is_possible() {
            self.reply(Err(self.quorum_not_met(Fate::NotApplied)), &mut expected);
            self.finish(&mut expected);
        } else if let Some(local) = case.local.filter(|_| mints) {
            self.expect_mint(local, &mut expected);
        } else if fallback && case.may_mint && !case.forwarded {
            self.expect(&mut expected);
        } else {
            self.expect_forwarding(&mut expected);
        }
        expected
    }

    fn expect_mint(&mut self, local: usize, expected: &mut Vec<PutEffect>) {
        self.facts.doing = Doing::Minting;
        self.facts.replicas[local].said = Said::Nothing;
        let home = self.is_fallback(Some(local)).then(|| self.rules().minted_for());
        self.facts.errands.extend(home.map(|home| {
            let since = self.facts.now;
            Errand { fallback: local, home, since, silent: false, done: None }
        }));
        expected.push(PutEffect::Mint { stands_in_for: home.map(node) });
    }

    /// This node will not mint.
    fn expect_forwarding(&mut self, expected: &mut Vec<PutEffect>) {
        self.facts.errands.clear();
        self.facts.doing = Doing::Forwarding;
        if let Some(local) = self.case.local {
            self.facts.replicas[local].said = Said::No;
        }
        if self.case.forwarded {
            let error =
                if self.facts.lost { self.quorum_not_met(Fate::Unknown) } else { not_ready() };
            self.reply(Err(error), expected);
            self.finish(expected);
        } else {
            self.expect(expected);
        }
    }

    /// What must follow from what is known now; notes what it has expected.
    fn expect(&mut self, expected: &mut Vec<PutEffect>) {
        if self.facts.doing == Doing::Forwarding {
            self.expect_forward(expected);
            return;
        }
        if self.facts.doing == Doing::Storing {
            self.expect_errands(expected);
        }
        let rules = self.rules();
        if rules.is_met() {
            let replicas = Replicas {
                acks: u8::try_from(rules.acks()).unwrap(),
                fallbacks: u8::try_from(rules.fallback_acks()).unwrap(),
                homes: u8::try_from(self.case.n).unwrap(),
            };
            self.reply(Ok(answer(replicas)), expected);
        } else if !rules.can_be_met() {
            self.reply(Err(self.quorum_not_met(Fate::Unknown)), expected);
        }
        let rules = self.rules();
        let safe = (0..self.case.n).all(|home| rules.is_safe(home));
        let stored = self.facts.doing == Doing::Storing && (safe || rules.awaits_nobody());
        if stored && self.facts.replied {
            self.finish(expected);
        }
    }

    fn expect_errands(&mut self, expected: &mut Vec<PutEffect>) {
        loop {
            let rules = self.rules();
            let (home, fallback) = (rules.next_absent(), rules.next_fallback());
            let (Some(home), Some(fallback)) = (home, fallback) else { return };
            let since = self.facts.now;
            self.facts.errands.push(Errand { fallback, home, since, silent: false, done: None });
            let (node, stands_in_for) = (node(fallback), Some(node(home)));
            expected.push(PutEffect::StoreAt { node, stands_in_for, record: replica(3, 7) });
        }
    }

    fn expect_forward(&mut self, expected: &mut Vec<PutEffect>) {
        let awaited = |world: &Self| world.facts.replicas.iter().any(Fact::is_awaited);
        let possible = self.rules().is_possible();
        if possible && !awaited(self) {
            self.expect_next(expected);
        }
        if possible && awaited(self) {
            return;
        }
        let in_flight = self.facts.replicas.iter().any(|fact| fact.said == Said::Nothing);
        let error = match self.facts.refusal {
            _ if self.facts.lost || in_flight => self.quorum_not_met(Fate::Unknown),
            Some(verdict) => verdict.outcome().unwrap_err(),
            None => self.quorum_not_met(Fate::NotApplied),
        };
        self.reply(Err(error), expected);
        self.finish(expected);
    }

    fn expect_next(&mut self, expected: &mut Vec<PutEffect>) {
        let Some(next) = self.rules().next_minter() else { return };
        if self.case.local == Some(next) {
            self.expect_mint(next, expected);
            return;
        }
        let fact = &mut self.facts.replicas[next];
        (fact.said, fact.forward) = (Said::Nothing, true);
        self.facts.next = self.facts.now + LATE;
        expected.push(PutEffect::ForwardTo(node(next)));
    }

    fn happen(&mut self, happening: Happening) {
        let mut expected = Vec::new();
        let event = match happening {
            Happening::Minted => {
                self.mint(&mut expected);
                PutEvent::Minted(minted())
            }
            Happening::MintRefused(verdict) => {
                self.refuse_mint(verdict, &mut expected);
                PutEvent::MintRefused(verdict.outcome().unwrap_err())
            }
            Happening::MintUnable | Happening::MintFailed => {
                let lost = matches!(happening, Happening::MintFailed);
                self.facts.lost |= lost;
                if self.facts.replied {
                    self.finish(&mut expected);
                } else {
                    self.expect_forwarding(&mut expected);
                }
                if lost { PutEvent::MintFailed } else { PutEvent::MintUnable }
            }
            Happening::Stored { replica } => {
                if self.settle(replica, Said::Yes) {
                    self.expect(&mut expected);
                } else {
                    self.facts.repeats += 1;
                }
                PutEvent::Stored(node(replica))
            }
            Happening::Forwarded { replica, verdict } => {
                self.take(replica, verdict, &mut expected);
                PutEvent::Forwarded { node: node(replica), outcome: verdict.outcome() }
            }
            Happening::Fail { replica, failure } => {
                self.fail(replica, failure, &mut expected);
                PutEvent::Failed { node: node(replica), failure }
            }
            Happening::Down { replica } => {
                self.facts.replicas[replica].down = true;
                self.expect(&mut expected);
                PutEvent::MemberDown(node(replica))
            }
            Happening::Timer | Happening::Deadline => return self.ring(happening),
        };
        let mut effects = Vec::new();
        self.machine.handle(at(self.facts.now), event, &mut effects);
        self.compare(&effects, &expected, happening);
    }

    fn mint(&mut self, expected: &mut Vec<PutEffect>) {
        let (local, since) = (self.case.local.unwrap(), self.facts.now);
        self.facts.doing = Doing::Storing;
        self.settle(local, Said::Yes);
        for fallback in self.rules().fallbacks() {
            let fact = &mut self.facts.replicas[fallback];
            if fact.said == Said::Nothing {
                fact.said = Said::No;
            }
        }
        for home in 0..self.case.n {
            let fact = &mut self.facts.replicas[home];
            if fact.said != Said::Yes && !fact.seems_down() {
                (fact.said, fact.sent) = (Said::Nothing, since);
                let record = replica(3, 7);
                let store = PutEffect::StoreAt { node: node(home), stands_in_for: None, record };
                expected.push(store);
            }
        }
        self.expect(expected);
    }

    fn refuse_mint(&mut self, verdict: Verdict, expected: &mut Vec<PutEffect>) {
        let fallback = self.is_fallback(self.case.local);
        let last = !fallback && verdict == Verdict::Never;
        if last || self.case.forwarded || self.facts.replied {
            self.reply(verdict.outcome(), expected);
            self.finish(expected);
            return;
        }
        self.facts.doing = Doing::Forwarding;
        self.facts.errands.clear();
        let local = self.case.local.unwrap();
        self.facts.replicas[local].said = Said::No;
        self.refuse_at(local, verdict);
        self.expect(expected);
    }

    /// Notes a refusal. That of a home for which no other can stand is the last word.
    fn refuse(&mut self, verdict: Verdict) {
        if self.facts.refusal != Some(Verdict::Never) {
            self.facts.refusal = Some(verdict);
        }
    }

    /// Notes what became of a record that was sent; false if none is on its way.
    fn settle(&mut self, replica: usize, said: Said) -> bool {
        if self.is_fallback(Some(replica)) {
            let pending =
                |errand: &&mut Errand| errand.fallback == replica && errand.done.is_none();
            let errand = self.facts.errands.iter_mut().find(pending);
            return errand.map(|errand| errand.done = Some(said == Said::Yes)).is_some();
        }
        let fact = &mut self.facts.replicas[replica];
        let awaited = fact.said == Said::Nothing;
        fact.said = if awaited { said } else { fact.said };
        awaited
    }

    fn fail(&mut self, replica: usize, failure: Failure, expected: &mut Vec<PutEffect>) {
        let storing = self.facts.doing == Doing::Storing;
        let noted = if storing {
            self.settle(replica, Said::Failed(failure))
        } else {
            self.facts.replicas[replica].said = Said::Failed(failure);
            true
        };
        if noted {
            self.facts.lost |= failure == Failure::Lost;
            self.expect(expected);
        }
    }

    fn take(&mut self, replica: usize, verdict: Verdict, expected: &mut Vec<PutEffect>) {
        self.facts.replicas[replica].forward = false;
        if self.facts.doing != Doing::Forwarding {
            match verdict {
                Verdict::Done => {
                    self.reply(verdict.outcome(), expected);
                    self.expect(expected);
                }
                _ if self.facts.doing == Doing::Storing => {
                    self.fail(replica, Failure::Refused, expected);
                }
                _ => {
                    self.facts.replicas[replica].said = Said::No;
                    if verdict == Verdict::Unknown {
                        self.facts.lost = true;
                    } else {
                        self.refuse_at(replica, verdict);
                    }
                    self.expect(expected);
                }
            }
            return;
        }
        if verdict == Verdict::Done || verdict == Verdict::Unknown {
            self.facts.replicas[replica].said = Said::Yes;
            self.reply(verdict.outcome(), expected);
            self.finish(expected);
            return;
        }
        self.facts.replicas[replica].said = Said::No;
        self.refuse_at(replica, verdict);
        self.expect(expected);
    }

    fn refuse_at(&mut self, replica: usize, verdict: Verdict) {
        self.facts.shed |= verdict == Verdict::Shed && !self.is_fallback(Some(replica));
        self.refuse(verdict);
    }

    fn ring(&mut self, happening: Happening) {
        let (mut effects, mut expected) = (Vec::new(), Vec::new());
        let deadline = matches!(happening, Happening::Deadline);
        self.facts.now = if deadline { DEADLINE } else { self.next_timer().unwrap() };
        let now = self.facts.now;
        if deadline {
            let got = u8::try_from(self.rules().acks()).unwrap();
            let after = Duration::from_millis(DEADLINE);
            let error = RequestError::TimedOut { needed: self.case.w, got, after };
            self.reply(Err(error), &mut expected);
            self.finish(&mut expected);
        } else if self.facts.doing == Doing::Forwarding {
            self.expect_next(&mut expected);
        } else {
            let silent = |since: u64| now >= since + LATE;
            for home in self.facts.replicas.iter_mut().filter(|fact| fact.is_awaited()) {
                home.silent |= silent(home.sent);
            }
            for errand in self.facts.errands.iter_mut().filter(|errand| errand.done.is_none()) {
                errand.silent |= silent(errand.since);
            }
            self.expect(&mut expected);
        }
        self.machine.expire(at(now), &mut effects);
        self.compare(&effects, &expected, happening);
    }

    fn next_timer(&self) -> Option<u64> {
        let next = match self.facts.doing {
            Doing::Minting => None,
            Doing::Storing => self.rules().next_silence(),
            Doing::Forwarding => self.rules().next_minter().map(|_| self.facts.next),
        };
        next.filter(|next| !self.facts.over && *next < DEADLINE)
    }

    fn compare(&self, effects: &[PutEffect], expected: &[PutEffect], what: impl core::fmt::Debug) {
        assert_eq!(effects, expected, "{what:?}\n{:?}\n{:?}", self.case, self.facts);
        let due = (!self.facts.over).then(|| at(self.next_timer().unwrap_or(DEADLINE)));
        assert_eq!(self.machine.deadline(), due, "{what:?}\n{:?}\n{:?}", self.case, self.facts);
    }
}
