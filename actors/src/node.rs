//! A node: its shards on their threads, their actors, how it starts and how it stops.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

pub use crate::birth::StartError;
use crate::{
    actor_ref::ActorRef,
    anti_entropy_report::ShardSync,
    anti_entropy_worker::AntiEntropyWorker,
    birth::{first_view, open_directory},
    commons::{Birth, Commons, Ending, Phase},
    environment::Environment,
    events::{ANTI_ENTROPY, MEMBERSHIP, STORAGE},
    failpoint::{self, Site},
    fence_file::FenceFile,
    front::Front,
    gossip_membership::GossipMembership,
    handle::NodeHandle,
    hinted_handoff_queue::HintedHandoffQueue,
    ledger_file::{LedgerFile, LogFound, own_partitions},
    messages::{front::CloseEndpoint, gossip_membership::LeaveCluster, storage_shard::CloseShard},
    peer_link::Peer,
    read_repairer::ReadRepairer,
    reaper::Reaper,
    register_file::RegisterFile,
    ring_manager::RingManager,
    settings::Settings,
    shard::Shard,
    storage::{
        Engine, StorageError,
        disk::DiskLock,
        log::{LogEngine, LogSettings},
    },
    storage_shard::{OpenEngine, Opened, OpenedFences, StorageShard},
    supervision::{BackoffPolicy, Guardian, NodeSupervisor},
    transport::{Binding, TransportError},
    wire::HeaderTooLong,
};

/// How long requests in flight may take to end when the node stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the shards may take to sync and the endpoints to say goodbye, each.
const CLOSE: Duration = Duration::from_secs(2);

/// A running node. Dropping it without [`Node::stop`] is a crash of its shards.
///
/// # Starting and stopping
///
/// ```no_run
/// use henge_actors::{Ending, Environment, Node, Settings};
///
/// /// Must run inside an actix `System`, until `asked_to_stop` resolves.
/// async fn serve(
///     settings: Settings,
///     asked_to_stop: impl Future<Output = ()>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let environment = Environment::production(&settings)?; // reads certificates
///     let node = Node::start(settings, environment).await?; // opens logs, listens
///     let handle = node.handle(); // for whoever wants to read and write
///     let ending = tokio::select! {
///         () = asked_to_stop => None,
///         ending = node.failed() => Some(ending), // a part of it fell too often
///     };
///     node.stop().await; // in order: nothing acknowledged is lost
///     match ending {
///         Some(Ending { reason }) => Err(reason.into()),
///         None => Ok(()),
///     }
/// }
/// ```
///
/// A directory that another process holds, a port that is taken, or settings that contradict what
/// the directory was born with are a [`StartError`], and nothing was changed.
pub struct Node {
    commons: Arc<Commons>,
    /// One a shard; empty when the shards share the thread that started them.
    arbiters: Vec<Arbiter>,
    _lock: Box<dyn DiskLock>,
}

/// The actors of a shard that the rest of the node reaches.
struct Doors {
    front: ActorRef<Front>,
    storage: ActorRef<StorageShard>,
    worker: ActorRef<AntiEntropyWorker>,
    reaper: ActorRef<Reaper>,
}

impl Node {
    /// Starts a node, each shard on an arbiter of its own. Must be called inside an actix
    /// `System`. Resolves when the logs are open and the endpoints listen; peers are met after
    /// that, see [`NodeHandle::readiness`].
    pub async fn start(settings: Settings, environment: Environment) -> Result<Self, StartError> {
        Self::start_on(settings, environment, true).await
    }

    /// Starts a node with all its shards on the current thread, which must run a `LocalSet`; no
    /// `System` is needed. For tests and simulations on paused time.
    pub async fn start_here(
        settings: Settings,
        environment: Environment,
    ) -> Result<Self, StartError> {
        Self::start_on(settings, environment, false).await
    }

    async fn start_on(
        settings: Settings,
        environment: Environment,
        own_threads: bool,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let identity = open_directory(&settings, &environment)?;
        let (shards, port) = (identity.shards, settings.node.listen.port());
        if port != 0 && port.checked_add(shards - 1).is_none() {
            return Err(StartError::Ports { port, shards });
        }
        let commons = Commons::new(Birth {
            view: first_view(&settings, &environment)?,
            settings,
            environment,
            incarnation: identity.incarnation,
            shards,
            facts: identity.facts,
        });
        let mut node = Self { commons, arbiters: Vec::new(), _lock: identity.lock };
        let started = node.start_shards(own_threads).await;
        match started {
            Ok(()) => {
                node.commons.enter(Phase::Serving);
                info!(target: MEMBERSHIP, node = node.commons.name(), shards, "node started");
                Ok(node)
            }
            Err(error) => {
                node.end_threads();
                Err(error)
            }
        }
    }

    /// First every shard opens its log; when all actors are known to each other, all endpoints
    /// are opened.
    async fn start_shards(&mut self, own_threads: bool) -> Result<(), StartError> {
        let (mut doors, mut shards) = (Vec::new(), Vec::new());
        for shard in 0..self.commons.shards {
            let (opened, is_open) = oneshot::channel();
            let (bound, is_bound) = oneshot::channel();
            let (go, gate) = oneshot::channel();
            let commons = Arc::clone(&self.commons);
            let run = move || run_shard(commons, shard, (opened, gate, bound));
            if own_threads {
                let arbiter = Arbiter::new();
                arbiter.spawn_fn(move || drop(actix_rt::spawn(run())));
                self.arbiters.push(arbiter);
            } else {
                actix_rt::spawn(run());
            }
            doors.push(is_open.await.map_err(|_| StartError::ShardEnded { shard })??);
            shards.push((go, is_bound));
        }
        let (mut fronts, mut storages) = (Vec::new(), Vec::new());
        let (mut workers, mut reapers) = (Vec::new(), Vec::new());
        for Doors { front, storage, worker, reaper } in doors {
            fronts.push(front);
            storages.push(storage);
            workers.push(worker);
            reapers.push(reaper);
        }
        let first = self.commons.fronts.set(fronts).is_ok()
            && self.commons.storages.set(storages).is_ok()
            && self.commons.workers.set(workers).is_ok()
            && self.commons.reapers.set(reapers).is_ok();
        debug_assert!(first, "a node starts once");
        for (shard, (go, is_bound)) in (0..).zip(shards) {
            let _ = go.send(());
            is_bound.await.map_err(|_| StartError::ShardEnded { shard })??;
        }
        Ok(())
    }

    /// The door to this node, for any thread.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle::new(Arc::clone(&self.commons))
    }

    /// Resolves when the node cannot go on, with the reason; [`Node::stop`] it then.
    pub async fn failed(&self) -> Ending {
        let mut endings = self.commons.endings();
        loop {
            if let Some(ending) = endings.borrow_and_update().clone() {
                return ending;
            }
            if endings.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops in order: no new requests; those in flight end; peers are told; logs are synced.
    /// Nothing acknowledged is lost. Takes at most 5 s for the requests, and then 4 s a shard.
    pub async fn stop(mut self) {
        self.commons.enter(Phase::Stopping);
        info!(target: MEMBERSHIP, node = self.commons.name(), "node stops");
        if let Some(membership) = self.commons.membership.get() {
            membership.tell(LeaveCluster);
        }
        self.drain().await;
        self.close_storages().await;
        self.close_endpoints().await;
        self.end_threads();
    }

    /// Waits until no request is inside. Peers that were told send no more.
    async fn drain(&self) {
        let commons = &self.commons;
        let drained = async {
            // Peers need a moment to learn that this node left, and their requests one to end.
            sleep(Duration::from_millis(100)).await;
            while commons.doors.iter().any(|door| door.requests() > 0) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(DRAIN, drained).await.is_err() {
            warn!(target: MEMBERSHIP, node = commons.name(), "requests were still in flight");
        }
    }

    async fn close_storages(&self) {
        let storages = self.commons.storages.get().into_iter().flatten();
        join_all(storages.map(|storage| async {
            let (outcome, closed) = oneshot::channel();
            storage.tell(CloseShard { outcome });
            match timeout(CLOSE, closed).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => error!(target: STORAGE, %error, "the last sync failed"),
                Ok(Err(_)) | Err(_) => error!(target: STORAGE, "a shard did not close in time"),
            }
        }))
        .await;
    }

    async fn close_endpoints(&self) {
        let fronts = self.commons.fronts.get().into_iter().flatten();
        join_all(fronts.map(|front| {
            let (outcome, closed) = oneshot::channel();
            front.tell(CloseEndpoint { outcome });
            // Peers that do not hear the goodbye find out by themselves.
            timeout(CLOSE, closed)
        }))
        .await;
    }

    fn end_threads(&mut self) {
        for arbiter in self.arbiters.drain(..) {
            arbiter.stop();
            // The thread's log and socket are free for a successor when it has ended.
            let _ = arbiter.join();
        }
    }
}

/// The steps of a start as a shard tells them: its log is open; wait; its endpoint listens.
type Steps = (
    oneshot::Sender<Result<Doors, StartError>>,
    oneshot::Receiver<()>,
    oneshot::Sender<Result<(), StartError>>,
);

/// The life of one shard, on its thread.
async fn run_shard(commons: Arc<Commons>, index: u16, (opened, gate, bound): Steps) {
    if index == 0 {
        start_supervisor(&commons);
    }
    let shard = Shard::new(commons, index);
    let doors = open_shard(&shard);
    failpoint::pass(Site::AtRestart);
    match doors {
        Ok(doors) => drop(opened.send(Ok(doors))),
        Err(error) => return drop(opened.send(Err(error))),
    }
    if gate.await.is_ok() {
        let _ = bound.send(open_endpoint(&shard));
    }
}

fn start_supervisor(commons: &Arc<Commons>) {
    let guardian = Guardian {
        clock: Arc::clone(&commons.environment.clock),
        policy: BackoffPolicy::default(),
        seed: 0,
        parent: NodeSupervisor::start(Arc::clone(commons)),
    };
    let first = commons.guardian.set(guardian).is_ok();
    debug_assert!(first, "a node has one supervisor");
}

/// Opens the log and starts the actors that need no peers.
fn open_shard(shard: &Rc<Shard>) -> Result<Doors, StartError> {
    let open = log_opener(shard);
    let opened = open(0)?;
    if let Some(shown) = shard.commons.anti_entropy.get(usize::from(shard.index)) {
        let ledger = &opened.ledger.ledger;
        let incomplete = ledger.incomplete().collect();
        let quarantined = ledger.quarantined().count();
        let owed = ledger.owed().map(|(node, _)| node).collect();
        let was_empty = opened.engine.counts().keys == 0;
        let sync = ShardSync { incomplete, quarantined, owed, was_empty, ..ShardSync::default() };
        shown.publish(sync);
    }
    let storage = shard.start_child(StorageShard::NAME, String::new(), |me| {
        StorageShard::new(me, Rc::clone(shard), open, opened)
    });
    shard.set_storage(storage.clone());
    let worker = shard.start_child(AntiEntropyWorker::NAME, String::new(), |me| {
        AntiEntropyWorker::new(me, Rc::clone(shard))
    });
    shard.set_anti_entropy(worker.clone());
    let front =
        shard.start_child(Front::NAME, String::new(), |me| Front::new(me, Rc::clone(shard)));
    let handoff = shard.start_child(HintedHandoffQueue::NAME, String::new(), |me| {
        HintedHandoffQueue::new(me, Rc::clone(shard))
    });
    shard.set_handoff(handoff);
    let repairer = shard.start_child(ReadRepairer::NAME, String::new(), |me| {
        ReadRepairer::new(me, Rc::clone(shard))
    });
    shard.set_read_repairer(repairer);
    let reaper =
        shard.start_child(Reaper::NAME, String::new(), |me| Reaper::new(me, Rc::clone(shard)));
    shard.set_reaper(reaper.clone());
    Ok(Doors { front, storage, worker, reaper })
}

fn log_opener(shard: &Shard) -> OpenEngine {
    let environment = shard.commons.environment.clone();
    let storage = &shard.commons.settings.storage;
    let directory = shard.commons.settings.node.data_dir.join(format!("shard-{}", shard.index));
    let segment_bytes = u32::try_from(storage.segment_bytes).unwrap_or(u32::MAX);
    let (index, commons) = (shard.index, Arc::clone(&shard.commons));
    Box::new(move |number| {
        let salt = environment.entropy.draw("log salt");
        let settings = LogSettings { directory: directory.clone(), segment_bytes, salt };
        let (engine, report) = LogEngine::open(Arc::clone(&environment.disk), settings)?;
        info!(target: STORAGE, shard = index, ?report, "log opened");
        let own = own_partitions(commons.cluster.load().ring.partitions(), index, commons.shards);
        let found = LogFound { directory: &directory, last: engine.counts().last, report: &report };
        let ledger = LedgerFile::open(Arc::clone(&environment.disk), found, own, number)?;
        if let Some(reason) = ledger.lost {
            info!(target: ANTI_ENTROPY, node = commons.name(), shard = index, reason, "incomplete until it is compared with the other homes");
        }
        let file = FenceFile::new(Arc::clone(&environment.disk), &directory);
        let fences = OpenedFences { fences: file.read()?, file };
        let engine = Box::new(engine) as Box<dyn Engine>;
        Ok::<_, StorageError>(Opened { engine, ledger, fences })
    })
}

/// Opens the endpoint, and starts the actors that need peers.
fn open_endpoint(shard: &Rc<Shard>) -> Result<(), StartError> {
    let commons = &shard.commons;
    let mut listen = commons.settings.node.listen;
    if listen.port() != 0 {
        listen.set_port(listen.port().saturating_add(shard.index));
    }
    if shard.index == 0 {
        start_managers(shard);
    }
    let too_long =
        |error: HeaderTooLong| TransportError::Refused(format!("the hello is too long: {error}"));
    let hello: Bytes = commons.hello(shard.index).encode().map_err(too_long)?;
    let name = commons.settings.node.name.clone();
    let binding = Binding { name, listen, shard: shard.index, hello };
    let events = Rc::downgrade(shard);
    let endpoint = commons.environment.transport.bind(
        binding,
        Rc::new(move |event| {
            if let Some(shard) = events.upgrade() {
                shard.on_transport_event(event);
            }
        }),
    )?;
    shard.links.open(endpoint);
    if shard.index == 0 {
        let view = commons.cluster.load();
        for (node, site) in view.nodes.iter().filter(|(node, _)| **node != commons.node) {
            shard.converse(Peer { node: *node, shard: 0, site: site.clone() });
        }
    }
    Ok(())
}

fn start_managers(shard: &Rc<Shard>) {
    let commons = &shard.commons;
    let data_dir = &commons.settings.node.data_dir;
    let file = RegisterFile::new(Arc::clone(&commons.environment.disk), data_dir);
    let ring_manager = shard.start_child(RingManager::NAME, String::new(), |me| {
        RingManager::new(me, Rc::clone(shard), file)
    });
    let membership = shard.start_child(GossipMembership::NAME, String::new(), |me| {
        GossipMembership::new(me, Rc::clone(shard))
    });
    let first = commons.ring_manager.set(ring_manager).is_ok()
        && commons.membership.set(membership).is_ok();
    debug_assert!(first, "a node has one of each");
}

#[cfg(test)]
mod tests;
