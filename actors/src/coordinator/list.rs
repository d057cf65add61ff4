//! Listings of one partition.

use actix::Handler;
use henge_kernel::{
    coordination::{
        Failure, RequestError,
        list::{ListCoordination, ListEffect, ListEvent},
    },
    id::NodeId,
    machine::Machine as _,
    time::Instant,
};
use tokio::sync::oneshot;

use super::{
    Coordinator, Task,
    plan::{self, ListPlan},
};
use crate::{
    actor_ref::Told,
    messages::{
        coordinator::{BeginList, ReplyTo},
        storage_shard::ListKeys,
    },
    wire::{ListedKeys, PeerReply, PeerRequest},
};

/// A listing and who waits for it.
pub(super) struct Listing {
    plan: ListPlan,
    outcome: Option<oneshot::Sender<Result<ListedKeys, RequestError>>>,
}

impl Coordinator {
    pub(super) fn run_list(
        &mut self,
        step: impl FnOnce(&mut ListCoordination, Instant, &mut Vec<ListEffect>),
    ) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.list_effects);
        step(&mut self.list, now, &mut effects);
        for effect in effects.drain(..) {
            self.perform_list(&effect);
        }
        self.list_effects = effects;
        self.arm();
    }

    fn perform_list(&mut self, effect: &ListEffect) {
        let Task::List(listing) = &mut self.task else { return };
        let Listing { plan, outcome } = listing.as_mut();
        match effect {
            ListEffect::ListAt(node) => {
                let (partition, range) = (plan.partition, plan.range.clone());
                let (node, deadline) = (*node, plan.deadline);
                let reply = ReplyTo::coordinator(self.me.clone(), self.lease, node);
                if node == self.shard.commons.node {
                    self.shard.storage().tell(ListKeys { partition, range, deadline, reply });
                } else {
                    let request = PeerRequest::List { partition, range };
                    self.shard.send((node, partition), request, deadline, reply);
                }
            }
            ListEffect::Reply(answer) => {
                if let Some(outcome) = outcome.take() {
                    let listed = std::mem::take(&mut plan.listed);
                    let _ = outcome.send(answer.clone().map(|()| listed));
                }
            }
            ListEffect::Finish => self.finish(),
        }
    }

    pub(super) fn on_list_reply(&mut self, node: NodeId, reply: PeerReply) {
        let Task::List(listing) = &mut self.task else { return };
        let plan = &mut listing.plan;
        let event = match reply {
            PeerReply::Listed(listed) => {
                plan.listed = listed;
                ListEvent::Listed(node)
            }
            PeerReply::Failed(failure) => ListEvent::Failed { node, failure },
            _ => ListEvent::Failed { node, failure: Failure::Refused },
        };
        self.run_list(|list, now, effects| list.handle(now, event, effects));
    }
}

impl Handler<Told<BeginList>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginList>, _: &mut Self::Context) {
        let (BeginList { partition, range, outcome, permit }, _handling) = self.me.open(told);
        let (plan, request) = plan::plan_list(&self.shard, self.now(), partition, range);
        self.permit = Some(permit);
        self.task = Task::List(Box::new(Listing { plan, outcome: Some(outcome) }));
        self.run_list(|list, now, effects| list.start(now, request, effects));
    }
}
