//! To [`Front`](crate::front::Front).

use actix::Message;
use henge_kernel::{
    causality::Value,
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    id::NodeId,
    key::Key,
};
use tokio::sync::oneshot;

pub use super::coordinator::{BeginGet, BeginList, BeginPut};
use super::peer_link::Judgement;
use crate::api::{Answer, Got, Written};

/// Read a key: [`NodeHandle::get`](crate::NodeHandle::get) as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Answer<Got>, RequestError>")]
pub struct Get {
    /// Which.
    pub key: Key,
    /// How.
    pub options: ReadOptions,
}

/// Write a value: [`NodeHandle::put`](crate::NodeHandle::put) as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Answer<Written>, RequestError>")]
pub struct Put {
    /// Where.
    pub key: Key,
    /// What.
    pub value: Value,
    /// How, and in the place of what: its context.
    pub options: PutOptions,
}

/// Delete a key: [`NodeHandle::delete`](crate::NodeHandle::delete) as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Answer<Written>, RequestError>")]
pub struct Delete {
    /// Which.
    pub key: Key,
    /// How, and what of it: its context, without which it is refused.
    pub options: DeleteOptions,
}

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
