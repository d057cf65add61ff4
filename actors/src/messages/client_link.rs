//! To [`ClientLink`](crate::client_link::ClientLink).

use bytes::Bytes;

use crate::transport::{Lane, LinkId};

/// A client is there: its link is up and its hello was accepted.
#[derive(Clone, Copy, Debug)]
pub struct ClientUp {
    /// The link.
    pub link: LinkId,
}

/// Frames of the client came in.
#[derive(Debug)]
pub struct RequestsArrived {
    /// On which lane.
    pub lane: Lane,
    /// The frames, in order.
    pub frames: Vec<Bytes>,
}

/// The client is gone, and its link with it.
#[derive(Debug)]
pub struct ClientGone {
    /// Why.
    pub reason: String,
}
