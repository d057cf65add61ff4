//! `HintedHandoffQueue`: gives homes that are back what was kept for them (the paper's §4.6).
//!
//! Parent: `NodeSupervisor`. One a shard, because all that it works with belongs to the shard: the
//! log with the marks, the links to the homes, and the door whose clients come first. A restart
//! loses only what is under way: the marks are in the log, and whatever was not acknowledged is
//! sent again.
//!
//! Who is up is looked up in the published view at every tick, so no news can be missed; a new
//! link begins the delivery anew at once.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Supervised};
use bytes::Bytes;
use henge_kernel::{
    coordination::Generation,
    handoff::{
        Delivery,
        delivery::{BATCH_MAX, DeliveryEffect, DeliveryEvent, Due, SILENCE_MAX},
    },
    id::NodeId,
    key::Key,
    machine::Machine as _,
    planted::{Defect, planted},
    time::Instant,
};
use tracing::debug;

use crate::{
    actor_ref::{ActorRef, Told},
    background::{self, Leisure, NextTurn},
    events::STORAGE,
    messages::{
        coordinator::ReplyTo,
        hinted_handoff_queue::{
            HandOffNow, Handed, HandedOver, HintChanged, HintUnreleased, Hinted, HintsFetched,
            HintsRead, HomeReached, ReadHint,
        },
        peer_link::SendRequest,
        storage_shard::{FetchHints, ListHinted, ReadHints, ReleaseHint},
    },
    shard::Shard,
    wire::{PeerReply, PeerRequest},
};

/// How often the view of the members, the load and the deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Bytes that one home may have been sent and not acknowledged, while clients ask for nothing. What
/// waits there for the disk, clients of that home wait for, too: of 1 MiB they noticed.
const WINDOW: u64 = 128 << 10;

/// The actor.
pub struct HintedHandoffQueue {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    deliveries: BTreeMap<NodeId, Delivery>,
    effects: Vec<DeliveryEffect>,
    /// How much room the clients of the shard leave for this.
    leisure: Leisure,
    /// What is to be sent as soon as it may. The windows of the homes bound it.
    backlog: VecDeque<ToSend>,
    /// Whether the next turn is asked for.
    waits: bool,
}

/// A hint that is about to be sent.
struct ToSend {
    home: NodeId,
    to: NodeId,
    key: Key,
}

impl HintedHandoffQueue {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "HintedHandoffQueue";

    /// A queue that has yet to hear what is kept.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        Self {
            me,
            shard,
            deliveries: BTreeMap::new(),
            effects: Vec::new(),
            leisure: Leisure::FULL,
            backlog: VecDeque::new(),
            waits: false,
        }
    }

    fn step(
        &mut self,
        home: NodeId,
        act: impl FnOnce(&mut Delivery, Instant, &mut Vec<DeliveryEffect>),
    ) {
        let now = self.shard.commons.environment.clock.now();
        let Some(delivery) = self.deliveries.get_mut(&home) else { return };
        let mut effects = std::mem::take(&mut self.effects);
        act(delivery, now, &mut effects);
        for effect in effects.drain(..) {
            self.perform(home, effect);
        }
        self.effects = effects;
        self.send_more();
    }

    /// Has records read, to be sent, as many as may be moved now.
    fn send_more(&mut self) {
        let now = self.shard.commons.environment.clock.now();
        let mut batches: BTreeMap<(NodeId, NodeId), Vec<Key>> = BTreeMap::new();
        while let Some(ToSend { home, to, key }) = self.backlog.pop_front() {
            let delivery = self.deliveries.get(&home);
            let bytes = delivery.and_then(|delivery| delivery.bytes_awaited(to, &key));
            if bytes.is_some_and(|bytes| !self.shard.background.may_move(now, bytes)) {
                self.backlog.push_front(ToSend { home, to, key });
                self.wait_a_turn();
                break;
            }
            if bytes.is_some() {
                batches.entry((home, to)).or_default().push(key);
            }
        }
        for ((home, to), keys) in batches {
            self.shard.storage().tell(ReadHints { home, to, keys });
        }
    }

    fn wait_a_turn(&mut self) {
        if !std::mem::replace(&mut self.waits, true) {
            background::tell_next_turn(&self.me);
        }
    }

    fn feed(&mut self, home: NodeId, event: DeliveryEvent) {
        self.step(home, |delivery, now, effects| delivery.handle(now, event, effects));
    }

    fn perform(&mut self, home: NodeId, effect: DeliveryEffect) {
        let storage = self.shard.storage();
        match effect {
            DeliveryEffect::Fetch { after, aged } => {
                storage.tell(FetchHints { home, after, limit: BATCH_MAX, aged });
            }
            // Each home that took the record has noted it in the same step, on its own disk.
            DeliveryEffect::NoteDirty(key) => self.feed(home, DeliveryEvent::DirtyNoted(key)),
            DeliveryEffect::Send { to, keys } => {
                self.backlog.extend(keys.into_iter().map(|key| ToSend { home, to, key }));
            }
            DeliveryEffect::Release { key, digest } => {
                storage.tell(ReleaseHint { home, key, digest });
            }
        }
    }

    /// Sends a record, to be acknowledged when it is on the receiver's disk; false if there is no
    /// way to the receiver.
    fn hand(&self, record: Bytes, generation: Generation, handed: Handed) -> bool {
        let commons = &self.shard.commons;
        let cluster = commons.cluster.load();
        let key = handed.key.clone();
        let partition = key.token().partition(cluster.ring.partitions());
        let Some(link) = self.shard.link_to(handed.to, partition) else { return false };
        let request = PeerRequest::Store {
            properties: cluster.buckets.get(key.bucket()).map(|register| register.version),
            key,
            record,
            generation,
            // Another home takes it over: it owes it to the one that is away from now on.
            stands_in_for: Some(handed.home).filter(|home| *home != handed.to),
            durable: true,
        };
        let deadline = commons.environment.clock.now().after(SILENCE_MAX);
        let reply = Some(ReplyTo::handoff(self.me.clone(), handed));
        link.tell(SendRequest { request, deadline, reply });
        true
    }

    fn tick(&mut self) {
        let homes: Vec<NodeId> = self.deliveries.keys().copied().collect();
        let before = std::mem::replace(&mut self.leisure, self.shard.leisure());
        for home in homes {
            if self.leisure != before {
                self.feed(home, DeliveryEvent::Window(self.leisure.share_of(WINDOW)));
            }
            if self.leisure.is_over() != before.is_over() {
                let over = self.leisure.is_over();
                self.feed(home, if over { DeliveryEvent::Paused } else { DeliveryEvent::Resumed });
            }
            self.feed(home, self.standing_of(home));
            self.step(home, |delivery, now, effects| {
                if delivery.deadline().is_some_and(|deadline| now >= deadline) {
                    delivery.expire(now, effects);
                }
            });
        }
    }

    /// The homes of a key beside the one that is away, as far as they are up.
    fn others_up(&self, home: NodeId, key: &Key) -> Vec<NodeId> {
        let (cluster, members) =
            (self.shard.commons.cluster.load(), self.shard.commons.members.load());
        let others = cluster.homes_of(key).iter().copied().filter(|node| *node != home);
        others.filter(|node| members.is_up(*node)).collect()
    }

    fn standing_of(&self, home: NodeId) -> DeliveryEvent {
        let up = self.shard.commons.members.load().is_up(home);
        if up { DeliveryEvent::HomeUp } else { DeliveryEvent::HomeDown }
    }

    /// Forgets what is under way, and pauses after failures.
    fn begin_anew(&mut self, home: NodeId) {
        self.feed(home, DeliveryEvent::HomeDown);
        self.feed(home, self.standing_of(home));
    }

    /// Begins to look after the hints of a home.
    fn meet(&mut self, home: NodeId) {
        if self.deliveries.contains_key(&home) {
            return;
        }
        let now = self.shard.commons.environment.clock.now();
        let window = self.leisure.share_of(WINDOW);
        self.deliveries.insert(home, Delivery::new(now, home, window));
        if self.leisure.is_over() {
            self.feed(home, DeliveryEvent::Paused);
        }
        self.feed(home, self.standing_of(home));
    }
}

impl Actor for HintedHandoffQueue {
    type Context = Context<Self>;

    /// Also after a restart.
    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(TICK, |queue, _| queue.tick());
        self.shard.storage().tell(ListHinted);
    }
}

impl Supervised for HintedHandoffQueue {
    fn restarting(&mut self, _: &mut Self::Context) {
        *self = Self::new(self.me.clone(), Rc::clone(&self.shard));
    }
}

impl Handler<Told<Hinted>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<Hinted>, _: &mut Self::Context) {
        let (Hinted { home }, _handling) = self.me.open(told);
        self.meet(home);
        self.feed(home, DeliveryEvent::Hinted);
    }
}

impl Handler<Told<NextTurn>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<NextTurn>, _: &mut Self::Context) {
        let (NextTurn, _handling) = self.me.open(told);
        self.waits = false;
        self.send_more();
    }
}

impl Handler<Told<HintsFetched>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HintsFetched>, _: &mut Self::Context) {
        let (HintsFetched { home, after, aged, hints }, _handling) = self.me.open(told);
        let due = |(key, bytes)| {
            let others = self.others_up(home, &key).into_iter().collect();
            Due { key, bytes, others }
        };
        let hints = hints.into_iter().map(due).collect();
        self.feed(home, DeliveryEvent::Fetched { after, aged, hints });
    }
}

impl Handler<Told<HintsRead>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HintsRead>, _: &mut Self::Context) {
        let (HintsRead { home, to, records }, _handling) = self.me.open(told);
        for (key, record) in records {
            let sent = record.is_some_and(|ReadHint { record, digest, generation }| {
                if planted(Defect::HintReleasedBeforeAck) {
                    let key = key.clone();
                    self.shard.storage().tell(ReleaseHint { home, key, digest });
                }
                self.hand(record, generation, Handed { home, to, key: key.clone(), digest })
            });
            if !sent {
                self.feed(home, DeliveryEvent::Failed { from: to, key });
            }
        }
    }
}

impl Handler<Told<HandedOver>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HandedOver>, _: &mut Self::Context) {
        let (HandedOver { handed, reply }, _handling) = self.me.open(told);
        let Handed { home, to: from, key, digest } = handed;
        let event = match reply {
            PeerReply::Stored => DeliveryEvent::Acknowledged { from, key, digest },
            PeerReply::Outdated(fence) => {
                // It is read again under a later generation, or set aside.
                self.shard.meet(&key, fence);
                DeliveryEvent::Outdated { from, key }
            }
            reply => {
                debug!(target: STORAGE, shard = self.shard.index, ?reply, "a hint was not taken");
                DeliveryEvent::Failed { from, key }
            }
        };
        self.feed(home, event);
    }
}

impl Handler<Told<HintChanged>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HintChanged>, _: &mut Self::Context) {
        let (HintChanged { home }, _handling) = self.me.open(told);
        self.feed(home, DeliveryEvent::Changed);
    }
}

impl Handler<Told<HintUnreleased>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HintUnreleased>, _: &mut Self::Context) {
        let (HintUnreleased { home }, _handling) = self.me.open(told);
        self.feed(home, DeliveryEvent::Unreleased);
    }
}

impl Handler<Told<HomeReached>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HomeReached>, _: &mut Self::Context) {
        let (HomeReached { node }, _handling) = self.me.open(told);
        self.begin_anew(node);
    }
}

impl Handler<Told<HandOffNow>> for HintedHandoffQueue {
    type Result = ();

    fn handle(&mut self, told: Told<HandOffNow>, _: &mut Self::Context) {
        let (HandOffNow, _handling) = self.me.open(told);
        let homes: Vec<NodeId> = self.deliveries.keys().copied().collect();
        for home in homes {
            self.begin_anew(home);
        }
    }
}
