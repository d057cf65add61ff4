//! One life of a member: from joining until it is declared down.

use crate::id::{Incarnation, NodeId};

/// A member under one number. Declared down is for ever; the node returns under a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The member.
    pub node: NodeId,
    /// Born with its data directory; decides between lives of one number.
    pub incarnation: Incarnation,
    /// The greater one supersedes all others of the node.
    pub number: u64,
}

impl Life {
    /// Whether this life supersedes `other`, of the same node.
    pub(super) fn outlives(&self, other: &Self) -> bool {
        (self.number, self.incarnation) > (other.number, other.incarnation)
    }

    /// The least life of the same node and incarnation that supersedes `other`; `None` at the end
    /// of all numbers.
    pub(super) fn beyond(&self, other: &Self) -> Option<Self> {
        let number = self.number.max(other.number).checked_add(1)?;
        Some(Self { number, ..*self })
    }
}

impl foca::Identity for Life {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        self.beyond(self)
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.outlives(adversary)
    }
}
