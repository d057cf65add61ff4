//! Every get, in every order of everything that can happen to it, against the rules stated once
//! more: over sets of homes, without state machines.

use std::collections::BTreeMap;

use henge_kernel::{
    causality::{Conflict, Digest},
    coordination::{
        Failure, Fate, GetCoordination, Replicas, RequestError,
        get::{GetEffect, GetEvent, GetRequest, ReplicaAnswer},
        outcome::GetAnswer,
        quorum::QuorumSize,
    },
    machine::Machine,
};

use crate::support::{DEADLINE, EARLY, LATE, STRANGER, at, delays, homes, node, record, replica};

/// One get: who is asked, and what they hold.
#[derive(Clone, Copy, Debug)]
struct Case {
    n: usize,
    r: u8,
    pr: u8,
    local: Option<usize>,
    down: u8,
    /// Per home, the bit set of writes that it holds.
    holds: [u8; 7],
}

/// What one home said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    NotAsked,
    Nothing,
    Complete,
    Incomplete,
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    said: Said,
    down: bool,
    /// The writes in the digest that it was sent.
    sent: Option<u8>,
    /// What it holds, as far as it said or was sent; none if it holds nothing that is sound.
    holds: Option<u8>,
}

/// Everything that has happened so far.
#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    homes: [Fact; 7],
    /// All writes that any home answered, and the lowest generation of those answers.
    union: Option<u8>,
    generation: u64,
    hedges: u8,
    early_over: bool,
    wanted: bool,
    late: u64,
    repeats: u8,
    replied: bool,
    over: bool,
    now: u64,
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Answer { home: usize, complete: bool },
    Repeat { home: usize },
    Fail { home: usize, failure: Failure },
    Down { home: usize },
    Grant,
    Timer,
    Deadline,
}

#[derive(Clone)]
struct World {
    case: Case,
    facts: Facts,
    machine: GetCoordination,
}

impl World {
    fn start(case: Case) -> Self {
        let fact = |index: usize| Fact {
            said: Said::NotAsked,
            down: case.down & (1 << index) != 0,
            sent: None,
            holds: None,
        };
        let facts = Facts {
            homes: core::array::from_fn(fact),
            union: None,
            generation: u64::MAX,
            hedges: 0,
            early_over: false,
            wanted: false,
            late: LATE,
            repeats: 0,
            replied: false,
            over: false,
            now: 0,
        };
        let mut world = Self { case, facts, machine: GetCoordination::default() };
        let request = GetRequest {
            homes: homes(case.n, case.down),
            node: case.local.map_or(STRANGER, node),
            quorum: QuorumSize { needed: case.r, primary: case.pr },
            conflict: Conflict::Siblings,
            deadline: at(DEADLINE),
            hedge: delays(),
        };
        let mut effects = Vec::new();
        world.machine.start(at(0), request, &mut effects);
        let expected = world.expect(false);
        world.compare(&effects, &expected, "start");
        world
    }

    fn homes(&self) -> &[Fact] {
        &self.facts.homes[..self.case.n]
    }

    fn count(&self, which: impl Fn(&Fact) -> bool) -> usize {
        self.homes().iter().filter(|fact| which(fact)).count()
    }

    fn complete(&self) -> usize {
        self.count(|fact| fact.said == Said::Complete)
    }

    fn awaited(&self) -> usize {
        self.count(|fact| fact.said == Said::Nothing && !fact.down)
    }

    fn spare(&self) -> Option<usize> {
        self.homes().iter().position(|fact| fact.said == Said::NotAsked && !fact.down)
    }

    fn r(&self) -> usize {
        self.case.r.into()
    }

    /// The next home that the rules want asked.
    fn to_ask(&self) -> Option<usize> {
        let local = self.case.local.filter(|local| !self.facts.homes[*local].down);
        match local.map(|local| self.facts.homes[local].said) {
            Some(Said::NotAsked) => return local,
            Some(Said::Nothing) if self.facts.hedges == 0 => return None,
            _ => {}
        }
        let enough = self.r() + usize::from(self.facts.hedges);
        self.spare().filter(|_| self.complete() + self.awaited() < enough)
    }

    fn error(&self) -> RequestError {
        let down = |fact: &Fact| {
            let closed = matches!(fact.said, Said::Failed(Failure::Lost | Failure::Unreachable));
            fact.down || closed
        };
        RequestError::QuorumNotMet {
            needed: self.case.r,
            got: u8::try_from(self.complete()).unwrap(),
            homes_down: u8::try_from(self.count(down)).unwrap(),
            fate: Fate::NotApplied,
        }
    }

    /// What must follow from what is known now; notes what it has expected.
    fn expect(&mut self, deadline: bool) -> Vec<GetEffect> {
        let mut expected = Vec::new();
        if !self.facts.replied {
            self.expect_reply(deadline, &mut expected);
        }
        while let (false, Some(home)) = (self.facts.replied, self.to_ask()) {
            let known = self.facts.union.map(digest);
            self.facts.homes[home].said = Said::Nothing;
            self.facts.homes[home].sent = self.facts.union;
            expected.push(GetEffect::ReadAt { node: node(home), known });
        }
        if self.facts.replied && !deadline {
            self.expect_repairs(&mut expected);
        }
        if deadline || self.facts.replied && self.awaited() == 0 {
            self.facts.over = true;
            expected.push(GetEffect::Finish);
        }
        expected
    }

    fn expect_reply(&mut self, deadline: bool, expected: &mut Vec<GetEffect>) {
        let got = self.complete();
        let silent = |fact: &Fact| matches!(fact.said, Said::NotAsked | Said::Nothing);
        let may_come = self.count(|fact| silent(fact) && !fact.down);
        let waited = at(self.facts.now).since(at(0));
        let outcome = if got >= self.r() && got >= usize::from(self.case.pr) {
            let asked = self.count(|fact| fact.said != Said::NotAsked);
            let alone = self.case.local.is_some_and(|local| !self.facts.homes[local].down);
            if asked == self.r() && !(asked == 1 && alone) {
                expected.push(GetEffect::Observe(waited));
            }
            let acks = u8::try_from(got).unwrap();
            let homes = u8::try_from(self.case.n).unwrap();
            let replicas = Replicas { acks, fallbacks: 0, homes };
            Ok(GetAnswer { record: record(self.facts.union.unwrap()), replicas })
        } else if got + may_come < self.r() {
            Err(self.error())
        } else if deadline {
            let got = u8::try_from(got).unwrap();
            Err(RequestError::TimedOut { needed: self.case.r, got, after: waited })
        } else {
            return;
        };
        self.facts.replied = true;
        expected.push(GetEffect::Reply(outcome));
    }

    fn expect_repairs(&mut self, expected: &mut Vec<GetEffect>) {
        let Some(all) = self.facts.union.filter(|all| *all != 0) else { return };
        for (index, fact) in self.facts.homes[..self.case.n].iter_mut().enumerate() {
            let spoke = matches!(
                fact.said,
                Said::Complete | Said::Incomplete | Said::Failed(Failure::Corrupt)
            );
            if spoke && !fact.down && fact.holds != Some(all) {
                assert_eq!(fact.holds.unwrap_or(0) & !all, 0, "a repair never shrinks");
                fact.holds = Some(all);
                let record = replica(all, self.facts.generation);
                expected.push(GetEffect::RepairAt { node: node(index), record });
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        let mut effects = Vec::new();
        let expected = match happening {
            Happening::Answer { home, complete } => {
                let event = self.answer(home, complete);
                self.machine.handle(at(self.facts.now), event, &mut effects);
                self.expect(false)
            }
            Happening::Repeat { home } => {
                self.facts.repeats += 1;
                let complete = self.facts.homes[home].said == Said::Complete;
                let answer = ReplicaAnswer::Holds(replica(self.case.holds[home], 9));
                let event = GetEvent::Answered { node: node(home), complete, answer };
                self.machine.handle(at(self.facts.now), event, &mut effects);
                Vec::new()
            }
            Happening::Fail { home, failure } => {
                self.facts.homes[home].said = Said::Failed(failure);
                let event = GetEvent::Failed { node: node(home), failure };
                self.machine.handle(at(self.facts.now), event, &mut effects);
                self.expect(false)
            }
            Happening::Down { home } => {
                self.facts.homes[home].down = true;
                let event = GetEvent::MemberDown(node(home));
                self.machine.handle(at(self.facts.now), event, &mut effects);
                self.expect(false)
            }
            Happening::Grant => {
                (self.facts.wanted, self.facts.hedges) = (false, self.facts.hedges + 1);
                self.machine.handle(at(self.facts.now), GetEvent::HedgeGranted, &mut effects);
                self.expect(false)
            }
            Happening::Timer => self.ring(&mut effects),
            Happening::Deadline => {
                self.facts.now = DEADLINE;
                self.machine.expire(at(DEADLINE), &mut effects);
                self.expect(true)
            }
        };
        self.compare(&effects, &expected, happening);
    }

    fn answer(&mut self, home: usize, complete: bool) -> GetEvent {
        let holds = self.case.holds[home];
        let generation = 10 + u64::try_from(home).unwrap();
        let fact = &mut self.facts.homes[home];
        fact.said = if complete { Said::Complete } else { Said::Incomplete };
        fact.holds = Some(holds);
        let answer = if fact.sent == Some(holds) {
            ReplicaAnswer::Same
        } else {
            self.facts.generation = self.facts.generation.min(generation);
            ReplicaAnswer::Holds(replica(holds, generation))
        };
        self.facts.union = Some(self.facts.union.unwrap_or(0) | holds);
        GetEvent::Answered { node: node(home), complete, answer }
    }

    /// The next timer before the deadline: the early hedge once, then late ones.
    fn ring(&mut self, effects: &mut Vec<GetEffect>) -> Vec<GetEffect> {
        self.facts.now = self.next_timer().unwrap();
        self.machine.expire(at(self.facts.now), effects);
        if self.facts.now == EARLY {
            (self.facts.early_over, self.facts.wanted) = (true, true);
            return vec![GetEffect::WantHedge];
        }
        self.facts.hedges += 1;
        self.facts.late += LATE;
        self.expect(false)
    }

    fn next_timer(&self) -> Option<u64> {
        let due = if self.facts.early_over { self.facts.late } else { EARLY };
        let waits = !self.facts.over && !self.facts.replied && self.spare().is_some();
        waits.then_some(due)
    }

    fn compare(&self, effects: &[GetEffect], expected: &[GetEffect], what: impl core::fmt::Debug) {
        assert_eq!(effects, expected, "{what:?}\n{:?}\n{:?}", self.case, self.facts);
        let due = (!self.facts.over).then(|| at(self.next_timer().unwrap_or(DEADLINE)));
        assert_eq!(self.machine.deadline(), due, "{what:?}\n{:?}", self.case);
    }

    /// Everything that can happen next.
    fn possible(&self, failures: &[Failure]) -> Vec<Happening> {
        let mut possible = Vec::new();
        if self.facts.over {
            return possible;
        }
        for (home, fact) in self.homes().iter().enumerate() {
            match fact.said {
                Said::Nothing => {
                    possible.push(Happening::Answer { home, complete: true });
                    possible.push(Happening::Answer { home, complete: false });
                    let fail = |failure: &Failure| Happening::Fail { home, failure: *failure };
                    possible.extend(failures.iter().map(fail));
                }
                Said::Complete | Said::Incomplete if self.facts.repeats == 0 => {
                    possible.push(Happening::Repeat { home });
                }
                _ => {}
            }
            if !fact.down && self.case.local != Some(home) {
                possible.push(Happening::Down { home });
            }
        }
        possible.extend(self.facts.wanted.then_some(Happening::Grant));
        possible.extend(self.next_timer().map(|_| Happening::Timer));
        possible.push(Happening::Deadline);
        possible
    }
}

fn digest(set: u8) -> Digest {
    record(set).digest()
}

/// Follows every order of happenings. Where two orders have led to equal facts and equal machines,
/// what follows is the same, and is followed once.
fn explore(world: &World, seen: &mut BTreeMap<Facts, Vec<GetCoordination>>) -> u64 {
    let known = seen.entry(world.facts).or_default();
    if known.contains(&world.machine) {
        return 0;
    }
    known.push(world.machine.clone());
    let mut steps = 0;
    for happening in world.possible(&[Failure::Lost, Failure::Corrupt]) {
        let mut next = world.clone();
        next.happen(happening);
        steps += 1 + explore(&next, seen);
    }
    steps
}

#[test]
fn every_get_of_up_to_three_homes_follows_the_rules_in_every_order() {
    let contents = [[1, 1, 1], [1, 2, 4], [0, 1, 3], [3, 1, 0]];
    let mut steps = 0;
    for n in 1..=3u8 {
        let locals = (0..usize::from(n)).map(Some).chain([None]);
        for (local, down) in locals.flat_map(|local| (0..1u8 << n).map(move |down| (local, down))) {
            for (r, pr) in (1..=n).flat_map(|r| (0..=r).map(move |pr| (r, pr))) {
                for content in contents {
                    let mut holds = [0; 7];
                    holds[..3].copy_from_slice(&content);
                    let case = Case { n: n.into(), r, pr, local, down, holds };
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
fn a_hundred_thousand_gets_of_four_to_seven_homes_follow_the_rules() {
    let failures = [Failure::Lost, Failure::Unreachable, Failure::Refused, Failure::Corrupt];
    for seed in 0..100_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let n = rng.usize(4..=7);
        let r = rng.u8(1..=u8::try_from(n).unwrap());
        let local = Some(rng.usize(0..n)).filter(|_| rng.bool());
        let mine = local.map_or(0, |local| 1u8 << local);
        let case = Case {
            n,
            r,
            pr: rng.u8(0..=r),
            local,
            down: rng.u8(..) & rng.u8(..) & rng.u8(..) & !mine,
            holds: core::array::from_fn(|_| rng.u8(..) & rng.u8(..) & 127),
        };
        let mut world = World::start(case);
        while !world.facts.over {
            let mut possible = world.possible(&failures);
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
