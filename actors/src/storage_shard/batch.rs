//! What waits for the next write(2), and who is answered when it has returned.

use bytes::Bytes;
use henge_kernel::{
    causality::{Digest, Record},
    coordination::{Failure, RequestError},
    id::NodeId,
    key::{Key, Token},
    reaping::Due,
};

use crate::{
    messages::coordinator::ReplyTo,
    replica_trees::{DigestChange, digest_of},
    storage::StorageError,
    wire::PeerReply,
};

/// The stored form of a record, and its digest before it was written and after.
pub(super) type Encoded = (Vec<u8>, DigestChange);

/// What an asker hears of an error of the engine, nothing having been written.
pub(super) fn refusal(error: &StorageError) -> PeerReply {
    match error {
        StorageError::Corrupt { .. } => PeerReply::Failed(Failure::Corrupt),
        StorageError::Full { free, needed } => {
            PeerReply::Refused(RequestError::StorageFull { free: *free, needed: *needed })
        }
        _ => PeerReply::Failed(Failure::Refused),
    }
}

/// The digest of a record that was decoded, and so holds, as it was stored.
pub(super) fn stored_digest(payload: Option<Bytes>) -> Option<Digest> {
    digest_of(payload).ok().flatten()
}

/// What waits for the next write(2).
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Waiting>,
    pub(super) answers: Vec<Answer>,
    pub(super) bytes: usize,
    /// Bytes of the records among them that bear marks.
    pub(super) hint_bytes: u64,
}

/// A change that waits to be written.
pub(super) struct Waiting {
    pub(super) token: Token,
    pub(super) key: Key,
    /// `None` removes the record.
    pub(super) payload: Option<Vec<u8>>,
    /// The digest of the record before and after it.
    pub(super) digests: DigestChange,
    /// For whom it is kept, if it bears marks.
    pub(super) kept_for: Vec<NodeId>,
    /// Whose mark was taken off it.
    pub(super) released: Option<NodeId>,
    /// What a round could do about it.
    pub(super) due: Option<Due>,
}

/// What is said when a change is written, or only when it is synced.
pub(super) struct Answer {
    pub(super) to: ReplyTo,
    pub(super) says: PeerReply,
    pub(super) durable: bool,
}

impl Waiting {
    /// A record in the place of what was there.
    pub(super) fn record(key: Key, record: &Record, (payload, digests): Encoded) -> Self {
        let (kept_for, due) = (record.marks().to_vec(), Due::of(record));
        let (token, payload, released) = (key.token(), Some(payload), None);
        Self { token, key, payload, digests, kept_for, released, due }
    }

    /// Nothing in the place of what was there.
    pub(super) fn removal(token: Token, key: Key, digests: DigestChange) -> Self {
        let (payload, kept_for, released, due) = (None, Vec::new(), None, None);
        Self { token, key, payload, digests, kept_for, released, due }
    }

    pub(super) fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn hint_bytes(&self) -> u64 {
        if self.kept_for.is_empty() { 0 } else { self.bytes() as u64 }
    }
}
