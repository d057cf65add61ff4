//! What all shards of a node share: identity, settings, snapshots, doors. Nothing here is asked
//! by message, and nothing here decides.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use henge_kernel::{
    causality::ContextKey,
    id::{ClusterId, Incarnation, NodeId},
    membership::MemberView,
};
use tokio::sync::watch;

use crate::{
    actor_ref::ActorRef,
    admission::Admission,
    anti_entropy_report::{ScrubCounts, ShardSync},
    anti_entropy_worker::AntiEntropyWorker,
    environment::Environment,
    front::Front,
    gossip_membership::GossipMembership,
    meter::Roster,
    read_repairer::RepairCounts,
    reaper::Reaper,
    ring_manager::RingManager,
    settings::Settings,
    storage_shard::StorageShard,
    supervision::Guardian,
    view::{ClusterView, Published},
    wire::{Hello, PROTOCOL_MAX, PROTOCOL_MIN},
};

/// Looked up by key and never walked, whose order nobody determines.
#[expect(clippy::disallowed_types, reason = "read by all shards for every request")]
pub type Table<K, V> = dashmap::DashMap<K, V>;

/// Shared by all shards of one node.
pub struct Commons {
    /// What the node was told.
    pub settings: Settings,
    /// What surrounds it.
    pub environment: Environment,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Itself.
    pub node: NodeId,
    /// The life of its data directory.
    pub incarnation: Incarnation,
    /// Its run, drawn at its start.
    pub run: u64,
    /// How many shards it has.
    pub shards: u16,
    /// What it was born with, as it tells peers.
    pub facts: Vec<(String, String)>,
    /// Guards context tokens.
    pub context_key: ContextKey,
    /// The meters of its actors.
    pub roster: Roster,
    /// How many requests were watched and not worth an event of their own.
    pub requests_watched: AtomicU64,
    /// Ring, buckets, addresses.
    pub cluster: Published<ClusterView>,
    /// What reads had repaired.
    pub read_repairs: RepairCounts,
    /// What was read again unasked.
    pub scrub: ScrubCounts,
    /// Who is up.
    pub members: Published<MemberView>,
    /// How many shards each peer has, once a handshake told.
    pub peer_shards: Table<NodeId, u16>,
    /// Which shards of a peer met which of ours: node, shard here, shard there.
    pub met: Table<(NodeId, u16, u16), ()>,
    /// One door a shard.
    pub doors: Vec<Arc<Admission>>,
    /// The actors that others reach, once they are started.
    pub fronts: OnceLock<Vec<ActorRef<Front>>>,
    /// One a shard.
    pub storages: OnceLock<Vec<ActorRef<StorageShard>>>,
    /// One a shard, too.
    pub workers: OnceLock<Vec<ActorRef<AntiEntropyWorker>>>,
    /// And one that reaps.
    pub reapers: OnceLock<Vec<ActorRef<Reaper>>>,
    /// How far each shard and its peers are the same.
    pub anti_entropy: Vec<Published<ShardSync>>,
    /// Bytes of all frames, both ways, with which this node brought replicas together: hints that
    /// it delivered, and exchanges that it led.
    pub background_bytes: AtomicU64,
    /// Bytes that the trees of each shard take.
    pub tree_bytes: Vec<AtomicU64>,
    /// On shard 0.
    pub membership: OnceLock<ActorRef<GossipMembership>>,
    /// On shard 0.
    pub ring_manager: OnceLock<ActorRef<RingManager>>,
    /// How children of this node are supervised.
    pub guardian: OnceLock<Guardian>,
    phase: AtomicU8,
    poisoned: AtomicBool,
    assembled: AtomicBool,
    ending: watch::Sender<Option<Ending>>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opens its logs and its endpoints.
    Starting,
    /// Takes requests.
    Serving,
    /// Takes no more requests.
    Stopping,
}

/// Why a node ends by itself: a part of it fell too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which part, and what it said.
    pub reason: String,
}

/// What [`Commons::new`] is made of.
pub struct Birth {
    /// What the node was told.
    pub settings: Settings,
    /// What surrounds it.
    pub environment: Environment,
    /// The life of its data directory.
    pub incarnation: Incarnation,
    /// How many shards it has.
    pub shards: u16,
    /// What it was born with.
    pub facts: Vec<(String, String)>,
    /// The ring, buckets and addresses to begin with.
    pub view: ClusterView,
}

impl Commons {
    /// A node that is starting.
    pub fn new(birth: Birth) -> Arc<Self> {
        let Birth { settings, environment, incarnation, shards, facts, view } = birth;
        let (cluster_id, node) = (settings.cluster_id(), settings.node_id());
        let now = environment.clock.now();
        let members = MemberView::unknown(node, view.nodes.keys().copied(), now);
        let limits = settings.limits;
        let (requests, bytes) =
            (u64::from(limits.requests_in_flight_max), limits.request_bytes_in_flight_max);
        Arc::new(Self {
            cluster_id,
            node,
            incarnation,
            run: environment.entropy.draw("run"),
            shards,
            facts,
            context_key: ContextKey::of(cluster_id),
            roster: Roster::default(),
            requests_watched: AtomicU64::new(0),
            cluster: Published::new(view),
            read_repairs: RepairCounts::default(),
            scrub: ScrubCounts::default(),
            members: Published::new(members),
            peer_shards: Table::new(),
            met: Table::new(),
            doors: (0..shards).map(|_| Admission::new(requests, bytes)).collect(),
            fronts: OnceLock::new(),
            storages: OnceLock::new(),
            workers: OnceLock::new(),
            reapers: OnceLock::new(),
            background_bytes: AtomicU64::new(0),
            tree_bytes: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            anti_entropy: (0..shards).map(|_| Published::new(ShardSync::default())).collect(),
            membership: OnceLock::new(),
            ring_manager: OnceLock::new(),
            guardian: OnceLock::new(),
            phase: AtomicU8::new(0),
            poisoned: AtomicBool::new(false),
            assembled: AtomicBool::new(false),
            ending: watch::Sender::new(None),
            settings,
            environment,
        })
    }

    /// Where the node is in its life.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Stopping,
        }
    }

    /// The next phase has come.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// A shard of the node takes no more writes, for as long as the process lives.
    pub fn poison_storage(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Whether a shard of the node takes no more writes.
    pub fn storage_is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Whether every shard here has met every shard of `node` that it shares a partition with.
    pub fn has_met(&self, node: NodeId) -> bool {
        let Some(theirs) = self.peer_shards.get(&node).map(|shards| *shards) else { return false };
        let partitions = self.cluster.load().ring.partitions();
        partitions.all().all(|partition| {
            let pair = (node, partition.shard(self.shards), partition.shard(theirs));
            self.met.contains_key(&pair)
        })
    }

    /// Every peer was met or is down: from now on it is no news if one of them is away.
    pub fn assemble(&self) {
        self.assembled.store(true, Ordering::Release);
    }

    /// Whether every peer was once met or known as down.
    pub fn is_assembled(&self) -> bool {
        self.assembled.load(Ordering::Acquire)
    }

    /// The node cannot go on: whoever runs it is told to stop it.
    pub fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(ending);
            first
        });
    }

    /// Tells when the node cannot go on.
    pub fn endings(&self) -> watch::Receiver<Option<Ending>> {
        self.ending.subscribe()
    }

    /// What `shard` says to whoever it meets.
    pub fn hello(&self, shard: u16) -> Hello {
        Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            cluster: self.cluster_id,
            name: self.settings.node.name.clone(),
            incarnation: self.incarnation,
            run: self.run,
            shard,
            shards: self.shards,
            facts: self.facts.clone(),
        }
    }

    /// The node's own name.
    pub fn name(&self) -> &str {
        self.settings.node.name.as_str()
    }
}
