//! What comes in: who is let in, who is met for the first time, whose life is over.

use core::time::Duration;

use foca::{Header, Member, Message, State};

use super::{
    event::SwimEffect,
    health::{SelfHealth, clock_offset},
    life::Life,
    packet::{Packet, protocol_body},
    swim::{Swim, send},
};
use crate::{
    id::NodeId,
    time::{Instant, WallMillis, whole_millis},
};

/// A member is called back at most once in this time.
const CALL_BACK_MIN: Duration = Duration::from_millis(100);

/// How the life that a peer goes by stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is up under this life.
    Settled,
    /// It is not up under this life yet.
    Fresh,
    /// This life is over, for this one is known to be up, or the last.
    Over(Life),
}

impl Swim {
    /// Takes in one packet; one that is refused changes nothing but a counter.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: NodeId,
        bytes: &[u8],
        effects: &mut Vec<SwimEffect>,
    ) {
        if !self.is_peer(from) {
            self.counters.strangers += 1;
            return;
        }
        match Packet::decode(bytes) {
            Some(Packet::Hello(life)) if life.node == from => self.greet(now, life, effects),
            Some(Packet::Heard(life)) if life.node == from => self.meet(now, life, effects),
            Some(Packet::Outlived(life)) if life.node == self.view.own => {
                self.exceed(now, life, effects);
            }
            Some(Packet::Health(health)) => self.note(now, from, health),
            Some(Packet::Protocol(header, members)) if self.is_proper(from, &header) => {
                self.take(now, &header, members, effects);
            }
            _ => self.counters.packets_refused += 1,
        }
    }

    /// Whether `node` is another member of the layout.
    pub(super) fn is_peer(&self, node: NodeId) -> bool {
        node != self.view.own && self.view.get(node).is_some()
    }

    fn greet(&mut self, now: Instant, life: Life, effects: &mut Vec<SwimEffect>) {
        match self.standing(life) {
            Standing::Over(known) => effects.push(send(life.node, &Packet::Outlived(known))),
            standing => {
                effects.push(send(life.node, &Packet::Heard(self.life())));
                if standing == Standing::Fresh {
                    self.call_back(now, life.node, effects);
                }
            }
        }
    }

    /// The peer heard us and we hear it: now it is up.
    fn meet(&mut self, now: Instant, life: Life, effects: &mut Vec<SwimEffect>) {
        match self.standing(life) {
            Standing::Over(known) => effects.push(send(life.node, &Packet::Outlived(known))),
            Standing::Fresh => self.run(now, effects, |protocol, outbox| {
                protocol.apply_many(core::iter::once(Member::alive(life)), true, outbox)
            }),
            Standing::Settled => {}
        }
    }

    /// Our life is over, for `known` outlived it or it was declared down: take up the next.
    fn exceed(&mut self, now: Instant, known: Life, effects: &mut Vec<SwimEffect>) {
        let own = self.life();
        if let Some(next) = own.beyond(&known).filter(|_| !own.outlives(&known)) {
            self.run(now, effects, |protocol, outbox| protocol.change_identity(next, outbox));
        }
    }

    fn note(&mut self, now: Instant, from: NodeId, health: SelfHealth) {
        let own = self.view.get(self.view.own).and_then(|state| state.health.as_ref());
        let since = whole_millis(now.since(self.sampled_at));
        let wall = own.map(|own| WallMillis(own.wall.0.saturating_add(since)));
        if let Some(state) = self.view.members.get_mut(&from) {
            state.clock_offset_ms = wall.map(|wall| clock_offset(wall, health.wall));
            state.health = Some(health);
            self.dirty = true;
        }
    }

    /// A message of the protocol counts only from a peer that has been met under its present life.
    fn take(
        &mut self,
        now: Instant,
        header: &Header<Life>,
        mut members: Vec<Member<Life>>,
        effects: &mut Vec<SwimEffect>,
    ) {
        let told = members.len();
        members.retain(|member| self.view.get(member.id().node).is_some());
        self.counters.strangers += u64::try_from(told - members.len()).unwrap_or(u64::MAX);
        match self.standing(header.src) {
            Standing::Over(known) => effects.push(send(header.src.node, &Packet::Outlived(known))),
            Standing::Settled if header.dst == self.life() => {
                let body = protocol_body(header, &members);
                self.run(now, effects, |protocol, outbox| protocol.handle_data(&body, outbox));
            }
            // Either does not know the other's present life.
            Standing::Settled | Standing::Fresh => self.call_back(now, header.src.node, effects),
        }
    }

    fn call_back(&mut self, now: Instant, node: NodeId, effects: &mut Vec<SwimEffect>) {
        let last = self.called.get(&node);
        if last.is_none_or(|last| now.since(*last) >= CALL_BACK_MIN) {
            self.call(now, node, effects);
        }
    }

    fn standing(&self, life: Life) -> Standing {
        let mut known = self.protocol.iter_membership_state();
        match known.find(|member| member.id().node == life.node) {
            Some(member) if member.id().outlives(&life) => Standing::Over(*member.id()),
            Some(member) if *member.id() != life => Standing::Fresh,
            Some(member) if member.state() == State::Down => Standing::Over(life),
            Some(_) => Standing::Settled,
            None => Standing::Fresh,
        }
    }

    /// Whether a message is from `from`, to this node, and about members.
    fn is_proper(&self, from: NodeId, header: &Header<Life>) -> bool {
        let third = match &header.message {
            Message::PingReq { target: third, .. }
            | Message::IndirectPing { origin: third, .. }
            | Message::IndirectAck { target: third, .. }
            | Message::ForwardedAck { origin: third, .. } => Some(third.node),
            _ => None,
        };
        let from_and_to = header.src.node == from && header.dst.node == self.view.own;
        from_and_to && third.is_none_or(|third| third != from && self.is_peer(third))
    }
}
