//! What a node must hear from its peers before it serves.
//!
//! A node with a new disk, or in the place of one that lost it, does not know which buckets have
//! an `n` or `conflict` of their own. Served by the defaults, a write could be acknowledged at
//! nodes that are no homes of it. So it serves when every other member has sent its whole table,
//! or is down: a member that is up holds every established register.

use henge_kernel::{bucket::BucketRegister, id::NodeId};
use tracing::{error, info};

use super::RingManager;
use crate::{
    events::MEMBERSHIP, messages::ring_manager::RegistersArrived, view::ClusterView,
    wire::ControlMessage, wire::REGISTERS_PER_MESSAGE_MAX,
};

/// Whether a message ends a peer's table.
pub(super) fn is_end(arrived: &RegistersArrived) -> bool {
    arrived.registers.is_empty() && arrived.ticket == 0
}

impl RingManager {
    /// Sends the whole table to a peer; an empty message ends it.
    pub(super) fn teach(&self, node: NodeId) {
        let registers: Vec<_> = self.view().buckets.iter().cloned().collect();
        let send = |registers: Vec<BucketRegister>| {
            self.shard.send_control(node, ControlMessage::Registers { ticket: 0, registers });
        };
        for registers in registers.chunks(REGISTERS_PER_MESSAGE_MAX) {
            send(registers.to_vec());
        }
        send(Vec::new());
    }

    /// A peer has sent its whole table.
    pub(super) fn taught_by(&mut self, node: NodeId) {
        self.taught.insert(node);
        self.learn();
    }

    /// Serves from now on, if everybody who could teach has, and keeps in mind that it may.
    pub(super) fn learn(&self) {
        let view = self.view();
        if view.learned {
            return;
        }
        let members = self.shard.commons.members.load();
        let settled = |node: &NodeId| {
            *node == self.shard.commons.node || self.taught.contains(node) || members.is_down(*node)
        };
        if !view.nodes.keys().all(settled) {
            return;
        }
        if let Err(error) = self.file.write(&view.buckets) {
            error!(target: MEMBERSHIP, %error, "bucket properties were not stored");
            return;
        }
        info!(target: MEMBERSHIP, node = self.shard.commons.name(), buckets = view.buckets.iter().count(), "bucket properties learned");
        let view = ClusterView { learned: true, ..ClusterView::clone(&view) };
        self.shard.commons.cluster.publish(view);
    }
}
