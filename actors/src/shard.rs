//! What all actors of one shard share. It never leaves the shard's thread.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use actix::{Actor, Context, Supervised};
use henge_kernel::{
    bucket::RegisterVersion,
    coordination::{Failure, hedge::Hedging},
    id::NodeId,
    key::{Key, PartitionId},
    reaping::Fence,
    time::Instant,
};

use crate::{
    actor_ref::ActorRef,
    admission::Admission,
    anti_entropy_worker::AntiEntropyWorker,
    background::{Background, Leisure},
    client_link::ClientLink,
    commons::Commons,
    coordinator::Coordinator,
    deadline_wheel::DeadlineWheel,
    hinted_handoff_queue::HintedHandoffQueue,
    links::Links,
    messages::{
        coordinator::ReplyTo,
        gossip_membership::StorageSampled,
        peer_link::SendRequest,
        storage_shard::{MeetFences, StoreRecord},
    },
    meter::Meter,
    peer_link::PeerLink,
    read_repairer::ReadRepairer,
    reaper::Reaper,
    storage_shard::StorageShard,
    supervision::{Child, Guardian},
    transport::Link,
    wire::{PeerReply, PeerRequest},
};

/// One shard: one thread, one log, one endpoint, and the actors around them.
pub struct Shard {
    /// What all shards share.
    pub commons: Arc<Commons>,
    /// Which shard this is.
    pub index: u16,
    /// The deadlines of its requests.
    pub wheel: Rc<DeadlineWheel>,
    /// The links of its endpoint.
    pub links: Links,
    /// What it knows about the speed of its peers.
    pub hedging: RefCell<Hedging>,
    /// The door to the time after the answer: a peer that is silent until it is known as down must
    /// not take the places of requests that come.
    pub tails: Arc<Admission>,
    /// The door for answers that wait until their clients have read what was sent before.
    pub unread: Arc<Admission>,
    /// How much it moves between replicas while it serves clients.
    pub background: Background,
    /// How far it is in each partition that was ever reaped, as its storage shows it.
    pub fences: RefCell<BTreeMap<PartitionId, Fence>>,
    storage: OnceCell<ActorRef<StorageShard>>,
    reaper: OnceCell<ActorRef<Reaper>>,
    handoff: OnceCell<ActorRef<HintedHandoffQueue>>,
    anti_entropy: OnceCell<ActorRef<AntiEntropyWorker>>,
    read_repairer: OnceCell<ActorRef<ReadRepairer>>,
    idle: RefCell<Vec<ActorRef<Coordinator>>>,
    /// All coordinators of the shard are measured as one.
    coordinators: Arc<Meter>,
    /// And so are all actors that talk to its clients.
    clients: Arc<Meter>,
}

/// Requests of one shard that are answered but not finished; their values have the bound of those
/// in flight.
const TAILS_MAX: u64 = 8192;

impl Shard {
    /// A shard without actors.
    pub fn new(commons: Arc<Commons>, index: u16) -> Rc<Self> {
        let wheel = DeadlineWheel::start(Arc::clone(&commons.environment.clock));
        let bytes_max = commons.settings.limits.request_bytes_in_flight_max;
        let tails = Admission::new(TAILS_MAX, bytes_max);
        let unread = Admission::new(TAILS_MAX, bytes_max);
        let meter = |name| commons.roster.enlist(commons.name(), index, name, String::new());
        let (coordinators, clients) = (meter(Coordinator::NAME), meter(ClientLink::NAME));
        let background = Background::new(commons.environment.clock.now());
        Rc::new(Self {
            commons,
            index,
            wheel,
            links: Links::default(),
            hedging: RefCell::default(),
            background,
            fences: RefCell::default(),
            storage: OnceCell::new(),
            reaper: OnceCell::new(),
            handoff: OnceCell::new(),
            anti_entropy: OnceCell::new(),
            read_repairer: OnceCell::new(),
            tails,
            unread,
            idle: RefCell::default(),
            coordinators,
            clients,
        })
    }

    /// Starts a supervised actor of this shard.
    pub fn start_child<A>(
        &self,
        name: &'static str,
        instance: String,
        make: impl FnOnce(ActorRef<A>) -> A,
    ) -> ActorRef<A>
    where
        A: Actor<Context = Context<A>> + Supervised,
    {
        let commons = &self.commons;
        let meter = commons.roster.enlist(commons.name(), self.index, name, instance);
        Child::start(self.guardian(), meter, make)
    }

    fn guardian(&self) -> Guardian {
        let guardian = self.commons.guardian.get().cloned();
        let mut guardian = guardian.unwrap_or_else(|| unreachable!("the supervisor comes first"));
        guardian.seed = self.commons.environment.entropy.draw("backoff");
        guardian
    }

    /// Names the shard's storage, once.
    pub fn set_storage(&self, storage: ActorRef<StorageShard>) {
        let first = self.storage.set(storage).is_ok();
        debug_assert!(first, "a shard has one storage");
    }

    /// The shard's storage.
    pub fn storage(&self) -> &ActorRef<StorageShard> {
        self.storage.get().unwrap_or_else(|| unreachable!("the storage is started first"))
    }

    /// The partition of a key.
    pub fn partition_of(&self, key: &Key) -> PartitionId {
        key.token().partition(self.commons.cluster.load().ring.partitions())
    }

    /// How far the shard is in a partition.
    pub fn fence(&self, partition: PartitionId) -> Fence {
        self.fences.borrow().get(&partition).copied().unwrap_or_default()
    }

    /// A member has refused what was read here of a key, and says how far it is.
    pub fn meet(&self, key: &Key, fence: Fence) {
        let partition = self.partition_of(key);
        self.storage().tell(MeetFences { from: None, fences: vec![(partition, fence)] });
    }

    /// Names the shard's reaper, once.
    pub fn set_reaper(&self, reaper: ActorRef<Reaper>) {
        let first = self.reaper.set(reaper).is_ok();
        debug_assert!(first, "a shard has one reaper");
    }

    /// The shard's reaper, once it is started.
    pub fn reaper(&self) -> Option<&ActorRef<Reaper>> {
        self.reaper.get()
    }

    /// Names who sends the shard's read repairs, once.
    pub fn set_read_repairer(&self, repairer: ActorRef<ReadRepairer>) {
        let first = self.read_repairer.set(repairer).is_ok();
        debug_assert!(first, "a shard has one repairer");
    }

    /// Who sends the shard's read repairs.
    pub fn read_repairer(&self) -> &ActorRef<ReadRepairer> {
        let repairer = self.read_repairer.get();
        repairer.unwrap_or_else(|| unreachable!("the repairer is started before the endpoint"))
    }

    /// Names the shard's queue of hints, once.
    pub fn set_handoff(&self, queue: ActorRef<HintedHandoffQueue>) {
        let first = self.handoff.set(queue).is_ok();
        debug_assert!(first, "a shard has one queue of hints");
    }

    /// The shard's queue of hints, once it is started.
    pub fn handoff(&self) -> Option<&ActorRef<HintedHandoffQueue>> {
        self.handoff.get()
    }

    /// The way to the shard of `node` that holds a partition.
    pub fn link_to(&self, node: NodeId, partition: PartitionId) -> Option<ActorRef<PeerLink>> {
        let shards = self.commons.peer_shards.get(&node).map(|shards| *shards)?;
        self.links.peer((node, partition.shard(shards)))
    }

    /// Asks the shard of `node` that holds a partition, or answers at once that there is no way.
    pub fn send(
        &self,
        (node, partition): (NodeId, PartitionId),
        request: PeerRequest,
        deadline: Instant,
        reply: ReplyTo,
    ) {
        match self.link_to(node, partition) {
            Some(link) => link.tell(SendRequest { request, deadline, reply: Some(reply) }),
            None => reply.answer(PeerReply::Failed(Failure::Unreachable)),
        }
    }

    /// Has a record stored by `node`: by its own shard here, or over there.
    pub fn store_at(&self, node: NodeId, store: StoreRecord, properties: Option<RegisterVersion>) {
        if node == self.commons.node {
            return self.storage().tell(store);
        }
        let partition = self.partition_of(&store.key);
        let StoreRecord {
            key, record, generation, stands_in_for, durable, deadline, reply, ..
        } = store;
        let request =
            PeerRequest::Store { key, record, generation, stands_in_for, durable, properties };
        self.send((node, partition), request, deadline, reply);
    }

    /// How much room the clients of the shard leave for what can wait.
    pub fn leisure(&self) -> Leisure {
        let places = u64::from(self.commons.settings.limits.requests_in_flight_max);
        Leisure::of(self.commons.doors[usize::from(self.index)].requests(), places)
    }

    /// Names the shard's worker that compares and mends, once.
    pub fn set_anti_entropy(&self, worker: ActorRef<AntiEntropyWorker>) {
        let first = self.anti_entropy.set(worker).is_ok();
        debug_assert!(first, "a shard has one worker");
    }

    /// The worker that compares and mends, once it is started.
    pub fn anti_entropy(&self) -> Option<&ActorRef<AntiEntropyWorker>> {
        self.anti_entropy.get()
    }

    /// Leases a coordinator for one request: an idle one, or a new one. Admission bounds them.
    pub fn lease(self: &Rc<Self>) -> ActorRef<Coordinator> {
        let idle = self.idle.borrow_mut().pop();
        idle.filter(ActorRef::is_connected).unwrap_or_else(|| {
            let meter = Arc::clone(&self.coordinators);
            Child::start(self.guardian(), meter, |me| Coordinator::new(me, Rc::clone(self)))
        })
    }

    /// Takes back a coordinator whose request is finished.
    pub fn give_back(&self, coordinator: ActorRef<Coordinator>) {
        self.idle.borrow_mut().push(coordinator);
    }

    /// Coordinators that wait for a request.
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Starts an actor for one client's link. The endpoint bounds them.
    pub fn meet_client(self: &Rc<Self>, link: Rc<dyn Link>) -> ActorRef<ClientLink> {
        let meter = Arc::clone(&self.clients);
        Child::start(self.guardian(), meter, |me| ClientLink::new(me, Rc::clone(self), link))
    }

    /// Tells membership how the storage is, if it is there already.
    pub fn tell_membership(&self, sampled: StorageSampled) {
        if let Some(membership) = self.commons.membership.get() {
            membership.tell(sampled);
        }
    }
}
