//! One get under way.

use core::time::Duration;
use std::sync::Arc;

use super::{GetEffect, GetEvent, GetRequest, ReplicaAnswer};
use crate::{
    causality::{Conflict, Digest},
    coordination::{
        Failure, Homes, ReplicaRecord,
        outcome::{Fate, GetAnswer, Replicas, RequestError},
        quorum::Quorum,
        roster::{Role, Roster, Seat, Stage, Standing, small},
    },
    id::NodeId,
    planted::{Defect, planted},
    time::Instant,
};

/// What is known about the record of one replica.
#[derive(Clone, Debug, Default, PartialEq)]
struct Copy {
    /// The digest that it was sent, which is what `Same` refers to.
    sent: Option<Digest>,
    /// The digest of what it holds; none while it holds nothing that can be trusted.
    holds: Option<Digest>,
}

/// Everything that came in, merged.
#[derive(Clone, Debug, PartialEq)]
struct Merged {
    digest: Digest,
    replica: ReplicaRecord,
}

impl Merged {
    fn take(&mut self, other: &ReplicaRecord, digest: Digest, conflict: Conflict) {
        if other.record.is_nothing() {
            return;
        }
        let generation = &mut self.replica.generation;
        *generation = other.generation.min(*generation);
        if self.digest != digest {
            let record = Arc::make_mut(&mut self.replica.record);
            record.merge_once(&other.record, conflict);
            self.digest = record.digest();
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    roster: Roster<Copy>,
    quorum: Quorum,
    conflict: Conflict,
    /// Whether, for want of better ones, answers that do not count may stand for those that do.
    sloppy: bool,
    merged: Option<Merged>,
    /// The home on this node, if it is up.
    local: Option<NodeId>,
    /// Whether the remote homes wait for the digest of the local one.
    local_first: bool,
    /// How many replicas are asked beyond those that the quorum needs.
    hedges: usize,
    hedge_wanted: bool,
    started: Instant,
    early: Option<Instant>,
    late: Instant,
    late_delay: Duration,
    deadline: Instant,
    stage: Stage,
}

impl Run {
    pub(super) fn new(now: Instant, request: GetRequest) -> Self {
        let fallbacks = if request.sloppy { request.fallbacks } else { Homes::new() };
        let roster = Roster::new(request.homes, fallbacks);
        let local = Some(request.node).filter(|node| roster.role_of(*node) == Some(Role::Home));
        Self {
            roster,
            quorum: Quorum::new(request.quorum),
            conflict: request.conflict,
            sloppy: request.sloppy,
            merged: None,
            local,
            local_first: local.is_some(),
            hedges: 0,
            hedge_wanted: false,
            started: now,
            early: Some(now.after(request.hedge.early)),
            late: now.after(request.hedge.late),
            late_delay: request.hedge.late,
            deadline: request.deadline,
            stage: Stage::Open,
        }
    }

    pub(super) fn handle(&mut self, now: Instant, event: GetEvent, effects: &mut Vec<GetEffect>) {
        match event {
            GetEvent::Answered { node, complete, answer } => {
                if !self.take_answer(node, complete, answer) {
                    return;
                }
            }
            GetEvent::Failed { node, failure } => {
                if !self.roster.fail(node, failure) {
                    return;
                }
            }
            GetEvent::MemberDown(node) => {
                self.roster.lose(node);
            }
            GetEvent::HedgeGranted => {
                if !core::mem::take(&mut self.hedge_wanted) {
                    return;
                }
                self.hedge();
            }
        }
        self.proceed(now, effects);
    }

    /// Merges what a replica answered, and counts it if it may count; false if nobody asked.
    fn take_answer(&mut self, node: NodeId, complete: bool, answer: ReplicaAnswer) -> bool {
        let Some(seat) = self.roster.awaited(node) else { return false };
        let (holds, nothing) = match &answer {
            ReplicaAnswer::Same => (seat.note.sent, false),
            ReplicaAnswer::Holds(replica) => {
                (Some(replica.record.digest()), replica.record.is_nothing())
            }
        };
        // `Same` as what? The node was sent no digest.
        let Some(holds) = holds else { return false };
        seat.standing = Standing::Answered;
        seat.note.holds = Some(holds);
        let role = seat.role;
        if let ReplicaAnswer::Holds(replica) = answer {
            self.merge(replica, holds);
        }
        let complete = complete || planted(Defect::IncompleteHomeCounts);
        let nothing = nothing && !planted(Defect::EmptyFallbackCounts);
        match role {
            Role::Home if complete => self.quorum.count_home(node),
            Role::Fallback if complete && !nothing => self.quorum.count_fallback(node),
            Role::Home | Role::Fallback => {}
        }
        true
    }

    fn merge(&mut self, other: ReplicaRecord, digest: Digest) {
        match &mut self.merged {
            Some(merged) if !merged.replica.record.is_nothing() => {
                merged.take(&other, digest, self.conflict);
            }
            // What holds nothing was read under no generation that would matter to anybody.
            merged => *merged = Some(Merged { digest, replica: other }),
        }
    }

    /// Does what the state of things calls for.
    pub(super) fn proceed(&mut self, now: Instant, effects: &mut Vec<GetEffect>) {
        if self.stage == Stage::Open {
            if self.quorum.is_met() {
                self.answer(now, effects);
            } else if self.roster.can_meet(&self.quorum) {
                self.ask(effects);
            } else if self.is_filled() && !self.is_patient() {
                self.answer(now, effects);
            } else if self.may_be_filled() {
                self.ask(effects);
            } else {
                let error = self.quorum_not_met();
                self.reply(Err(error), effects);
            }
        }
        if self.stage == Stage::Replied {
            self.repair(effects);
            if self.roster.pending() == 0 {
                self.stage = Stage::Over;
            }
        }
    }

    /// Whether answers that do not count bring the number up to what is needed. That may serve a
    /// version that exists, but "not found" would be a guess.
    fn is_filled(&self) -> bool {
        let holds = self.merged.as_ref().is_some_and(|merged| !merged.replica.record.is_nothing());
        let answered = self.answered();
        self.sloppy && holds && self.quorum.can_be_met(0, answered - self.quorum.got())
    }

    /// Whether somebody is worth waiting for who may know better: until the first hedge.
    fn is_patient(&self) -> bool {
        self.hedges == 0 && self.roster.pending() > 0
    }

    /// Whether that can still come about.
    fn may_be_filled(&self) -> bool {
        let (homes, fallbacks) = (self.roster.able(Role::Home), self.roster.able(Role::Fallback));
        let fillers = self.answered() - self.quorum.got();
        let open = homes + fallbacks > 0;
        self.sloppy && open && self.quorum.can_be_met(homes, fallbacks + fillers)
    }

    /// How many replicas have answered, whether they count or not.
    fn answered(&self) -> usize {
        self.roster.count(|seat| seat.standing == Standing::Answered)
    }

    /// Asks until as many have counted or are about to as the quorum and the hedges call for.
    fn ask(&mut self, effects: &mut Vec<GetEffect>) {
        if let Some(node) = self.local.filter(|_| self.local_first) {
            let seat = self.roster.seat(node);
            if let Some(seat) = seat.filter(|seat| seat.standing == Standing::Unasked) {
                seat.standing = Standing::Asked;
                effects.push(GetEffect::ReadAt { node, known: None });
            }
            self.local_first = self.roster.is_pending(node);
        }
        let merged = self.merged.as_ref().filter(|merged| !merged.replica.record.is_nothing());
        let known = merged.map(|merged| merged.digest);
        let wanted = self.quorum.needed() + self.hedges;
        while !self.local_first && self.quorum.got() + self.roster.pending() < wanted {
            let Some(seat) = self.roster.spare() else { return };
            seat.standing = Standing::Asked;
            seat.note.sent = known;
            effects.push(GetEffect::ReadAt { node: seat.node, known });
        }
    }

    /// One more replica is asked, and nobody waits for the local home any longer.
    fn hedge(&mut self) {
        self.hedges += 1;
        self.local_first = false;
    }

    fn answer(&mut self, now: Instant, effects: &mut Vec<GetEffect>) {
        if self.is_sample() {
            effects.push(GetEffect::Observe(now.since(self.started)));
        }
        let record = self.merged.as_ref().map(|merged| Arc::clone(&merged.replica.record));
        let (acks, fallbacks) = if self.quorum.is_met() {
            (self.quorum.got(), self.quorum.fallbacks())
        } else {
            (self.answered(), self.answered() - self.quorum.primaries())
        };
        let replicas = Replicas {
            acks: small(acks),
            fallbacks: small(fallbacks),
            homes: small(self.roster.homes()),
        };
        let answer = GetAnswer { record: record.unwrap_or_default(), replicas };
        self.reply(Ok(answer), effects);
    }

    /// Whether the time until the answer says how fast replicas are: nobody was asked beyond those
    /// that were needed, and one of them was remote.
    fn is_sample(&self) -> bool {
        let asked = self.roster.count(|seat| seat.standing != Standing::Unasked);
        asked == self.quorum.needed() && asked > usize::from(self.local.is_some())
    }

    fn reply(&mut self, outcome: Result<GetAnswer, RequestError>, effects: &mut Vec<GetEffect>) {
        self.stage = Stage::Replied;
        effects.push(GetEffect::Reply(outcome));
    }

    fn quorum_not_met(&self) -> RequestError {
        RequestError::QuorumNotMet {
            needed: small(self.quorum.needed()),
            got: small(self.quorum.got()),
            homes_down: self.roster.homes_down(),
            fate: Fate::NotApplied,
        }
    }

    /// Sends the merge to every replica that is known to lack some of it and can take it.
    fn repair(&mut self, effects: &mut Vec<GetEffect>) {
        let Some(merged) = self.merged.as_ref().filter(|all| !all.replica.record.is_nothing())
        else {
            return;
        };
        for seat in &mut self.roster.seats {
            let behind = seat.takes_repair() && !planted(Defect::ReadRepairDropped);
            if behind && seat.note.holds != Some(merged.digest) {
                seat.note.holds = Some(merged.digest);
                let record = merged.replica.clone();
                effects.push(GetEffect::RepairAt { node: seat.node, record });
            }
        }
    }

    pub(super) fn expire(&mut self, now: Instant, effects: &mut Vec<GetEffect>) {
        if now >= self.deadline {
            self.run_out(now, effects);
        } else if self.awaits_hedge() && now >= self.late {
            self.early = None;
            self.late = now.after(self.late_delay);
            self.hedge();
            self.proceed(now, effects);
        } else if self.early_hedge().is_some_and(|early| now >= early) {
            self.early = None;
            self.hedge_wanted = true;
            effects.push(GetEffect::WantHedge);
        }
    }

    /// The client's time is over. Had too few replicas been believed alive, it would have been told
    /// before.
    fn run_out(&mut self, now: Instant, effects: &mut Vec<GetEffect>) {
        if self.stage == Stage::Open && self.is_filled() {
            // Whoever was silent until now was out of reach, whatever the member view says.
            self.answer(now, effects);
        } else if self.stage == Stage::Open {
            let error = RequestError::TimedOut {
                needed: small(self.quorum.needed()),
                got: small(self.quorum.got()),
                after: now.since(self.started),
            };
            self.reply(Err(error), effects);
        }
        self.stage = Stage::Over;
    }

    fn awaits_hedge(&self) -> bool {
        self.stage == Stage::Open && (self.roster.has_spare() || self.is_filled())
    }

    /// When an early hedge is due. It goes to a home: most fallbacks hold nothing.
    fn early_hedge(&self) -> Option<Instant> {
        let spare = self.roster.spare_of(Role::Home);
        self.early.filter(|_| self.stage == Stage::Open && spare.is_some())
    }

    pub(super) fn next_deadline(&self) -> Instant {
        let late = if self.awaits_hedge() { self.late } else { self.deadline };
        let hedge = self.early_hedge().map_or(late, |early| early.min(late));
        hedge.min(self.deadline)
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

impl Seat<Copy> {
    fn takes_repair(&self) -> bool {
        let spoke =
            matches!(self.standing, Standing::Answered | Standing::Failed(Failure::Corrupt));
        spoke && !self.down && self.is_home()
    }
}
