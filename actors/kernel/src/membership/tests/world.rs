//! N members on virtual time, on a network that delays, loses and cuts by a seed.

use core::{hash::Hasher, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    id::{Incarnation, NodeId},
    machine::Machine,
    membership::{Swim, SwimEffect, SwimEvent, SwimSettings, SwimTiming},
    time::Instant,
};

struct Delivery {
    to: NodeId,
    from: NodeId,
    bytes: Bytes,
}

pub struct World {
    pub now: Instant,
    pub nodes: BTreeMap<NodeId, Swim>,
    members: BTreeSet<NodeId>,
    network: BTreeMap<(Instant, u64), Delivery>,
    sent: u64,
    random: fastrand::Rng,
    /// Ordered pairs between which nothing passes.
    pub cuts: BTreeSet<(NodeId, NodeId)>,
    /// In hundredths.
    pub loss: u8,
    delay_micros: core::ops::Range<u64>,
    /// Everything that was reported, in order.
    pub reports: Vec<(Instant, NodeId, SwimEffect)>,
    trace: Xxh3,
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl World {
    pub fn new(count: u64, seed: u64) -> Self {
        let mut world = Self {
            now: Instant::from_micros(1_000_000),
            nodes: BTreeMap::new(),
            members: (1..=count).map(NodeId).collect(),
            network: BTreeMap::new(),
            sent: 0,
            random: fastrand::Rng::with_seed(seed),
            cuts: BTreeSet::new(),
            loss: 0,
            delay_micros: 100..2_000,
            reports: Vec::new(),
            trace: Xxh3::new(),
        };
        for node in world.members.clone() {
            world.start(node, Incarnation(node.0), 0);
        }
        world
    }

    /// A world in which all have met.
    pub fn settled(count: u64, seed: u64) -> Self {
        let mut world = Self::new(count, seed);
        world.run(millis(2_000));
        assert!(world.all_up(), "seed {seed}");
        world.reports.clear();
        world
    }

    pub fn start(&mut self, own: NodeId, incarnation: Incarnation, life: u64) {
        let (members, seed) = (self.members.clone(), self.random.u64(..));
        let timing = SwimTiming::default();
        let settings = SwimSettings { own, incarnation, life, members, timing, seed };
        self.nodes.insert(own, Swim::new(settings, self.now));
    }

    pub fn members(&self) -> Vec<NodeId> {
        self.members.iter().copied().collect()
    }

    /// Cuts `node` off, both ways.
    pub fn cut_off(&mut self, node: NodeId) {
        self.cut(&[node], &self.members().into_iter().filter(|n| *n != node).collect::<Vec<_>>());
    }

    /// Cuts between two groups, both ways.
    pub fn cut(&mut self, left: &[NodeId], right: &[NodeId]) {
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
            self.cuts.extend([(a, b), (b, a)]);
        }
    }

    pub fn event(&mut self, node: NodeId, event: SwimEvent) {
        let mut effects = Vec::new();
        if let Some(member) = self.nodes.get_mut(&node) {
            member.handle(self.now, event, &mut effects);
        }
        self.perform(node, effects);
    }

    pub fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until `done`, at most for `span`; says how long it took.
    pub fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let (start, end) = (self.now, self.now.after(span));
        while !done(self) {
            if self.next().is_none_or(|next| next > end) {
                self.now = end;
                return None;
            }
            self.step();
        }
        Some(self.now.since(start))
    }

    fn next(&self) -> Option<Instant> {
        let packet = self.network.first_key_value().map(|((at, _), _)| *at);
        let timer = self.nodes.values().filter_map(Swim::deadline).min();
        packet.into_iter().chain(timer).min()
    }

    fn step(&mut self) {
        self.now = self.next().unwrap().max(self.now);
        if let Some(first) = self.network.first_entry()
            && first.key().0 <= self.now
        {
            let Delivery { to, from, bytes } = first.remove();
            return self.event(to, SwimEvent::PacketReceived { from, bytes });
        }
        let due = |member: &Swim| member.deadline().is_some_and(|at| at <= self.now);
        let node = *self.nodes.iter().find(|(_, member)| due(member)).unwrap().0;
        let mut effects = Vec::new();
        self.nodes.get_mut(&node).unwrap().expire(self.now, &mut effects);
        self.perform(node, effects);
    }

    fn perform(&mut self, from: NodeId, effects: Vec<SwimEffect>) {
        for effect in effects {
            self.trace.write_u64(self.now.as_micros());
            self.trace.write_u64(from.0);
            match effect {
                SwimEffect::SendPacket { to, bytes } => {
                    self.trace.write_u64(to.0);
                    self.trace.write(&bytes);
                    self.send(from, to, bytes);
                }
                SwimEffect::PublishView => self.trace.write_u8(1),
                report => {
                    self.trace.write(format!("{report:?}").as_bytes());
                    self.reports.push((self.now, from, report));
                }
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, bytes: Bytes) {
        assert!(bytes.len() <= crate::membership::PACKET_BYTES_MAX);
        let lost = self.random.u8(..100) < self.loss || self.cuts.contains(&(from, to));
        let delay = Duration::from_micros(self.random.u64(self.delay_micros.clone()));
        if !lost {
            self.network.insert((self.now.after(delay), self.sent), Delivery { to, from, bytes });
            self.sent += 1;
        }
    }

    pub fn packets_sent(&self) -> u64 {
        self.sent
    }

    pub fn trace(&self) -> u64 {
        self.trace.digest()
    }

    pub fn all_up(&self) -> bool {
        self.nodes.values().all(|member| self.members.iter().all(|node| member.view().is_up(*node)))
    }

    /// Whether everybody who runs and can be asked holds `node` for down.
    pub fn down_everywhere(&self, node: NodeId) -> bool {
        self.nodes.iter().all(|(own, member)| *own == node || member.view().is_down(node))
    }

    pub fn downs_reported(&self) -> usize {
        let down = |effect: &SwimEffect| matches!(effect, SwimEffect::MemberDown { .. });
        self.reports.iter().filter(|(_, _, effect)| down(effect)).count()
    }
}

/// The least, the median and the greatest.
pub fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let middle = times[times.len() / 2];
    format!("min {:?}, median {middle:?}, max {:?}", times[0], times[times.len() - 1])
}
