//! Whole nodes of production actors in one thread, on paused time, where everything can fail; and
//! judging what their clients saw.
//!
//! | module | |
//! | --- | --- |
//! | [`Sandbox`] | a process in miniature |
//! | [`sites`] | places of the code at which a process dies or stops |
//! | [`World`] | a cluster of such processes with its network, disks and clocks |
//! | [`history`] | what clients did and were told: one format, whoever ran the cluster |
//! | [`checkers`] | what must be true of any history |

pub mod checkers;
pub mod history;
mod sandbox;
pub mod sites;
mod world;

pub use self::{
    sandbox::Sandbox,
    world::{World, WorldPlan},
};
pub use crate::failpoint::Site;

/// The meters of a node, for the bench that asks what they cost.
pub use crate::meter::Roster;
/// What nodes ask and answer each other, for tests that twist it.
pub use crate::wire::{ForwardedWrite, PeerReply, PeerRequest, RequestFrame};
