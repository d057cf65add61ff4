//! `AntiEntropyWorker`: compares the records of this shard with those of its peers, and mends both
//! sides (the paper's §4.7).
//!
//! Parent: `NodeSupervisor`; one a shard, so that trees, records and links are at hand on its own
//! thread. Nodes may differ in their number of shards, so a pair is this shard and one shard of a
//! peer, with the partitions that lie in both. A restart forgets what was under way and since when
//! partitions differ, and begins by comparing everything.
//!
//! Records are moved by the same requests that clients cause: each side reads, and stores, and
//! merges as ever. How much is moved at a time is bounded by the room that the clients of the shard
//! leave, without which exchanges stand still, and by a budget that shrinks when the shard's thread
//! is late.

mod exchanging;
mod ledger;
mod mending;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Supervised};
use henge_kernel::{
    anti_entropy::{
        Exchange, Schedule, TreeId,
        exchange::{ExchangeEffect, ExchangeEvent},
        schedule::{ScheduleEffect, ScheduleEvent},
    },
    bucket::BucketTable,
    id::NodeId,
    key::{Key, PartitionId},
    machine::Machine as _,
    membership::MemberView,
    time::Instant,
};

use self::exchanging::{Driver, Waiting};
use crate::{
    actor_ref::{ActorRef, Told},
    anti_entropy_report::{PeerSync, ShardSync},
    background::Leisure,
    links::PeerShard,
    messages::anti_entropy_worker::{
        CompareNow, ExchangeAnswered, ExchangeServed, LedgerRead, LinkChanged, PartitionDirty,
    },
    messages::storage_shard::ReadLedger,
    shard::Shard,
    view::ClusterView,
};

/// How often deadlines are looked after.
const TICK: Duration = Duration::from_millis(100);

/// The actor.
pub struct AntiEntropyWorker {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    /// With whom to compare when: one schedule for each shard number of peers.
    lanes: BTreeMap<u16, Lane>,
    /// The buckets by which the peers in the lanes were chosen.
    buckets: Arc<BucketTable>,
    drivers: BTreeMap<PeerShard, Driver>,
    waiting: BTreeMap<u64, Waiting>,
    tickets: u64,
    /// Keys that are being mended, each with one peer at a time.
    under_way: BTreeSet<Key>,
    /// How much room the clients of the shard leave for this.
    leisure: Leisure,
    /// Bytes that were moved and not yet taken from the budget.
    debt: u64,
    /// Whether the next turn is asked for.
    waits: bool,
    /// Who is up and what they keep for whom, as the schedules know it.
    members: Arc<MemberView>,
    /// What the shard lacks and what it owes.
    ledger: LedgerRead,
    sync: ShardSync,
    /// With whom something was compared or mended since the node started.
    past: BTreeMap<PeerShard, Past>,
}

#[derive(Clone, Copy, Default)]
struct Past {
    /// When the peer last compared all that is shared.
    served: Option<Instant>,
    /// Keys that were mended.
    mended: u64,
}

struct Lane {
    schedule: Schedule,
    peers: BTreeSet<NodeId>,
}

impl AntiEntropyWorker {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "AntiEntropyWorker";

    /// A worker that has met nobody yet.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        let shown = shard.commons.anti_entropy.get(usize::from(shard.index));
        let sync = shown.map_or_else(ShardSync::default, |shown| ShardSync::clone(&shown.load()));
        let buckets = Arc::clone(&shard.commons.cluster.load().buckets);
        let members = shard.commons.members.load();
        Self {
            me,
            shard,
            lanes: BTreeMap::new(),
            buckets,
            drivers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
            under_way: BTreeSet::new(),
            leisure: Leisure::FULL,
            debt: 0,
            waits: false,
            members,
            ledger: LedgerRead::default(),
            sync,
            past: BTreeMap::new(),
        }
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    /// The trees that this shard and a shard of a peer both have, whether they hold something or
    /// not; those of `first` in front.
    fn shared_trees(&self, peer: PeerShard, first: &[PartitionId]) -> Vec<TreeId> {
        let cluster = self.shard.commons.cluster.load();
        let Some(theirs) = self.shard.commons.peer_shards.get(&peer.0).map(|shards| *shards) else {
            return Vec::new();
        };
        let (own, shards) = (self.shard.index, self.shard.commons.shards);
        let both = |at: &PartitionId| at.shard(shards) == own && at.shard(theirs) == peer.1;
        let ns = ns_of(&cluster);
        let pair = [self.shard.commons.node, peer.0];
        let shares = |tree: &TreeId| {
            let homes = cluster.ring.homes(tree.partition, tree.n);
            pair.iter().all(|node| homes.contains(node))
        };
        let partitions = cluster.ring.partitions().all().filter(both);
        let trees = partitions.flat_map(|partition| ns.iter().map(move |n| (partition, *n)));
        let mut trees: Vec<_> =
            trees.map(|(partition, n)| TreeId { partition, n }).filter(shares).collect();
        trees.sort_by_key(|tree| !first.contains(&tree.partition));
        trees
    }

    /// Hands an event to the schedule of a pair, and begins what it wants.
    fn plan(&mut self, lane: u16, event: ScheduleEvent) {
        let (now, mut effects) = (self.now(), Vec::new());
        let Some(held) = self.lanes.get_mut(&lane) else { return };
        held.schedule.handle(now, event, &mut effects);
        self.begin(lane, effects);
    }

    fn begin(&mut self, lane: u16, effects: Vec<ScheduleEffect>) {
        let mut equal: BTreeMap<NodeId, Vec<PartitionId>> = BTreeMap::new();
        for effect in effects {
            match effect {
                ScheduleEffect::Start { peer, first } => self.start_exchange((peer, lane), &first),
                ScheduleEffect::Clean { peer, partition } => {
                    equal.entry(peer).or_default().push(partition);
                }
            }
        }
        for (peer, partitions) in equal {
            self.found_equal((peer, lane), partitions);
        }
    }

    fn link_changed(&mut self, peer: PeerShard, up: bool) {
        let (node, lane) = peer;
        if !up {
            self.plan(lane, ScheduleEvent::PeerDown(node));
            return self.feed(peer, ExchangeEvent::Failed);
        }
        if self.shared_trees(peer, &[]).is_empty() {
            return;
        }
        let (own, every) =
            (self.shard.commons.node, self.shard.commons.settings.anti_entropy.interval);
        let held = self.lanes.entry(lane).or_insert_with(|| Lane {
            schedule: Schedule::new(own, every),
            peers: BTreeSet::new(),
        });
        if held.peers.insert(node) {
            let peers = held.peers.iter().copied().collect();
            self.plan(lane, ScheduleEvent::RingChanged(peers));
        }
        self.look_into_ledger(peer);
        self.plan(lane, ScheduleEvent::PeerUp(node));
        self.publish();
    }

    /// A bucket may have more homes than all before: then there are trees to share with peers with
    /// which there were none.
    fn meet_by_buckets(&mut self) {
        let buckets = Arc::clone(&self.shard.commons.cluster.load().buckets);
        if Arc::ptr_eq(&buckets, &self.buckets) {
            return;
        }
        self.buckets = buckets;
        let is_met = |(node, lane): &PeerShard| {
            self.lanes.get(lane).is_some_and(|held| held.peers.contains(node))
        };
        let reached = self.shard.links.reached();
        let new: Vec<PeerShard> = reached.into_iter().filter(|peer| !is_met(peer)).collect();
        for peer in new {
            self.link_changed(peer, true);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.meet_by_buckets();
        self.shard.background.tick(now, TICK);
        self.look_for_hints();
        self.yield_to_clients();
        self.give_up(now);
        let due: Vec<u16> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.schedule.deadline().is_some_and(|at| at <= now))
            .map(|(lane, _)| *lane)
            .collect();
        for lane in due {
            let mut effects = Vec::new();
            if let Some(held) = self.lanes.get_mut(&lane) {
                held.schedule.expire(now, &mut effects);
            }
            self.begin(lane, effects);
        }
        let due = |driver: &Driver| driver.exchange.deadline().is_some_and(|at| at <= now);
        let peers: Vec<_> =
            self.drivers.iter().filter(|(_, one)| due(one)).map(|(peer, _)| *peer).collect();
        for peer in peers {
            self.step(peer, Exchange::expire);
        }
        self.mend_more();
        self.publish();
    }

    /// Tells the schedules for whom hints are kept, and how many.
    fn look_for_hints(&mut self) {
        let members = self.shard.commons.members.load();
        if Arc::ptr_eq(&members, &self.members) {
            return;
        }
        let mut kept: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (_, hints) in members.hints_kept() {
            let count = kept.entry(hints.home).or_default();
            *count = hints.count.saturating_add(*count);
        }
        self.members = members;
        let lanes: Vec<u16> = self.lanes.keys().copied().collect();
        for lane in lanes {
            self.plan(lane, ScheduleEvent::HintsKept(kept.clone()));
        }
    }

    /// Exchanges stand still while clients leave no room for them.
    fn yield_to_clients(&mut self) {
        let before = std::mem::replace(&mut self.leisure, self.shard.leisure());
        if self.leisure.is_over() == before.is_over() {
            return;
        }
        let over = self.leisure.is_over();
        let peers: Vec<_> = self.drivers.keys().copied().collect();
        for peer in peers {
            self.feed(peer, if over { ExchangeEvent::Paused } else { ExchangeEvent::Resumed });
        }
    }

    fn step(
        &mut self,
        peer: PeerShard,
        act: impl FnOnce(&mut Exchange, Instant, &mut Vec<ExchangeEffect>),
    ) {
        let (now, mut effects) = (self.now(), Vec::new());
        let Some(driver) = self.drivers.get_mut(&peer) else { return };
        act(&mut driver.exchange, now, &mut effects);
        for effect in effects {
            self.perform(peer, effect);
        }
    }

    fn feed(&mut self, peer: PeerShard, event: ExchangeEvent) {
        self.step(peer, |exchange, now, effects| exchange.handle(now, event, effects));
    }

    /// Shows how far this shard and its peers are.
    fn publish(&mut self) {
        let mut peers: BTreeMap<PeerShard, PeerSync> = BTreeMap::new();
        for (number, lane) in &self.lanes {
            for node in &lane.peers {
                let peer = (*node, *number);
                let Past { served, mended } = self.past.get(&peer).copied().unwrap_or_default();
                let compared = lane.schedule.compared(*node);
                let diverged = BTreeMap::new();
                peers.insert(peer, PeerSync { compared, served, mended, diverged });
            }
            for (node, partition, since) in lane.schedule.diverged() {
                let peer = peers.entry((node, *number)).or_default();
                peer.diverged.insert(partition, since);
            }
        }
        self.sync.peers = peers;
        if let Some(shown) = self.shard.commons.anti_entropy.get(usize::from(self.shard.index))
            && *shown.load() != self.sync
        {
            shown.publish(self.sync.clone());
        }
    }
}

/// Every `n` that a bucket may have.
fn ns_of(cluster: &ClusterView) -> BTreeSet<u8> {
    let own = cluster.buckets.iter().map(|register| register.properties.n);
    own.chain([cluster.buckets.defaults().n]).collect()
}

impl Actor for AntiEntropyWorker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(TICK, |worker, _| worker.tick());
        self.shard.storage().tell(ReadLedger);
        for peer in self.shard.links.reached() {
            self.link_changed(peer, true);
        }
    }
}

impl Supervised for AntiEntropyWorker {
    fn restarting(&mut self, _: &mut Self::Context) {
        // An answer to a question from before the fall must meet no later one.
        let (tickets, mut sync) = (self.tickets, std::mem::take(&mut self.sync));
        sync.peers.clear();
        let past = std::mem::take(&mut self.past);
        *self = Self { tickets, sync, past, ..Self::new(self.me.clone(), Rc::clone(&self.shard)) };
    }
}

impl Handler<Told<LinkChanged>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<LinkChanged>, _: &mut Self::Context) {
        let (LinkChanged { peer, up }, _handling) = self.me.open(told);
        self.link_changed(peer, up);
    }
}

impl Handler<Told<PartitionDirty>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<PartitionDirty>, _: &mut Self::Context) {
        let (PartitionDirty { partition, peer }, _handling) = self.me.open(told);
        let shards = self.shard.commons.peer_shards.get(&peer).map(|shards| *shards);
        if let Some(shards) = shards {
            let event = ScheduleEvent::Dirty { peer, partitions: vec![partition] };
            self.plan(partition.shard(shards), event);
        }
    }
}

impl Handler<Told<ExchangeServed>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<ExchangeServed>, _: &mut Self::Context) {
        let (ExchangeServed { peer: (node, lane) }, _handling) = self.me.open(told);
        self.past.entry((node, lane)).or_default().served = Some(self.now());
        self.plan(lane, ScheduleEvent::Served(node));
    }
}

impl Handler<Told<CompareNow>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<CompareNow>, _: &mut Self::Context) {
        let (CompareNow, _handling) = self.me.open(told);
        let lanes: Vec<_> =
            self.lanes.iter().map(|(lane, held)| (*lane, held.peers.clone())).collect();
        for (lane, peers) in lanes {
            self.plan(lane, ScheduleEvent::RingChanged(peers.into_iter().collect()));
        }
    }
}

impl Handler<Told<ExchangeAnswered>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<ExchangeAnswered>, _: &mut Self::Context) {
        let (ExchangeAnswered { ticket, reply }, _handling) = self.me.open(told);
        if let Some(waiting) = self.waiting.remove(&ticket) {
            self.on_answer(waiting, reply);
        }
    }
}
