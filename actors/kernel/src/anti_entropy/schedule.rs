//! When to compare with whom, and since when who differs.
//!
//! Every pair of nodes that share a tree compares all of them every ten seconds; soon after the
//! other has returned; at once when a partition is known to be dirty, and when the ring has changed;
//! and again at once as long as something was mended, for until the roots are equal nobody knows
//! what else there is. While hints for one of the two arrive they wait: to compare would find what is
//! on its way, and send it twice. One exchange mends both sides, so the node with the smaller
//! identity takes the lead, and the other one steps in if nothing has come for a while.

use core::{mem, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use super::{exchange::Report, tree::TreeId};
use crate::{id::NodeId, key::PartitionId, machine::Machine, time::Instant};

/// How often two nodes compare what they share, unless told otherwise.
pub const EVERY: Duration = Duration::from_secs(10);
/// So much later the node that does not lead does it, if the other one has not.
pub const LAG: Duration = Duration::from_secs(1);
/// When a node that has returned is compared with, unless something is known to be dirty: by then it
/// is known whether hints wait for it, as every node tells whom it meets again what it keeps.
pub const AFTER_RETURN: Duration = Duration::from_millis(500);
/// Hints of which none is gone for so long are not waited for.
pub const STALLED: Duration = Duration::from_secs(4);
/// The longest that hints are waited for: there may always be new ones.
pub const HINTS_WAIT_MAX: Duration = Duration::from_mins(1);
/// When an exchange that failed is begun again.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Exchanges in a row, at most, before the next waits for its time: a peer that refuses what it is
/// sent would be asked for ever.
pub const ROUNDS_MAX: u32 = 8;
/// Exchanges at a time.
pub const RUNNING_MAX: usize = 2;

/// What happened to the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleEvent {
    /// A node is up.
    PeerUp(NodeId),
    /// A node is down.
    PeerDown(NodeId),
    /// The ring is another: these nodes share a tree with this one.
    RingChanged(Vec<NodeId>),
    /// How many hints are kept for which homes, by all that are known to keep some.
    HintsKept(BTreeMap<NodeId, u64>),
    /// A node is known to lack something of these partitions, or this one to lack something that
    /// the node may have.
    Dirty {
        /// The node.
        peer: NodeId,
        /// The partitions.
        partitions: Vec<PartitionId>,
    },
    /// The roots of all shared trees are compared: [`super::exchange::ExchangeEffect::Compared`].
    Compared {
        /// With whom.
        peer: NodeId,
        /// Those that differ.
        differing: Vec<TreeId>,
    },
    /// An exchange is over.
    Finished {
        /// With whom.
        peer: NodeId,
        /// What came of it.
        report: Report,
    },
    /// An exchange that a peer began with this node is over.
    Served(NodeId),
}

/// What the schedule wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleEffect {
    /// Begin an exchange.
    Start {
        /// With whom.
        peer: NodeId,
        /// The partitions that come first: those that are dirty or have differed.
        first: Vec<PartitionId>,
    },
    /// Forget that a partition is dirty: the two nodes are equal.
    Clean {
        /// The node.
        peer: NodeId,
        /// The partition.
        partition: PartitionId,
    },
}

/// What is planned with one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    due: Instant,
    running: bool,
    /// Exchanges in a row that have mended something.
    rounds: u32,
    /// Dirty partitions; whether the exchange that is running began later.
    dirty: BTreeMap<PartitionId, bool>,
    /// Partitions that differ, and since when.
    diverged: BTreeMap<PartitionId, Instant>,
    /// When all roots were last compared.
    compared: Option<Instant>,
}

/// Hints for one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    count: u64,
    /// When one was last known to be gone, or the home or the first of them came.
    moved: Instant,
}

/// The machine that decides when exchanges begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    node: NodeId,
    every: Duration,
    up: BTreeSet<NodeId>,
    plans: BTreeMap<NodeId, Plan>,
    hints: BTreeMap<NodeId, Kept>,
}

impl Schedule {
    /// The schedule of a node that shares nothing with anybody yet; `every` is the time from one
    /// comparison of what it shares to the next.
    pub fn new(node: NodeId, every: Duration) -> Self {
        let (up, plans, hints) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { node, every, up, plans, hints }
    }

    /// Which partitions are not the same here and at a peer, and since when, as far as is known.
    pub fn diverged(&self) -> impl Iterator<Item = (NodeId, PartitionId, Instant)> {
        let plans = self.plans.iter();
        plans.flat_map(|(peer, plan)| {
            plan.diverged.iter().map(|(partition, since)| (*peer, *partition, *since))
        })
    }

    /// When all that is shared with a peer was last compared.
    pub fn compared(&self, peer: NodeId) -> Option<Instant> {
        self.plans.get(&peer)?.compared
    }

    fn leads(&self, peer: NodeId) -> bool {
        self.node < peer
    }

    /// At once, if this node leads.
    fn soon(&self, now: Instant, peer: NodeId) -> Instant {
        if self.leads(peer) { now } else { now.after(LAG) }
    }

    /// When it is time again.
    fn later(&self, now: Instant, peer: NodeId) -> Instant {
        now.after(if self.leads(peer) { self.every } else { self.every * 2 })
    }

    fn change_ring(&mut self, now: Instant, peers: &[NodeId]) {
        self.plans.retain(|peer, _| peers.contains(peer));
        for peer in peers.iter().filter(|peer| **peer != self.node) {
            let due = self.soon(now, *peer);
            let plan = self.plans.entry(*peer).or_insert_with(|| Plan::new(due));
            (plan.due, plan.rounds) = (plan.due.min(due), 0);
        }
    }

    fn hints_kept(&mut self, now: Instant, kept: BTreeMap<NodeId, u64>) {
        let before = mem::take(&mut self.hints);
        let hints = kept.into_iter().filter(|(_, count)| *count > 0).map(|(home, count)| {
            let stays = before.get(&home).filter(|before| count >= before.count);
            (home, Kept { count, moved: stays.map_or(now, |before| before.moved) })
        });
        self.hints = hints.collect();
    }

    /// Whether hints for a peer, or for this node, are on their way, and nothing calls for more haste.
    fn waits(&self, now: Instant, peer: NodeId) -> bool {
        let arrive =
            |node| self.hints.get(&node).is_some_and(|hints| now < hints.moved.after(STALLED));
        let may_wait = self
            .plans
            .get(&peer)
            .is_some_and(|plan| plan.dirty.is_empty() && now < plan.due.after(HINTS_WAIT_MAX));
        may_wait && (arrive(peer) || arrive(self.node))
    }

    fn finished(&mut self, now: Instant, peer: NodeId, report: &Report) -> Vec<PartitionId> {
        let later = self.later(now, peer);
        let Some(plan) = self.plans.get_mut(&peer).filter(|plan| plan.running) else {
            return Vec::new();
        };
        plan.running = false;
        if !report.complete {
            plan.due = now.after(RETRY_AFTER);
            return Vec::new();
        }
        let mended = report.keys > 0;
        let again = mended && plan.rounds < ROUNDS_MAX;
        plan.rounds = if mended { plan.rounds.saturating_add(1) } else { 0 };
        let news = plan.dirty.values().any(|seen| !seen);
        plan.due = if again || news { now } else { later };
        // What differed at the first look only was on its way.
        if mended { Vec::new() } else { plan.settle(|_| true) }
    }

    fn start(&mut self, now: Instant, effects: &mut Vec<ScheduleEffect>) {
        while let Some(peer) =
            self.next_peer(|peer, plan| plan.due <= now && !self.waits(now, peer))
        {
            let Some(plan) = self.plans.get_mut(&peer) else { return };
            plan.running = true;
            plan.dirty.values_mut().for_each(|seen| *seen = true);
            let dirty = plan.dirty.keys().copied();
            let first: BTreeSet<_> = dirty.chain(plan.diverged.keys().copied()).collect();
            let first = first.into_iter().collect();
            effects.push(ScheduleEffect::Start { peer, first });
        }
    }

    /// Whose turn it is, if there is room for another exchange.
    fn next_peer(&self, is_time: impl Fn(NodeId, &Plan) -> bool) -> Option<NodeId> {
        let running = self.plans.values().filter(|plan| plan.running).count();
        let idle = self.plans.iter().filter(|(peer, plan)| {
            !plan.running && self.up.contains(peer) && is_time(**peer, plan)
        });
        let next = idle.min_by_key(|(peer, plan)| (plan.due, **peer));
        next.filter(|_| running < RUNNING_MAX).map(|(peer, _)| *peer)
    }
}

impl Plan {
    fn new(due: Instant) -> Self {
        Self {
            due,
            running: false,
            rounds: 0,
            dirty: BTreeMap::new(),
            diverged: BTreeMap::new(),
            compared: None,
        }
    }

    fn compare(&mut self, now: Instant, differing: &[TreeId]) -> Vec<PartitionId> {
        self.compared = Some(now);
        let differing: BTreeSet<_> = differing.iter().map(|tree| tree.partition).collect();
        let clean = self.settle(|partition| !differing.contains(partition));
        for partition in differing {
            self.diverged.entry(partition).or_insert(now);
        }
        clean
    }

    /// Notes which partitions are equal; returns those that were dirty before the exchange began.
    fn settle(&mut self, is_equal: impl Fn(&PartitionId) -> bool) -> Vec<PartitionId> {
        self.diverged.retain(|partition, _| !is_equal(partition));
        let clean = self.dirty.iter().filter(|(partition, seen)| **seen && is_equal(partition));
        let clean: Vec<_> = clean.map(|(partition, _)| *partition).collect();
        self.dirty.retain(|partition, _| !clean.contains(partition));
        clean
    }
}

impl Machine for Schedule {
    type Event = ScheduleEvent;
    type Effect = ScheduleEffect;

    fn handle(&mut self, now: Instant, event: ScheduleEvent, effects: &mut Vec<ScheduleEffect>) {
        let mut clean = |peer, partitions: Vec<PartitionId>| {
            let partitions = partitions.into_iter();
            effects.extend(partitions.map(|partition| ScheduleEffect::Clean { peer, partition }));
        };
        match event {
            ScheduleEvent::PeerUp(peer) => {
                let due = self.soon(now.after(AFTER_RETURN), peer);
                if self.up.insert(peer)
                    && let Some(plan) = self.plans.get_mut(&peer)
                {
                    // What is dirty does not wait for the other to take the lead.
                    let due = if plan.dirty.is_empty() { due } else { now };
                    (plan.due, plan.rounds) = (due, 0);
                    for node in [peer, self.node] {
                        self.hints.entry(node).and_modify(|hints| hints.moved = now);
                    }
                }
            }
            ScheduleEvent::HintsKept(kept) => self.hints_kept(now, kept),
            ScheduleEvent::PeerDown(peer) => {
                self.up.remove(&peer);
                // What is running will not end, or its end means nothing.
                if let Some(plan) = self.plans.get_mut(&peer) {
                    plan.running = false;
                }
            }
            ScheduleEvent::RingChanged(peers) => self.change_ring(now, &peers),
            ScheduleEvent::Dirty { peer, partitions } => {
                if let Some(plan) = self.plans.get_mut(&peer).filter(|_| !partitions.is_empty()) {
                    plan.dirty.extend(partitions.into_iter().map(|partition| (partition, false)));
                    (plan.due, plan.rounds) = (now, 0);
                }
            }
            ScheduleEvent::Compared { peer, differing } => {
                if let Some(plan) = self.plans.get_mut(&peer).filter(|plan| plan.running) {
                    clean(peer, plan.compare(now, &differing));
                }
            }
            ScheduleEvent::Finished { peer, report } => {
                clean(peer, self.finished(now, peer, &report));
            }
            ScheduleEvent::Served(peer) => {
                let later = self.later(now, peer);
                if let Some(plan) = self.plans.get_mut(&peer).filter(|plan| plan.is_at_rest()) {
                    plan.due = later;
                }
            }
        }
        self.start(now, effects);
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<ScheduleEffect>) {
        self.start(now, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        let peer = self.next_peer(|_, _| true)?;
        self.plans.get(&peer).map(|plan| plan.due)
    }
}

impl Plan {
    /// Whether nothing calls for an exchange but the time that has passed.
    fn is_at_rest(&self) -> bool {
        self.rounds == 0 && self.dirty.is_empty() && !self.running
    }
}
