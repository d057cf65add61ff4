//! A node of Henge for your own program: a supervision tree of actors that is a member of a
//! cluster, with a door for the rest of the process.
//!
//! ```
//! use henge_actors::{
//!     Environment, Got, Key, Node, NodeName, PutOptions, ReadOptions, Settings, Store as _, Value,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let data_dir = directory.path().into();
//! # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
//! actix_rt::System::new().block_on(async {
//!     // A cluster of one; `Settings::member` makes a node of many.
//!     let settings = Settings::single(NodeName::new("solo")?, listen, data_dir);
//!     let environment = Environment::production(&settings)?;
//!     let node = Node::start(settings, environment).await?;
//!     let handle = node.handle();
//!
//!     let cart = Key::new("carts", "ada")?;
//!     handle.put(&cart, Value::text("book"), PutOptions::default()).await?;
//!     match handle.get(&cart, ReadOptions::default()).await?.body {
//!         Got::Value { version, .. } => println!("{:?}", version.content),
//!         Got::Siblings { versions, .. } => println!("{} to merge", versions.len()),
//!         Got::Deleted { .. } | Got::NotFound => println!("empty"),
//!     }
//!     handle.update(&cart, |carts| {
//!         let mut items: Vec<_> = carts.iter().filter_map(Value::as_text).collect();
//!         items.push("pen");
//!         Value::text(items.join("\n"))
//!     }).await?;
//!
//!     node.stop().await;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! | to | see |
//! | --- | --- |
//! | configure a node | [`Settings`], [`Environment::production`] |
//! | start it, watch over it, stop it | [`Node`] |
//! | get, put and delete; siblings, errors and their fate | [`NodeHandle`] |
//! | read, merge and write at once; be independent of where the store is | [`Store`], [`Store::update`] |
//! | ask by message, from actors of your own | [`Get`], [`Put`], [`Delete`], [`NodeHandle::recipient`] |
//! | see how requests and actors fare | [`events`] |
//! | know members, ring and replicas | [`reports`], [`NodeHandle::replica`] |
//!
//! The package's `examples/` are whole programs: `web.rs`, an actix-web application with a node
//! in it, and `cart.rs`, an actor that keeps shopping carts.
//!
//! **Units.** Times are [`Duration`](std::time::Duration)s, sizes are bytes, quorums count nodes.
//! Wall clock times are milliseconds since the epoch; in events and reports the unit is the end of
//! a field's name (`_us`, `_ms`).
//!
//! **Runtimes.** [`Node::start`] must be called inside an actix `System` (actix-rt 2, as actix-web 4
//! has it); each shard has a thread of its own below it. Handles can be used anywhere.
//! Messages are those of actix 0.13.
//!
//! | module | |
//! | --- | --- |
//! | [`settings`], [`environment`] | what a node is told, and what surrounds it |
//! | [`store`] | the trait that a node and a client share, and its update |
//! | [`api`], [`reports`] | what it answers to requests, and about itself |
//! | [`events`] | what it tells through `tracing` |
//! | [`client_protocol`] | what native clients and nodes say to each other |
//! | [`transport`], [`storage`] | the adapters: QUIC and TLS, files and the log |
//! | [`admission`] | a door that counts requests and bytes |
//! | `simulation` | whole nodes in one thread, where they can crash (feature `simulation`) |
//! | `fuzzing` | bytes that nobody would send, for all that reads bytes from outside (same feature) |
//!
#![doc = include_str!("../README.md")]

mod actor_ref;
pub mod admission;
mod anti_entropy_report;
mod anti_entropy_worker;
pub mod api;
mod background;
mod birth;
mod client_link;
pub mod client_protocol;
mod commons;
mod completeness;
mod coordinator;
mod cuts;
mod deadline_wheel;
pub mod environment;
pub mod events;
mod failpoint;
mod fence_file;
mod front;
#[cfg(feature = "simulation")]
pub mod fuzzing;
mod gossip_membership;
mod handle;
mod hint_reports;
mod hinted_handoff_queue;
mod ledger_file;
mod links;
mod listing;
mod messages;
mod meter;
mod node;
mod peer_link;
#[cfg(feature = "simulation")]
mod planted;
mod read_repairer;
mod reap_reports;
mod reaper;
mod register_file;
mod register_refusals;
mod replica_trees;
pub mod reports;
mod request_event;
mod ring_manager;
pub mod settings;
mod shard;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod storage;
mod storage_reports;
mod storage_shard;
pub mod store;
mod supervision;
pub mod transport;
mod view;
mod way;
mod wire;

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
