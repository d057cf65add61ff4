//! What all actors of one shard share. It never leaves the shard's thread.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use actix::{Actor, Context, Supervised};
use henge_kernel::coordination::hedge::Hedging;

use crate::{
    actor_ref::ActorRef, client_link::ClientLink, commons::Commons, coordinator::Coordinator,
    deadline_wheel::DeadlineWheel, links::Links, messages::gossip_membership::StorageChanged,
    storage_shard::StorageShard, supervision::Child,
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
    storage: OnceCell<ActorRef<StorageShard>>,
    idle: RefCell<Vec<ActorRef<Coordinator>>>,
    idle_clients: RefCell<Vec<ActorRef<ClientLink>>>,
    tails: Cell<usize>,
}

/// Requests of one shard that are answered but not finished: a peer that is silent until it is
/// known as down must not take the places of those that come.
const TAILS_MAX: usize = 8192;

impl Shard {
    /// A shard without actors.
    pub fn new(commons: Arc<Commons>, index: u16) -> Rc<Self> {
        let wheel = DeadlineWheel::start(Arc::clone(&commons.environment.clock));
        Rc::new(Self {
            commons,
            index,
            wheel,
            links: Links::default(),
            hedging: RefCell::default(),
            storage: OnceCell::new(),
            idle: RefCell::default(),
            idle_clients: RefCell::default(),
            tails: Cell::new(0),
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
        let mut guardian = commons.guardian.get().cloned().unwrap_or_else(|| unreachable!());
        guardian.seed = commons.environment.entropy.draw("backoff");
        Child::start(guardian, meter, make)
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

    /// Leases a coordinator for one request: an idle one, or a new one. Admission bounds them.
    pub fn lease(self: &Rc<Self>) -> ActorRef<Coordinator> {
        let idle = self.idle.borrow_mut().pop();
        idle.filter(ActorRef::is_connected).unwrap_or_else(|| {
            self.start_child(Coordinator::NAME, String::new(), |me| {
                Coordinator::new(me, Rc::clone(self))
            })
        })
    }

    /// Takes back a coordinator whose request is finished.
    pub fn give_back(&self, coordinator: ActorRef<Coordinator>) {
        self.idle.borrow_mut().push(coordinator);
    }

    /// Leases an actor for one client's link: an idle one, or a new one. The endpoint bounds them.
    pub fn lease_client(self: &Rc<Self>) -> ActorRef<ClientLink> {
        let idle = self.idle_clients.borrow_mut().pop();
        idle.filter(ActorRef::is_connected).unwrap_or_else(|| {
            self.start_child(ClientLink::NAME, String::new(), |me| {
                ClientLink::new(me, Rc::clone(self))
            })
        })
    }

    /// Takes back an actor whose client has gone.
    pub fn give_back_client(&self, actor: ActorRef<ClientLink>) {
        self.idle_clients.borrow_mut().push(actor);
    }

    /// An answered request wants to go on; false if too many do.
    pub fn begin_tail(&self) -> bool {
        let tails = self.tails.get();
        self.tails.set(tails + usize::from(tails < TAILS_MAX));
        tails < TAILS_MAX
    }

    /// An answered request is finished.
    pub fn end_tail(&self) {
        self.tails.set(self.tails.get().saturating_sub(1));
    }

    /// Tells membership what became of the storage, if it is there already.
    pub fn tell_membership(&self, changed: StorageChanged) {
        if let Some(membership) = self.commons.membership.get() {
            membership.tell(changed);
        }
    }
}
