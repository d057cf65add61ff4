//! One put under way.

use core::time::Duration;

use super::{Minted, PutEffect, PutEvent, PutRequest};
use crate::{
    coordination::{
        Failure,
        outcome::{Fate, PutAnswer, Replicas, RequestError},
        quorum::Quorum,
        roster::{Roster, Stage, Standing, small},
    },
    id::NodeId,
    time::Instant,
};

/// Where the write is to be minted, and how far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The local home mints.
    Minting,
    /// The other homes store.
    Storing,
    /// Another home carries out the whole put; when the next one is tried.
    Forwarding { next: Instant },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    roster: Roster<()>,
    quorum: Quorum,
    phase: Phase,
    local: Option<NodeId>,
    forwarded: bool,
    return_body: bool,
    started: Instant,
    patience: Duration,
    deadline: Instant,
    /// What the local home minted, until the client has it.
    minted: Option<Minted>,
    /// The refusal to be relayed if nobody takes the put.
    refusal: Option<RequestError>,
    /// Whether a mint or a forward was lost that may have been applied.
    lost: bool,
    stage: Stage,
}

impl Run {
    pub(super) fn new(now: Instant, request: PutRequest) -> Self {
        let roster = Roster::new(request.homes);
        Self {
            local: roster.local(request.node),
            roster,
            quorum: Quorum::new(request.quorum),
            phase: Phase::Minting,
            forwarded: request.forwarded,
            return_body: request.return_body,
            started: now,
            patience: request.patience,
            deadline: request.deadline,
            minted: None,
            refusal: None,
            lost: false,
            stage: Stage::Open,
        }
    }

    pub(super) fn begin(&mut self, now: Instant, may_mint: bool, effects: &mut Vec<PutEffect>) {
        if !self.quorum.can_be_met(self.roster.alive(), 0) {
            self.fail(effects);
        } else if self.local.is_some() && may_mint {
            self.set_local(Standing::Asked);
            effects.push(PutEffect::Mint);
        } else {
            self.pass_on(now, effects);
        }
    }

    pub(super) fn handle(&mut self, now: Instant, event: PutEvent, effects: &mut Vec<PutEffect>) {
        match event {
            PutEvent::Minted(minted) => self.minted(now, minted, effects),
            PutEvent::MintRefused(error) => self.mint_refused(error, effects),
            PutEvent::MintUnable => self.mint_failed(now, false, effects),
            PutEvent::MintFailed => self.mint_failed(now, true, effects),
            PutEvent::Stored(node) => self.stored(now, node, effects),
            PutEvent::Failed { node, failure } => self.failed(now, node, failure, effects),
            PutEvent::Forwarded { node, outcome } => self.relay(now, node, outcome, effects),
            PutEvent::MemberDown(node) => {
                self.roster.lose(node);
                self.proceed(now, effects);
            }
        }
    }

    fn minted(&mut self, now: Instant, minted: Minted, effects: &mut Vec<PutEffect>) {
        if self.phase != Phase::Minting {
            return;
        }
        self.phase = Phase::Storing;
        self.set_local(Standing::Answered);
        self.local.into_iter().for_each(|node| self.quorum.count_home(node));
        while let Some(seat) = self.roster.spare() {
            seat.standing = Standing::Asked;
            let record = minted.record.clone();
            effects.push(PutEffect::StoreAt { node: seat.node, record });
        }
        self.minted = Some(minted);
        self.proceed(now, effects);
    }

    fn mint_refused(&mut self, error: RequestError, effects: &mut Vec<PutEffect>) {
        if self.phase == Phase::Minting {
            self.reply(Err(error), effects);
            self.stage = Stage::Over;
        }
    }

    fn mint_failed(&mut self, now: Instant, lost: bool, effects: &mut Vec<PutEffect>) {
        if self.phase != Phase::Minting {
            return;
        }
        self.lost = lost;
        if self.stage == Stage::Open {
            self.pass_on(now, effects);
        } else {
            self.stage = Stage::Over;
        }
    }

    /// Leaves the put to another home, unless it has come from one that was told so already.
    fn pass_on(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        self.set_local(Standing::Failed(Failure::Refused));
        self.phase = Phase::Forwarding { next: now };
        if self.forwarded {
            let reason = "this node may not mint for the key".into();
            self.refusal = Some(RequestError::NotReady { reason });
            self.fail(effects);
        } else {
            self.proceed(now, effects);
        }
    }

    fn stored(&mut self, now: Instant, node: NodeId, effects: &mut Vec<PutEffect>) {
        let storing = self.phase == Phase::Storing;
        if let Some(seat) = self.roster.awaited(node).filter(|_| storing) {
            seat.standing = Standing::Answered;
            self.quorum.count_home(node);
            self.proceed(now, effects);
        }
    }

    fn failed(
        &mut self,
        now: Instant,
        node: NodeId,
        failure: Failure,
        effects: &mut Vec<PutEffect>,
    ) {
        if self.phase != Phase::Minting && self.roster.fail(node, failure) {
            self.lost |= failure == Failure::Lost;
            self.proceed(now, effects);
        }
    }

    /// Takes in the outcome of a forward. Whoever may have applied the write has the last word; a
    /// refusal leaves the others their chance.
    fn relay(
        &mut self,
        now: Instant,
        node: NodeId,
        outcome: Result<PutAnswer, RequestError>,
        effects: &mut Vec<PutEffect>,
    ) {
        let forwarding = matches!(self.phase, Phase::Forwarding { .. });
        let Some(seat) = self.roster.awaited(node).filter(|_| forwarding) else { return };
        match outcome {
            Err(error) if error.fate() == Fate::NotApplied => {
                seat.standing = Standing::Failed(Failure::Refused);
                if !self.is_decided() {
                    self.refusal = Some(error);
                }
                self.proceed(now, effects);
            }
            outcome => {
                self.reply(outcome, effects);
                self.stage = Stage::Over;
            }
        }
    }

    /// Does what the state of things calls for.
    fn proceed(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        if matches!(self.phase, Phase::Forwarding { .. }) {
            self.proceed_forwarding(now, effects);
            return;
        }
        if self.quorum.is_met() {
            self.answer(effects);
        } else if !self.roster.can_meet(&self.quorum) {
            self.reply(Err(self.quorum_not_met(Fate::Unknown)), effects);
        }
        let stored = self.phase == Phase::Storing && self.roster.pending() == 0;
        if stored && self.stage == Stage::Replied {
            self.stage = Stage::Over;
        }
    }

    fn proceed_forwarding(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        // A link that failed here says nothing about the homes among themselves; the member view
        // does.
        let possible = self.quorum.can_be_met(self.roster.alive(), 0);
        if possible && self.roster.pending() == 0 {
            self.forward(now, effects);
        }
        if !possible || self.roster.pending() == 0 {
            self.fail(effects);
        }
    }

    fn forward(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        if self.is_decided() {
            return;
        }
        if let Some(seat) = self.roster.spare() {
            seat.standing = Standing::Asked;
            self.phase = Phase::Forwarding { next: now.after(self.patience) };
            effects.push(PutEffect::ForwardTo(seat.node));
        }
    }

    /// Whether a home has refused the write itself: no other one will take it.
    fn is_decided(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| !refusal.is_of_the_node())
    }

    fn answer(&mut self, effects: &mut Vec<PutEffect>) {
        let Some(minted) = self.minted.take() else { return };
        let replicas = Replicas {
            acks: small(self.quorum.got()),
            fallbacks: small(self.quorum.fallbacks()),
            homes: small(self.roster.seats.len()),
        };
        let record = self.return_body.then_some(minted.record.record);
        let answer = PutAnswer { context: minted.context, dot: minted.dot, record, replicas };
        self.reply(Ok(answer), effects);
    }

    /// Nobody is left to mint the write: it is refused only if nobody may have done so.
    fn fail(&mut self, effects: &mut Vec<PutEffect>) {
        let in_flight = self.roster.count(|seat| seat.standing == Standing::Asked);
        let unknown = self.lost || in_flight > 0;
        let error = match self.refusal.take() {
            Some(refusal) if !unknown => refusal,
            _ => self.quorum_not_met(if unknown { Fate::Unknown } else { Fate::NotApplied }),
        };
        self.reply(Err(error), effects);
        self.stage = Stage::Over;
    }

    fn reply(&mut self, outcome: Result<PutAnswer, RequestError>, effects: &mut Vec<PutEffect>) {
        if self.stage == Stage::Open {
            self.stage = Stage::Replied;
            effects.push(PutEffect::Reply(outcome));
        }
    }

    fn quorum_not_met(&self, fate: Fate) -> RequestError {
        RequestError::QuorumNotMet {
            needed: small(self.quorum.needed()),
            got: small(self.quorum.got()),
            homes_down: self.roster.down(),
            fate,
        }
    }

    fn set_local(&mut self, standing: Standing) {
        if let Some(seat) = self.local.and_then(|node| self.roster.seat(node)) {
            seat.standing = standing;
        }
    }

    pub(super) fn expire(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        if now >= self.deadline {
            self.run_out(now, effects);
        } else if self.next_forward().is_some_and(|next| now >= next) {
            self.forward(now, effects);
        }
    }

    /// The client's time is over. Had too few homes been believed alive, it would have been told
    /// before.
    fn run_out(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        let error = RequestError::TimedOut {
            needed: small(self.quorum.needed()),
            got: small(self.quorum.got()),
            after: now.since(self.started),
        };
        self.reply(Err(error), effects);
        self.stage = Stage::Over;
    }

    /// When the next home is tried, if there is one.
    fn next_forward(&self) -> Option<Instant> {
        match self.phase {
            Phase::Forwarding { next } if self.roster.has_spare() && !self.is_decided() => {
                Some(next)
            }
            _ => None,
        }
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.next_forward().map_or(self.deadline, |next| next.min(self.deadline))
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}
