//! The targets of what a node tells through `tracing`, one a part.
//!
//! Each actor is told of by `actor_started`, `actor_restarted` and `actor_given_up`, by `slow_message`
//! and `mailbox_high`, and once an interval by `actor_metrics` with the numbers of [`ActorReport`]
//! since the last one, all on [`ACTOR`].

pub use crate::meter::ActorReport;

/// Target of the actors' events.
pub const ACTOR: &str = "henge::actor";
/// Target of the requests' events.
pub const REQUEST: &str = "henge::request";
/// Target of what concerns members and the ring.
pub const MEMBERSHIP: &str = "henge::membership";
/// Target of what concerns the shards' logs.
pub const STORAGE: &str = "henge::storage";
/// Target of what concerns connections between nodes.
pub const TRANSPORT: &str = "henge::transport";
