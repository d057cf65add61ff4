//! To [`HintedHandoffQueue`](crate::hinted_handoff_queue::HintedHandoffQueue).

use bytes::Bytes;
use henge_kernel::{causality::Digest, coordination::Generation, id::NodeId, key::Key};

use crate::wire::PeerReply;

/// Records are kept for this home: one was added or changed, or the shard has found some.
#[derive(Clone, Copy, Debug)]
pub struct Hinted {
    /// The home.
    pub home: NodeId,
}

/// Which hints come next.
#[derive(Debug)]
pub struct HintsFetched {
    /// Of which home.
    pub home: NodeId,
    /// Behind which key.
    pub after: Option<Key>,
    /// Whether only old ones were asked for.
    pub aged: bool,
    /// The keys in their order, with the bytes of their records; none if there are no more.
    pub hints: Vec<(Key, u64)>,
}

/// Records as they are now.
#[derive(Debug)]
pub struct HintsRead {
    /// For which home they are kept.
    pub home: NodeId,
    /// To whom they are to be sent.
    pub to: NodeId,
    /// `None` if one cannot be read.
    pub records: Vec<(Key, Option<ReadHint>)>,
}

/// A record as it is now.
#[derive(Debug)]
pub struct ReadHint {
    /// In its replicated form.
    pub record: Bytes,
    /// Its digest.
    pub digest: Digest,
    /// The generation under which it was read.
    pub generation: Generation,
}

/// A record that was sent.
#[derive(Clone, Debug)]
pub struct Handed {
    /// For which home it is kept.
    pub home: NodeId,
    /// To whom it was sent.
    pub to: NodeId,
    /// Whose record.
    pub key: Key,
    /// Its digest.
    pub digest: Digest,
}

/// What became of a record that was sent.
#[derive(Debug)]
pub struct HandedOver {
    /// Which.
    pub handed: Handed,
    /// What the receiver answered.
    pub reply: PeerReply,
}

/// A mark was kept, because its record has changed since it was sent.
#[derive(Clone, Copy, Debug)]
pub struct HintChanged {
    /// Whose mark.
    pub home: NodeId,
}

/// Marks were kept, because there was no room to write that they go.
#[derive(Clone, Copy, Debug)]
pub struct HintUnreleased {
    /// Whose marks.
    pub home: NodeId,
}

/// Do not wait any longer: begin all deliveries anew.
#[derive(Clone, Copy, Debug)]
pub struct HandOffNow;

/// There is a new link to a node: what was under way on an earlier one is lost.
#[derive(Clone, Copy, Debug)]
pub struct HomeReached {
    /// The node.
    pub node: NodeId,
}
