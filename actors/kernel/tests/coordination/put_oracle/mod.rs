//! Every put, in every order of everything that can happen to it, against the rules stated once
//! more: over sets of homes, without state machines.

use core::time::Duration;
use std::collections::BTreeMap;

use henge_kernel::{
    coordination::{
        Failure, Fate, PutCoordination, Replicas, RequestError,
        outcome::PutAnswer,
        put::{PutEffect, PutEvent, PutRequest},
        quorum::QuorumSize,
    },
    machine::Machine,
};

use crate::support::{DEADLINE, LATE, STRANGER, at, homes, node, replica};

mod facts;

use facts::{Case, Doing, Fact, Facts, Happening, Said, Verdict, answer, minted, not_ready};

#[derive(Clone)]
struct World {
    case: Case,
    facts: Facts,
    machine: PutCoordination,
}

impl World {
    fn start(case: Case) -> Self {
        let down = |index: usize| case.down & (1 << index) != 0;
        let facts = Facts {
            homes: core::array::from_fn(|index| Fact { said: Said::NotAsked, down: down(index) }),
            doing: Doing::Minting,
            refusal: None,
            lost: false,
            next: LATE,
            repeats: 0,
            replied: false,
            over: false,
            now: 0,
        };
        let mut world = Self { case, facts, machine: PutCoordination::default() };
        let request = PutRequest {
            homes: homes(case.n, case.down),
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

    fn homes(&self) -> &[Fact] {
        &self.facts.homes[..self.case.n]
    }

    fn count(&self, which: impl Fn(&Fact) -> bool) -> usize {
        self.homes().iter().filter(|fact| which(fact)).count()
    }

    fn acks(&self) -> usize {
        self.count(|fact| fact.said == Said::Yes)
    }

    fn alive(&self) -> usize {
        self.count(|fact| !fact.down)
    }

    fn awaited(&self) -> usize {
        self.count(|fact| fact.said == Said::Nothing && !fact.down)
    }

    fn spare(&self) -> Option<usize> {
        self.homes().iter().position(|fact| fact.said == Said::NotAsked && !fact.down)
    }

    fn w(&self) -> usize {
        self.case.w.into()
    }

    fn quorum_not_met(&self, fate: Fate) -> RequestError {
        let down = |fact: &Fact| {
            let closed = matches!(fact.said, Said::Failed(Failure::Lost | Failure::Unreachable));
            fact.down || closed
        };
        RequestError::QuorumNotMet {
            needed: self.case.w,
            got: u8::try_from(self.acks()).unwrap(),
            homes_down: u8::try_from(self.count(down)).unwrap(),
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
        let local = self.case.local.filter(|_| self.case.may_mint);
        if self.alive() < self.w() {
            self.reply(Err(self.quorum_not_met(Fate::NotApplied)), &mut expected);
            self.finish(&mut expected);
        } else if let Some(local) = local {
            self.facts.homes[local].said = Said::Nothing;
            expected.push(PutEffect::Mint);
        } else {
            self.expect_forwarding(&mut expected);
        }
        expected
    }

    /// The home on this node will not mint.
    fn expect_forwarding(&mut self, expected: &mut Vec<PutEffect>) {
        self.facts.doing = Doing::Forwarding;
        if let Some(local) = self.case.local {
            self.facts.homes[local].said = Said::No;
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
        let not_sent =
            |fact: &Fact| self.facts.doing == Doing::Minting && fact.said == Said::NotAsked;
        let may_come = self.awaited() + self.count(|fact| not_sent(fact) && !fact.down);
        if self.acks() >= self.w() && self.acks() >= usize::from(self.case.pw) {
            let acks = u8::try_from(self.acks()).unwrap();
            let homes = u8::try_from(self.case.n).unwrap();
            self.reply(Ok(answer(Replicas { acks, fallbacks: 0, homes })), expected);
        } else if self.acks() + may_come < self.w() {
            self.reply(Err(self.quorum_not_met(Fate::Unknown)), expected);
        }
        let stored = self.facts.doing == Doing::Storing && self.awaited() == 0;
        if stored && self.facts.replied {
            self.finish(expected);
        }
    }

    fn expect_forward(&mut self, expected: &mut Vec<PutEffect>) {
        let possible = self.alive() >= self.w();
        let decided = self.facts.refusal == Some(Verdict::Never);
        if possible && !decided && self.awaited() == 0 {
            self.expect_next(expected);
        }
        if possible && self.awaited() > 0 {
            return;
        }
        let may_be = self.facts.lost || self.count(|fact| fact.said == Said::Nothing) > 0;
        let error = match self.facts.refusal {
            _ if may_be => self.quorum_not_met(Fate::Unknown),
            Some(verdict) => verdict.outcome().unwrap_err(),
            None => self.quorum_not_met(Fate::NotApplied),
        };
        self.reply(Err(error), expected);
        self.finish(expected);
    }

    fn expect_next(&mut self, expected: &mut Vec<PutEffect>) {
        if let Some(next) = self.spare() {
            self.facts.homes[next].said = Said::Nothing;
            self.facts.next = self.facts.now + LATE;
            expected.push(PutEffect::ForwardTo(node(next)));
        }
    }

    fn happen(&mut self, happening: Happening) {
        let mut expected = Vec::new();
        let event = match happening {
            Happening::Minted => {
                let local = self.case.local.unwrap();
                self.facts.homes[local].said = Said::Yes;
                self.facts.doing = Doing::Storing;
                while let Some(home) = self.spare() {
                    self.facts.homes[home].said = Said::Nothing;
                    expected.push(PutEffect::StoreAt { node: node(home), record: replica(3, 7) });
                }
                self.expect(&mut expected);
                PutEvent::Minted(minted())
            }
            Happening::MintRefused => {
                self.reply(Verdict::Never.outcome(), &mut expected);
                self.finish(&mut expected);
                PutEvent::MintRefused(Verdict::Never.outcome().unwrap_err())
            }
            Happening::MintUnable | Happening::MintFailed => {
                self.facts.lost = matches!(happening, Happening::MintFailed);
                if self.facts.replied {
                    self.finish(&mut expected);
                } else {
                    self.expect_forwarding(&mut expected);
                }
                if self.facts.lost { PutEvent::MintFailed } else { PutEvent::MintUnable }
            }
            Happening::Stored { home } => {
                if self.facts.homes[home].said == Said::Nothing {
                    self.facts.homes[home].said = Said::Yes;
                    self.expect(&mut expected);
                } else {
                    self.facts.repeats += 1;
                }
                PutEvent::Stored(node(home))
            }
            Happening::Forwarded { home, verdict } => {
                self.take(home, verdict, &mut expected);
                PutEvent::Forwarded { node: node(home), outcome: verdict.outcome() }
            }
            Happening::Fail { home, failure } => {
                self.facts.homes[home].said = Said::Failed(failure);
                self.facts.lost |= failure == Failure::Lost;
                self.expect(&mut expected);
                PutEvent::Failed { node: node(home), failure }
            }
            Happening::Down { home } => {
                self.facts.homes[home].down = true;
                self.expect(&mut expected);
                PutEvent::MemberDown(node(home))
            }
            Happening::Timer | Happening::Deadline => return self.ring(happening),
        };
        let mut effects = Vec::new();
        self.machine.handle(at(self.facts.now), event, &mut effects);
        self.compare(&effects, &expected, happening);
    }

    fn take(&mut self, home: usize, verdict: Verdict, expected: &mut Vec<PutEffect>) {
        if verdict == Verdict::Done || verdict == Verdict::Unknown {
            self.facts.homes[home].said = Said::Yes;
            self.reply(verdict.outcome(), expected);
            self.finish(expected);
            return;
        }
        self.facts.homes[home].said = Said::No;
        if self.facts.refusal != Some(Verdict::Never) {
            self.facts.refusal = Some(verdict);
        }
        self.expect(expected);
    }

    fn ring(&mut self, happening: Happening) {
        let (mut effects, mut expected) = (Vec::new(), Vec::new());
        let deadline = matches!(happening, Happening::Deadline);
        self.facts.now = if deadline { DEADLINE } else { self.next_timer().unwrap() };
        if deadline {
            let got = u8::try_from(self.acks()).unwrap();
            let after = Duration::from_millis(DEADLINE);
            let error = RequestError::TimedOut { needed: self.case.w, got, after };
            // Time is said to have run out only if enough homes may yet have done their part.
            let believed = self.count(|fact| fact.said == Said::Yes || !fact.down);
            assert!(self.facts.replied || believed >= self.w(), "{:?}", self.case);
            self.reply(Err(error), &mut expected);
            self.finish(&mut expected);
        } else {
            self.expect_next(&mut expected);
        }
        self.machine.expire(at(self.facts.now), &mut effects);
        self.compare(&effects, &expected, happening);
    }

    fn next_timer(&self) -> Option<u64> {
        let forwarding = self.facts.doing == Doing::Forwarding && !self.facts.over;
        let decided = self.facts.refusal == Some(Verdict::Never);
        (forwarding && !decided && self.spare().is_some()).then_some(self.facts.next)
    }

    fn compare(&self, effects: &[PutEffect], expected: &[PutEffect], what: impl core::fmt::Debug) {
        assert_eq!(effects, expected, "{what:?}\n{:?}\n{:?}", self.case, self.facts);
        let due = (!self.facts.over).then(|| at(self.next_timer().unwrap_or(DEADLINE)));
        assert_eq!(self.machine.deadline(), due, "{what:?}\n{:?}\n{:?}", self.case, self.facts);
    }

    /// Everything that can happen next.
    fn possible(&self) -> Vec<Happening> {
        let mut possible = Vec::new();
        if self.facts.over {
            return possible;
        }
        if self.facts.doing == Doing::Minting {
            possible.extend([Happening::Minted, Happening::MintRefused]);
            possible.extend([Happening::MintUnable, Happening::MintFailed]);
        }
        for (home, fact) in self.homes().iter().enumerate() {
            let remote = self.case.local != Some(home);
            match (fact.said, self.facts.doing) {
                (Said::Nothing, Doing::Storing) => {
                    possible.push(Happening::Stored { home });
                    possible.extend(fail(home));
                }
                (Said::Nothing, Doing::Forwarding) => {
                    let all = [Verdict::Done, Verdict::Never, Verdict::NotMe, Verdict::Unknown];
                    possible.extend(all.map(|verdict| Happening::Forwarded { home, verdict }));
                    possible.extend(fail(home));
                }
                (Said::Yes, Doing::Storing) if self.facts.repeats == 0 && remote => {
                    possible.push(Happening::Stored { home });
                }
                _ => {}
            }
            if !fact.down && remote {
                possible.push(Happening::Down { home });
            }
        }
        possible.extend(self.next_timer().map(|_| Happening::Timer));
        possible.push(Happening::Deadline);
        possible
    }
}

fn fail(home: usize) -> [Happening; 3] {
    let failures = [Failure::Lost, Failure::Unreachable, Failure::Refused];
    failures.map(|failure| Happening::Fail { home, failure })
}

/// Follows every order of happenings. Where two orders have led to equal facts and equal machines,
/// what follows is the same, and is followed once.
fn explore(world: &World, seen: &mut BTreeMap<Facts, Vec<PutCoordination>>) -> u64 {
    let known = seen.entry(world.facts).or_default();
    if known.contains(&world.machine) {
        return 0;
    }
    known.push(world.machine.clone());
    let mut steps = 0;
    for happening in world.possible() {
        let mut next = world.clone();
        next.happen(happening);
        steps += 1 + explore(&next, seen);
    }
    steps
}

/// All ways in which a node can take a put of a key with `n` homes.
fn roles(n: usize) -> impl Iterator<Item = (Option<usize>, bool, bool)> {
    let locals = (0..n).map(Some).chain([None]);
    locals.flat_map(|local| {
        let ways = [(true, false), (true, true), (false, false), (false, true)];
        ways.map(|(may_mint, forwarded)| (local, may_mint, forwarded))
    })
}

#[test]
fn every_put_of_up_to_three_homes_follows_the_rules_in_every_order() {
    let mut steps = 0;
    for n in 1..=3u8 {
        for (local, may_mint, forwarded) in roles(n.into()) {
            for (w, pw) in (1..=n).flat_map(|w| (0..=w).map(move |pw| (w, pw))) {
                for down in 0..1u8 << n {
                    let case = Case { n: n.into(), w, pw, local, may_mint, forwarded, down };
                    if local.is_none_or(|local| down & (1 << local) == 0) {
                        steps += explore(&World::start(case), &mut BTreeMap::new());
                    }
                }
            }
        }
    }
    println!("{steps} steps");
    assert!(steps > 100_000, "{steps} steps are no exploration");
}

#[test]
fn a_hundred_thousand_puts_of_four_to_seven_homes_follow_the_rules() {
    for seed in 0..100_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let n = rng.usize(4..=7);
        let w = rng.u8(1..=u8::try_from(n).unwrap());
        let local = Some(rng.usize(0..n)).filter(|_| rng.u8(..) < 192);
        let mine = local.map_or(0, |local| 1u8 << local);
        let case = Case {
            n,
            w,
            pw: rng.u8(0..=w),
            local,
            may_mint: rng.u8(..) < 192,
            forwarded: rng.u8(..) < 64,
            down: rng.u8(..) & rng.u8(..) & rng.u8(..) & !mine,
        };
        let mut world = World::start(case);
        while !world.facts.over {
            let mut possible = world.possible();
            // The deadline and failures are rarer than answers, or no request would get far.
            possible.retain(|happening| match happening {
                Happening::Deadline | Happening::Down { .. } => rng.u8(..) < 16,
                Happening::Fail { .. } | Happening::Timer => rng.u8(..) < 64,
                _ => true,
            });
            if let Some(happening) = rng.choice(possible) {
                world.happen(happening);
            }
        }
        assert!(world.facts.replied && world.machine.is_idle(), "seed {seed}");
    }
}
