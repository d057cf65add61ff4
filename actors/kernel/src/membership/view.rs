//! A snapshot of all members, published for everybody to read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::health::{HintsKept, SelfHealth, clock_skew, skew_of};
use crate::{
    id::{Incarnation, NodeId},
    time::Instant,
};

/// Whether a member takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Not reached yet, and not long enough to say more.
    Unknown,
    /// Answers, or answered somebody who told us.
    Up,
    /// Does not answer.
    Down,
}

/// What is known of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Whether it takes part.
    pub liveness: Liveness,
    /// Up, but a probe of it has just failed.
    pub suspected: bool,
    /// Since when the liveness is what it is, on this node's clock.
    pub since: Instant,
    /// The incarnation of its data directory, once heard.
    pub incarnation: Option<Incarnation>,
    /// What it last said about itself; stale if it is down.
    pub health: Option<SelfHealth>,
    /// How far its wall clock was ahead of ours at that report, in milliseconds (less the transit).
    pub clock_offset_ms: Option<i64>,
}

impl MemberState {
    pub(super) fn unknown(since: Instant) -> Self {
        Self {
            liveness: Liveness::Unknown,
            suspected: false,
            since,
            incarnation: None,
            health: None,
            clock_offset_ms: None,
        }
    }
}

/// All members of the layout as one node sees them; itself is always up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    pub(super) own: NodeId,
    pub(super) members: BTreeMap<NodeId, MemberState>,
}

impl MemberView {
    /// The view of a node that has met nobody yet.
    pub fn unknown(own: NodeId, members: impl IntoIterator<Item = NodeId>, now: Instant) -> Self {
        let states = members.into_iter().map(|node| (node, MemberState::unknown(now)));
        Self { own, members: states.collect() }
    }

    /// The node whose view this is.
    pub fn own(&self) -> NodeId {
        self.own
    }

    /// What is known of `node`; `None` if it is no member.
    pub fn get(&self, node: NodeId) -> Option<&MemberState> {
        self.members.get(&node)
    }

    /// All members, by id, this node among them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, &MemberState)> {
        self.members.iter().map(|(node, state)| (*node, state))
    }

    /// Whether `node` is up. A node that is no member is not.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.liveness(node) == Some(Liveness::Up)
    }

    /// Whether `node` is known as down: it is of no use to ask it.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.liveness(node) == Some(Liveness::Down)
    }

    /// Whether `node` has been reached or is known as down.
    pub fn known(&self, node: NodeId) -> bool {
        self.liveness(node).is_some_and(|liveness| liveness != Liveness::Unknown)
    }

    /// Whether every member has been reached or is known as down: then a node can be ready.
    pub fn all_known(&self) -> bool {
        self.members.keys().all(|node| self.known(*node))
    }

    /// How far this node's wall clock is ahead of the median of the members that are up, in
    /// milliseconds, if that is more than [`CLOCK_SKEW_MAX`](super::CLOCK_SKEW_MAX).
    pub fn clock_skew(&self) -> Option<i64> {
        clock_skew(self.clock_offsets())
    }

    /// Whether the wall clock of a peer is as far off that median, as far as this node knows.
    pub fn is_skewed(&self, peer: NodeId) -> bool {
        let offset = self.members.get(&peer).and_then(|state| state.clock_offset_ms);
        offset.is_some_and(|offset| skew_of(offset, self.clock_offsets()).is_some())
    }

    /// What all members said that they keep for homes that are away, each with the report that says
    /// so.
    pub fn hints_kept(&self) -> impl Iterator<Item = (&SelfHealth, &HintsKept)> {
        let healths = self.members.values().filter_map(|state| state.health.as_ref());
        healths.flat_map(|health| health.hints.iter().map(move |kept| (health, kept)))
    }

    fn clock_offsets(&self) -> impl Iterator<Item = i64> {
        let up = self.members.iter().filter(|(node, _)| **node != self.own && self.is_up(**node));
        up.filter_map(|(_, state)| state.clock_offset_ms)
    }

    fn liveness(&self, node: NodeId) -> Option<Liveness> {
        self.members.get(&node).map(|state| state.liveness)
    }
}
