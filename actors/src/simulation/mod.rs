//! Whole nodes of production actors in one thread, on paused time, where everything can fail.
//!
//! | file | what |
//! | --- | --- |
//! | `sandbox.rs` | a process in miniature |
//! | `sites.rs` | places of the code at which a process dies or stops |
//! | `world.rs` | a cluster of such processes with its network, disks and clocks |

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
