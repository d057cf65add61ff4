//! What a round wants, asked of this shard or of a peer, and what comes back.

use std::time::Duration;

use henge_kernel::{
    coordination::Failure,
    id::NodeId,
    key::PartitionId,
    reaping::round::{Answer, PATIENCE, RoundEffect, RoundEvent},
    time::Instant,
};

use super::Reaper;
use crate::{
    links::PeerShard,
    messages::{
        coordinator::ReplyTo,
        peer_link::SendRequest,
        storage_shard::{AnswerFence, MeetFences},
    },
    wire::{FenceAnswer, FenceQuestion, PeerReply, PeerRequest},
};

/// How long a peer may take to tell how far it is, until it is asked again.
const HEARING: Duration = Duration::from_secs(2);

/// What was asked.
pub(super) enum Waiting {
    /// A member, in a round.
    Round { member: NodeId, round: u64 },
    /// A shard of a peer, how far it is.
    Fences { peer: PeerShard, until: Instant },
}

impl Reaper {
    pub(super) fn perform(&mut self, effect: RoundEffect) {
        match effect {
            RoundEffect::Hear { member, partition, round } => {
                self.ask((member, round), partition, FenceQuestion::Hear { partition });
            }
            RoundEffect::Ask { member, ask } => {
                self.ask((member, ask.round), ask.partition, FenceQuestion::Promise(ask));
            }
            RoundEffect::Drop { member, ask } => {
                self.ask((member, ask.round), ask.partition, FenceQuestion::Drop(ask));
            }
            RoundEffect::Finish(outcome) => {
                self.waiting.retain(|_, waiting| matches!(waiting, Waiting::Fences { .. }));
                self.finished(outcome);
            }
        }
    }

    fn ticket(&mut self, waiting: Waiting) -> ReplyTo {
        self.tickets += 1;
        self.waiting.insert(self.tickets, waiting);
        ReplyTo::reaper(self.me.clone(), self.tickets)
    }

    fn ask(
        &mut self,
        (member, round): (NodeId, u64),
        partition: PartitionId,
        question: FenceQuestion,
    ) {
        let deadline = self.now().after(PATIENCE);
        let reply = self.ticket(Waiting::Round { member, round });
        if member == self.shard.commons.node {
            return self.shard.storage().tell(AnswerFence { question, deadline, reply });
        }
        let request = PeerRequest::Fence(question);
        self.shard.send((member, partition), request, deadline, reply);
    }

    /// Asks those that have yet to tell how far they are, and are reached.
    pub(super) fn ask_unheard(&mut self, now: Instant) {
        let over =
            |waiting: &Waiting| matches!(waiting, Waiting::Fences { until, .. } if now > *until);
        for (_, waiting) in self.waiting.extract_if(.., |_, waiting| over(waiting)) {
            if let Waiting::Fences { peer, .. } = waiting {
                self.unheard.insert(peer);
            }
        }
        let reached: Vec<_> = self.shard.links.reached();
        let unheard: Vec<_> =
            reached.into_iter().filter(|peer| self.unheard.remove(peer)).collect();
        for peer in unheard {
            let deadline = now.after(HEARING);
            let reply = self.ticket(Waiting::Fences { peer, until: deadline });
            let request = PeerRequest::Fence(FenceQuestion::Fences);
            match self.shard.links.peer(peer) {
                Some(link) => link.tell(SendRequest { request, deadline, reply: Some(reply) }),
                None => reply.answer(PeerReply::Failed(Failure::Unreachable)),
            }
        }
    }

    pub(super) fn on_answer(&mut self, waiting: Waiting, reply: PeerReply) {
        match (waiting, reply) {
            (Waiting::Round { member, round }, reply) => {
                let answer = answer_of(reply);
                self.feed(RoundEvent::Answered { member, round, answer });
            }
            (Waiting::Fences { peer, .. }, PeerReply::Fence(FenceAnswer::Fences(fences))) => {
                self.shard.storage().tell(MeetFences { from: Some(peer), fences });
            }
            // When it is reached again, or with the next tick.
            (Waiting::Fences { peer, .. }, _) => {
                self.unheard.insert(peer);
            }
        }
    }
}

fn answer_of(reply: PeerReply) -> Answer {
    match reply {
        PeerReply::Fence(FenceAnswer::Heard(fence)) => {
            Answer::Heard { generation: fence.generation, finished: fence.finished }
        }
        PeerReply::Fence(FenceAnswer::Promised) => Answer::Promised,
        PeerReply::Fence(FenceAnswer::Refused(refusal)) => Answer::Refused(refusal),
        PeerReply::Fence(FenceAnswer::Dropped) => Answer::Dropped,
        _ => Answer::Failed,
    }
}
