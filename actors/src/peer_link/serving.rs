//! What a peer asks of this shard, and how much of it at a time.

use std::{sync::Arc, time::Duration};

use henge_kernel::{
    coordination::{Failure, RequestError},
    key::{PartitionId, Token},
};
use tracing::warn;

use super::PeerLink;
use crate::{
    admission::Admission,
    events::TRANSPORT,
    messages::{
        anti_entropy_worker::ExchangeServed,
        coordinator::{BeginForwarded, ReplyTo},
        peer_link::{SendControl, SendReply},
        storage_shard::{AnswerFence, ListKeys, ReadRecord, StoreRecord},
    },
    replica_trees::ExamineTrees,
    settings::LimitSettings,
    transport::{LinkId, REQUEST_FRAME_BYTES_MAX},
    view::ClusterView,
    wire::{ControlMessage, PeerReply, PeerRequest, TreeQuestion},
};

/// The door for one shard of a peer: as many requests as the peer's own doors let in, if it has
/// the same settings, and at least one of the largest.
pub(super) fn door(limits: &LimitSettings) -> Arc<Admission> {
    let bytes_max = limits.request_bytes_in_flight_max.max(REQUEST_FRAME_BYTES_MAX as u64);
    Admission::new(u64::from(limits.requests_in_flight_max), bytes_max)
}

/// A request as it came: who waits for its answer, and how long.
pub(super) struct Asked {
    pub(super) link: LinkId,
    pub(super) correlation: u64,
    pub(super) remaining: Duration,
    /// The token of the key that its frame was sealed for.
    pub(super) about: Token,
    /// The bytes of its frame.
    pub(super) bytes: usize,
}

impl PeerLink {
    /// The peer asks something of this shard. It has its place here until it is answered; past the
    /// bound it is refused at once, and its coordinator goes on without this home.
    pub(super) fn serve(&self, request: PeerRequest, asked: &Asked) {
        let (link, correlation, about) = (asked.link, asked.correlation, request.about());
        let Ok(place) = self.door.enter(asked.bytes) else {
            self.me.meter().rejected();
            let reply = PeerReply::Failed(Failure::Refused);
            return self.me.tell(SendReply { link, correlation, about, reply });
        };
        let reply = ReplyTo::peer(self.me.clone(), (link, correlation), about, place);
        if asked.about != about {
            warn!(target: TRANSPORT, node = self.shard.commons.name(), peer = %self.peer.site.name, "a request is refused: its content is damaged, or of another key");
            return reply.answer(PeerReply::Failed(Failure::Refused));
        }
        let cluster = self.shard.commons.cluster.load();
        if let Some(refused) = self.refuse_misplaced(&cluster, &request) {
            return reply.answer(refused);
        }
        let deadline = self.now().after(asked.remaining);
        let storage = self.shard.storage();
        match request {
            PeerRequest::Read { key, known, .. } => {
                storage.tell(ReadRecord { key, known, deadline, reply });
            }
            PeerRequest::Store { key, record, generation, stands_in_for, durable, .. } => {
                let conflict = cluster.buckets.properties(key.bucket()).conflict;
                storage.tell(StoreRecord {
                    key,
                    record,
                    generation,
                    stands_in_for,
                    durable,
                    conflict,
                    deadline,
                    reply,
                });
            }
            PeerRequest::List { partition, range } => {
                storage.tell(ListKeys { partition, range, deadline, reply });
            }
            PeerRequest::Trees(question) => {
                if let (TreeQuestion::Compare(_), Some(worker)) =
                    (&question, self.shard.anti_entropy())
                {
                    worker.tell(ExchangeServed { peer: (self.peer.node, self.peer.shard) });
                }
                storage.tell(ExamineTrees { question, deadline, reply });
            }
            PeerRequest::Fence(question) => {
                storage.tell(AnswerFence { question, deadline, reply });
            }
            PeerRequest::Write(write) => {
                // It leads to requests of this node's own, like a client's.
                let door = &self.shard.commons.doors[usize::from(self.shard.index)];
                match door.enter(write.content.size()) {
                    Ok(permit) => {
                        let begin = BeginForwarded { write, reply, deadline, permit };
                        self.shard.lease().tell(begin);
                    }
                    Err(overloaded) => reply.answer(PeerReply::Refused(overloaded)),
                }
            }
        }
    }

    /// A request for another shard, or with bucket properties that place its data elsewhere.
    fn refuse_misplaced(&self, cluster: &ClusterView, request: &PeerRequest) -> Option<PeerReply> {
        let (bucket, partition, named) = match request {
            PeerRequest::Read { key, properties, .. }
            | PeerRequest::Store { key, properties, .. } => {
                (key.bucket(), key.token().partition(cluster.ring.partitions()), *properties)
            }
            PeerRequest::Write(write) => {
                let key = &write.key;
                let partition = key.token().partition(cluster.ring.partitions());
                (key.bucket(), partition, write.properties)
            }
            PeerRequest::List { partition, .. } => {
                return (partition.shard(self.shard.commons.shards) != self.shard.index)
                    .then_some(PeerReply::Failed(Failure::Refused));
            }
            PeerRequest::Fence(question) => {
                let misplaced = question
                    .partition()
                    .is_some_and(|at| at.shard(self.shard.commons.shards) != self.shard.index);
                return misplaced.then_some(PeerReply::Failed(Failure::Refused));
            }
            PeerRequest::Trees(question) => {
                let own = |at: PartitionId| at.shard(self.shard.commons.shards) == self.shard.index;
                let misplaced = !question.partitions().into_iter().all(own);
                return misplaced.then_some(PeerReply::Failed(Failure::Refused));
            }
        };
        if partition.shard(self.shard.commons.shards) != self.shard.index {
            return Some(PeerReply::Failed(Failure::Refused));
        }
        if self.is_misdirected(cluster, request) {
            return Some(PeerReply::Failed(Failure::Refused));
        }
        let naming = cluster.buckets.compare(bucket, named);
        if let Some(register) = naming.newer_here {
            // The peer learns at once what it did not know.
            let registers = vec![register.clone()];
            self.me.tell(SendControl(ControlMessage::Registers { ticket: 0, registers }));
        }
        naming.refused.then(|| {
            PeerReply::Refused(RequestError::StaleProperties {
                used: named.map_or(0, |version| version.counter),
                newest: naming.newer_here.map_or(0, |register| register.version.counter),
            })
        })
    }

    /// Whether this node is asked to keep a record for a node that is no home of the key, or for
    /// itself: nobody would ever be given that record. A home owes it to another one if the sender
    /// forgets its own copy, and so wants it to be durable.
    fn is_misdirected(&self, cluster: &ClusterView, request: &PeerRequest) -> bool {
        let PeerRequest::Store { key, stands_in_for: Some(home), durable, .. } = request else {
            return false;
        };
        let (homes, own) = (cluster.homes_of(key), self.shard.commons.node);
        let owes = *durable && *home != own;
        !homes.contains(home) || (homes.contains(&own) && !owes)
    }
}
