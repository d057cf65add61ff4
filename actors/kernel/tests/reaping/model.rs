//! One key on three homes and two further members: puts, deletes, copies that are stuck, power
//! cuts, restored backups, and rounds that reap and prune. What every member has promised to be
//! gone may never be seen alive again.

use std::{collections::BTreeMap, sync::Arc};

use henge_kernel::{
    causality::{Conflict, Context, Dot, History, Minter, Record},
    coordination::Generation,
    id::{NodeId, ShardUid},
    machine::Machine,
    reaping::{
        Ask, Fence, Purpose, Round,
        fence::{Copy, Held, Standing},
        is_dead,
        round::{Answer, RoundEffect, RoundEvent},
    },
    time::{Instant, WallMillis},
};

use crate::support::{ask, overwrite, write};

const HOMES: u64 = 3;
const MEMBERS: u64 = 5;
const STANDING: Standing = Standing { epoch: 7, being_filled: false, suspect: false };

struct Member {
    record: Record,
    /// What a power cut leaves.
    synced: Record,
    fence: Fence,
    minter: Minter,
}

enum Message {
    Record { to: NodeId, record: Arc<Record>, generation: Generation },
    Round(RoundEffect),
    Answer(RoundEvent),
}

struct World {
    members: BTreeMap<NodeId, Member>,
    backup: Option<(NodeId, Record, Fence)>,
    mail: Vec<Message>,
    round: Round,
    /// The greatest generation that every member has promised, whoever knows of it.
    promised: Generation,
    /// The histories that every member has promised to be dead.
    gone: Vec<History>,
    reaps: u64,
    prunes: u64,
    ids: u64,
    rng: fastrand::Rng,
}

/// `record` without what belongs to the shard.
fn replicated(record: &Record) -> Record {
    let mut copy = Record::default();
    copy.merge(record, Conflict::Siblings);
    copy
}

impl Member {
    fn new(uid: u64) -> Self {
        Self {
            record: Record::default(),
            synced: Record::default(),
            fence: Fence::default(),
            minter: Minter::new(ShardUid(uid)),
        }
    }

    fn held(&self, node: NodeId) -> Held {
        let (digest, dead) = (self.record.digest(), is_dead(&self.record, WallMillis(0)));
        let record = Copy::Record { digest, dead };
        let copy = if self.record.is_nothing() { Copy::Nothing } else { record };
        Held { is_home: node.0 < HOMES, copy }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            members: (0..MEMBERS).map(|node| (NodeId(node), Member::new(node))).collect(),
            backup: None,
            mail: Vec::new(),
            round: Round::default(),
            promised: Generation::default(),
            gone: Vec::new(),
            reaps: 0,
            prunes: 0,
            ids: 100,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    fn draw(&mut self, members: u64) -> NodeId {
        NodeId(self.rng.u64(0..members))
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn finished(&self) -> Generation {
        self.members.values().map(|member| member.fence.finished).max().unwrap()
    }

    /// A client writes at a home, or at a fallback: blind, or over all that it holds.
    fn write(&mut self) {
        let (node, id) = (self.draw(MEMBERS), self.id());
        let (delete, blind) = (self.rng.bool(), self.rng.u8(..) < 80);
        let member = self.members.get_mut(&node).unwrap();
        if blind {
            let put = write(Some("value"), Context::default(), id.into());
            let _ = member.record.write(&mut member.minter, put);
        } else if !(delete && member.record.is_nothing()) {
            let text = (!delete).then_some("value");
            overwrite(&mut member.record, &mut member.minter, text, id.into());
        }
        self.spread(node);
    }

    /// Copies go to all homes and, now and then, to a fallback; when they arrive is another matter.
    fn spread(&mut self, from: NodeId) {
        let Member { record, fence, .. } = &self.members[&from];
        let (record, generation) = (Arc::new(replicated(record)), fence.generation);
        let fallback = (self.rng.u8(..) < 64).then(|| self.draw(MEMBERS));
        for to in (0..HOMES).map(NodeId).chain(fallback).filter(|to| *to != from) {
            self.mail.push(Message::Record { to, record: Arc::clone(&record), generation });
        }
    }

    fn pass_mail(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let at = self.rng.usize(0..self.mail.len());
        match self.mail.swap_remove(at) {
            Message::Record { to, record, generation } => {
                // Now and then it comes once more, much later.
                if self.rng.u8(..) < 64 {
                    let record = Arc::clone(&record);
                    self.mail.push(Message::Record { to, record, generation });
                }
                let member = self.members.get_mut(&to).unwrap();
                if member.fence.admit(generation).is_ok() {
                    member.record.merge(&record, Conflict::Siblings);
                }
            }
            Message::Round(effect) => self.perform(effect),
            Message::Answer(event) => {
                let mut effects = Vec::new();
                self.round.handle(Instant::default(), event, &mut effects);
                if let Some(RoundEffect::Drop { ask, .. }) = effects.first() {
                    self.note_gone(&ask.clone());
                }
                self.mail.extend(effects.into_iter().map(Message::Round));
            }
        }
    }

    /// All have promised: what they hold is known, and dead.
    fn note_gone(&mut self, ask: &Ask) {
        match ask.purpose {
            Purpose::Reap => self.reaps += 1,
            Purpose::Prune => self.prunes += 1,
        }
        self.promised = self.promised.max(ask.generation);
        let digest = ask.keys[0].1;
        let mut same = self.members.values().map(|member| &member.record);
        let Some(record) = same.find(|record| record.digest() == digest) else { return };
        let live = |dot| record.versions().iter().any(|version| version.dot == dot);
        let dots = record.history().entries().iter().flat_map(|run| {
            (run.first..=run.last).map(|counter| Dot { actor: run.actor, counter })
        });
        self.gone.push(dots.filter(|dot| !live(*dot)).collect());
    }

    fn perform(&mut self, effect: RoundEffect) {
        match effect {
            RoundEffect::Hear { member: node, round, .. } => {
                let Fence { generation, finished, .. } = self.members[&node].fence;
                self.answer(node, round, Answer::Heard { generation, finished });
            }
            RoundEffect::Ask { member: node, ask } => {
                let member = self.members.get_mut(&node).unwrap();
                let held = member.held(node);
                let answer = match member.fence.promise(&ask, STANDING, |_| held) {
                    Ok(()) => {
                        if ask.purpose == Purpose::Prune {
                            member.record.void_idle_right();
                        }
                        member.synced = member.record.clone();
                        Answer::Promised
                    }
                    Err(refusal) => Answer::Refused(refusal),
                };
                self.answer(node, ask.round, answer);
            }
            RoundEffect::Drop { member: node, ask } => {
                let member = self.members.get_mut(&node).unwrap();
                let held = member.held(node);
                let agreed = member.fence.finish(&ask, |_| held).unwrap_or_default();
                if !agreed.is_empty() && ask.purpose == Purpose::Reap {
                    member.record = Record::default();
                } else if !agreed.is_empty() {
                    member.record.prune();
                }
                self.answer(node, ask.round, Answer::Dropped);
            }
            RoundEffect::Finish(_) => {}
        }
    }

    fn answer(&mut self, member: NodeId, round: u64, answer: Answer) {
        self.mail.push(Message::Answer(RoundEvent::Answered { member, round, answer }));
    }

    fn begin_round(&mut self) {
        let round = self.id();
        let node = self.draw(MEMBERS);
        let member = &self.members[&node];
        let dead = is_dead(&member.record, WallMillis(0));
        let purpose = if dead { Purpose::Reap } else { Purpose::Prune };
        if member.record.is_nothing() || !self.round.is_idle() {
            return;
        }
        let mut ask = ask(purpose, 0, member.record.digest());
        ask.round = round;
        let members: Vec<_> = self.members.keys().map(|member| (*member, false)).collect();
        let mut effects = Vec::new();
        self.round.start(Instant::default(), ask, &members, &mut effects);
        self.mail.extend(effects.into_iter().map(Message::Round));
    }

    fn restart(&mut self, record: impl Fn(&Member) -> Record) {
        let (node, uid) = (self.draw(MEMBERS), self.id());
        let member = self.members.get_mut(&node).unwrap();
        member.record = replicated(&record(member));
        member.minter = Minter::new(ShardUid(uid));
    }

    fn restore(&mut self) {
        let uid = self.id();
        if let Some((node, record, fence)) = self.backup.take() {
            let member = self.members.get_mut(&node).unwrap();
            (member.record, member.fence) = (replicated(&record), fence);
            member.synced = member.record.clone();
            member.minter = Minter::new(ShardUid(uid));
        }
    }

    /// A member hears which generation is finished: if it was left behind, it is filled anew.
    fn meet(&mut self) {
        let (node, from, finished) = (self.draw(MEMBERS), self.draw(HOMES), self.finished());
        let Member { record, fence, .. } = &self.members[&from];
        let (record, filled) = (replicated(record), *fence);
        let member = self.members.get_mut(&node).unwrap();
        if member.fence.meet(finished).is_err() && filled.generation >= finished {
            (member.record, member.fence) = (record, filled);
            member.synced = member.record.clone();
        }
    }

    fn check(&self, seed: u64) {
        // Who was restored holds what it held, and cannot pass it on.
        let promised = self.promised;
        let sound = self.members.values().filter(|member| member.fence.generation >= promised);
        for version in sound.flat_map(|member| member.record.versions()) {
            let gone = self.gone.iter().any(|gone| gone.contains(version.dot));
            assert!(!gone, "seed {seed}: {version:?} is back");
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..) {
            0..25 => self.write(),
            25..60 => {
                let node = self.draw(MEMBERS);
                self.spread(node);
            }
            60..190 => self.pass_mail(),
            190..222 => self.begin_round(),
            222..230 => self.restart(|member| member.record.clone()),
            230..236 => self.restart(|member| member.synced.clone()),
            236..242 => {
                let node = self.draw(MEMBERS);
                let member = self.members.get_mut(&node).unwrap();
                member.synced = member.record.clone();
            }
            242..246 => {
                let node = self.draw(MEMBERS);
                let Member { record, fence, .. } = &self.members[&node];
                self.backup = Some((node, record.clone(), *fence));
            }
            246..248 => self.restore(),
            248.. => self.meet(),
        }
    }

    /// All become equal, often by a delete, and a round has a chance. What is stuck stays stuck.
    fn calm(&mut self) {
        for _ in 0..2 {
            (0..MEMBERS).for_each(|node| self.exchange(NodeId(node)));
        }
        let (node, id) = (NodeId(self.rng.u64(0..HOMES)), self.id());
        let delete = self.rng.u8(..) < 192;
        let member = self.members.get_mut(&node).unwrap();
        if delete && !member.record.is_nothing() {
            overwrite(&mut member.record, &mut member.minter, None, id.into());
        }
        self.exchange(node);
        self.begin_round();
        (0..40).for_each(|_| self.pass_mail());
    }

    /// A member's record reaches every other one.
    fn exchange(&mut self, from: NodeId) {
        let Member { record, fence, .. } = &self.members[&from];
        let (record, generation) = (replicated(record), fence.generation);
        for member in self.members.values_mut() {
            if member.fence.admit(generation).is_ok() {
                member.record.merge(&record, Conflict::Siblings);
            }
        }
    }
}

#[test]
fn what_all_have_promised_to_be_gone_never_comes_back() {
    let (mut reaps, mut prunes) = (0, 0);
    for seed in 0..10_000 {
        let mut world = World::new(seed);
        for _ in 0..3 {
            for _ in 0..40 {
                world.step();
                world.check(seed);
            }
            world.calm();
            world.check(seed);
        }
        (reaps, prunes) = (reaps + world.reaps, prunes + world.prunes);
    }
    println!("{reaps} reaps and {prunes} prunes");
    assert!(reaps > 500 && prunes > 500, "{reaps} reaps and {prunes} prunes prove little");
}
