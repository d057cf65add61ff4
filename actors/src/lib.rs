#![doc = include_str!("../README.md")]
//!
//! | module | for those who embed a node |
//! | --- | --- |
//! | [`settings`], [`environment`] | what a node is told, and what surrounds it |
//! | [`Node`], [`NodeHandle`] | how it starts and stops; the door to it |
//! | [`api`], [`reports`] | what it answers to requests, and about itself |
//! | [`events`] | what its actors tell through `tracing` |
//! | [`transport`], [`storage`] | the adapters: QUIC and TLS, files and the log |
//! | [`admission`] | a door that counts requests and bytes |
//! | `simulation` | whole nodes in one thread, where they can crash (feature `simulation`) |

mod actor_ref;
pub mod admission;
pub mod api;
mod birth;
mod commons;
mod coordinator;
mod deadline_wheel;
pub mod environment;
pub mod events;
mod front;
mod gossip_membership;
mod handle;
mod links;
mod listing;
mod messages;
mod meter;
mod node;
mod peer_link;
#[cfg(feature = "simulation")]
mod planted;
mod register_file;
pub mod reports;
mod ring_manager;
pub mod settings;
mod shard;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod storage;
mod storage_reports;
mod storage_shard;
mod supervision;
pub mod transport;
mod view;
mod wire;

pub use commons::Ending;
pub use handle::NodeHandle;
pub use node::{Node, StartError};
