//! What a member is told and what it asks for.

use core::time::Duration;
use std::collections::BTreeSet;

use bytes::Bytes;

use super::health::SelfHealth;
use crate::id::{Incarnation, NodeId};

/// The rhythm of the protocol. The defaults know a dead member as down after 1.2 to 1.4 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwimTiming {
    /// One member is probed in each.
    pub probe_period: Duration,
    /// After this long without an answer, others are asked to probe. Less than the period.
    pub probe_rtt: Duration,
    /// How long a suspected member has to answer before it is down.
    pub suspicion: Duration,
    /// How often news are passed on beside the probes.
    pub gossip_period: Duration,
    /// How often the members that are not up are called.
    pub call_period: Duration,
    /// How long a member may stay unheard from the start before it counts as down.
    pub contact_within: Duration,
}

impl Default for SwimTiming {
    fn default() -> Self {
        Self {
            probe_period: Duration::from_millis(200),
            probe_rtt: Duration::from_millis(80),
            suspicion: Duration::from_secs(1),
            gossip_period: Duration::from_millis(200),
            call_period: Duration::from_millis(500),
            contact_within: Duration::from_secs(5),
        }
    }
}

/// What a member starts with.
#[derive(Clone, Debug)]
pub struct SwimSettings {
    /// This node.
    pub own: NodeId,
    /// The incarnation of its data directory.
    pub incarnation: Incarnation,
    /// The number of its first life: best one that grows from start to start, such as the wall
    /// clock, so that a quick restart is noticed at once. A smaller one costs one round trip more.
    pub life: u64,
    /// The nodes of the layout, with or without this one.
    pub members: BTreeSet<NodeId>,
    /// The rhythm.
    pub timing: SwimTiming,
    /// Seeds every choice that is made at random.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwimEvent {
    /// A packet came over a link whose other end is proven to be `from`.
    PacketReceived {
        /// The peer.
        from: NodeId,
        /// The packet, unchecked.
        bytes: Bytes,
    },
    /// A handshake with `node` has finished.
    PeerConnected {
        /// The peer.
        node: NodeId,
    },
    /// This node has looked at itself; it is passed on to all members that are up.
    HealthSampled(SelfHealth),
    /// This node stops in order, and will neither send nor hear anything from now on.
    Left,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwimEffect {
    /// Send `bytes` to `to`, unless there is no link: packets may be lost.
    SendPacket {
        /// The peer.
        to: NodeId,
        /// The packet, at most [`PACKET_BYTES_MAX`](super::PACKET_BYTES_MAX) long.
        bytes: Bytes,
    },
    /// Report that a member is up that was not.
    MemberUp {
        /// The member.
        node: NodeId,
        /// The incarnation of its data directory.
        incarnation: Incarnation,
    },
    /// Report that a member that is up has not answered a probe: time to redial it.
    MemberSuspected {
        /// The member.
        node: NodeId,
    },
    /// Report that a member is down.
    MemberDown {
        /// The member.
        node: NodeId,
    },
    /// Report that a member that is up came under a new life: it restarted, or was cut off from
    /// others.
    MemberRenewed {
        /// The member.
        node: NodeId,
        /// The incarnation of its data directory.
        incarnation: Incarnation,
    },
    /// Report that this node had been declared down, or had lost everybody, and goes on under a new
    /// life.
    Rejoined,
    /// Publish [`Swim::view`](super::Swim::view); at most one in a step, and last.
    PublishView,
}

/// What went by, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwimCounters {
    /// Packets that were damaged, or not from who sent them.
    pub packets_refused: u64,
    /// Packets of, and news about, nodes that are not in the layout.
    pub strangers: u64,
    /// Lives that this node took up because its last one was over.
    pub renewals: u64,
    /// Times that this node was late by more than a probe period.
    pub pauses: u64,
    /// Messages that the protocol did not take.
    pub protocol_errors: u64,
}
