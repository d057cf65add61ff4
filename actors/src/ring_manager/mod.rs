//! `RingManager`: the layout, the ring and the bucket properties, durable and published.
//!
//! Parent: `NodeSupervisor`; on shard 0. A restart reads the registers from disk again; a client
//! whose setting was on its way is told that it was interrupted, and a setting that needs every
//! member is taken up again, also when a peer returns.

mod learning;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Supervised};
use bytes::Bytes;
use henge_kernel::{
    bucket::{
        BucketChange, BucketRegister, BucketTable, SettingEffect, SettingEvent, SettingRequest,
        SettingRun, TableFull,
    },
    coordination::{Fate, RequestError},
    id::NodeId,
    machine::Machine as _,
    time::Instant,
    units::Size,
};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::{
    actor_ref::{ActorRef, Told},
    events::MEMBERSHIP,
    messages::{
        ring_manager::{
            PeerReached, RegisterAnswered, RegisterRefused, RegistersArrived, SetBucket,
        },
        storage_shard::CountBuckets,
    },
    register_file::RegisterFile,
    register_refusals::{failure, refusal, refuse, unreached},
    shard::Shard,
    storage_shard::StorageShard,
    view::ClusterView,
    wire::ControlMessage,
};

/// How often settings on their way are looked after.
const TICK: Duration = Duration::from_millis(250);

/// The actor.
pub struct RingManager {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    file: RegisterFile,
    settings: BTreeMap<u64, UnderWay>,
    /// Who has sent its whole table.
    taught: BTreeSet<NodeId>,
    ticket: u64,
    falls: u64,
}

/// A setting on its way to the members, and who waits for it.
struct UnderWay {
    run: SettingRun,
    outcome: Option<SetOutcome>,
}

type SetOutcome = oneshot::Sender<Result<BucketRegister, RequestError>>;

/// To itself: it is known which buckets hold data here, if all shards said so.
#[derive(Message)]
#[rtype(result = "()")]
struct UseKnown {
    /// How often the actor had fallen when it asked.
    falls: u64,
    examined: Vec<Bytes>,
    used: Option<Vec<Bytes>>,
    then: Then,
}

enum Then {
    Set(SetBucket),
    TakeIn(RegistersArrived),
}

impl RingManager {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "RingManager";

    /// The manager of the ring that `shard` has published already.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>, file: RegisterFile) -> Self {
        // An answer to an earlier run of the node must meet no ticket of this one.
        let ticket = shard.commons.run;
        let (settings, taught) = (BTreeMap::new(), BTreeSet::new());
        Self { me, shard, file, settings, taught, ticket, falls: 0 }
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    fn view(&self) -> Arc<ClusterView> {
        self.shard.commons.cluster.load()
    }

    /// Makes a table durable, then visible to all requests.
    fn keep(&self, table: BucketTable) -> Result<(), RequestError> {
        self.file.write(&table).map_err(|error| {
            error!(target: MEMBERSHIP, %error, "bucket properties were not stored");
            RequestError::NotReady {
                reason: format!("cannot store the properties: {error}").into(),
            }
        })?;
        let view = ClusterView { buckets: Arc::new(table), ..ClusterView::clone(&self.view()) };
        self.shard.commons.cluster.publish(view);
        Ok(())
    }

    fn broadcast(&self, register: &BucketRegister) {
        let message = ControlMessage::Registers { ticket: 0, registers: vec![register.clone()] };
        for node in self.view().nodes.keys() {
            self.shard.send_control(*node, message.clone());
        }
    }

    /// Goes on with `then` when it is known which buckets hold data here. Until then no shard
    /// mints for `buckets`: whatever was minted is counted, or comes after what is decided.
    fn examine(&self, context: &mut Context<Self>, buckets: Vec<Bytes>, then: Then) {
        let mut examined = Vec::clone(&self.view().examined);
        examined.extend(buckets.iter().cloned());
        self.publish_examined(examined);
        let storages = self.shard.commons.storages.get().cloned().unwrap_or_default();
        let (address, falls) = (context.address(), self.falls);
        actix_rt::spawn(async move {
            let used = used_buckets(storages).await;
            address.do_send(UseKnown { falls, examined: buckets, used, then });
        });
    }

    fn release(&self, buckets: &[Bytes]) {
        let mut examined = Vec::clone(&self.view().examined);
        for bucket in buckets {
            if let Some(at) = examined.iter().position(|name| name == bucket) {
                examined.swap_remove(at);
            }
        }
        self.publish_examined(examined);
    }

    fn publish_examined(&self, examined: Vec<Bytes>) {
        let view = ClusterView::clone(&self.view());
        self.shard.commons.cluster.publish(ClusterView { examined: Arc::new(examined), ..view });
    }

    fn set(&mut self, request: SetBucket, used: &[Bytes]) {
        let SetBucket { bucket, change, outcome } = request;
        match self.propose(&bucket, &change, used.contains(&bucket)) {
            // What is in force here already may be known to nobody else: the members are asked.
            Ok(register) => self.carry(register, Some(outcome)),
            Err(error) => {
                let _ = outcome.send(Err(error));
            }
        }
    }

    fn propose(
        &self,
        bucket: &Bytes,
        change: &BucketChange,
        used: bool,
    ) -> Result<BucketRegister, RequestError> {
        let view = self.view();
        let register = view.buckets.propose(bucket, change, used, self.shard.commons.node);
        let register = register.map_err(refusal)?;
        self.check_value_limit(&register)?;
        self.check_members(&register)?;
        let mut table = BucketTable::clone(&view.buckets);
        if table.merge(register.clone()).map_err(|full| refusal(full.into()))? {
            self.keep(table)?;
        }
        Ok(register)
    }

    /// A node takes no larger values than it was told, whatever a bucket says.
    fn check_value_limit(&self, register: &BucketRegister) -> Result<(), RequestError> {
        let max = self.shard.commons.settings.limits.value_bytes_max;
        if u64::from(register.properties.value_bytes_max) <= max {
            return Ok(());
        }
        Err(RequestError::BadRequest {
            field: "value_bytes_max".into(),
            value: Size(register.properties.value_bytes_max.into()).to_string(),
            limit: format!("at most {} (limits.value_bytes_max of this node)", Size(max)),
        })
    }

    /// Refuses at once what the member view already rules out.
    fn check_members(&self, register: &BucketRegister) -> Result<(), RequestError> {
        let (members, down) = (self.view().nodes.len(), self.members_down());
        if members - down >= register.stores_needed(members) {
            return Ok(());
        }
        Err(unreached(register.stores_needed(members), 0, down, Fate::NotApplied))
    }

    fn members_down(&self) -> usize {
        let members = self.shard.commons.members.load();
        self.view().nodes.keys().filter(|node| members.is_down(**node)).count()
    }

    /// Begins to carry a register to the other members.
    fn carry(&mut self, register: BucketRegister, outcome: Option<SetOutcome>) {
        let view = self.view();
        // One that goes on for nobody is taken over.
        self.settings.retain(|_, under_way| {
            let carried = under_way.run.register();
            let same = carried.name == register.name && carried.version == register.version;
            under_way.outcome.is_some() || !same
        });
        let request = SettingRequest {
            register,
            members: view.nodes.keys().copied().collect(),
            own: self.shard.commons.node,
            before: view.buckets.defaults().clone(),
        };
        // 0 asks for no answer.
        self.ticket = self.ticket.wrapping_add(1).max(1);
        let (ticket, mut effects) = (self.ticket, Vec::new());
        let run = SettingRun::start(self.now(), request, &mut effects);
        self.settings.insert(ticket, UnderWay { run, outcome });
        self.perform(ticket, effects);
    }

    fn perform(&mut self, ticket: u64, effects: Vec<SettingEffect>) {
        let down = self.members_down();
        for effect in effects {
            let Some(under_way) = self.settings.get_mut(&ticket) else { return };
            let register = under_way.run.register().clone();
            match effect {
                SettingEffect::SendTo(node) => {
                    let registers = vec![register];
                    self.shard.send_control(node, ControlMessage::Registers { ticket, registers });
                }
                SettingEffect::Establish => {
                    self.replace(&BucketRegister { established: true, ..register });
                }
                SettingEffect::Withdraw(before) => self.replace(&before),
                SettingEffect::Reply(answer) => {
                    if let Some(outcome) = under_way.outcome.take() {
                        let answer =
                            answer.map(|()| BucketRegister { established: true, ..register });
                        let _ = outcome.send(answer.map_err(|failed| failure(failed, down)));
                    }
                }
                SettingEffect::Finish => {
                    self.settings.remove(&ticket);
                }
            }
        }
    }

    fn replace(&self, register: &BucketRegister) {
        let mut table = BucketTable::clone(&self.view().buckets);
        if table.merge(register.clone()) == Ok(true) && self.keep(table).is_ok() {
            self.broadcast(register);
        }
    }

    /// Takes in what a peer knows, unless data here contradicts it.
    fn take_in(&mut self, arrived: RegistersArrived, used: &[Bytes]) {
        let RegistersArrived { from, registers, ticket } = arrived;
        let mut table = BucketTable::clone(&self.view().buckets);
        let (mut changed, mut refused, mut newer, mut full) = (false, None, Vec::new(), false);
        for register in registers {
            if let Some(why) = refuse(&table, &register, used) {
                refused = Some(why);
                continue;
            }
            match table.merge(register.clone()) {
                Ok(merged) => changed |= merged,
                Err(TableFull) => full = true,
            }
            newer.extend(table.get(&register.name).filter(|held| **held != register).cloned());
        }
        if changed && self.keep(table).is_err() {
            // Not stored, so not acknowledged: the setter asks again.
            return;
        }
        if changed {
            self.end_overtaken();
        }
        if let Some(why) = &refused {
            warn!(target: MEMBERSHIP, field = why.field, fixed = why.fixed, value = why.value, "data here contradicts a bucket's new properties");
        }
        if full {
            // Not stored, so not acknowledged.
            warn!(target: MEMBERSHIP, "there is no room for the properties of another bucket");
            return;
        }
        if !newer.is_empty() {
            // What is in force here beats what came: that was not stored, and the peer must know.
            let message = ControlMessage::Registers { ticket: 0, registers: newer };
            self.shard.send_control(from, message);
        } else if ticket != 0 {
            self.shard.send_control(from, ControlMessage::RegisterAnswered { ticket, refused });
        }
    }

    /// Settings under way whose place another one has taken.
    fn end_overtaken(&mut self) {
        let (view, now) = (self.view(), self.now());
        let tickets: Vec<u64> = self.settings.keys().copied().collect();
        for ticket in tickets {
            let mut effects = Vec::new();
            if let Some(under_way) = self.settings.get_mut(&ticket)
                && let Some(held) = view.buckets.get(&under_way.run.register().name)
                && held.version != under_way.run.version()
            {
                under_way.run.handle(now, SettingEvent::Overtaken(held.clone()), &mut effects);
            }
            self.perform(ticket, effects);
        }
    }

    fn tick(&mut self) {
        self.learn();
        let now = self.now();
        let due = |under_way: &UnderWay| under_way.run.deadline().is_some_and(|at| at <= now);
        let tickets: Vec<u64> =
            self.settings.iter().filter(|(_, way)| due(way)).map(|(ticket, _)| *ticket).collect();
        for ticket in tickets {
            let mut effects = Vec::new();
            if let Some(under_way) = self.settings.get_mut(&ticket) {
                under_way.run.expire(now, &mut effects);
            }
            self.perform(ticket, effects);
        }
    }

    /// Settings that not every member is known to have stored are taken up again, whoever set
    /// them: the setter may have fallen, or lost its disk.
    fn resume(&mut self) {
        let view = self.view();
        let is_carried = |register: &&BucketRegister| {
            self.settings.values().any(|under_way| under_way.run.register() == *register)
        };
        let unfinished = view.buckets.iter().filter(|register| !register.established);
        let idle: Vec<_> = unfinished.filter(|one| !is_carried(one)).cloned().collect();
        for register in idle {
            info!(target: MEMBERSHIP, node = self.shard.commons.name(), "a bucket's properties are still on their way");
            self.carry(register, None);
        }
    }
}

/// The buckets that hold data here; `None` if a shard does not say, for it may hold anything.
async fn used_buckets(storages: Vec<ActorRef<StorageShard>>) -> Option<Vec<Bytes>> {
    let mut used = Vec::new();
    for storage in storages {
        let (outcome, counted) = oneshot::channel();
        storage.tell(CountBuckets { outcome });
        used.extend(counted.await.ok()?.into_iter().map(|(name, _)| name));
    }
    Some(used)
}

impl Actor for RingManager {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(TICK, |manager, _| manager.tick());
        self.resume();
    }
}

impl Supervised for RingManager {
    #[expect(clippy::panic, reason = "registers that cannot be read again are one more fall")]
    fn restarting(&mut self, _: &mut Self::Context) {
        let view = self.view();
        let table = match self.file.read(view.buckets.defaults()) {
            Ok(table) => table.unwrap_or_else(|| BucketTable::new(view.buckets.defaults().clone())),
            Err(error) => panic!("the bucket properties cannot be read again: {error}"),
        };
        let (buckets, examined) = (Arc::new(table), Arc::default());
        let view = ClusterView { buckets, examined, ..ClusterView::clone(&view) };
        self.shard.commons.cluster.publish(view);
        // What was being examined is asked for again.
        self.falls += 1;
        // Dropping the outcomes tells the clients.
        self.settings.clear();
    }
}

impl Handler<Told<SetBucket>> for RingManager {
    type Result = ();

    fn handle(&mut self, told: Told<SetBucket>, context: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        let view = self.view();
        let (buckets, defaults) = (&view.buckets, view.buckets.defaults());
        let chooses = buckets.get(&request.bucket).is_none()
            && request
                .change
                .apply(defaults)
                .is_ok_and(|wanted| (wanted.n, wanted.conflict) != (defaults.n, defaults.conflict));
        if chooses {
            self.examine(context, vec![request.bucket.clone()], Then::Set(request));
        } else {
            self.set(request, &[]);
        }
    }
}

impl Handler<Told<RegistersArrived>> for RingManager {
    type Result = ();

    fn handle(&mut self, told: Told<RegistersArrived>, context: &mut Self::Context) {
        let (arrived, _handling) = self.me.open(told);
        if learning::is_end(&arrived) {
            return self.taught_by(arrived.from);
        }
        let view = self.view();
        let chooses = |register: &&BucketRegister| {
            !register.established && view.buckets.get(&register.name).is_none()
        };
        let choosing = arrived.registers.iter().filter(chooses);
        let examined: Vec<Bytes> = choosing.map(|register| register.name.clone()).collect();
        if examined.is_empty() {
            self.take_in(arrived, &[]);
        } else {
            self.examine(context, examined, Then::TakeIn(arrived));
        }
    }
}

impl Handler<UseKnown> for RingManager {
    type Result = ();

    fn handle(&mut self, known: UseKnown, _: &mut Self::Context) {
        let UseKnown { falls, examined, used, then } = known;
        if falls != self.falls {
            return;
        }
        match (then, used) {
            (Then::Set(request), Some(used)) => self.set(request, &used),
            (Then::TakeIn(arrived), Some(used)) => self.take_in(arrived, &used),
            // Unanswered, so asked again.
            (_, None) => {}
        }
        self.release(&examined);
    }
}

impl Handler<Told<RegisterAnswered>> for RingManager {
    type Result = ();

    fn handle(&mut self, told: Told<RegisterAnswered>, _: &mut Self::Context) {
        let (RegisterAnswered { from, ticket, refused }, _handling) = self.me.open(told);
        let event = match refused {
            None => SettingEvent::Stored(from),
            Some(RegisterRefused { field, fixed, value }) => {
                SettingEvent::Refused { field, fixed, value }
            }
        };
        let (now, mut effects) = (self.now(), Vec::new());
        if let Some(under_way) = self.settings.get_mut(&ticket) {
            under_way.run.handle(now, event, &mut effects);
        }
        self.perform(ticket, effects);
    }
}

impl Handler<Told<PeerReached>> for RingManager {
    type Result = ();

    /// Two nodes have met: the peer gets the whole table, and what waits for it goes on.
    fn handle(&mut self, told: Told<PeerReached>, _: &mut Self::Context) {
        let (PeerReached { node }, _handling) = self.me.open(told);
        self.teach(node);
        self.resume();
    }
}
