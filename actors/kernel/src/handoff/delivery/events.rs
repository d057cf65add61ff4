//! What a delivery is told, and what it wants.

use smallvec::SmallVec;

use crate::{causality::Digest, id::NodeId, key::Key};

/// A hint that can be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose record it is.
    pub key: Key,
    /// Bytes of the record.
    pub bytes: u64,
    /// The homes of the key other than the one that it is kept for, as far as they are up. Of use
    /// only for aged hints.
    pub others: SmallVec<[NodeId; 6]>,
}

impl Due {
    /// A hint that only its home is to get.
    pub fn for_home(key: Key, bytes: u64) -> Self {
        Self { key, bytes, others: SmallVec::new() }
    }
}

/// What happened to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// The home is up.
    HomeUp,
    /// The home is down.
    HomeDown,
    /// Another node is down.
    MemberDown(NodeId),
    /// A hint for the home was added or changed.
    Hinted,
    /// What [`DeliveryEffect::Fetch`] asked for.
    Fetched {
        /// Behind which key.
        after: Option<Key>,
        /// Whether only those were asked for that are older than [`AGE_MAX`](super::AGE_MAX).
        aged: bool,
        /// The hints; none if there are no more.
        hints: Vec<Due>,
    },
    /// A home has the record on its disk: it acknowledged it after fdatasync.
    Acknowledged {
        /// The home.
        from: NodeId,
        /// The record's key.
        key: Key,
        /// The digest of the record that was sent.
        digest: Digest,
    },
    /// A home did not take a record, or it could not be sent, or read.
    Failed {
        /// The home.
        from: NodeId,
        /// The record's key.
        key: Key,
    },
    /// A home did not take a record because it was read under a generation that has passed there;
    /// read again, it may be taken.
    Outdated {
        /// The home.
        from: NodeId,
        /// The record's key.
        key: Key,
    },
    /// The partition of the key is noted as dirty for the home, durably.
    DirtyNoted(Key),
    /// A mark was kept, because the record has changed.
    Changed,
    /// A mark was kept, because there was no room to write that it goes.
    Unreleased,
    /// How many bytes the home has room for at a time.
    Window(u64),
    /// Clients come first for now.
    Paused,
    /// There is time for this again.
    Resumed,
}

/// What a delivery wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEffect {
    /// Say which hints come next: at most [`BATCH_MAX`](super::BATCH_MAX).
    Fetch {
        /// Behind which key; from the beginning if that is none.
        after: Option<Key>,
        /// Only those that are older than [`AGE_MAX`](super::AGE_MAX).
        aged: bool,
    },
    /// Send the records of these keys, as they are now, in one message, to be acknowledged after
    /// fdatasync.
    Send {
        /// The receiver.
        to: NodeId,
        /// The keys.
        keys: Vec<Key>,
    },
    /// Note durably that the partition of the key is dirty for the home.
    NoteDirty(Key),
    /// Take the home's mark off the record if its digest is still this: see
    /// [`release`](crate::handoff::hint::release). If it is not, say [`DeliveryEvent::Changed`].
    Release {
        /// The record's key.
        key: Key,
        /// What was acknowledged.
        digest: Digest,
    },
}
