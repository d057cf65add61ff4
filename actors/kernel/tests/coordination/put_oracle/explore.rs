//! Every order of happenings for few replicas, many orders for many.

use std::collections::BTreeMap;

use henge_kernel::coordination::{Failure, PutCoordination};

use super::{Case, Doing, Facts, Happening, Said, Verdict, World};

impl World {
    /// Everything that can happen next.
    fn possible(&self, failures: &[Failure]) -> Vec<Happening> {
        let mut possible = Vec::new();
        if self.facts.over {
            return possible;
        }
        if self.facts.doing == Doing::Minting {
            possible.push(Happening::Minted);
            let refusals = [Verdict::Never, Verdict::NotMe, Verdict::Shed];
            possible.extend(refusals.map(Happening::MintRefused));
            possible.extend([Happening::MintUnable, Happening::MintFailed]);
        }
        for replica in 0..self.facts.replicas.len() {
            self.possible_at(replica, failures, &mut possible);
        }
        possible.extend(self.next_timer().map(|_| Happening::Timer));
        possible.push(Happening::Deadline);
        possible
    }

    fn possible_at(&self, replica: usize, failures: &[Failure], possible: &mut Vec<Happening>) {
        let fact = self.facts.replicas[replica];
        let remote = self.case.local != Some(replica);
        let errand = self.rules().has_errand(replica);
        let home = !self.is_fallback(Some(replica));
        let fails = failures.iter().map(|failure| Happening::Fail { replica, failure: *failure });
        match self.facts.doing {
            Doing::Storing if errand || home && fact.said == Said::Nothing => {
                possible.push(Happening::Stored { replica });
                possible.extend(fails);
            }
            Doing::Storing if fact.said == Said::Yes && self.facts.repeats == 0 && remote => {
                possible.push(Happening::Stored { replica });
            }
            // A forward may yet fail while this node, a fallback, mints.
            Doing::Forwarding if fact.said == Said::Nothing => possible.extend(fails),
            Doing::Minting if fact.forward && fact.said == Said::Nothing => possible.extend(fails),
            _ => {}
        }
        let answered = matches!(fact.said, Said::Yes | Said::NotAsked);
        if fact.forward && !answered {
            let all = match self.facts.doing {
                Doing::Forwarding | Doing::Minting if fact.said == Said::Nothing => &[
                    Verdict::Done,
                    Verdict::Never,
                    Verdict::NotMe,
                    Verdict::Shed,
                    Verdict::Unknown,
                ][..],
                Doing::Forwarding | Doing::Minting => &[],
                Doing::Storing => &[Verdict::Done, Verdict::Shed, Verdict::Unknown],
            };
            possible.extend(
                all.iter().map(|verdict| Happening::Forwarded { replica, verdict: *verdict }),
            );
        }
        if !fact.down && remote {
            possible.push(Happening::Down { replica });
        }
    }
}

/// Follows every order of happenings. Where two orders have led to equal facts and equal machines,
/// what follows is the same, and is followed once.
fn explore(world: &World, seen: &mut BTreeMap<Facts, Vec<PutCoordination>>) -> u64 {
    let known = seen.entry(world.facts.clone()).or_default();
    if known.contains(&world.machine) {
        return 0;
    }
    known.push(world.machine.clone());
    let mut steps = 0;
    for happening in world.possible(&[Failure::Lost, Failure::Refused]) {
        let mut next = world.clone();
        next.happen(happening);
        steps += 1 + explore(&next, seen);
    }
    steps
}

/// All ways in which a node can take a put of a key with so many replicas.
fn roles(replicas: usize) -> impl Iterator<Item = (Option<usize>, bool, bool)> {
    let locals = (0..replicas).map(Some).chain([None]);
    locals.flat_map(|local| {
        let ways = [(true, false), (true, true), (false, false), (false, true)];
        ways.map(|(may_mint, forwarded)| (local, may_mint, forwarded))
    })
}

/// Explores every put with so many replicas.
fn explore_all(n: u8, fallbacks: usize, sloppy: bool) -> u64 {
    let replicas = usize::from(n) + fallbacks;
    let mut steps = 0;
    for (local, may_mint, forwarded) in roles(replicas) {
        for (w, pw) in (1..=n).flat_map(|w| (0..=w).map(move |pw| (w, pw))) {
            for down in 0..1u16 << replicas {
                let n = n.into();
                let case = Case { n, fallbacks, sloppy, w, pw, local, may_mint, forwarded, down };
                if local.is_none_or(|local| down & (1 << local) == 0) {
                    steps += explore(&World::start(case), &mut BTreeMap::new());
                }
            }
        }
    }
    println!("{n} homes, {fallbacks} fallbacks, sloppy {sloppy}: {steps} steps");
    steps
}

#[test]
fn every_put_of_up_to_three_homes_follows_the_rules_in_every_order() {
    let steps: u64 = (1..=3).map(|n| explore_all(n, 0, true)).sum();
    assert!(steps > 100_000, "{steps} steps are no exploration");
}

#[test]
fn every_put_of_up_to_two_homes_with_fallbacks_follows_the_rules_in_every_order() {
    let shapes = [(1, 1), (1, 2), (2, 1)];
    let both = shapes.iter().flat_map(|shape| [(shape, true), (shape, false)]);
    let steps: u64 = both.map(|((n, fallbacks), sloppy)| explore_all(*n, *fallbacks, sloppy)).sum();
    assert!(steps > 100_000, "{steps} steps are no exploration");
}

#[test]
fn every_put_that_a_home_of_three_mints_follows_the_rules_in_every_order() {
    let mut steps = 0;
    for (w, pw, sloppy) in [(2, 0, true), (3, 1, true), (2, 2, false)] {
        let (n, fallbacks, local) = (3, 2, Some(0));
        let (may_mint, forwarded, down) = (true, false, 0);
        let case = Case { n, fallbacks, sloppy, w, pw, local, may_mint, forwarded, down };
        steps += explore(&World::start(case), &mut BTreeMap::new());
    }
    println!("{steps} steps");
    assert!(steps > 100_000, "{steps} steps are no exploration");
}

#[test]
fn a_hundred_thousand_puts_of_three_to_seven_homes_follow_the_rules() {
    let failures = [Failure::Lost, Failure::Unreachable, Failure::Refused];
    for seed in 0..100_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (n, fallbacks) = (rng.usize(3..=7), rng.usize(0..=7));
        let w = rng.u8(1..=u8::try_from(n).unwrap());
        let local = Some(rng.usize(0..n + fallbacks)).filter(|_| rng.u8(..) < 192);
        let mine = local.map_or(0, |local| 1u16 << local);
        let case = Case {
            n,
            fallbacks,
            sloppy: rng.u8(..) < 192,
            w,
            pw: if rng.bool() { 0 } else { rng.u8(0..=w) },
            local,
            may_mint: rng.u8(..) < 192,
            forwarded: rng.u8(..) < 64,
            down: rng.u16(..) & rng.u16(..) & !mine,
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
