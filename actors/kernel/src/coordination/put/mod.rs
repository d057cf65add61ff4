//! A put or delete over the replicas of its key.
//!
//! One home mints the write and has it on its disk before anybody else hears of it; then all other
//! homes are sent its record at once, and the client is answered when enough have it. A node that
//! is no home, or whose shard may not mint, forwards the whole put to the nearest home that is up,
//! and after a silence to the next, always under the same write id: two homes that mint for one id
//! make one version for every reader.
//!
//! A home that is down, fails or is silent is replaced by the next node of the preference list: a
//! fallback, which stores the record with a mark for that home, to hand it over later. It counts
//! towards the quorum unless the put is strict; it is asked either way, because the home lacks the
//! record either way. If no home answers, a fallback mints, under its own right. The put goes on
//! until each home has the record or some fallback has it for that home.
//!
//! What may have been applied is never called refused: as soon as a mint or a forward is on its
//! way, only its own refusal can still tell that the write was not applied.

use core::time::Duration;

use super::{
    Failure, Homes, ReplicaRecord,
    outcome::{PutAnswer, RequestError},
    quorum::QuorumSize,
};
use crate::{
    causality::{Context, Dot},
    id::NodeId,
    machine::Machine,
    time::Instant,
};

mod run;
mod stand_in;

use run::Run;

/// What a put starts with. The write itself stays with the shell.
#[expect(clippy::struct_excessive_bools, reason = "choices of the request, not states")]
#[derive(Clone, Debug, PartialEq)]
pub struct PutRequest {
    /// The homes of the key, nearest first; fewer than `n` if there are fewer nodes.
    pub homes: Homes,
    /// The nodes that follow them in the preference list, as many as homes will do; none of them
    /// a home. Those that are known as down had better be left out.
    pub fallbacks: Homes,
    /// Whether fallbacks count, and may mint.
    pub sloppy: bool,
    /// This node.
    pub node: NodeId,
    /// Whether its shard may mint, if it is one of the replicas.
    pub may_mint: bool,
    /// Whether another node forwarded the put to this one: then it goes no further.
    pub forwarded: bool,
    /// Who must acknowledge.
    pub quorum: QuorumSize,
    /// Whether the answer carries the record.
    pub return_body: bool,
    /// When the client's time is over.
    pub deadline: Instant,
    /// How long a replica may be silent before another takes its place:
    /// [`super::hedge::late_delay`].
    pub patience: Duration,
}

/// A write that this node has minted and stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Minted {
    /// The client's own context and the new dot: it may not cover siblings that the client never
    /// saw.
    pub context: Context,
    /// The name of the write.
    pub dot: Dot,
    /// The whole record after the write.
    pub record: ReplicaRecord,
}

/// What happened to a put.
#[derive(Clone, Debug, PartialEq)]
pub enum PutEvent {
    /// This node minted the write, or had it already, and stored it.
    Minted(Minted),
    /// This node refused the write: too many siblings, too large, a full disk.
    MintRefused(RequestError),
    /// This node may not mint now; nothing was written. Another can.
    MintUnable,
    /// This node failed while it wrote: the write may be on its disk.
    MintFailed,
    /// A replica acknowledged the record, with the mark if it was to stand in for a home.
    Stored(NodeId),
    /// A replica that was sent the record or the put did not take it, and will not.
    Failed {
        /// The replica.
        node: NodeId,
        /// Why.
        failure: Failure,
    },
    /// A replica to which the put was forwarded has its outcome.
    Forwarded {
        /// The replica.
        node: NodeId,
        /// What it answered.
        outcome: Result<PutAnswer, RequestError>,
    },
    /// The member view now has this node as down.
    MemberDown(NodeId),
}

/// What a put wants.
#[derive(Clone, Debug, PartialEq)]
pub enum PutEffect {
    /// Have the local shard mint and store the write.
    Mint {
        /// The home for which this node, a fallback, marks its record in the same step.
        stands_in_for: Option<NodeId>,
    },
    /// Send the minted record to a replica, which merges it. A fallback can be this node itself,
    /// and can be asked again for another home, never before it has acknowledged.
    StoreAt {
        /// The replica.
        node: NodeId,
        /// The home for which the replica, a fallback, marks its record in the same step.
        stands_in_for: Option<NodeId>,
        /// The record after the write.
        record: ReplicaRecord,
    },
    /// Send the whole put, with its write id and the time left, to a home, or to a fallback if no
    /// home answers.
    ForwardTo(NodeId),
    /// Answer the client. Comes once; what follows it goes on without the client.
    Reply(Result<PutAnswer, RequestError>),
    /// The machine is idle again. Always last.
    Finish,
}

/// The machine of one put at a time; idle until [`PutCoordination::start`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PutCoordination {
    run: Option<Run>,
}

impl PutCoordination {
    /// Takes a request. What may be left of an earlier one is forgotten.
    pub fn start(&mut self, now: Instant, request: PutRequest, effects: &mut Vec<PutEffect>) {
        let may_mint = request.may_mint;
        self.run.insert(Run::new(now, request)).begin(now, may_mint, effects);
        self.settle(effects);
    }

    /// Whether it has no request.
    pub fn is_idle(&self) -> bool {
        self.run.is_none()
    }

    fn settle(&mut self, effects: &mut Vec<PutEffect>) {
        if self.run.take_if(|run| run.is_over()).is_some() {
            effects.push(PutEffect::Finish);
        }
    }
}

impl Machine for PutCoordination {
    type Event = PutEvent;
    type Effect = PutEffect;

    fn handle(&mut self, now: Instant, event: PutEvent, effects: &mut Vec<PutEffect>) {
        if let Some(run) = &mut self.run {
            run.handle(now, event, effects);
            self.settle(effects);
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        if let Some(run) = &mut self.run {
            run.expire(now, effects);
            self.settle(effects);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.run.as_ref().map(Run::next_deadline)
    }
}
