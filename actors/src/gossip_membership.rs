//! `GossipMembership`: who is up, by SWIM over the control lane (the paper's §4.8).
//!
//! Parent: `NodeSupervisor`; on shard 0. A restart forgets who is up and asks again; it goes on
//! under a new life. Liveness moves no partition: the others read the published view.

use std::{cmp::Reverse, collections::BTreeMap, rc::Rc, time::Duration};

use actix::{Actor, AsyncContext as _, Context, Handler, SpawnHandle, Supervised};
use henge_kernel::{
    handoff::hint::HintTotals,
    id::NodeId,
    machine::Machine as _,
    membership::{
        HintsKept, SelfHealth, StorageState, Swim, SwimEffect, SwimEvent, SwimSettings, SwimTiming,
    },
    time::Instant,
};
use tracing::{info, warn};

use crate::{
    actor_ref::{ActorRef, Told},
    events::MEMBERSHIP,
    messages::{
        front::{MemberJudged, ShardsKnown},
        gossip_membership::{GossipArrived, LeaveCluster, PeerMet, StorageSample, StorageSampled},
        peer_link::Judgement,
    },
    shard::Shard,
    wire::ControlMessage,
};

/// How often the node looks at itself.
pub(crate) const SAMPLE: Duration = Duration::from_secs(1);

/// The actor.
pub struct GossipMembership {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    swim: Swim,
    effects: Vec<SwimEffect>,
    timer: Option<(Instant, SpawnHandle)>,
    /// How each shard's storage is; the worst state is the node's.
    storage: Vec<StorageSample>,
    sampled: Instant,
    /// Whether its wall clock was found to be off at the last look.
    skewed: bool,
}

impl GossipMembership {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "GossipMembership";

    /// A member that has met nobody yet.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        let now = shard.commons.environment.clock.now();
        let storage = vec![StorageSample::default(); usize::from(shard.commons.shards)];
        let swim = Swim::new(settings_of(&shard), now);
        shard.commons.members.publish(swim.view().clone());
        Self {
            me,
            shard,
            swim,
            effects: Vec::new(),
            timer: None,
            storage,
            sampled: now,
            skewed: false,
        }
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    fn step(
        &mut self,
        context: &mut Context<Self>,
        act: impl FnOnce(&mut Swim, Instant, &mut Vec<SwimEffect>),
    ) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        act(&mut self.swim, now, &mut effects);
        let meets = effects.iter().any(|effect| matches!(effect, SwimEffect::MemberUp { .. }));
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
        self.set_timer(now, context);
        if meets {
            // Who is back is to know at once what is kept for whom.
            self.sample(context);
        }
    }

    fn feed(&mut self, context: &mut Context<Self>, event: SwimEvent) {
        self.step(context, |swim, now, effects| swim.handle(now, event, effects));
    }

    fn perform(&self, effect: SwimEffect) {
        let name = |node: NodeId| self.shard.commons.cluster.load().name_of(node);
        let own = self.shard.commons.name();
        match effect {
            SwimEffect::SendPacket { to, bytes } => {
                self.shard.send_control(to, ControlMessage::Gossip(bytes));
            }
            SwimEffect::MemberUp { node, .. } => {
                info!(target: MEMBERSHIP, node = own, peer = name(node), "member up");
                self.judged(node, Judgement::Up);
            }
            SwimEffect::MemberRenewed { node, .. } => {
                info!(target: MEMBERSHIP, node = own, peer = name(node), "member renewed");
                self.judged(node, Judgement::Up);
            }
            SwimEffect::MemberDown { node } => {
                warn!(target: MEMBERSHIP, node = own, peer = name(node), "member down");
                self.judged(node, Judgement::Down);
            }
            SwimEffect::MemberSuspected { node } => {
                info!(target: MEMBERSHIP, node = own, peer = name(node), "member suspected");
            }
            SwimEffect::Rejoined => info!(target: MEMBERSHIP, node = own, "rejoined"),
            SwimEffect::PublishView => {
                self.shard.commons.members.publish(self.swim.view().clone());
            }
        }
    }

    /// Every shard of the node hears of a judgement: its requests stop waiting for that peer.
    fn judged(&self, node: NodeId, judgement: Judgement) {
        for front in self.shard.commons.fronts.get().into_iter().flatten() {
            front.tell(MemberJudged { node, judgement });
        }
    }

    fn set_timer(&mut self, now: Instant, context: &mut Context<Self>) {
        let Some(next) = self.swim.deadline() else { return };
        if self.timer.is_some_and(|(armed, _)| armed == next) {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            context.cancel_future(handle);
        }
        // Timers of tokio are a millisecond wide; one more, so as not to wake up early.
        let wait = next.since(now) + Duration::from_millis(1);
        let handle = context.run_later(wait, |membership, context| {
            membership.timer = None;
            membership.step(context, Swim::expire);
        });
        self.timer = Some((next, handle));
    }

    /// Looks at the node itself: a late timer shows that its event loop was held up.
    fn sample(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        let late = now.since(self.sampled).saturating_sub(SAMPLE);
        self.sampled = now;
        let worst = self.storage.iter().map(|sample| sample.state).max();
        let health = SelfHealth {
            loop_lag_ms: u32::try_from(late.as_millis()).unwrap_or(u32::MAX),
            storage: worst.unwrap_or(StorageState::Ok),
            wall: self.shard.commons.environment.clock.wall(),
            keys: self.storage.iter().map(|sample| sample.keys).sum(),
            disk_bytes: self.storage.iter().map(|sample| sample.disk_bytes).sum(),
            hints: hints_kept(&self.storage),
        };
        self.feed(context, SwimEvent::HealthSampled(health));
        self.tell_skew();
    }

    /// Says when the wall clock turns out to be off its peers', and when it is right again.
    fn tell_skew(&mut self) {
        let skew = self.swim.view().clock_skew();
        let own = self.shard.commons.name();
        match skew {
            Some(skew_ms) if !self.skewed => {
                warn!(target: MEMBERSHIP, node = own, skew_ms, "the wall clock is off");
            }
            None if self.skewed => info!(target: MEMBERSHIP, node = own, "the wall clock is right"),
            _ => {}
        }
        self.skewed = skew.is_some();
    }
}

/// What the shards keep for others, for whom the most is kept first.
fn hints_kept(shards: &[StorageSample]) -> Vec<HintsKept> {
    let mut homes: BTreeMap<NodeId, HintTotals> = BTreeMap::new();
    for (home, totals) in shards.iter().flat_map(|sample| &sample.hints) {
        homes.entry(*home).or_default().add(*totals);
    }
    let kept = |(home, totals): (NodeId, HintTotals)| HintsKept {
        home,
        count: totals.count,
        oldest: totals.oldest.unwrap_or_default(),
    };
    let mut hints: Vec<_> = homes.into_iter().map(kept).collect();
    hints.sort_by_key(|kept| Reverse(kept.count));
    hints
}

fn settings_of(shard: &Shard) -> SwimSettings {
    let commons = &shard.commons;
    let entropy = &commons.environment.entropy;
    let membership = &commons.settings.membership;
    let members = commons.cluster.load().nodes.keys().copied().collect();
    SwimSettings {
        own: commons.node,
        incarnation: commons.incarnation,
        // A life is numbered by the wall clock, so that a later one is usually greater; where the
        // clock is wrong, peers say which number to exceed.
        life: commons.environment.clock.wall().0,
        members,
        timing: SwimTiming {
            probe_period: membership.probe_interval,
            probe_rtt: membership.probe_timeout,
            suspicion: membership.suspicion,
            call_period: membership.announce_to_down_interval,
            ..SwimTiming::default()
        },
        seed: entropy.draw("membership"),
    }
}

impl Actor for GossipMembership {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.set_timer(self.now(), context);
        context.run_interval(SAMPLE, Self::sample);
    }
}

impl Supervised for GossipMembership {
    fn restarting(&mut self, _: &mut Self::Context) {
        let (storage, skewed) = (std::mem::take(&mut self.storage), self.skewed);
        let fresh = Self::new(self.me.clone(), Rc::clone(&self.shard));
        *self = Self { storage, skewed, ..fresh };
    }
}

impl Handler<Told<GossipArrived>> for GossipMembership {
    type Result = ();

    fn handle(&mut self, told: Told<GossipArrived>, context: &mut Self::Context) {
        let (GossipArrived { from, packet: bytes }, _handling) = self.me.open(told);
        self.feed(context, SwimEvent::PacketReceived { from, bytes });
    }
}

impl Handler<Told<PeerMet>> for GossipMembership {
    type Result = ();

    fn handle(&mut self, told: Told<PeerMet>, context: &mut Self::Context) {
        let (PeerMet { node, shards }, _handling) = self.me.open(told);
        for front in self.shard.commons.fronts.get().into_iter().flatten() {
            front.tell(ShardsKnown { node, shards });
        }
        self.feed(context, SwimEvent::PeerConnected { node });
    }
}

impl Handler<Told<StorageSampled>> for GossipMembership {
    type Result = ();

    fn handle(&mut self, told: Told<StorageSampled>, context: &mut Self::Context) {
        let (StorageSampled { shard, sample }, _handling) = self.me.open(told);
        let Some(slot) = self.storage.get_mut(usize::from(shard)) else { return };
        let changed = slot.state != sample.state;
        *slot = sample;
        if changed {
            self.sample(context);
        }
    }
}

impl Handler<Told<LeaveCluster>> for GossipMembership {
    type Result = ();

    fn handle(&mut self, told: Told<LeaveCluster>, context: &mut Self::Context) {
        let (LeaveCluster, _handling) = self.me.open(told);
        self.feed(context, SwimEvent::Left);
    }
}
