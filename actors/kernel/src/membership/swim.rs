//! The membership of one node as a machine: the protocol, its timers, and the view made from it.

use core::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};
use std::collections::BTreeMap;

use foca::{Foca, Member, NoCustomBroadcast, Notification, PeriodicParams, Runtime, State, Timer};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    event::{SwimCounters, SwimEffect, SwimEvent, SwimSettings, SwimTiming},
    health::SelfHealth,
    life::Life,
    packet::{BODY_BYTES_MAX, Packet, PacketCodec, envelope},
    timers::{Due, Timers},
    view::{Liveness, MemberState, MemberView},
};
use crate::{id::NodeId, machine::Machine, time::Instant};

/// How many members are asked to probe, and how many are gossiped to at once: 3.
const FANOUT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// How many times each piece of news is sent: 10, enough for some hundred members.
const TRANSMISSIONS: NonZeroU8 = NonZeroU8::MIN.saturating_add(9);

type Protocol = Foca<Life, PacketCodec, ChaCha8Rng, NoCustomBroadcast>;

/// The membership of one node. See the [module](super) for its rules.
pub struct Swim {
    timing: SwimTiming,
    pub(super) protocol: Protocol,
    seeds: ChaCha8Rng,
    timers: Timers,
    /// The life that all members were told of.
    announced: Life,
    pub(super) view: MemberView,
    /// Whether the view has changed since it was published.
    pub(super) dirty: bool,
    /// The lives under which members are up.
    lives: BTreeMap<NodeId, Life>,
    /// When each member was last called.
    pub(super) called: BTreeMap<NodeId, Instant>,
    pub(super) sampled_at: Instant,
    left: bool,
    pub(super) counters: SwimCounters,
}

impl Swim {
    /// A member that has not met anybody; its first calls are due at once.
    pub fn new(settings: SwimSettings, now: Instant) -> Self {
        let SwimSettings { own, incarnation, life, members, timing, seed } = settings;
        let mut timers = Timers::default();
        timers.set(now, Due::CallOut);
        timers.set(now.after(timing.contact_within), Due::GiveUp);
        let unknown = || MemberState::unknown(now);
        let mut members: BTreeMap<_, _> =
            members.into_iter().map(|node| (node, unknown())).collect();
        let incarnation_known = Some(incarnation);
        let up =
            MemberState { liveness: Liveness::Up, incarnation: incarnation_known, ..unknown() };
        members.insert(own, up);
        let life = Life { node: own, incarnation, number: life };
        let mut seeds = ChaCha8Rng::seed_from_u64(seed);
        Self {
            protocol: protocol(life, &timing, &mut seeds),
            timing,
            seeds,
            timers,
            announced: life,
            view: MemberView { own, members },
            dirty: true,
            lives: BTreeMap::new(),
            called: BTreeMap::new(),
            sampled_at: now,
            left: false,
            counters: SwimCounters::default(),
        }
    }

    /// The members as this node sees them now; clone it to publish it.
    pub fn view(&self) -> &MemberView {
        &self.view
    }

    /// The life that this node goes by.
    pub fn life(&self) -> Life {
        *self.protocol.identity()
    }

    /// What went by since the start.
    pub fn counters(&self) -> SwimCounters {
        self.counters
    }

    /// Lets the protocol do something.
    pub(super) fn run(
        &mut self,
        now: Instant,
        effects: &mut Vec<SwimEffect>,
        act: impl FnOnce(&mut Protocol, Outbox<'_>) -> Result<(), foca::Error>,
    ) {
        let outbox = Outbox { now, timers: &mut self.timers, effects };
        if act(&mut self.protocol, outbox).is_err() {
            self.counters.protocol_errors += 1;
        }
    }

    /// Says hello to `node`.
    pub(super) fn call(&mut self, now: Instant, node: NodeId, effects: &mut Vec<SwimEffect>) {
        self.called.insert(node, now);
        effects.push(send(node, &Packet::Hello(self.life())));
    }

    fn call_all(
        &mut self,
        now: Instant,
        effects: &mut Vec<SwimEffect>,
        whom: impl Fn(&MemberState) -> bool,
    ) {
        for node in self.peers(whom) {
            self.call(now, node, effects);
        }
    }

    fn peers(&self, whom: impl Fn(&MemberState) -> bool) -> Vec<NodeId> {
        let chosen = self.view.iter().filter(|(node, state)| *node != self.view.own && whom(state));
        chosen.map(|(node, _)| node).collect()
    }

    fn sample(&mut self, now: Instant, health: SelfHealth, effects: &mut Vec<SwimEffect>) {
        let report = Packet::Health(health.clone());
        for node in self.peers(|state| state.liveness == Liveness::Up) {
            effects.push(send(node, &report));
        }
        if let Some(state) = self.view.members.get_mut(&self.view.own) {
            state.health = Some(health);
        }
        self.sampled_at = now;
        self.dirty = true;
    }

    fn leave(&mut self, now: Instant, effects: &mut Vec<SwimEffect>) {
        self.run(now, effects, |protocol, outbox| protocol.leave_cluster(outbox));
        self.left = true;
    }

    fn fire(&mut self, now: Instant, due: Due, effects: &mut Vec<SwimEffect>) {
        match due {
            Due::Protocol(timer) => {
                self.run(now, effects, |protocol, outbox| protocol.handle_timer(timer, outbox));
            }
            Due::CallOut => {
                self.call_all(now, effects, |state| state.liveness != Liveness::Up);
                self.timers.set(now.after(self.timing.call_period), Due::CallOut);
            }
            Due::GiveUp => {
                for node in self.peers(|state| state.liveness == Liveness::Unknown) {
                    self.take_down(now, node, effects);
                }
            }
        }
    }

    /// A node that was stopped missed answers, too: nobody else is to blame for the time between.
    fn forgive(&mut self, now: Instant) {
        let late = self.timers.first().map(|first| now.since(first)).unwrap_or_default();
        if late > self.timing.probe_period {
            self.timers.postpone(late + self.timing.probe_rtt);
            self.counters.pauses += 1;
        }
    }

    /// After each step: what changed in the protocol becomes the view, and is reported.
    fn settle(&mut self, now: Instant, effects: &mut Vec<SwimEffect>) {
        let known: Vec<Member<Life>> = self.protocol.iter_membership_state().cloned().collect();
        let peers = known.iter().filter(|member| member.id().node != self.view.own);
        let mut peers: Vec<&Member<Life>> = peers.collect();
        peers.sort_by_key(|member| member.id().node);
        let reported = effects.len();
        for member in &peers {
            match member.state() {
                State::Down => self.take_down(now, member.id().node, effects),
                state => self.take_up(now, *member.id(), state == State::Suspect, effects),
            }
        }
        if effects.len() > reported {
            // Passed on at once, news reach fifteen members in milliseconds instead of rounds.
            self.run(now, effects, |protocol, outbox| protocol.gossip(outbox));
        }
        if !self.left {
            self.start_over_if_alone(!peers.is_empty());
            self.announce_new_life(now, effects);
        }
        if core::mem::take(&mut self.dirty) {
            effects.push(SwimEffect::PublishView);
        }
    }

    fn take_up(
        &mut self,
        now: Instant,
        life: Life,
        suspected: bool,
        effects: &mut Vec<SwimEffect>,
    ) {
        let Life { node, incarnation, .. } = life;
        let Some(state) = self.view.members.get_mut(&node) else { return };
        let before = state.clone();
        let renewed = self.lives.insert(node, life).is_some_and(|old| old != life);
        (state.suspected, state.incarnation) = (suspected, Some(incarnation));
        if before.liveness != Liveness::Up {
            (state.liveness, state.since) = (Liveness::Up, now);
            effects.push(SwimEffect::MemberUp { node, incarnation });
        } else if renewed {
            effects.push(SwimEffect::MemberRenewed { node, incarnation });
        }
        if suspected && !before.suspected {
            effects.push(SwimEffect::MemberSuspected { node });
        }
        self.dirty |= *state != before;
    }

    fn take_down(&mut self, now: Instant, node: NodeId, effects: &mut Vec<SwimEffect>) {
        let Some(state) = self.view.members.get_mut(&node) else { return };
        if state.liveness != Liveness::Down {
            (state.liveness, state.since, state.suspected) = (Liveness::Down, now, false);
            self.lives.remove(&node);
            self.dirty = true;
            effects.push(SwimEffect::MemberDown { node });
        }
    }

    /// Having lost everybody, a node forgets whom it declared down, and takes up a new life: it was
    /// most likely itself declared down.
    fn start_over_if_alone(&mut self, met_somebody: bool) {
        if met_somebody && self.protocol.num_members() == 0 {
            let own = self.life();
            let next = own.beyond(&own).unwrap_or(own);
            self.protocol = protocol(next, &self.timing, &mut self.seeds);
            self.timers.disown();
        }
    }

    fn announce_new_life(&mut self, now: Instant, effects: &mut Vec<SwimEffect>) {
        let own = self.life();
        if own != self.announced {
            self.announced = own;
            self.counters.renewals += 1;
            effects.push(SwimEffect::Rejoined);
            self.call_all(now, effects, |_| true);
        }
    }

    /// How many timers are set.
    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.timers.len()
    }
}

impl Machine for Swim {
    type Event = SwimEvent;
    type Effect = SwimEffect;

    fn handle(&mut self, now: Instant, event: SwimEvent, effects: &mut Vec<SwimEffect>) {
        if self.left {
            return;
        }
        match event {
            SwimEvent::PacketReceived { from, bytes } => self.receive(now, from, &bytes, effects),
            SwimEvent::PeerConnected { node } if self.is_peer(node) => {
                self.call(now, node, effects);
            }
            SwimEvent::PeerConnected { .. } => self.counters.strangers += 1,
            SwimEvent::HealthSampled(health) => self.sample(now, health, effects),
            SwimEvent::Left => self.leave(now, effects),
        }
        self.settle(now, effects);
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<SwimEffect>) {
        if self.left {
            return;
        }
        self.forgive(now);
        // Every timer that is set meanwhile lies in the future.
        while let Some(due) = self.timers.take(now) {
            self.fire(now, due, effects);
        }
        self.settle(now, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.first().filter(|_| !self.left)
    }
}

/// The effect that sends `packet`.
pub(super) fn send(to: NodeId, packet: &Packet) -> SwimEffect {
    SwimEffect::SendPacket { to, bytes: packet.encode() }
}

fn protocol(life: Life, timing: &SwimTiming, seeds: &mut ChaCha8Rng) -> Protocol {
    let config = foca::Config {
        probe_period: timing.probe_period,
        probe_rtt: timing.probe_rtt,
        num_indirect_probes: FANOUT,
        max_transmissions: TRANSMISSIONS,
        suspect_to_down_after: timing.suspicion,
        // The layout bounds who can be remembered.
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(BODY_BYTES_MAX).unwrap_or(NonZeroUsize::MAX),
        // Contact and return are ours.
        notify_down_members: false,
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams {
            frequency: timing.gossip_period,
            num_members: FANOUT,
        }),
    };
    Foca::new(life, config, ChaCha8Rng::seed_from_u64(seeds.next_u64()), PacketCodec)
}

/// Where the protocol puts what it wants.
pub(super) struct Outbox<'a> {
    now: Instant,
    timers: &'a mut Timers,
    effects: &'a mut Vec<SwimEffect>,
}

impl Runtime<Life> for Outbox<'_> {
    /// Nothing: the view is made from the whole state after each step.
    fn notify(&mut self, _: Notification<'_, Life>) {}

    fn send_to(&mut self, to: Life, data: &[u8]) {
        self.effects.push(SwimEffect::SendPacket { to: to.node, bytes: envelope(data) });
    }

    fn submit_after(&mut self, event: Timer<Life>, after: Duration) {
        self.timers.set(self.now.after(after), Due::Protocol(event));
    }
}
