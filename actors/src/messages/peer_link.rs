//! To [`PeerLink`](crate::peer_link::PeerLink).

use bytes::Bytes;
use henge_kernel::{key::Token, time::Instant};

use crate::{
    messages::coordinator::ReplyTo,
    transport::{DialId, Lane, LinkId},
    wire::{ControlMessage, PeerReply, PeerRequest},
};

/// Carry a request to the peer, and its answer to whoever waits.
#[derive(Debug)]
pub struct SendRequest {
    /// What is asked.
    pub request: PeerRequest,
    /// After this moment the answer is of no use.
    pub deadline: Instant,
    /// Who waits; nobody waits for a repair.
    pub reply: Option<ReplyTo>,
}

/// Answer a request of the peer.
#[derive(Debug)]
pub struct SendReply {
    /// On which link the request came; the reply goes there or nowhere.
    pub link: LinkId,
    /// Which request.
    pub correlation: u64,
    /// The token of the key that it was about.
    pub about: Token,
    /// The answer.
    pub reply: PeerReply,
}

/// Carry a control message, or drop it if the peer is not reached.
#[derive(Debug)]
pub struct SendControl(pub ControlMessage);

/// A link to this peer is up and its hello was accepted.
#[derive(Debug)]
pub struct LinkUp {
    /// Which.
    pub link: LinkId,
    /// The run of the peer's process.
    pub run: u64,
    /// Whether this node dialled.
    pub dialled: bool,
}

/// A link to this peer is gone.
#[derive(Debug)]
pub struct LinkDown {
    /// Which.
    pub link: LinkId,
    /// Why.
    pub reason: String,
}

/// A dial of this peer led to nothing.
#[derive(Debug)]
pub struct DialFailed {
    /// Which.
    pub dial: DialId,
    /// Why.
    pub reason: String,
}

/// Frames of this peer came in.
#[derive(Debug)]
pub struct FramesArrived {
    /// On which link.
    pub link: LinkId,
    /// On which lane.
    pub lane: Lane,
    /// The frames, in order.
    pub frames: Vec<Bytes>,
}

/// Membership judged the peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerJudged(pub Judgement);

/// What membership says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is up.
    Up,
    /// It is down.
    Down,
}
