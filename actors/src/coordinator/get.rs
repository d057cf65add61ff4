//! Gets: the kernel's machine, its events and effects.

use std::sync::Arc;

use actix::Handler;
use henge_kernel::{
    causality::Record,
    coordination::{
        Failure, Generation, GetCoordination, ReplicaRecord,
        get::{GetEffect, GetEvent, ReplicaAnswer},
        outcome::GetAnswer,
    },
    id::NodeId,
    key::Key,
    machine::Machine as _,
    time::Instant,
};

use tracing::warn;

use super::{
    Coordinator, Task,
    plan::{self, GetPlan},
};
use crate::{
    actor_ref::Told,
    api::{Answer, Got},
    events::STORAGE,
    messages::{
        coordinator::{BeginGet, Outcome},
        read_repairer::RepairRecord,
        storage_shard::ReadRecord,
    },
    wire::{PeerReply, PeerRequest},
};

/// A get and the client that waits for it.
pub(super) struct Getting {
    plan: GetPlan,
    outcome: Option<Outcome<Got>>,
}

impl Getting {
    pub(super) fn key(&self) -> &Key {
        &self.plan.key
    }
}

impl Coordinator {
    pub(super) fn run_get(
        &mut self,
        step: impl FnOnce(&mut GetCoordination, Instant, &mut Vec<GetEffect>),
    ) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.get_effects);
        step(&mut self.get, now, &mut effects);
        for effect in effects.drain(..) {
            self.perform_get(effect);
        }
        self.get_effects = effects;
        self.arm();
    }

    fn perform_get(&mut self, effect: GetEffect) {
        let Task::Get(getting) = &mut self.task else { return };
        let Getting { plan, outcome } = getting.as_mut();
        match effect {
            GetEffect::ReadAt { node, known } => {
                let (key, deadline) = (plan.key.clone(), plan.deadline);
                if node == self.shard.commons.node {
                    let reply = self.reply_to(node);
                    self.shard.storage().tell(ReadRecord { key, known, deadline, reply });
                } else {
                    let to = (node, self.shard.partition_of(&key));
                    let request = PeerRequest::Read { key, known, properties: plan.properties };
                    self.shard.send(to, request, deadline, self.reply_to(node));
                }
            }
            GetEffect::WantHedge => {
                if self.shard.hedging.borrow_mut().grant() {
                    self.run_get(|get, now, effects| {
                        get.handle(now, GetEvent::HedgeGranted, effects);
                    });
                }
            }
            GetEffect::Observe(latency) => self.shard.hedging.borrow_mut().observe(latency),
            GetEffect::Reply(answer) => {
                let wall = self.shard.commons.environment.clock.wall();
                let answer = answer.map(|GetAnswer { record, replicas }| Answer {
                    body: Got::from(record.read(wall)),
                    replicas,
                });
                if let Some(outcome) = outcome.take() {
                    // A client that has gone wants no answer.
                    let _ = outcome.send(answer);
                }
                self.replied();
            }
            GetEffect::RepairAt { node: home, record } => {
                let (key, conflict) = (plan.key.clone(), plan.conflict);
                self.shard.read_repairer().tell(RepairRecord { home, key, record, conflict });
            }
            GetEffect::Finish => self.finish(),
        }
    }

    pub(super) fn on_get_reply(&mut self, node: NodeId, reply: PeerReply) {
        let event = if self.left_behind(node, &reply) {
            GetEvent::Failed { node, failure: Failure::Refused }
        } else {
            get_event(node, reply)
        };
        self.run_get(|get, now, effects| get.handle(now, event, effects));
    }
}

impl Coordinator {
    /// Whether a replica shows what every member has promised to be gone: its disk was restored. It
    /// hears of it from whoever it meets.
    fn left_behind(&self, node: NodeId, reply: &PeerReply) -> bool {
        let (Task::Get(getting), PeerReply::Found { generation, .. }) = (&self.task, reply) else {
            return false;
        };
        let cluster = self.shard.commons.cluster.load();
        let partition = plan::partition_of_key(&cluster, getting.key());
        node != self.shard.commons.node && *generation < self.shard.fence(partition).finished
    }
}

fn get_event(node: NodeId, reply: PeerReply) -> GetEvent {
    let answered = |complete, answer| GetEvent::Answered { node, complete, answer };
    let holds = |record: Record, generation, complete| {
        let record = ReplicaRecord { record: Arc::new(record), generation };
        answered(complete, ReplicaAnswer::Holds(record))
    };
    match reply {
        PeerReply::Nothing { complete } => {
            holds(Record::default(), Generation::default(), complete)
        }
        PeerReply::Same { complete } => answered(complete, ReplicaAnswer::Same),
        PeerReply::Found { record, generation, complete } => {
            match Record::decode_replicated(&record) {
                Ok(record) => holds(record, generation, complete),
                Err(error) => {
                    warn!(target: STORAGE, %node, %error, "a peer answered with a damaged record");
                    GetEvent::Failed { node, failure: Failure::Corrupt }
                }
            }
        }
        PeerReply::Quarantined { .. } => GetEvent::Failed { node, failure: Failure::Corrupt },
        PeerReply::Failed(failure) => GetEvent::Failed { node, failure },
        _ => GetEvent::Failed { node, failure: Failure::Refused },
    }
}

impl Handler<Told<BeginGet>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginGet>, _: &mut Self::Context) {
        let (BeginGet { key, options, outcome, permit }, _handling) = self.me.open(told);
        match plan::plan_get(&self.shard, self.now(), key, &options) {
            Ok((plan, request)) => {
                self.permit = Some(permit);
                self.task = Task::Get(Box::new(Getting { plan, outcome: Some(outcome) }));
                self.run_get(|get, now, effects| get.start(now, request, effects));
            }
            Err(error) => {
                let _ = outcome.send(Err(error));
                self.shard.give_back(self.me.clone());
            }
        }
    }
}
