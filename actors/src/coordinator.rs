//! `Coordinator`: one request over the replicas of its key. The paper's request coordinator
//! (Dynamo, §5.2) as one actor per request in flight, leased from the shard's pool.
//!
//! Parent: `NodeSupervisor`. A restart loses the request it carried: a client is told that it was
//! interrupted, a peer that its answer is lost.
//!
//! The actor decides nothing: it turns messages into events of the kernel's machines, and carries
//! out their effects. A `lease` counted up at each end tells late answers of an earlier request.

use std::{rc::Rc, sync::Arc};

use actix::{Actor, Context, Handler, Supervised};
use bytes::Bytes;
use henge_kernel::{
    causality::Record,
    coordination::{
        Failure, GetCoordination, PutCoordination, ReplicaRecord, RequestError,
        get::{GetEffect, GetEvent, ReplicaAnswer},
        list::{ListCoordination, ListEffect, ListEvent},
        outcome::{GetAnswer, PutAnswer},
        put::{Minted, PutEffect, PutEvent},
    },
    id::NodeId,
    machine::Machine as _,
    time::Instant,
};

use crate::{
    actor_ref::{ActorRef, Told},
    admission::Permit,
    api::{Answer, Got, Written},
    coordinator_plan::{self, GetPlan, ListPlan, PutPlan},
    messages::{
        coordinator::{
            BeginForwarded, BeginGet, BeginList, BeginPut, DeadlinePassed, Outcome, ReplicaAnswered,
            ReplyTo,
        },
        peer_link::SendRequest,
        storage_shard::{ListKeys, MintRecord, ReadRecord, StoreRecord},
    },
    shard::Shard,
    wire::{ListedKeys, PeerReply, PeerRequest},
};

/// The actor.
pub struct Coordinator {
    me: ActorRef<Self>,
    shard: Rc<Shard>,
    lease: u64,
    task: Task,
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
    Get(Box<GetPlan>, Option<Outcome<Got>>, Permit),
    Put(Box<PutPlan>, Option<Asker>, Permit),
    List(Box<ListPlan>, Option<tokio::sync::oneshot::Sender<Result<ListedKeys, RequestError>>>, Permit),
}

/// Who waits for a write.
enum Asker {
    Client(Outcome<Written>),
    Peer(ReplyTo),
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
            armed: None,
            get: GetCoordination::default(),
            put: PutCoordination::default(),
            list: ListCoordination::default(),
            get_effects: Vec::new(),
            put_effects: Vec::new(),
            list_effects: Vec::new(),
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
        self.lease += 1;
        self.armed = None;
        self.task = Task::Idle;
        self.shard.give_back(self.me.clone());
    }

    /// Sends to the shard of `node` that holds the key, or learns at once that it cannot.
    fn send(&self, node: NodeId, request: PeerRequest, deadline: Instant, reply: Option<ReplyTo>) {
        let partition = coordinator_plan::partition_of(&self.shard, &request);
        let commons = &self.shard.commons;
        let shards = commons.peer_shards.get(&node).map(|shards| *shards);
        let link = shards.and_then(|shards| self.shard.links.peer((node, partition.shard(shards))));
        match (link, reply) {
            (Some(link), reply) => link.tell(SendRequest { request, deadline, reply }),
            (None, Some(reply)) => reply.answer(PeerReply::Failed(Failure::Unreachable)),
            (None, None) => {}
        }
    }

    fn run_get(&mut self, step: impl FnOnce(&mut GetCoordination, Instant, &mut Vec<GetEffect>)) {
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
        let Task::Get(plan, outcome, _) = &mut self.task else { return };
        match effect {
            GetEffect::ReadAt { node, known } => {
                let (key, deadline) = (plan.key.clone(), plan.deadline);
                if node == self.shard.commons.node {
                    let reply = self.reply_to(node);
                    self.shard.storage().tell(ReadRecord { key, known, deadline, reply });
                } else {
                    let request = PeerRequest::Read { key, known, properties: plan.properties };
                    self.send(node, request, deadline, Some(self.reply_to(node)));
                }
            }
            GetEffect::WantHedge => {
                if self.shard.hedging.borrow_mut().grant() {
                    self.run_get(|get, now, effects| get.handle(now, GetEvent::HedgeGranted, effects));
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
            }
            GetEffect::RepairAt { node, record } => {
                let (key, conflict) = (plan.key.clone(), plan.conflict);
                let (deadline, properties) = (plan.repair_deadline, plan.properties);
                let ReplicaRecord { record, generation } = record;
                let encoded = plan.repair.get_or_encode(&record);
                if node == self.shard.commons.node {
                    let reply = self.reply_to(node);
                    let store = StoreRecord { key, record: encoded, generation, conflict, deadline, reply };
                    self.shard.storage().tell(store);
                } else {
                    let request = PeerRequest::Store { key, record: encoded, generation, properties };
                    self.send(node, request, deadline, None);
                }
            }
            GetEffect::Finish => self.finish(),
        }
    }

    fn run_put(&mut self, step: impl FnOnce(&mut PutCoordination, Instant, &mut Vec<PutEffect>)) {
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
        let Task::Put(plan, asker, _) = &mut self.task else { return };
        match effect {
            PutEffect::Mint => {
                let mint = MintRecord {
                    key: plan.write.key.clone(),
                    context: plan.write.context.clone(),
                    content: plan.write.content.clone(),
                    write_id: plan.write.write_id,
                    expires_at: plan.write.expires_at,
                    conflict: plan.conflict,
                    limits: plan.limits,
                    deadline: plan.deadline,
                    reply: ReplyTo::coordinator(self.me.clone(), self.lease, self.shard.commons.node),
                };
                self.shard.storage().tell(mint);
            }
            PutEffect::StoreAt { node, record } => {
                let request = PeerRequest::Store {
                    key: plan.write.key.clone(),
                    record: plan.minted.get_or_encode(&record.record),
                    generation: record.generation,
                    properties: plan.write.properties,
                };
                let deadline = plan.deadline;
                self.send(node, request, deadline, Some(self.reply_to(node)));
            }
            PutEffect::ForwardTo(node) => {
                plan.forwards = true;
                let (request, deadline) = (PeerRequest::Write(plan.write.clone()), plan.deadline);
                self.send(node, request, deadline, Some(self.reply_to(node)));
            }
            PutEffect::Reply(answer) => {
                if let Some(asker) = asker.take() {
                    let wall = self.shard.commons.environment.clock.wall();
                    asker.answer(answer, wall);
                }
            }
            PutEffect::Finish => self.finish(),
        }
    }

    fn run_list(&mut self, step: impl FnOnce(&mut ListCoordination, Instant, &mut Vec<ListEffect>)) {
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
        let Task::List(plan, outcome, _) = &mut self.task else { return };
        match effect {
            ListEffect::ListAt(node) => {
                let (partition, range) = (plan.partition, plan.range.clone());
                let (node, deadline) = (*node, plan.deadline);
                let reply = ReplyTo::coordinator(self.me.clone(), self.lease, node);
                if node == self.shard.commons.node {
                    self.shard.storage().tell(ListKeys { partition, range, deadline, reply });
                } else {
                    self.send(node, PeerRequest::List { partition, range }, deadline, Some(reply));
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

    fn on_get_reply(&mut self, node: NodeId, reply: PeerReply) {
        let event = get_event(node, reply);
        self.run_get(|get, now, effects| get.handle(now, event, effects));
    }

    fn on_put_reply(&mut self, node: NodeId, reply: PeerReply) {
        let Task::Put(plan, ..) = &mut self.task else { return };
        let local = node == self.shard.commons.node;
        let event = match reply {
            PeerReply::Minted(minted) => {
                let minted = *minted;
                plan.minted.set(&minted.record, minted.encoded);
                let record = ReplicaRecord { record: minted.record, generation: minted.generation };
                let (context, dot) = (minted.written.context, minted.written.dot);
                PutEvent::Minted(Minted { context, dot, record })
            }
            PeerReply::Stored => PutEvent::Stored(node),
            PeerReply::Written { context, dot, record, replicas } => {
                let record = record.map(|bytes| Record::decode_replicated(&bytes)).transpose();
                match record {
                    Ok(record) => {
                        let record = record.map(Arc::new);
                        let answer = PutAnswer { context, dot, record, replicas };
                        PutEvent::Forwarded { node, outcome: Ok(answer) }
                    }
                    Err(_) => PutEvent::Failed { node, failure: Failure::Lost },
                }
            }
            PeerReply::Refused(error) if local => PutEvent::MintRefused(error),
            PeerReply::Refused(error) if plan.forwards => {
                PutEvent::Forwarded { node, outcome: Err(error) }
            }
            PeerReply::Failed(Failure::Lost) if local => PutEvent::MintFailed,
            PeerReply::Failed(_) if local => PutEvent::MintUnable,
            PeerReply::Failed(failure) => PutEvent::Failed { node, failure },
            _ => PutEvent::Failed { node, failure: Failure::Refused },
        };
        self.run_put(|put, now, effects| put.handle(now, event, effects));
    }

    fn on_list_reply(&mut self, node: NodeId, reply: PeerReply) {
        let Task::List(plan, ..) = &mut self.task else { return };
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

impl Asker {
    fn answer(self, answer: Result<PutAnswer, RequestError>, wall: henge_kernel::time::WallMillis) {
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

fn get_event(node: NodeId, reply: PeerReply) -> GetEvent {
    let answered = |complete, answer| GetEvent::Answered { node, complete, answer };
    let holds = |record: Record, generation, complete| {
        let record = ReplicaRecord { record: Arc::new(record), generation };
        answered(complete, ReplicaAnswer::Holds(record))
    };
    match reply {
        PeerReply::Nothing { complete } => {
            holds(Record::default(), henge_kernel::coordination::Generation::default(), complete)
        }
        PeerReply::Same { complete } => answered(complete, ReplicaAnswer::Same),
        PeerReply::Found { record, generation, complete } => {
            match Record::decode_replicated(&record) {
                Ok(record) => holds(record, generation, complete),
                Err(_) => GetEvent::Failed { node, failure: Failure::Corrupt },
            }
        }
        PeerReply::Failed(failure) => GetEvent::Failed { node, failure },
        _ => GetEvent::Failed { node, failure: Failure::Refused },
    }
}

fn encode(record: &Record) -> Bytes {
    let mut bytes = Vec::new();
    record.encode_replicated(&mut bytes);
    bytes.into()
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

impl Handler<Told<BeginGet>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginGet>, _: &mut Self::Context) {
        let (BeginGet { key, options, outcome, permit }, _handling) = self.me.open(told);
        match coordinator_plan::plan_get(&self.shard, self.now(), key, &options) {
            Ok((plan, request)) => {
                self.task = Task::Get(Box::new(plan), Some(outcome), permit);
                self.run_get(|get, now, effects| get.start(now, request, effects));
            }
            Err(error) => {
                let _ = outcome.send(Err(error));
                self.finish();
            }
        }
    }
}

impl Handler<Told<BeginPut>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginPut>, _: &mut Self::Context) {
        let (BeginPut { key, wanted, outcome, permit }, _handling) = self.me.open(told);
        match coordinator_plan::plan_put(&self.shard, self.now(), key, wanted) {
            Ok((plan, request)) => {
                self.task = Task::Put(Box::new(plan), Some(Asker::Client(outcome)), permit);
                self.run_put(|put, now, effects| put.start(now, request, effects));
            }
            Err(error) => {
                let _ = outcome.send(Err(error));
                self.finish();
            }
        }
    }
}

impl Handler<Told<BeginForwarded>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginForwarded>, _: &mut Self::Context) {
        let (BeginForwarded { write, reply, deadline, permit }, _handling) = self.me.open(told);
        match coordinator_plan::plan_forwarded(&self.shard, self.now(), write, deadline) {
            Ok((plan, request)) => {
                self.task = Task::Put(Box::new(plan), Some(Asker::Peer(reply)), permit);
                self.run_put(|put, now, effects| put.start(now, request, effects));
            }
            Err(error) => {
                reply.answer(PeerReply::Refused(error));
                self.finish();
            }
        }
    }
}

impl Handler<Told<BeginList>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<BeginList>, _: &mut Self::Context) {
        let (BeginList { partition, range, outcome, permit }, _handling) = self.me.open(told);
        let (plan, request) = coordinator_plan::plan_list(&self.shard, self.now(), partition, range);
        self.task = Task::List(Box::new(plan), Some(outcome), permit);
        self.run_list(|list, now, effects| list.start(now, request, effects));
    }
}

impl Handler<Told<ReplicaAnswered>> for Coordinator {
    type Result = ();

    fn handle(&mut self, told: Told<ReplicaAnswered>, _: &mut Self::Context) {
        let (ReplicaAnswered { lease, from, reply }, _handling) = self.me.open(told);
        if lease != self.lease {
            return;
        }
        match self.task {
            Task::Idle => {}
            Task::Get(..) => self.on_get_reply(from, reply),
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
            Task::Get(..) => self.run_get(|get, now, effects| get.expire(now, effects)),
            Task::Put(..) => self.run_put(|put, now, effects| put.expire(now, effects)),
            Task::List(..) => self.run_list(|list, now, effects| list.expire(now, effects)),
        }
    }
}
