//! What travels between nodes, and from and to clients: frames of a bounded header and a raw tail.
//!
//! | file | what |
//! | --- | --- |
//! | `codec` | the frame's shape and the bounded codec; alone names bincode |
//! | `hello` | the first frame each way |
//! | `request`, `reply` | the request lane |
//! | `seal` | ties a frame of it to the key that it is about |
//! | `trees` | what the request lane says of trees of digests |
//! | `fences` | what the request lane says of reaping |
//! | `failure` | errors inside replies |
//! | `control` | the control lane |
//! | `client_hello`, `client_request`, `client_reply` | the protocol of clients |
//! | `samples`, `client_samples` | every message, for tests and fuzzing |

mod client_hello;
mod client_reply;
mod client_request;
#[cfg(feature = "simulation")]
pub mod client_samples;
#[cfg(test)]
mod client_tests;
mod codec;
mod control;
mod failure;
mod fences;
mod hello;
mod reply;
mod request;
#[cfg(feature = "simulation")]
pub mod samples;
mod seal;
#[cfg(test)]
mod tests;
mod trees;

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::key::Token;

pub use client_hello::ClientHello;
pub use client_reply::{ClientAnswer, ClientReply};
pub use client_request::{ClientQuestion, ClientRequest, ReportOf};
pub use codec::{HeaderTooLong, MalformedFrame};
pub use control::{ControlMessage, REGISTERS_PER_MESSAGE_MAX};
pub use fences::{FenceAnswer, FenceQuestion};
pub use hello::{Hello, PROTOCOL_MAX, PROTOCOL_MIN};
pub use reply::{ListedKeys, Minted, PeerReply};
pub use request::{ForwardedWrite, PeerRequest};
pub use trees::{TreeAnswer, TreeQuestion};

/// A frame of the request lane.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestFrame {
    /// The peer asks.
    Request {
        /// Names the request within its link; comes back with the reply.
        correlation: u64,
        /// How long the asker still waits.
        remaining: Duration,
        /// The token of the key that it is about; it must be the request's own.
        about: Token,
        /// What it asks.
        request: PeerRequest,
    },
    /// The peer answers.
    Reply {
        /// Which request.
        correlation: u64,
        /// The token of the key that it is about; it must be that of the request.
        about: Token,
        /// The answer.
        reply: PeerReply,
    },
}

impl RequestFrame {
    /// Reads a frame from outside.
    pub fn decode(frame: &Bytes) -> Result<Self, MalformedFrame> {
        let (kind, header, tail) = codec::split(frame)?;
        match kind {
            request::KIND => PeerRequest::decode(&header, tail),
            reply::KIND => PeerReply::decode(&header, tail),
            kind => Err(MalformedFrame::UnknownKind { kind }),
        }
    }
}
