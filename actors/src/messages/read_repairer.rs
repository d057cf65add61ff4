//! To [`ReadRepairer`](crate::read_repairer::ReadRepairer).

use henge_kernel::{causality::Conflict, coordination::ReplicaRecord, id::NodeId, key::Key};

/// Merge a record into a home that is behind.
#[derive(Debug)]
pub struct RepairRecord {
    /// The home.
    pub home: NodeId,
    /// Whose record.
    pub key: Key,
    /// All that the read found.
    pub record: ReplicaRecord,
    /// What becomes of concurrent versions in this bucket.
    pub conflict: Conflict,
}

/// A repair that was sent.
#[derive(Clone, Debug)]
pub struct Repairing {
    /// To which home.
    pub home: NodeId,
    /// Whose record.
    pub key: Key,
}

/// A repair was answered, whatever the answer, or surely will not be.
#[derive(Debug)]
pub struct RepairEnded(pub Repairing);
