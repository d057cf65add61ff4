//! `Coordinator`: one request over the replicas of its key. The paper's request coordinator
//! (Dynamo, §5.2) as one actor per request in flight, leased from the shard's pool.
//!
//! Parent: `NodeSupervisor`. A restart loses the request it carried: a client is told that it was
//! interrupted, a peer that its answer is lost.
//!
//! The actor decides nothing: it turns messages into events of the kernel's machines, and carries
//! out their effects. A `lease` counted up at each end tells late answers of an earlier request.

mod fencing;
mod get;
mod list;
mod plan;
mod put;

use std::rc::Rc;

use actix::{Actor, Context, Handler, Supervised};
use henge_kernel::{
    coordination::{
        GetCoordination, PutCoordination, RequestError, get::GetEffect, list::ListCoordination,
        list::ListEffect, put::PutEffect,
    },
    id::NodeId,
    key::Key,
    machine::Machine as _,
    time::Instant,
};

use crate::{
    actor_ref::{ActorRef, Told},
    admission::Permit,
    messages::{
        coordinator::{DeadlinePassed, ReplicaAnswered, ReplyTo},
        peer_link::SendControl,
    },
    shard::Shard,
    wire::{ControlMessage, PeerReply},
};

/// The actor.
pub struct Coordinator {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    lease: u64,
    task: Task,
    /// The request's place in the node; once it is answered, its place among the tails.
    permit: Option<Permit>,
    /// When the wheel is armed for this lease, so that it is not armed again for later.
    armed: Option<Instant>,
    get: GetCoordination,
    put: PutCoordination,
    list: ListCoordination,
    get_effects: Vec<GetEffect>,
    put_effects: Vec<PutEffect>,
    list_effects: Vec<ListEffect>,
}

/// What the current lease is for, and who waits. The machines hold no channels.
enum Task {
    Idle,
    Get(Box<get::Getting>),
    Put(Box<put::Putting>),
    List(Box<list::Listing>),
}

impl Coordinator {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "Coordinator";

    /// An idle coordinator.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        Self {
            me,
            shard,
            lease: 0,
            task: Task::Idle,
            permit: None,
            armed: None,
            get: GetCoordination::default(),
            put: PutCoordination::default(),
            list: ListCoordination::default(),
            get_effects: Vec::new(),
            put_effects: Vec::new(),
            list_effects: Vec::new(),
        }
    }

    /// The client has its answer: its place in the node is free, and what is left goes on as a
    /// tail. Beyond the bound of tails it does not: late answers are then lost, as they may be.
    fn replied(&mut self) {
        let bytes = self.permit.take().map_or(0, |permit| permit.bytes());
        self.permit = self.shard.tails.enter(bytes).ok();
        if self.permit.is_none() {
            self.finish();
        }
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    fn reply_to(&self, node: NodeId) -> ReplyTo {
        ReplyTo::coordinator(self.me.clone(), self.lease, node)
    }

    /// Arms the wheel for what the running machine waits for.
    fn arm(&mut self) {
        let next = match &self.task {
            Task::Idle => None,
            Task::Get(..) => self.get.deadline(),
            Task::Put(..) => self.put.deadline(),
            Task::List(..) => self.list.deadline(),
        };
        if let Some(next) = next.filter(|next| self.armed.is_none_or(|armed| *next < armed)) {
            self.shard.wheel.arm(next, &self.me, self.lease);
            self.armed = Some(next);
        }
    }

    /// The request is over: late answers will carry an older lease.
    fn finish(&mut self) {
        if matches!(self.task, Task::Idle) {
            return;
        }
        if let Task::Put(putting) = &self.task {
            self.tell_of_silent(putting);
        }
        self.lease += 1;
        self.armed = None;
        self.permit = None;
        self.task = Task::Idle;
        self.shard.give_back(self.me.clone());
    }

    /// A node that does not know the properties which the request used is told them.
    fn teach(&self, node: NodeId, reply: &PeerReply) {
        let PeerReply::Refused(RequestError::StaleProperties { used, newest }) = reply else {
            return;
        };
        let Some(key) = self.key().filter(|_| newest < used) else { return };
        let cluster = self.shard.commons.cluster.load();
        let register = cluster.buckets.get(key.bucket()).cloned();
        if let (Some(register), Some(link)) =
            (register, self.shard.link_to(node, plan::partition_of_key(&cluster, key)))
        {
            let registers = vec![register];
            link.tell(SendControl(ControlMessage::Registers { ticket: 0, registers }));
        }
    }

    /// The key that the current lease is for.
    fn key(&self) -> Option<&Key> {
        match &self.task {
            Task::Get(getting) => Some(getting.key()),
            Task::Put(putting) => Some(putting.key()),
            Task::Idle | Task::List(_) => None,
        }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;
}

impl Supervised for Coordinator {
    fn restarting(&mut self, _: &mut Self::Context) {
        let lease = self.lease + 1;
        *self = Self { lease, ..Self::new(self.me.clone(), Rc::clone(&self.shard)) };
        self.shard.give_back(self.me.clone());
    }
}

impl Handler<Told<ReplicaAnswered>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<ReplicaAnswered>, _: &mut Self::Context) {
        let (ReplicaAnswered { lease, from, reply }, _handling) = self.me.open(told);
        if lease != self.lease {
            return;
        }
        self.teach(from, &reply);
        match self.task {
            Task::Idle => {}
            Task::Get(_) => self.on_get_reply(from, reply),
            Task::Put(..) => self.on_put_reply(from, reply),
            Task::List(..) => self.on_list_reply(from, reply),
        }
    }
}

impl Handler<Told<DeadlinePassed>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<DeadlinePassed>, _: &mut Self::Context) {
        let (DeadlinePassed { lease }, _handling) = self.me.open(told);
        if lease != self.lease {
            return;
        }
        self.armed = None;
        match self.task {
            Task::Idle => {}
            Task::Get(..) => self.run_get(GetCoordination::expire),
            Task::Put(..) => self.run_put(PutCoordination::expire),
            Task::List(..) => self.run_list(ListCoordination::expire),
        }
    }
}
