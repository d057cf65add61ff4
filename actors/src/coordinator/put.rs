//! Puts and deletes, of clients of this node and of other nodes.

use std::sync::Arc;

use actix::Handler;
use bytes::Bytes;
use henge_kernel::{
    causality::Record,
    coordination::{
        Failure, PutCoordination, ReplicaRecord, RequestError,
        outcome::PutAnswer,
        put::{Minted, PutEffect, PutEvent},
    },
    id::NodeId,
    key::Key,
    machine::Machine as _,
    reaping::Fence,
    time::{Instant, WallMillis},
};

use tracing::warn;

use super::{
    Coordinator, Task,
    fencing::PutFencing,
    plan::{self, PutPlan},
};
use crate::{
    actor_ref::Told,
    api::{Answer, Got, Written},
    events::STORAGE,
    failpoint::{self, Site},
    messages::{
        anti_entropy_worker::PartitionDirty,
        coordinator::{BeginForwarded, BeginPut, Outcome, ReplyTo},
    },
    wire::PeerReply,
};

/// A write and who waits for it.
pub(super) struct Putting {
    pub(super) plan: PutPlan,
    asker: Option<Asker>,
    pub(super) fencing: PutFencing,
}

impl Putting {
    fn new(plan: PutPlan, asker: Asker) -> Self {
        Self { plan, asker: Some(asker), fencing: PutFencing::default() }
    }

    pub(super) fn key(&self) -> &Key {
        &self.plan.write.key
    }
}

/// Who waits for a write.
enum Asker {
    Client(Outcome<Written>),
    Peer(ReplyTo),
}

impl Coordinator {
    /// The put is over: homes that have not acknowledged it may lack it, and nobody else knows.
    pub(super) fn tell_of_silent(&self, putting: &Putting) {
        if putting.fencing.sent.is_empty() {
            return;
        }
        let cluster = self.shard.commons.cluster.load();
        let partition = plan::partition_of_key(&cluster, putting.key());
        if let Some(worker) = self.shard.anti_entropy() {
            for (node, _) in &putting.fencing.sent {
                worker.tell(PartitionDirty { partition, peer: *node });
            }
        }
    }

    pub(super) fn run_put(
        &mut self,
        step: impl FnOnce(&mut PutCoordination, Instant, &mut Vec<PutEffect>),
    ) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.put_effects);
        step(&mut self.put, now, &mut effects);
        for effect in effects.drain(..) {
            self.perform_put(effect);
        }
        self.put_effects = effects;
        self.arm();
    }

    fn perform_put(&mut self, effect: PutEffect) {
        let Task::Put(putting) = &mut self.task else { return };
        match effect {
            PutEffect::Mint { stands_in_for } => {
                putting.fencing.asked();
                putting.fencing.mints_for = stands_in_for;
                self.mint();
            }
            PutEffect::StoreAt { node, stands_in_for, record } => {
                putting.fencing.sent(node, stands_in_for);
                let generation = record.generation;
                let record = putting.plan.minted.get_or_encode(&record.record);
                self.store(node, record, generation);
            }
            PutEffect::ForwardTo(node) => {
                putting.plan.forwards = true;
                putting.fencing.asked();
                self.forward(node);
            }
            PutEffect::Reply(answer) => {
                if let Some(asker) = putting.asker.take() {
                    let wall = self.shard.commons.environment.clock.wall();
                    failpoint::pass(Site::BeforeAck);
                    asker.answer(answer, wall);
                    failpoint::pass(Site::AfterAck);
                }
                self.replied();
            }
            PutEffect::Finish => self.finish(),
        }
    }

    pub(super) fn on_put_reply(&mut self, node: NodeId, reply: PeerReply) {
        let Some(reply) = self.refence(node, reply) else { return };
        let Task::Put(putting) = &mut self.task else { return };
        putting.fencing.settle(&reply);
        let plan = &mut putting.plan;
        // What has minted already, a fallback, can only be asked to stand in for another home.
        let mints = node == self.shard.commons.node && !plan.minted.is_set();
        let event = match reply {
            PeerReply::Minted(minted) => {
                let minted = *minted;
                plan.minted.set(&minted.record, minted.encoded);
                let record = ReplicaRecord { record: minted.record, generation: minted.generation };
                let (context, dot) = (minted.written.context, minted.written.dot);
                PutEvent::Minted(Minted { context, dot, record })
            }
            PeerReply::Stored => {
                putting.fencing.stored(node);
                PutEvent::Stored(node)
            }
            PeerReply::Written { context, dot, record, replicas } => {
                let record = record.map(|bytes| Record::decode_replicated(&bytes)).transpose();
                match record {
                    Ok(record) => {
                        let record = record.map(Arc::new);
                        let answer = PutAnswer { context, dot, record, replicas };
                        PutEvent::Forwarded { node, outcome: Ok(answer) }
                    }
                    Err(error) => {
                        warn!(target: STORAGE, %node, %error, "a peer answered with a damaged record");
                        PutEvent::Failed { node, failure: Failure::Lost }
                    }
                }
            }
            PeerReply::Refused(error) if mints => PutEvent::MintRefused(error),
            PeerReply::Refused(error) if plan.forwards => {
                PutEvent::Forwarded { node, outcome: Err(error) }
            }
            PeerReply::Failed(Failure::Lost) if mints => PutEvent::MintFailed,
            PeerReply::Failed(_) if mints => PutEvent::MintUnable,
            PeerReply::Failed(failure) => PutEvent::Failed { node, failure },
            _ => PutEvent::Failed { node, failure: Failure::Refused },
        };
        self.run_put(|put, now, effects| put.handle(now, event, effects));
    }
}

impl Putting {
    /// Tells the node that has forwarded this write that it is outdated; whether there is one.
    pub(super) fn tell_outdated(&mut self, fence: Fence) -> bool {
        match self.asker.take() {
            Some(Asker::Peer(reply)) => {
                reply.answer(PeerReply::Outdated(fence));
                true
            }
            asker => {
                self.asker = asker;
                false
            }
        }
    }
}

impl Asker {
    fn answer(self, answer: Result<PutAnswer, RequestError>, wall: WallMillis) {
        match self {
            Self::Client(outcome) => {
                let answer = answer.map(|PutAnswer { context, dot, record, replicas }| {
                    let got = record.map(|record| Got::from(record.read(wall)));
                    Answer { body: Written { context, dot, got }, replicas }
                });
                let _ = outcome.send(answer);
            }
            Self::Peer(reply) => reply.answer(match answer {
                Ok(PutAnswer { context, dot, record, replicas }) => {
                    let record = record.map(|record| encode(&record));
                    PeerReply::Written { context, dot, record, replicas }
                }
                Err(error) => PeerReply::Refused(error),
            }),
        }
    }
}

fn encode(record: &Record) -> Bytes {
    let mut bytes = Vec::new();
    record.encode_replicated(&mut bytes);
    bytes.into()
}

impl Handler<Told<BeginPut>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginPut>, _: &mut Self::Context) {
        let (BeginPut { key, wanted, outcome, permit }, _handling) = self.me.open(told);
        match plan::plan_put(&self.shard, self.now(), key, wanted) {
            Ok((plan, request)) => {
                self.permit = Some(permit);
                self.task = Task::Put(Box::new(Putting::new(plan, Asker::Client(outcome))));
                self.run_put(|put, now, effects| put.start(now, request, effects));
            }
            Err(error) => {
                let _ = outcome.send(Err(error));
                self.shard.give_back(self.me.clone());
            }
        }
    }
}

impl Handler<Told<BeginForwarded>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginForwarded>, _: &mut Self::Context) {
        let (BeginForwarded { write, reply, deadline, permit }, _handling) = self.me.open(told);
        match plan::plan_forwarded(&self.shard, self.now(), write, deadline) {
            Ok((plan, request)) => {
                self.permit = Some(permit);
                self.task = Task::Put(Box::new(Putting::new(plan, Asker::Peer(reply))));
                self.run_put(|put, now, effects| put.start(now, request, effects));
            }
            Err(error) => {
                reply.answer(PeerReply::Refused(error));
                self.shard.give_back(self.me.clone());
            }
        }
    }
}
