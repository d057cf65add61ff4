//! What clients may expect: said in the history whenever it changes, and never more than is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{
        Fault, Options, World,
        history::{Event, Expectation, Mark, MarkName},
        world::NAMES,
    },
    Atlas, Relief,
};
use crate::reports::Readiness;

/// After so long without a change, who is up knows who is up.
const GRACE: Duration = Duration::from_secs(4);

fn small(nodes: usize) -> u8 {
    u8::try_from(nodes).unwrap_or(u8::MAX)
}

fn settled(since: Instant) -> bool {
    since.elapsed() >= GRACE
}

/// What was said, and since when it could be.
pub(super) struct Service {
    /// Whether a node that is well serves without all the others.
    in_parts: bool,
    /// Whether clocks decide who may write at all: then each may leave it to the others.
    is_left: bool,
    /// The nodes to which something may happen at any time.
    doubtful: BTreeSet<&'static str>,
    /// The nodes with damage that perhaps nobody has met yet.
    pub rotten: BTreeSet<&'static str>,
    /// The nodes that are well, and since when.
    well_since: BTreeMap<&'static str, Instant>,
    /// When the network was cut or healed.
    network_since: Instant,
    /// The parts into which the network is cut, if all of a part hear each other.
    parts: Vec<Vec<&'static str>>,
    told: (BTreeMap<String, u8>, bool),
}

impl Service {
    pub fn new(options: &Options) -> Self {
        let bends = |fault: &Fault| matches!(fault, Fault::ClockJump | Fault::ClockDrift);
        let is_left = options.faults.iter().any(bends) && options.buckets.iter().any(|one| one.lww);
        // A node beyond homes and fallbacks takes no write itself until it knows that they are down.
        let homes = options.buckets.iter().map(|bucket| usize::from(bucket.n)).min();
        let all_count = options.nodes <= 2 * homes.unwrap_or(0);
        let roomy = options.tuning.hint_bytes_max > 1 << 30;
        Self {
            in_parts: all_count && roomy,
            is_left,
            doubtful: BTreeSet::new(),
            rotten: BTreeSet::new(),
            well_since: BTreeMap::new(),
            network_since: Instant::now(),
            parts: Vec::new(),
            told: (BTreeMap::new(), false),
        }
    }

    /// Something may happen to this node from now on, at any time.
    pub fn doubt(&mut self, node: &'static str) {
        self.doubtful.insert(node);
    }

    /// The network is cut into these parts, or healed; none if not all of a part hear each other.
    pub fn part(&mut self, parts: Vec<Vec<&'static str>>) {
        (self.parts, self.network_since) = (parts, Instant::now());
    }
}

impl Atlas {
    /// Something is about to happen to these nodes.
    pub(super) fn expect_less(&mut self, world: &World, nodes: &[&'static str]) {
        let mut idle: BTreeSet<_> = nodes.iter().copied().collect();
        idle.retain(|node| self.busy.insert(node));
        self.tell_service(world);
        self.busy.retain(|node| !idle.contains(node));
    }

    /// Says what clients may expect from now on, if that is something else than before.
    pub(super) fn tell_service(&mut self, world: &World) {
        let now = Instant::now();
        for node in &NAMES[..self.options.nodes] {
            if self.is_well(world, node) {
                self.service.well_since.entry(node).or_insert(now);
            } else {
                self.service.well_since.remove(node);
            }
        }
        let well = self.service.well_since.iter().filter(|(_, since)| settled(**since));
        let well: Vec<&'static str> = well.map(|(node, _)| *node).collect();
        let whole = well.len() == self.options.nodes && self.is_whole(world);
        let reach = |node: &&str| if whole { small(well.len()) } else { self.reach(node, &well) };
        let reach: BTreeMap<String, u8> =
            well.iter().map(|node| ((*node).to_owned(), reach(node))).collect();
        let told = (reach, whole);
        if told != self.service.told {
            self.book.write(Event::Mark(Mark {
                reach: told.0.clone(),
                expect: whole.then_some(Expectation::Available),
                ..Mark::new(self.book.now(), MarkName::Service)
            }));
            self.service.told = told;
        }
    }

    /// Whether nodes that are all well can do everything.
    fn is_whole(&self, world: &World) -> bool {
        let complete = |node: &&str| {
            let doubts = world.node(node).anti_entropy();
            doubts.incomplete + doubts.quarantined == 0
        };
        let linked = !self.is_cut && !self.is_slow && settled(self.service.network_since);
        linked && NAMES[..self.options.nodes].iter().all(complete)
    }

    /// With how many of those that are well a node can surely work, itself included.
    fn reach(&self, node: &str, well: &[&'static str]) -> u8 {
        let Service { in_parts, network_since, parts, .. } = &self.service;
        // A home without room keeps fallbacks from standing in for the others.
        let is_full = |(_, relief): &(Instant, Relief)| matches!(relief, Relief::MakeRoom(_));
        if !in_parts || self.reliefs.iter().any(is_full) {
            return 0;
        }
        if self.is_slow || !settled(*network_since) {
            return 1;
        }
        let part = parts.iter().find(|part| part.contains(&node));
        let hears = |other: &&&str| !self.is_cut || part.is_some_and(|part| part.contains(*other));
        small(1 + well.iter().filter(|other| **other != node).filter(hears).count())
    }

    fn is_well(&self, world: &World, node: &'static str) -> bool {
        world.runs(node)
            && !self.busy.contains(node)
            && !self.service.rotten.contains(node)
            && !self.service.doubtful.contains(node)
            && !self.service.is_left
            && world.node(node).readiness() == Readiness::Ready
    }
}
