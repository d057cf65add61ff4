//! One round: hear from all, ask all, and if all have promised, tell all.
//!
//! Why hear first: a member that was restored from a backup does not know that a generation was
//! finished with it. Were it raised past that one, what it holds would pass for new. Whoever has
//! dropped something knows of it, so the greatest that any member knows as finished goes with the
//! ask, and who is below it is told that it was left behind.

use core::time::Duration;
use std::collections::BTreeSet;

use super::{Ask, fence::Refusal};
use crate::{
    coordination::Generation, id::NodeId, key::PartitionId, machine::Machine, time::Instant,
};

/// How long the members have to promise, and then to drop.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What happened to a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundEvent {
    /// A member has answered.
    Answered {
        /// The member.
        member: NodeId,
        /// [`Ask::round`] of what it was asked.
        round: u64,
        /// What it says.
        answer: Answer,
    },
    /// A member is down.
    MemberDown(NodeId),
}

/// What a member says when it is asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is at this generation, and knows that one as finished.
    Heard {
        /// At which it is.
        generation: Generation,
        /// Which it knows as finished.
        finished: Generation,
    },
    /// It has promised, durably.
    Promised,
    /// It does not promise.
    Refused(Refusal),
    /// It could not be asked or told, or its answer was lost.
    Failed,
    /// It has dropped what was still the same.
    Dropped,
}

/// What a round wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundEffect {
    /// Ask a member, this node itself among them, at which generation it is.
    Hear {
        /// The member.
        member: NodeId,
        /// The partition.
        partition: PartitionId,
        /// [`Ask::round`].
        round: u64,
    },
    /// Ask a member to promise.
    Ask {
        /// The member.
        member: NodeId,
        /// What.
        ask: Ask,
    },
    /// Tell a member that all have promised: its generation is finished.
    Drop {
        /// The member.
        member: NodeId,
        /// What was promised.
        ask: Ask,
    },
    /// The machine is idle again. Always last.
    Finish(Outcome),
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All have promised. Who has not heard of it keeps what it had, and a later round takes it.
    Finished {
        /// Members that did not say that they dropped.
        missed: Vec<NodeId>,
    },
    /// Nothing goes; to be tried later, with a greater generation.
    Blocked {
        /// By whom.
        member: NodeId,
        /// Why.
        reason: Reason,
    },
}

/// Why a round is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The member is down: until it returns, or is removed from the layout.
    Down,
    /// The member did not answer.
    Silent,
    /// The member says no.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Hearing,
    Asking,
    Dropping,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    ask: Ask,
    phase: Phase,
    /// The greatest generation of those that were heard.
    greatest: Generation,
    /// Who has yet to be heard, to promise, or to drop.
    awaited: BTreeSet<NodeId>,
    members: BTreeSet<NodeId>,
    deadline: Instant,
}

/// The machine of one round at a time; idle until [`Round::start`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    run: Option<Run>,
}

impl Round {
    /// Turns to every member of the layout, unless one of them is known to be down: then nobody's
    /// generation is raised for nothing. What may be left of an earlier round is forgotten.
    pub fn start(
        &mut self,
        now: Instant,
        ask: Ask,
        members: &[(NodeId, bool)],
        effects: &mut Vec<RoundEffect>,
    ) {
        self.run = None;
        if let Some((member, _)) = members.iter().find(|(_, down)| *down) {
            let blocked = Outcome::Blocked { member: *member, reason: Reason::Down };
            effects.push(RoundEffect::Finish(blocked));
            return;
        }
        let members: BTreeSet<_> = members.iter().map(|(member, _)| *member).collect();
        let (partition, round) = (ask.partition, ask.round);
        let heard = |member: &NodeId| RoundEffect::Hear { member: *member, partition, round };
        effects.extend(members.iter().map(heard));
        self.run = Some(Run {
            ask,
            phase: Phase::Hearing,
            greatest: Generation::default(),
            awaited: members.clone(),
            members,
            deadline: now.after(PATIENCE),
        });
    }

    /// Whether no round is under way.
    pub fn is_idle(&self) -> bool {
        self.run.is_none()
    }

    /// Takes an answer to what `phase` asks; the run, if it was the last one.
    fn last_of(&mut self, phase: Phase, member: NodeId) -> Option<&mut Run> {
        let run = self.run.as_mut().filter(|run| run.phase == phase)?;
        (run.awaited.remove(&member) && run.awaited.is_empty()).then_some(run)
    }

    fn heard(
        &mut self,
        now: Instant,
        (member, generation, finished): (NodeId, Generation, Generation),
        effects: &mut Vec<RoundEffect>,
    ) {
        if let Some(run) = self.run.as_mut().filter(|run| run.phase == Phase::Hearing) {
            run.greatest = run.greatest.max(generation);
            run.ask.finished = run.ask.finished.max(finished);
        }
        let Some(run) = self.last_of(Phase::Hearing, member) else { return };
        run.ask.generation = Generation(run.greatest.0.saturating_add(1));
        run.turn(now, Phase::Asking);
        let ask = |member: &NodeId| RoundEffect::Ask { member: *member, ask: run.ask.clone() };
        effects.extend(run.members.iter().map(ask));
    }

    fn promised(&mut self, now: Instant, member: NodeId, effects: &mut Vec<RoundEffect>) {
        let Some(run) = self.last_of(Phase::Asking, member) else { return };
        run.turn(now, Phase::Dropping);
        let drop = |member: &NodeId| RoundEffect::Drop { member: *member, ask: run.ask.clone() };
        effects.extend(run.members.iter().map(drop));
    }

    fn dropped(&mut self, member: NodeId, effects: &mut Vec<RoundEffect>) {
        if self.last_of(Phase::Dropping, member).is_some() {
            self.finish(effects);
        }
    }

    /// A member that has yet to promise, and will not.
    fn block(&mut self, member: NodeId, reason: Reason, effects: &mut Vec<RoundEffect>) {
        let awaits = |run: &mut Run| run.phase != Phase::Dropping && run.awaited.contains(&member);
        if self.run.take_if(awaits).is_some() {
            effects.push(RoundEffect::Finish(Outcome::Blocked { member, reason }));
        }
    }

    fn finish(&mut self, effects: &mut Vec<RoundEffect>) {
        if let Some(run) = self.run.take() {
            let missed = run.awaited.into_iter().collect();
            effects.push(RoundEffect::Finish(Outcome::Finished { missed }));
        }
    }
}

impl Run {
    fn turn(&mut self, now: Instant, phase: Phase) {
        self.phase = phase;
        self.awaited.clone_from(&self.members);
        self.deadline = now.after(PATIENCE);
    }
}

impl Machine for Round {
    type Event = RoundEvent;
    type Effect = RoundEffect;

    fn handle(&mut self, now: Instant, event: RoundEvent, effects: &mut Vec<RoundEffect>) {
        let current = self.run.as_ref().map(|run| run.ask.round);
        match event {
            RoundEvent::MemberDown(member) => self.block(member, Reason::Down, effects),
            // A late answer to an earlier round.
            RoundEvent::Answered { round, .. } if current != Some(round) => {}
            RoundEvent::Answered { member, answer, .. } => match answer {
                Answer::Heard { generation, finished } => {
                    self.heard(now, (member, generation, finished), effects);
                }
                Answer::Promised => self.promised(now, member, effects),
                Answer::Refused(refusal) => {
                    self.block(member, Reason::Refused(refusal), effects);
                }
                Answer::Failed => self.block(member, Reason::Silent, effects),
                Answer::Dropped => self.dropped(member, effects),
            },
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<RoundEffect>) {
        let Some(run) = self.run.as_ref().filter(|run| now >= run.deadline) else { return };
        match run.awaited.first().copied().filter(|_| run.phase != Phase::Dropping) {
            Some(member) => self.block(member, Reason::Silent, effects),
            None => self.finish(effects),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.run.as_ref().map(|run| run.deadline)
    }
}
