//! Gets of overlapping quorums see every write that was acknowledged before they began.

use super::{
    account::{Account, Sight, Write, excused_by},
    bits::Bits,
    verdict::{Verdict, ViolationKind},
};
use crate::simulation::history::{Kind, Operation, Quorum};

/// What happens to a key, in the order of lines.
enum Step<'a> {
    /// What may end the key is sent first: the write in that place.
    Sent(usize),
    /// A put or delete is acknowledged, by this attempt at the write in that place.
    Acked(&'a Operation, usize),
    /// A get begins.
    Read(&'a Operation),
}

pub(super) fn check(account: &Account<'_>, verdict: &mut Verdict) {
    let mut sweep = Sweep::new(account);
    for (_, step) in steps(account) {
        match step {
            Step::Sent(place) => sweep.sent(place),
            Step::Acked(attempt, place) => sweep.acked(attempt, place),
            Step::Read(get) => sweep.read(get, verdict),
        }
    }
}

fn steps<'a>(account: &'a Account<'_>) -> Vec<(usize, Step<'a>)> {
    let mut steps = Vec::new();
    for (place, write) in account.writes.iter().enumerate() {
        if !write.is_put() && !write.is_refused() {
            steps.push((write.first().line, Step::Sent(place)));
        }
        let answers = write.attempts.iter().filter_map(|one| Some((one.answer()?.0, *one)));
        steps.extend(answers.map(|(line, attempt)| (line, Step::Acked(attempt, place))));
    }
    for operation in &account.operations {
        if operation.invoke.op == Kind::Get && operation.answer().is_some() {
            steps.push((operation.line, Step::Read(operation)));
        }
    }
    steps.sort_by_key(|(line, _)| *line);
    steps
}

/// What writes that so many homes have acknowledged leave to be seen.
#[derive(Clone, Default)]
struct Level {
    /// The puts.
    want: Bits,
    /// What deletes had seen.
    erased: Bits,
}

struct Sweep<'a> {
    account: &'a Account<'a>,
    /// By homes that acknowledged at least, from 1.
    levels: Vec<Level>,
    /// All acknowledged puts.
    acked: Bits,
    /// What deletes had seen that may have been applied.
    excused: Bits,
}

impl<'a> Sweep<'a> {
    fn new(account: &'a Account<'a>) -> Self {
        let levels = vec![Level::default(); usize::from(account.rules.n)];
        Self { account, levels, acked: Bits::default(), excused: Bits::default() }
    }

    /// The homes that surely stand for an answer.
    fn homes(&self, operation: &Operation) -> usize {
        let (meta, invoke) = (&self.account.history.meta, &operation.invoke);
        let (all, homes) = match invoke.op {
            Kind::Get => (invoke.r.unwrap_or(meta.r), invoke.pr),
            Kind::Put | Kind::Delete => (invoke.w.unwrap_or(meta.w), invoke.pw),
        };
        let strict = invoke.quorum.unwrap_or(meta.quorum) == Quorum::Strict;
        usize::from(if strict { all } else { homes.unwrap_or(0) })
    }

    fn sent(&mut self, place: usize) {
        self.excused.unite(&self.account.writes[place].past);
    }

    fn acked(&mut self, attempt: &Operation, place: usize) {
        let (write, homes) = (&self.account.writes[place], self.homes(attempt));
        for level in self.levels.iter_mut().take(homes) {
            if write.is_put() {
                level.want.insert(write.bit);
            } else {
                level.erased.unite(&write.past);
            }
        }
        if write.is_put() {
            self.acked.insert(write.bit);
        }
    }

    fn read(&self, get: &Operation, verdict: &mut Verdict) {
        let sights = self.account.sights(get);
        let covered = self.account.cover_of(&sights);
        let stale = !self.missed(get, &sights, &self.acked, &covered).is_empty();
        verdict.counts.stale_gets += usize::from(stale);
        if self.account.history.meta.lossy {
            return;
        }
        // Of so many homes at least one is asked that acknowledged.
        let homes = self.homes(get);
        let Some(level) = self.levels.get(self.levels.len().saturating_sub(homes)) else { return };
        verdict.counts.fresh_gets += 1;
        for bit in self.missed(get, &sights, &level.want, &covered) {
            let write = self.account.write_of(bit);
            let detail = format!("a get misses {}, which was acknowledged before it", write.name);
            self.accuse(get, write, detail, verdict);
        }
        for sight in &sights {
            if sight.version.is_some_and(|version| level.erased.contains(version)) {
                let write = &self.account.writes[sight.write];
                let detail = format!("a get shows {}, which was deleted before it", write.name);
                self.accuse(get, write, detail, verdict);
            }
        }
    }

    /// Those of `want` that an answer neither covers nor may leave out.
    fn missed(&self, get: &Operation, sights: &[Sight], want: &Bits, covered: &Bits) -> Vec<usize> {
        let account = self.account;
        let mut missed = want.without(&[covered, &self.excused]);
        if account.rules.lww && !sights.is_empty() {
            missed.retain(|bit| !account.may_have_lost(*bit, sights, &[]));
        }
        let Some((line, answer)) = get.answer().filter(|_| !missed.is_empty()) else {
            return Vec::new();
        };
        let sent = |write: &&Write<'_>| write.first().line < line;
        let ends: Vec<&Write<'_>> = account.ends(answer.t).into_iter().filter(sent).collect();
        let excused = excused_by(&ends);
        missed.retain(|bit| !excused.contains(*bit));
        if account.rules.lww {
            missed.retain(|bit| !account.may_have_lost(*bit, sights, &ends));
        }
        missed
    }

    fn accuse(&self, get: &Operation, write: &Write<'_>, detail: String, verdict: &mut Verdict) {
        let answered = get.answer().map(|(line, _)| line);
        let lines = [write.first().line, get.line].into_iter();
        let lines = lines.chain(write.acked_at()).chain(answered);
        let key = Some(self.account.name.clone());
        verdict.accuse(ViolationKind::StaleStrict, key, detail, lines);
    }
}
