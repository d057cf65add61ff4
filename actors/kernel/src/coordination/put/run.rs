//! One put under way.

use core::time::Duration;

use super::{Minted, PutEffect, PutEvent, PutRequest, stand_in::Note};
use crate::{
    coordination::{
        Failure,
        outcome::{Fate, PutAnswer, Replicas, RequestError},
        quorum::Quorum,
        roster::{Role, Roster, Seat, Stage, Standing, small},
    },
    id::NodeId,
    planted::{Defect, planted},
    time::Instant,
};

/// Where the write is to be minted, and how far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// This node mints.
    Minting,
    /// The other homes, or fallbacks in their place, store.
    Storing,
    /// Another node carries out the whole put; when the next one is tried.
    Forwarding { next: Instant },
}

#[expect(clippy::struct_excessive_bools, reason = "choices of the request, not states")]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) roster: Roster<Note>,
    quorum: Quorum,
    pub(super) phase: Phase,
    /// This node, if it is one of the replicas.
    local: Option<NodeId>,
    forwarded: bool,
    sloppy: bool,
    return_body: bool,
    started: Instant,
    pub(super) patience: Duration,
    deadline: Instant,
    /// What this node has minted.
    pub(super) minted: Option<Minted>,
    /// The refusal to be relayed if nobody takes the put.
    refusal: Option<RequestError>,
    /// Whether a home is overloaded: it has answered, and its load is not to be spread.
    shed: bool,
    /// Whether a mint or a forward was lost that may have been applied.
    lost: bool,
    stage: Stage,
}

impl Run {
    pub(super) fn new(now: Instant, request: PutRequest) -> Self {
        let roster = Roster::new(request.homes, request.fallbacks);
        Self {
            local: Some(request.node).filter(|node| roster.role_of(*node).is_some()),
            roster,
            quorum: Quorum::new(request.quorum),
            phase: Phase::Forwarding { next: now },
            forwarded: request.forwarded,
            sloppy: request.sloppy,
            return_body: request.return_body,
            started: now,
            patience: request.patience,
            deadline: request.deadline,
            minted: None,
            refusal: None,
            shed: false,
            lost: false,
            stage: Stage::Open,
        }
    }

    pub(super) fn begin(&mut self, now: Instant, may_mint: bool, effects: &mut Vec<PutEffect>) {
        let role = self.local.and_then(|node| self.roster.role_of(node));
        // A fallback mints at once if somebody else has found that no home does.
        let at_once = role == Some(Role::Home) || self.sloppy && self.forwarded;
        if !self.is_possible() {
            self.fail(effects);
        } else if let Some(local) = self.local.filter(|_| may_mint && at_once) {
            self.mint(local, effects);
        } else if may_mint && !self.forwarded {
            self.proceed(now, effects);
        } else {
            self.pass_on(now, effects);
        }
    }

    pub(super) fn handle(&mut self, now: Instant, event: PutEvent, effects: &mut Vec<PutEffect>) {
        match event {
            PutEvent::Minted(minted) => self.minted(now, minted, effects),
            PutEvent::MintRefused(error) => self.mint_refused(now, error, effects),
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

    fn mint(&mut self, local: NodeId, effects: &mut Vec<PutEffect>) {
        self.phase = Phase::Minting;
        let stands_in_for = self.first_absent().filter(|_| !self.roster.is_home(local));
        if let Some(seat) = self.roster.seat(local) {
            seat.standing = Standing::Asked;
            seat.note.stands_in_for = stands_in_for;
        }
        effects.push(PutEffect::Mint { stands_in_for });
    }

    fn minted(&mut self, now: Instant, minted: Minted, effects: &mut Vec<PutEffect>) {
        if self.phase != Phase::Minting {
            return;
        }
        self.phase = Phase::Storing;
        self.local.into_iter().for_each(|local| self.count(local));
        for seat in self.roster.seats.iter_mut().filter(|seat| !seat.is_home()) {
            // A forward that is still under way brings no acknowledgement of this record.
            if seat.standing == Standing::Asked {
                seat.standing = Standing::Failed(Failure::Refused);
            }
        }
        for seat in self.roster.seats.iter_mut().filter(|seat| seat.takes_record()) {
            seat.standing = Standing::Asked;
            seat.note.asked = now;
            let record = minted.record.clone();
            effects.push(PutEffect::StoreAt { node: seat.node, stands_in_for: None, record });
        }
        self.minted = Some(minted);
        self.proceed(now, effects);
    }

    /// Notes that a node has the write on its disk.
    fn count(&mut self, node: NodeId) {
        let Some(seat) = self.roster.seat(node) else { return };
        seat.standing = Standing::Answered;
        let (role, home) = (seat.role, seat.note.stands_in_for);
        match role {
            Role::Home => self.quorum.count_home(node),
            Role::Fallback if self.sloppy || planted(Defect::StrictCountsFallbacks) => {
                self.quorum.count_fallback(node);
            }
            Role::Fallback => {}
        }
        if let Some(home) = home.and_then(|home| self.roster.seat(home)) {
            home.note.hinted = true;
        }
    }

    fn mint_refused(&mut self, now: Instant, error: RequestError, effects: &mut Vec<PutEffect>) {
        if self.phase != Phase::Minting {
            return;
        }
        let fallback = self.local.is_some_and(|local| !self.roster.is_home(local));
        let others_may = fallback || error.is_of_the_node();
        if others_may && !self.forwarded && self.stage == Stage::Open {
            // Homes that were silent may have applied it, and other nodes may have room.
            self.set_local(Standing::Failed(Failure::Refused));
            self.phase = Phase::Forwarding { next: now };
            self.refuse(!fallback, error);
            self.proceed(now, effects);
        } else {
            self.reply(Err(error), effects);
            self.stage = Stage::Over;
        }
    }

    fn mint_failed(&mut self, now: Instant, lost: bool, effects: &mut Vec<PutEffect>) {
        if self.phase != Phase::Minting {
            return;
        }
        self.lost |= lost;
        if self.stage == Stage::Open {
            self.pass_on(now, effects);
        } else {
            self.stage = Stage::Over;
        }
    }

    /// Leaves the put to another node, unless it has come from one that was told so already.
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
        if self.phase == Phase::Storing && self.roster.awaited(node).is_some() {
            self.count(node);
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
        // What becomes of its own mint a node hears otherwise.
        let own = self.phase == Phase::Minting && self.local == Some(node);
        if !own && self.roster.fail(node, failure) {
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
        let Some(seat) = self.roster.awaited(node) else { return };
        let forwarding = matches!(self.phase, Phase::Forwarding { .. });
        let storing = self.phase == Phase::Storing;
        match outcome {
            Err(error) if !storing && error.fate() == Fate::NotApplied => {
                let home = seat.is_home();
                seat.standing = Standing::Failed(Failure::Refused);
                self.refuse(home, error);
                self.proceed(now, effects);
            }
            // It failed as it minted: as with one that fell silent, the others have their chance.
            Err(RequestError::QuorumNotMet { got: 0, .. }) if forwarding => {
                self.failed(now, node, Failure::Lost, effects);
            }
            outcome if forwarding => {
                self.reply(outcome, effects);
                self.stage = Stage::Over;
            }
            // This node, a fallback, has begun to mint in the meantime, and goes on.
            Ok(answer) => {
                self.reply(Ok(answer), effects);
                self.proceed(now, effects);
            }
            Err(error) => {
                self.lost |= error.fate() == Fate::Unknown;
                self.failed(now, node, Failure::Refused, effects);
            }
        }
    }

    /// Notes what is to be relayed if nobody takes the put. The refusal of a home for which no
    /// other can stand is the last word.
    fn refuse(&mut self, home: bool, error: RequestError) {
        self.shed |= home && matches!(error, RequestError::Overloaded { .. });
        if !self.is_decided() {
            self.refusal = Some(error);
        }
    }

    /// Does what the state of things calls for.
    fn proceed(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        match self.phase {
            Phase::Forwarding { .. } => return self.proceed_forwarding(now, effects),
            Phase::Storing => self.stand_in(now, effects),
            Phase::Minting => {}
        }
        if self.quorum.is_met() {
            self.answer(effects);
        } else if !self.can_meet() {
            self.reply(Err(self.quorum_not_met(Fate::Unknown)), effects);
        }
        let stored = self.phase == Phase::Storing
            && (self.roster.pending() == 0 || self.roster.seats.iter().all(Seat::is_safe));
        if stored && self.stage == Stage::Replied {
            self.stage = Stage::Over;
        }
    }

    fn proceed_forwarding(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        // A link that failed here says nothing about the homes among themselves; the member view
        // does.
        let possible = self.is_possible();
        if possible && self.roster.pending() == 0 {
            self.forward(now, effects);
        }
        if !possible || self.roster.pending() == 0 {
            self.fail(effects);
        }
    }

    fn forward(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        let Some(node) = self.next_minter() else { return };
        if self.local == Some(node) {
            self.mint(node, effects);
        } else if let Some(seat) = self.roster.seat(node) {
            seat.standing = Standing::Asked;
            self.phase = Phase::Forwarding { next: now.after(self.patience) };
            effects.push(PutEffect::ForwardTo(node));
        }
    }

    /// Who is to mint next: a home, or a fallback if no home answers.
    fn next_minter(&self) -> Option<NodeId> {
        let spread = self.sloppy && !self.shed;
        let fallback = || self.roster.spare_of(Role::Fallback).filter(|_| spread);
        let next = self.roster.spare_of(Role::Home).or_else(fallback);
        next.filter(|_| !self.is_decided())
    }

    /// Whether a home has refused the write itself: no other one will take it.
    fn is_decided(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| !refusal.is_of_the_node())
    }

    /// Whether the member view leaves the write a chance.
    fn is_possible(&self) -> bool {
        let fallbacks = self.roster.alive(Role::Fallback).min(self.roster.homes());
        let fallbacks = if self.sloppy { fallbacks } else { 0 };
        self.quorum.can_be_met(self.roster.alive(Role::Home), fallbacks)
    }

    /// Whether those that have yet to store the write are enough. A fallback is asked only where a
    /// home lacks it.
    fn can_meet(&self) -> bool {
        if self.phase == Phase::Minting {
            return self.is_possible();
        }
        let open = self.roster.count(|seat| !seat.is_safe());
        let counts = |node| self.quorum.has(node);
        let asked = |seat: &Seat<Note>| !seat.is_home() && seat.is_pending() && !counts(seat.node);
        let asked = self.roster.count(asked);
        let spare = self.roster.count(|seat| !seat.is_home() && seat.is_spare());
        let fallbacks = if self.sloppy { asked + spare.min(open) } else { 0 };
        self.quorum.can_be_met(self.roster.able(Role::Home), fallbacks)
    }

    fn answer(&mut self, effects: &mut Vec<PutEffect>) {
        let Some(minted) = self.minted.as_ref().filter(|_| self.stage == Stage::Open) else {
            return;
        };
        let replicas = Replicas {
            acks: small(self.quorum.got()),
            fallbacks: small(self.quorum.fallbacks()),
            homes: small(self.roster.homes()),
        };
        let record = self.return_body.then(|| minted.record.record.clone());
        let context = minted.context.clone();
        let answer = PutAnswer { context, dot: minted.dot, record, replicas };
        self.reply(Ok(answer), effects);
    }

    /// Nobody is left to mint the write: it is refused only if nobody may have done so.
    fn fail(&mut self, effects: &mut Vec<PutEffect>) {
        let in_flight = self.roster.count(|seat| seat.standing == Standing::Asked);
        let unknown = (self.lost || in_flight > 0) && !planted(Defect::FateTooSure);
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
            homes_down: self.roster.homes_down(),
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
        } else if self.next_stand_in().is_some_and(|next| now >= next) {
            self.lose_patience(now);
            self.proceed(now, effects);
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

    /// When the next node is tried, if there is one.
    fn next_forward(&self) -> Option<Instant> {
        match self.phase {
            Phase::Forwarding { next } => self.next_minter().map(|_| next),
            _ => None,
        }
    }

    pub(super) fn next_deadline(&self) -> Instant {
        let next = match self.phase {
            Phase::Minting => None,
            Phase::Storing => self.next_stand_in(),
            Phase::Forwarding { .. } => self.next_forward(),
        };
        next.map_or(self.deadline, |next| next.min(self.deadline))
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}
