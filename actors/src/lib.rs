#![doc = include_str!("../README.md")]

mod actor_ref;
pub mod admission;
pub mod api;
mod birth;
mod commons;
mod coordinator;
pub mod environment;
pub mod events;
mod front;
mod gossip_membership;
mod handle;
mod links;
mod messages;
mod node;
mod peer_link;
#[cfg(feature = "simulation")]
mod planted;
mod register_file;
mod register_refusals;
pub mod reports;
mod ring_manager;
pub mod settings;
mod shard;
mod shell;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod storage;
mod storage_reports;
mod storage_shard;
pub mod supervision;
pub mod transport;
mod view;
pub mod wire;

pub use commons::Ending;
pub use handle::NodeHandle;
pub use node::{Node, StartError};
