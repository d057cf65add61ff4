//! Every get, in every order of everything that can happen to it, against the rules stated once
//! more: over sets of homes, without state machines.

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

use crate::support::{DEADLINE, EARLY, LATE, STRANGER, at, delays, node, record, replica, seats};

mod explore;

/// One get: who is asked, and what they hold. Replicas are counted from 0: `n` homes, then the
/// fallbacks.
#[derive(Clone, Copy, Debug)]
struct Case {
    n: usize,
    fallbacks: usize,
    sloppy: bool,
    r: u8,
    pr: u8,
    local: Option<usize>,
    down: u16,
    /// Per replica, the bit set of writes that it holds.
    holds: [u8; 14],
}

/// What one replica said: as one that counts if it holds something, or as none.
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
    replicas: [Fact; 14],
    /// All writes that any replica answered, and the lowest generation of those answers.
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
            replicas: core::array::from_fn(fact),
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
            homes: seats(0..case.n, case.down),
            fallbacks: seats(case.n..case.n + case.fallbacks, case.down),
            sloppy: case.sloppy,
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

    /// All that may be asked: a strict get knows no fallbacks.
    fn replicas(&self) -> usize {
        self.case.n + if self.case.sloppy { self.case.fallbacks } else { 0 }
    }

    fn count(&self, which: impl Fn(usize, &Fact) -> bool) -> usize {
        let all = self.facts.replicas[..self.replicas()].iter().enumerate();
        all.filter(|(index, fact)| which(*index, fact)).count()
    }

    fn is_home(&self, replica: usize) -> bool {
        replica < self.case.n
    }

    /// Homes that count: those that are complete.
    fn primaries(&self) -> usize {
        self.count(|replica, fact| self.is_home(replica) && fact.said == Said::Complete)
    }

    /// Fallbacks that count: those that hold the key.
    fn stand_ins(&self) -> usize {
        self.count(|replica, fact| {
            !self.is_home(replica) && fact.said == Said::Complete && self.case.holds[replica] != 0
        })
    }

    fn got(&self) -> usize {
        self.primaries() + self.stand_ins()
    }

    fn answered(&self) -> usize {
        self.count(|_, fact| matches!(fact.said, Said::Complete | Said::Incomplete))
    }

    /// Whether so many homes and so many others on top would do.
    fn suffices(&self, homes: usize, others: usize) -> bool {
        self.got() + homes + others >= self.r()
            && self.primaries() + homes >= usize::from(self.case.pr)
    }

    /// Homes, or fallbacks, that may yet answer.
    fn may_come(&self, homes: bool) -> usize {
        self.count(|replica, fact| {
            let silent = matches!(fact.said, Said::NotAsked | Said::Nothing);
            silent && !fact.down && self.is_home(replica) == homes
        })
    }

    fn can_be_met(&self) -> bool {
        self.suffices(self.may_come(true), self.may_come(false))
    }

    /// Whether answers that do not count make up the number, and there is a version to show.
    fn is_filled(&self) -> bool {
        let holds = self.facts.union.is_some_and(|union| union != 0);
        self.case.sloppy && holds && self.suffices(0, self.answered() - self.got())
    }

    fn may_be_filled(&self) -> bool {
        let (homes, fallbacks) = (self.may_come(true), self.may_come(false));
        let fillers = self.answered() - self.got();
        let open = homes + fallbacks > 0;
        self.case.sloppy && open && self.suffices(homes, fallbacks + fillers)
    }

    fn awaited(&self) -> usize {
        self.count(|_, fact| fact.said == Said::Nothing && !fact.down)
    }

    fn spare(&self) -> Option<usize> {
        let all = self.facts.replicas[..self.replicas()].iter();
        all.into_iter().position(|fact| fact.said == Said::NotAsked && !fact.down)
    }

    fn r(&self) -> usize {
        self.case.r.into()
    }

    /// The next home that the rules want asked.
    fn to_ask(&self) -> Option<usize> {
        let local = self.case.local.filter(|local| self.is_home(*local));
        match local.map(|local| self.facts.replicas[local].said) {
            Some(Said::NotAsked) => return local,
            Some(Said::Nothing) if self.facts.hedges == 0 => return None,
            _ => {}
        }
        let enough = self.r() + usize::from(self.facts.hedges);
        self.spare().filter(|_| self.got() + self.awaited() < enough)
    }

    fn error(&self) -> RequestError {
        let down = |replica, fact: &Fact| {
            let closed = matches!(fact.said, Said::Failed(Failure::Lost | Failure::Unreachable));
            self.is_home(replica) && (fact.down || closed)
        };
        RequestError::QuorumNotMet {
            needed: self.case.r,
            got: u8::try_from(self.got()).unwrap(),
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
            let known = self.facts.union.filter(|union| *union != 0);
            self.facts.replicas[home].said = Said::Nothing;
            self.facts.replicas[home].sent = known;
            let known = known.map(digest);
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
        let waited = at(self.facts.now).since(at(0));
        // Whoever may know better is given until the first hedge.
        let patient = self.awaited() > 0 && self.facts.hedges == 0;
        let filled = self.is_filled() && (deadline || !self.can_be_met() && !patient);
        let outcome = if self.suffices(0, 0) || filled {
            let asked = self.count(|_, fact| fact.said != Said::NotAsked);
            let local = self.case.local.is_some_and(|local| self.is_home(local));
            if asked == self.r() && !(asked == 1 && local) {
                expected.push(GetEffect::Observe(waited));
            }
            let (acks, whole) = if self.suffices(0, 0) {
                (self.got(), self.primaries())
            } else {
                (self.answered(), self.primaries())
            };
            let replicas = Replicas {
                acks: u8::try_from(acks).unwrap(),
                fallbacks: u8::try_from(acks - whole).unwrap(),
                homes: u8::try_from(self.case.n).unwrap(),
            };
            Ok(GetAnswer { record: record(self.facts.union.unwrap()), replicas })
        } else if !self.can_be_met() && !self.may_be_filled() && !self.is_filled() {
            Err(self.error())
        } else if deadline {
            let got = u8::try_from(self.got()).unwrap();
            Err(RequestError::TimedOut { needed: self.case.r, got, after: waited })
        } else {
            return;
        };
        self.facts.replied = true;
        expected.push(GetEffect::Reply(outcome));
    }

    fn expect_repairs(&mut self, expected: &mut Vec<GetEffect>) {
        let Some(all) = self.facts.union.filter(|all| *all != 0) else { return };
        for (index, fact) in self.facts.replicas[..self.case.n].iter_mut().enumerate() {
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
                let complete = self.facts.replicas[home].said == Said::Complete;
                let answer = ReplicaAnswer::Holds(replica(self.case.holds[home], 9));
                let event = GetEvent::Answered { node: node(home), complete, answer };
                self.machine.handle(at(self.facts.now), event, &mut effects);
                Vec::new()
            }
            Happening::Fail { home, failure } => {
                self.facts.replicas[home].said = Said::Failed(failure);
                let event = GetEvent::Failed { node: node(home), failure };
                self.machine.handle(at(self.facts.now), event, &mut effects);
                self.expect(false)
            }
            Happening::Down { home } => {
                self.facts.replicas[home].down = true;
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
        let fact = &mut self.facts.replicas[home];
        fact.said = if complete { Said::Complete } else { Said::Incomplete };
        fact.holds = Some(holds);
        let answer = if fact.sent == Some(holds) {
            ReplicaAnswer::Same
        } else {
            if holds != 0 {
                self.facts.generation = self.facts.generation.min(generation);
            }
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
        self.facts.early_over = true;
        self.facts.hedges += 1;
        self.facts.late += LATE;
        self.expect(false)
    }

    fn next_timer(&self) -> Option<u64> {
        let open = !self.facts.over && !self.facts.replied;
        let spare = self.spare();
        let home = spare.is_some_and(|spare| self.is_home(spare));
        let early = (open && home && !self.facts.early_over).then_some(EARLY);
        let late = (open && (spare.is_some() || self.is_filled())).then_some(self.facts.late);
        early.or(late).filter(|due| *due < DEADLINE)
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
        for (home, fact) in self.facts.replicas[..self.replicas()].iter().enumerate() {
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
