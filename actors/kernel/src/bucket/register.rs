//! The register that carries a bucket's properties from node to node.

use core::cmp::Ordering;

use bytes::Bytes;

use super::properties::BucketProperties;
use crate::id::NodeId;

/// Names one setting of a bucket: counted up from what the setter knew, told apart by the setter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterVersion {
    /// 1 for the first setting.
    pub counter: u64,
    /// The node that took the request.
    pub setter: NodeId,
}

/// The properties of one bucket, with their version.
///
/// Registers of one bucket are totally ordered, and merging keeps the greater one: commutative,
/// associative, idempotent. An *established* register stands above every one that is not, whatever
/// their versions: every member has stored it, so its `n` may have placed data, and a rival setting
/// from a node that had lost its disk must not win by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRegister {
    /// The bucket.
    pub name: Bytes,
    /// Which setting this is.
    pub version: RegisterVersion,
    /// The properties that were set.
    pub properties: BucketProperties,
    /// Whether the bucket can be used: at once with the cluster's own `n` and `conflict`, else as
    /// soon as every member of the layout has stored the register.
    pub established: bool,
}

impl BucketRegister {
    /// How many of so many `members` must have stored it: a majority, or all of them while it
    /// chooses what places or settles the bucket's data.
    pub fn stores_needed(&self, members: usize) -> usize {
        if self.established { members / 2 + 1 } else { members }
    }

    /// Keeps the greater of the two; says whether `self` changed.
    pub fn merge(&mut self, other: Self) -> bool {
        let newer = other.rank(self) == Ordering::Greater;
        if newer {
            *self = other;
        }
        newer
    }

    /// How it stands to another register of the same bucket.
    pub fn rank(&self, other: &Self) -> Ordering {
        let key = |register: &Self| (register.established, register.version);
        // One version names one setting; should two ever share it, all nodes still agree.
        key(self)
            .cmp(&key(other))
            .then_with(|| self.properties.order().cmp(&other.properties.order()))
    }
}
