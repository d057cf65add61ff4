//! Dots: the names of writes.

use core::fmt;

use crate::id::ShardUid;

/// Who mints: one life of a shard, and the epoch in which it took up the key.
///
/// Never a node, a client or an address: whatever is lost, rolled back or restored comes back as
/// another actor, so that no dot is ever minted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The life of the shard.
    pub uid: ShardUid,
    /// Which of the records that this life began to mint for; from 1.
    pub epoch: u64,
}

/// One write: the `counter`-th that `actor` minted for the key.
///
/// "Dotted Version Vectors: Logical Clocks for Optimistic Replication", Preguiça et al., §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who minted it.
    pub actor: Actor,
    /// From 1.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}.{}", self.actor.uid.0, self.actor.epoch, self.counter)
    }
}
