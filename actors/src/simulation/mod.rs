//! Running whole nodes in one thread, where they can crash, and judging what their clients saw.
//!
//! | module | |
//! | --- | --- |
//! | [`Sandbox`] | a process in miniature |
//! | [`history`] | what clients did and were told: one format, whoever ran the cluster |
//! | [`checkers`] | what must be true of any history |

pub mod checkers;
pub mod history;
mod sandbox;

pub use sandbox::Sandbox;

/// The meters of a node, for the bench that asks what they cost.
pub use crate::meter::Roster;
/// What nodes ask and answer each other, for tests that twist it.
pub use crate::wire::{ForwardedWrite, PeerReply, PeerRequest, RequestFrame};
