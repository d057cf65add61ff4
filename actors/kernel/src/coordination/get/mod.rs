//! A get over the replicas of its key.
//!
//! The local home is read first, if this node is one: it costs microseconds, and its digest spares
//! the others their bodies. Then as many replicas are asked as the quorum needs, and no more; one
//! that fails, is known to be down or may not count is replaced at once, one that is silent after
//! the delays of [`super::hedge`]. The answer is the merge of everything that came in until the
//! quorum was met. What comes later is merged too, and every replica that answered and turns out to
//! be behind is sent the merge, until all have answered or the request's time is over. A repair
//! never shrinks anything: it holds all that its receiver answered, and is merged there.
//!
//! When the homes do not suffice, fallbacks are asked, in the order of the preference list. One
//! that holds the key counts; one that holds nothing says only that nobody left the key with it,
//! and a home that is being filled or suspects its own log knows no better. Such answers are merged
//! and do not count, unless nobody better is left: then they let a sloppy read show a version that
//! exists. They never make a "not found". Fallbacks are not repaired: what they hold is on its way
//! to the homes, not the other way.

use core::time::Duration;

use super::{
    Failure, Homes, ReplicaRecord,
    hedge::HedgeDelays,
    outcome::{GetAnswer, RequestError},
    quorum::QuorumSize,
};
use crate::{
    causality::{Conflict, Digest},
    id::NodeId,
    machine::Machine,
    time::Instant,
};

mod run;

use run::Run;

/// What a get starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct GetRequest {
    /// The homes of the key, best first; fewer than `n` if there are fewer nodes.
    pub homes: Homes,
    /// The nodes that follow them in the preference list, as many as homes will do; none of them
    /// a home. Asked only by a sloppy read.
    pub fallbacks: Homes,
    /// Whether fallbacks, and for want of better ones incomplete homes, may stand in for homes.
    pub sloppy: bool,
    /// This node: if it is one of the homes, it is asked first of all.
    pub node: NodeId,
    /// Who must answer.
    pub quorum: QuorumSize,
    /// How the bucket settles concurrent versions.
    pub conflict: Conflict,
    /// When the client's time is over.
    pub deadline: Instant,
    /// How long to be patient with silence.
    pub hedge: HedgeDelays,
}

/// What a replica says it holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplicaAnswer {
    /// The record of the digest that it was sent.
    Same,
    /// This record; the empty one if it holds nothing.
    Holds(ReplicaRecord),
}

/// What happened to a get.
#[derive(Clone, Debug, PartialEq)]
pub enum GetEvent {
    /// A replica answered.
    Answered {
        /// The replica.
        node: NodeId,
        /// Whether its answer counts: false while it is being filled, or suspects its own log. A
        /// fallback is filled by nobody, but may be suspect.
        complete: bool,
        /// What it holds.
        answer: ReplicaAnswer,
    },
    /// A replica did not answer, and will not.
    Failed {
        /// The replica.
        node: NodeId,
        /// Why.
        failure: Failure,
    },
    /// The member view now has this node as down.
    MemberDown(NodeId),
    /// The early hedge that was wanted is within the budget. (If it is not, nothing is said.)
    HedgeGranted,
}

/// What a get wants.
#[derive(Clone, Debug, PartialEq)]
pub enum GetEffect {
    /// Ask a replica, this node's own shard among them, for its record.
    ReadAt {
        /// The replica.
        node: NodeId,
        /// If the replica's record has this digest, [`ReplicaAnswer::Same`] will do.
        known: Option<Digest>,
    },
    /// Ask [`super::hedge::Hedging::grant`], and say [`GetEvent::HedgeGranted`] if it grants.
    WantHedge,
    /// Tell [`super::hedge::Hedging::observe`] how long an unhedged answer took.
    Observe(Duration),
    /// Answer the client. Comes once; what follows it goes on without the client.
    Reply(Result<GetAnswer, RequestError>),
    /// Merge a record into a replica that is behind. Nobody waits for an answer.
    RepairAt {
        /// The replica.
        node: NodeId,
        /// All that is known of the key.
        record: ReplicaRecord,
    },
    /// The machine is idle again. Always last.
    Finish,
}

/// The machine of one get at a time; idle until [`GetCoordination::start`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetCoordination {
    run: Option<Run>,
}

impl GetCoordination {
    /// Takes a request. What may be left of an earlier one is forgotten.
    pub fn start(&mut self, now: Instant, request: GetRequest, effects: &mut Vec<GetEffect>) {
        self.run.insert(Run::new(now, request)).proceed(now, effects);
        self.settle(effects);
    }

    /// Whether it has no request.
    pub fn is_idle(&self) -> bool {
        self.run.is_none()
    }

    fn settle(&mut self, effects: &mut Vec<GetEffect>) {
        if self.run.take_if(|run| run.is_over()).is_some() {
            effects.push(GetEffect::Finish);
        }
    }
}

impl Machine for GetCoordination {
    type Event = GetEvent;
    type Effect = GetEffect;

    fn handle(&mut self, now: Instant, event: GetEvent, effects: &mut Vec<GetEffect>) {
        if let Some(run) = &mut self.run {
            run.handle(now, event, effects);
            self.settle(effects);
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<GetEffect>) {
        if let Some(run) = &mut self.run {
            run.expire(now, effects);
            self.settle(effects);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.run.as_ref().map(Run::next_deadline)
    }
}
