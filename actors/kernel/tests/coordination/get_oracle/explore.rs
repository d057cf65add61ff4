//! Every order of happenings for few replicas, many orders for many.

use std::collections::BTreeMap;

use henge_kernel::coordination::{Failure, GetCoordination};

use super::{Case, Facts, Happening, World};

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

/// Explores every get with so many replicas, which hold `holds`.
fn explore_all(n: u8, fallbacks: usize, sloppy: bool, holds: [u8; 14]) -> u64 {
    let replicas = usize::from(n) + fallbacks;
    let locals = (0..replicas).map(Some).chain([None]);
    let mut steps = 0;
    for (local, down) in
        locals.flat_map(|local| (0..1u16 << replicas).map(move |down| (local, down)))
    {
        for (r, pr) in (1..=n).flat_map(|r| (0..=r).map(move |pr| (r, pr))) {
            let case = Case { n: n.into(), fallbacks, sloppy, r, pr, local, down, holds };
            if local.is_none_or(|local| down & (1 << local) == 0) {
                steps += explore(&World::start(case), &mut BTreeMap::new());
            }
        }
    }
    println!("{n} homes, {fallbacks} fallbacks, sloppy {sloppy}: {steps} steps");
    steps
}

/// The same contents for replica after replica.
fn cycle(contents: &[u8]) -> [u8; 14] {
    core::array::from_fn(|replica| contents[replica % contents.len()])
}

#[test]
fn every_get_of_up_to_three_homes_follows_the_rules_in_every_order() {
    let contents = [[1, 1, 1], [1, 2, 4], [0, 1, 3], [3, 1, 0]];
    let mut steps = 0;
    for n in 1..=3 {
        for (content, sloppy) in contents.iter().flat_map(|one| [(one, false), (one, true)]) {
            steps += explore_all(n, 0, sloppy, cycle(content));
        }
    }
    assert!(steps > 100_000, "{steps} steps are no exploration");
}

#[test]
fn every_get_of_up_to_two_homes_with_fallbacks_follows_the_rules_in_every_order() {
    let contents = [[1, 1, 2, 1], [0, 0, 1, 0], [1, 0, 0, 2], [0, 0, 0, 0]];
    let mut steps = 0;
    for (n, fallbacks) in [(1, 1), (1, 2), (2, 1)] {
        for content in &contents {
            steps += explore_all(n, fallbacks, true, cycle(content));
        }
    }
    assert!(steps > 100_000, "{steps} steps are no exploration");
}

#[test]
fn a_hundred_thousand_gets_of_three_to_seven_homes_follow_the_rules() {
    let failures = [Failure::Lost, Failure::Unreachable, Failure::Refused, Failure::Corrupt];
    for seed in 0..100_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (n, fallbacks) = (rng.usize(3..=7), rng.usize(0..=7));
        let r = rng.u8(1..=u8::try_from(n).unwrap());
        let local = Some(rng.usize(0..n + fallbacks)).filter(|_| rng.bool());
        let mine = local.map_or(0, |local| 1u16 << local);
        let case = Case {
            n,
            fallbacks,
            sloppy: rng.u8(..) < 192,
            r,
            pr: if rng.bool() { 0 } else { rng.u8(0..=r) },
            local,
            down: rng.u16(..) & rng.u16(..) & !mine,
            holds: core::array::from_fn(|_| if rng.bool() { 0 } else { rng.u8(..) & 127 }),
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
