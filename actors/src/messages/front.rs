//! To [`Front`](crate::front::Front).

use henge_kernel::id::NodeId;
use tokio::sync::oneshot;

pub use super::coordinator::{BeginGet, BeginList, BeginPut};
use super::peer_link::Judgement;

/// Membership judged a node.
#[derive(Clone, Copy, Debug)]
pub struct MemberJudged {
    /// Which.
    pub node: NodeId,
    /// What it is now.
    pub judgement: Judgement,
}

/// How many shards a peer has is known now.
#[derive(Clone, Copy, Debug)]
pub struct ShardsKnown {
    /// Which peer.
    pub node: NodeId,
    /// How many.
    pub shards: u16,
}

/// The node stops: close the endpoint, telling every peer why.
#[derive(Debug)]
pub struct CloseEndpoint {
    /// Told when everything is sent.
    pub outcome: oneshot::Sender<()>,
}
