//! What native clients and nodes say to each other, over a [`Link`](crate::transport::Link) of
//! [`Protocol::Client`](crate::transport::Protocol::Client).
//!
//! Both sides begin with a hello. Then the client sends [`ClientQuestion`]s on the request lane, as
//! many at a time as it likes, and the node answers each with one [`ClientAnswer`] in the order in
//! which they are ready. A frame that breaks the protocol ends the link, with the reason.

pub use crate::wire::{
    ClientAnswer, ClientHello, ClientQuestion, ClientReply, ClientRequest, HeaderTooLong, Hello,
    MalformedFrame, ReportOf,
};
