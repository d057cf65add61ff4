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
pub mod reports;
mod request_event;
mod ring_manager;
pub mod settings;
mod shard;
mod shell;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod storage;
mod storage_reports;
mod storage_shard;
pub mod store;
pub mod supervision;
pub mod transport;
mod view;
pub mod wire;

pub use api::{Answer, Got, Written};
pub use commons::Ending;
pub use environment::Environment;
pub use handle::NodeHandle;
pub use henge_kernel::{
    causality::{Context, Value},
    coordination::{DeleteOptions, Fate, PutOptions, ReadOptions, RequestError},
    id::NodeName,
    key::Key,
};
pub use messages::front::{Delete, Get, Put};
pub use node::{Node, StartError};
pub use settings::Settings;
pub use store::Store;
