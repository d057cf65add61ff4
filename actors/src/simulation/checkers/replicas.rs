//! What replicas held: convergence, hints, and names of versions.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    account::{Account, Names, excused_by, key_name, key_text},
    bits::Bits,
    verdict::{Verdict, ViolationKind},
};
use crate::simulation::history::{Dump, History, Kind, MarkName, Moment};

/// The dumps of one round.
#[derive(Default)]
struct Round<'a> {
    ended: Moment,
    /// By key and node.
    keys: BTreeMap<(&'a str, &'a str), BTreeMap<&'a str, &'a Dump>>,
}

pub(super) fn check(history: &History, names: &Names, verdict: &mut Verdict) {
    verdict.counts.dumps = history.dumps.len();
    one_dot_one_value(history, verdict);
    hints_left(history, verdict);
    let rounds = rounds(history);
    let Some(last) = rounds.values().next_back() else { return };
    converged(history, &rounds, verdict);
    kept(history, names, &rounds, last, verdict);
}

fn rounds(history: &History) -> BTreeMap<u32, Round<'_>> {
    let mut rounds: BTreeMap<u32, Round<'_>> = BTreeMap::new();
    for dump in &history.dumps {
        let round = rounds.entry(dump.round).or_default();
        round.ended = round.ended.max(dump.t);
        let key = (dump.bucket.as_str(), dump.key.as_str());
        round.keys.entry(key).or_default().insert(&dump.node, dump);
    }
    rounds
}

fn one_dot_one_value(history: &History, verdict: &mut Verdict) {
    let mut contents: BTreeMap<&str, (&str, &str, &str)> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for dump in &history.dumps {
        for (dot, checksum) in &dump.dots {
            let content = (dump.bucket.as_str(), dump.key.as_str(), checksum.as_str());
            if *contents.entry(dot).or_insert(content) != content && told.insert(dot.as_str()) {
                let detail = format!("{dot} names two contents, one of them at {}", dump.node);
                let key = Some(key_name(&dump.bucket, &dump.key));
                verdict.accuse(ViolationKind::DotReused, key, detail, []);
            }
        }
    }
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for operation in &history.operations {
        let Some((line, answer)) = operation.answer() else { continue };
        let own = answer.dot.as_deref().zip(operation.written());
        let shown = answer.dots.iter().map(String::as_str);
        let shown = shown.zip(answer.vals.iter().map(String::as_str));
        for (dot, value) in shown.chain(own) {
            let first = *values.entry(dot).or_insert(value);
            if first != value && told.insert(dot) {
                let detail = format!("{dot} names {first} and {value}");
                let key = Some(key_text(history, operation.key));
                verdict.accuse(ViolationKind::DotReused, key, detail, [line]);
            }
        }
    }
}

fn hints_left(history: &History, verdict: &mut Verdict) {
    let last: BTreeMap<&str, u64> =
        history.nodes.iter().map(|state| (state.node.as_str(), state.hints)).collect();
    for (node, hints) in last.into_iter().filter(|(_, hints)| *hints > 0) {
        let detail = format!("{node} still keeps {hints} copies for others");
        verdict.accuse(ViolationKind::HintsLeft, None, detail, []);
    }
}

/// Why the homes of a key are not equal in a round, if so: what is not known is not equal.
fn differ(nodes: &BTreeMap<&str, &Dump>) -> Option<String> {
    let homes = nodes.values().next().map(|dump| &dump.homes)?;
    let held =
        |home: &String| nodes.get(home.as_str()).map(|dump| (dump.digest.as_deref(), &dump.dots));
    if let Some(silent) = homes.iter().find(|home| held(home).is_none()) {
        return Some(format!("{silent} did not tell what it holds"));
    }
    let first = held(homes.first()?);
    let other = homes.iter().find(|home| held(home) != first)?;
    Some(format!("{} and {other} do not hold the same", homes[0]))
}

fn converged(history: &History, rounds: &BTreeMap<u32, Round<'_>>, verdict: &mut Verdict) {
    let equal = |round: &Round<'_>| round.keys.values().all(|nodes| differ(nodes).is_none());
    let Some(last) = rounds.values().next_back() else { return };
    for ((bucket, key), nodes) in &last.keys {
        if let Some(why) = differ(nodes) {
            let key = Some(key_name(bucket, key));
            let detail = format!("{why}, {} rounds after the first", rounds.len() - 1);
            verdict.accuse(ViolationKind::Diverged, key, detail, []);
        }
    }
    let stable = rounds.values().rev().take_while(|round| equal(round)).last();
    let Some(stable) = stable else { return };
    let took = stable.ended.millis_since(quiet_since(history));
    verdict.counts.converged_ms = Some(took);
    if history.meta.converge_ms.is_some_and(|bound| took > bound) {
        let bound = history.meta.converge_ms.unwrap_or_default();
        let detail = format!("replicas were equal after {took} ms; {bound} ms are promised");
        verdict.accuse(ViolationKind::SlowConverge, None, detail, []);
    }
}

/// The last heal, or the end of the last write if that was later.
fn quiet_since(history: &History) -> Moment {
    let heals = history.marks.iter().filter(|mark| mark.name == MarkName::Heal);
    let writes = history.operations.iter().filter(|one| one.invoke.op != Kind::Get);
    let ended = writes.map(|one| one.answer().map_or(one.invoke.t, |(_, answer)| answer.t));
    heals.map(|mark| mark.t).chain(ended).max().unwrap_or_default()
}

/// What a node kept without being a home is somewhere at last.
fn kept(
    history: &History,
    names: &Names,
    rounds: &BTreeMap<u32, Round<'_>>,
    last: &Round<'_>,
    verdict: &mut Verdict,
) {
    let mut copies: BTreeMap<(&str, &str), Vec<&Dump>> = BTreeMap::new();
    for (key, nodes) in rounds.values().flat_map(|round| &round.keys) {
        let strange = nodes.values().filter(|dump| !dump.homes.contains(&dump.node));
        copies.entry(*key).or_default().extend(strange.filter(|dump| !dump.vals.is_empty()));
    }
    for ((bucket, key), copies) in copies.into_iter().filter(|(_, copies)| !copies.is_empty()) {
        let place = history.keys.iter().position(|(b, k)| b == bucket && k == key);
        let account = place.and_then(|place| Account::open(history, names, place));
        let Some(account) = account.filter(|account| !account.rules.lww) else { continue };
        let Some(nodes) = last.keys.get(&(bucket, key)) else { continue };
        let asked = |dump: &&&Dump| {
            nodes.contains_key(dump.node.as_str())
                && dump.homes.iter().all(|home| nodes.contains_key(home.as_str()))
        };
        let held = nodes.values().flat_map(|dump| &dump.vals);
        let held: Vec<_> = held.filter_map(|val| account.sight(val, None)).collect();
        let mut covered = account.cover_of(&held);
        covered.unite(&excused_by(&account.ends(Moment(u64::MAX))));
        missing(&account, copies.iter().filter(asked), &covered, verdict);
    }
}

fn missing<'a>(
    account: &Account<'_>,
    copies: impl Iterator<Item = &'a &'a Dump>,
    covered: &Bits,
    verdict: &mut Verdict,
) {
    let mut told = BTreeSet::new();
    for dump in copies {
        for val in &dump.vals {
            let Some(sight) = account.sight(val, None) else { continue };
            let write = &account.writes[sight.write];
            let is_there = covered.contains(write.bit) || write.acked_at().is_none();
            if !is_there && told.insert(sight.write) {
                let detail = format!("{} kept {val} at {}, and it is nowhere", dump.node, dump.t);
                let key = Some(account.name.clone());
                verdict.accuse(ViolationKind::HintDropped, key, detail, write.acked_at());
            }
        }
    }
}
