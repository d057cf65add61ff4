//! Puts across a reap: what was read, or planned, before a replica promised is refused by it, and
//! goes once more if that can do no harm.
//!
//! A **record** is read again from the shard, which knows by then what is gone, and is sent as it is
//! now. A **write** that is yet to be minted has been read nowhere; it may be planned again under
//! the later generation as long as nobody else may have minted it: what somebody else minted may
//! have been deleted and reaped since, and would come back.

use bytes::Bytes;
use henge_kernel::{
    coordination::{Failure, Fate, Generation},
    id::NodeId,
    reaping::Fence,
};

use super::{Coordinator, Task};
use crate::{
    messages::{
        coordinator::ReplyTo,
        storage_shard::{MintRecord, ReadRecord, StoreRecord},
    },
    wire::{PeerReply, PeerRequest},
};

/// What a put notes of refusals.
#[derive(Default)]
pub(super) struct PutFencing {
    /// Replicas that were asked once more.
    again: Vec<NodeId>,
    /// For which home this node mints, if it is a fallback.
    pub(super) mints_for: Option<NodeId>,
    /// Replicas that were sent the record and have not acknowledged it, with the home for which
    /// they keep it.
    pub(super) sent: Vec<(NodeId, Option<NodeId>)>,
    /// How many were asked to mint, and may have done so or may do so yet.
    in_doubt: usize,
}

impl PutFencing {
    pub(super) fn asked(&mut self) {
        self.in_doubt += 1;
    }

    pub(super) fn sent(&mut self, node: NodeId, stands_in_for: Option<NodeId>) {
        self.stored(node);
        self.sent.push((node, stands_in_for));
    }

    /// The node has it; the home for which it keeps it, if it does so, will be given it.
    pub(super) fn stored(&mut self, node: NodeId) {
        let kept_for = self.sent.iter().find(|(sent, _)| *sent == node).and_then(|(_, home)| *home);
        self.sent.retain(|(sent, _)| *sent != node && Some(*sent) != kept_for);
    }

    /// Notes who has surely not minted.
    pub(super) fn settle(&mut self, reply: &PeerReply) {
        let surely_not = match reply {
            PeerReply::Refused(error) => error.fate() == Fate::NotApplied,
            PeerReply::Failed(failure) => *failure != Failure::Lost,
            _ => false,
        };
        self.in_doubt = self.in_doubt.saturating_sub(usize::from(surely_not));
    }
}

impl Coordinator {
    /// Deals with what has to do with generations; what is left is an answer like others.
    pub(super) fn refence(&mut self, node: NodeId, reply: PeerReply) -> Option<PeerReply> {
        let dealt_with = match reply {
            // The own shard has read the record again for a replica, or has none any more.
            PeerReply::Found { record, generation, .. } => {
                self.store(node, record, generation);
                true
            }
            PeerReply::Nothing { .. } | PeerReply::Quarantined { .. } => false,
            PeerReply::Outdated(fence) => self.ask_again(node, fence),
            reply => return Some(reply),
        };
        (!dealt_with).then_some(PeerReply::Failed(Failure::Refused))
    }

    /// A replica has refused what was outdated: whether it is asked once more, or that is left to
    /// somebody else.
    fn ask_again(&mut self, node: NodeId, fence: Fence) -> bool {
        let own = node == self.shard.commons.node;
        let Task::Put(putting) = &mut self.task else { return false };
        let key = putting.key().clone();
        let first = !putting.fencing.again.contains(&node);
        putting.fencing.again.push(node);
        if !own {
            self.shard.meet(&key, fence);
        }
        if putting.plan.minted.is_set() {
            if first {
                let (deadline, reply) = (putting.plan.deadline, self.reply_to(node));
                self.shard.storage().tell(ReadRecord { key, known: None, deadline, reply });
            }
            return first;
        }
        // Only who has forwarded it knows whether somebody else may have minted.
        let told = own && putting.tell_outdated(fence);
        if told || !first || putting.fencing.in_doubt > 1 {
            return false;
        }
        let write = &mut putting.plan.write;
        write.generation = write.generation.max(fence.generation);
        if own {
            self.mint();
        } else {
            self.forward(node);
        }
        true
    }

    pub(super) fn mint(&self) {
        let Task::Put(putting) = &self.task else { return };
        let (plan, write) = (&putting.plan, &putting.plan.write);
        self.shard.storage().tell(MintRecord {
            key: write.key.clone(),
            context: write.context.clone(),
            content: write.content.clone(),
            write_id: write.write_id,
            expires_at: write.expires_at,
            stands_in_for: putting.fencing.mints_for,
            generation: write.generation,
            properties: write.properties,
            conflict: plan.conflict,
            limits: plan.limits,
            deadline: plan.deadline,
            reply: ReplyTo::coordinator(self.me.clone(), self.lease, self.shard.commons.node),
        });
    }

    pub(super) fn forward(&self, node: NodeId) {
        let Task::Put(putting) = &self.task else { return };
        let (write, deadline) = (putting.plan.write.clone(), putting.plan.deadline);
        let to = (node, self.shard.partition_of(&write.key));
        self.shard.send(to, PeerRequest::Write(write), deadline, self.reply_to(node));
    }

    /// Has a replica store the record, as it was last asked to.
    pub(super) fn store(&self, node: NodeId, record: Bytes, generation: Generation) {
        let Task::Put(putting) = &self.task else { return };
        let sent = putting.fencing.sent.iter().find(|(sent, _)| *sent == node);
        let store = StoreRecord {
            key: putting.plan.write.key.clone(),
            record,
            generation,
            stands_in_for: sent.and_then(|(_, home)| *home),
            durable: false,
            conflict: putting.plan.conflict,
            deadline: putting.plan.deadline,
            reply: self.reply_to(node),
        };
        self.shard.store_at(node, store, putting.plan.write.properties);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_for_which_a_fallback_keeps_a_copy_lacks_nothing_that_nobody_knows_of() {
        let [home, silent, fallback] = [1, 2, 3].map(NodeId);
        let mut fencing = PutFencing::default();
        fencing.sent(home, None);
        fencing.sent(silent, None);
        fencing.sent(fallback, Some(home));
        fencing.stored(fallback);
        assert_eq!(fencing.sent, [(silent, None)]);
    }
}
