//! Whole nodes of production actors in one thread, on paused time, where everything can fail; and
//! judging what their clients saw.
//!
//! | module | |
//! | --- | --- |
//! | [`run()`], [`Options`], [`Report`] | a seed becomes a run, and the run a verdict |
//! | [`shrink()`], [`timeline()`] | what is done with a red one |
//! | [`Fault`] | the kinds of faults; `atlas.rs` lets them happen |
//! | [`World`] | a cluster with its network, disks and clocks |
//! | [`Sandbox`] | a process in miniature |
//! | [`sites`] | places of the code at which a process dies or stops |
//! | [`Client`], [`Work`], [`Book`] | what clients do with any [`Store`](crate::Store), and where they write it down |
//! | [`history`] | what clients did and were told: one format, whoever ran the cluster |
//! | [`checkers`] | what must be true of any history |
//! | [`scenarios`] | stories that chance does not tell |
//! | [`defects`] | how soon all this finds mistakes on purpose |

mod atlas;
mod book;
pub mod checkers;
pub mod defects;
mod faults;
pub mod history;
pub mod kept;
pub mod options;
mod panics;
mod run;
mod sandbox;
pub mod scenarios;
mod shrink;
pub mod sites;
mod timeline;
mod workload;
pub mod world;

pub use self::{
    book::{Book, Tally},
    faults::{Fault, UnknownFault},
    options::Options,
    run::{CONVERGE_MS, Report, dump, run},
    sandbox::Sandbox,
    shrink::shrink,
    timeline::timeline,
    workload::{Client, Doors, Place, Work, places},
    world::{World, WorldPlan},
};
pub use crate::failpoint::Site;

/// The meters of a node, for the bench that asks what they cost.
pub use crate::meter::Roster;
/// What nodes ask and answer each other, for tests that twist it.
pub use crate::wire::{ForwardedWrite, PeerReply, PeerRequest, RequestFrame};
