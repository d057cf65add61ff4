//! To [`ClientLink`](crate::client_link::ClientLink).

use bytes::Bytes;

use crate::transport::Lane;

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
