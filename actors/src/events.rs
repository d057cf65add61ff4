//! What a node tells of itself, through `tracing` alone: log lines, numbers and traces are the
//! business of whoever subscribes.
//!
//! | target | what |
//! | --- | --- |
//! | [`REQUEST`] | one event a request: see below |
//! | [`ACTOR`] | `actor_metrics` of every actor, once an interval; `actor_started`, `actor_restarted`, `actor_given_up`, `mailbox_high`, `slow_message` when they happen |
//! | [`MEMBERSHIP`] | members that come and go, bucket properties, a wall clock that is off, the node's own start and stop |
//! | [`STORAGE`] | logs opened and damaged, disks that fill up, copies for other nodes that find no room, peers that send damaged records |
//! | [`ANTI_ENTROPY`] | replicas found different (`diverged`) and mended (`exchanged`), keys that could not be; shards that may lack records (`incomplete…`, `complete again`), trees that did not match; what was deleted for good (`reaped`), what blocks that (`reap_blocked`), what a restored disk held (`set aside…`) |
//! | [`TRANSPORT`] | connections made, lost and refused; requests and answers refused because they are damaged or of another key |
//!
//! # Requests
//!
//! Each request is one event, named `request`, when it has ended, whichever door it came through:
//!
//! | field | |
//! | --- | --- |
//! | `op` | `get`, `put`, `delete`, `keys`, `set_bucket` |
//! | `node`, `bucket` | the node that coordinated; the bucket, escaped where it is not ASCII. Keys are not told |
//! | `n`, `r` or `w` | homes of the key, and how many had to answer |
//! | `acks`, `fallbacks` | how many did, and how many of them stood in for homes |
//! | `outcome` | `ok`, `siblings`, `deleted`, `not_found`, the code of an error, or `abandoned` if whoever asked went away |
//! | `elapsed_us` | microseconds from the door of the node to the answer |
//! | `weight` | how many requests the event stands for |
//!
//! Errors (but for `overloaded`, which comes in floods) and requests slower than [`REQUEST_SLOW`]
//! are told at `DEBUG`, with a weight of 1. Of the others one in [`REQUEST_SAMPLE_EVERY`] is, with
//! that weight; the rest are told at `TRACE` with a weight of 0. So the sum of the weights counts
//! requests, at `DEBUG` as at `TRACE`. What a surface refuses or answers by itself never reaches the
//! node, and is an event of that surface. When nobody listens to `DEBUG`, no clock is read and
//! nothing is allocated.
//!
//! # Actors
//!
//! Of every actor's mailbox, depth and counts are exact; times are taken of one message in sixteen,
//! so that measuring costs a few nanoseconds a message. Once in
//! `telemetry.interval` the node's supervisor turns each meter into one event, `actor_metrics`, at
//! `INFO`: the fields of an [`ActorReport`], where `handled`, `failed` and the times but
//! `run_max_us` are those since the last event. `RUST_LOG=henge::actor=info` shows the table.
//!
//! A subscriber of your own turns them into numbers:
//!
//! ```
//! use std::{collections::BTreeMap, fmt::Debug, sync::{Arc, Mutex}};
//!
//! use henge_actors::events::ACTOR;
//! use tracing::{Event, Subscriber, field::{Field, Visit}};
//! use tracing_subscriber::{Layer, layer::{Context, SubscriberExt as _}};
//!
//! /// Messages handled and the greatest 99th percentile of run times, by kind of actor.
//! #[derive(Clone, Default)]
//! struct ActorNumbers(Arc<Mutex<BTreeMap<String, (u64, u64)>>>);
//!
//! impl<S: Subscriber> Layer<S> for ActorNumbers {
//!     fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
//!         let metadata = event.metadata();
//!         if metadata.target() == ACTOR && metadata.fields().field("run_p99_us").is_some() {
//!             let mut seen = Seen::default();
//!             event.record(&mut seen);
//!             let mut numbers = self.0.lock().unwrap();
//!             let (handled, run_p99_us) = numbers.entry(seen.actor).or_default();
//!             *handled += seen.handled;
//!             *run_p99_us = seen.run_p99_us.max(*run_p99_us);
//!         }
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Seen { actor: String, handled: u64, run_p99_us: u64 }
//!
//! impl Visit for Seen {
//!     fn record_str(&mut self, field: &Field, value: &str) {
//!         if field.name() == "actor" {
//!             self.actor = value.to_owned();
//!         }
//!     }
//!
//!     fn record_u64(&mut self, field: &Field, value: u64) {
//!         match field.name() {
//!             "handled" => self.handled = value,
//!             "run_p99_us" => self.run_p99_us = value,
//!             _ => {}
//!         }
//!     }
//!
//!     fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
//! }
//!
//! let numbers = ActorNumbers::default();
//! let subscriber = tracing_subscriber::registry().with(numbers.clone());
//! tracing::subscriber::set_global_default(subscriber)?;
//! # use henge_actors::{Environment, Key, Node, NodeName, ReadOptions, Settings};
//! # actix_rt::System::new().block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
//! # let mut settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
//! # settings.telemetry.interval = std::time::Duration::from_millis(100);
//! # let environment = Environment::production(&settings)?;
//! # let node = Node::start(settings, environment).await?;
//! # let handle = node.handle();
//!
//! handle.get(&Key::new("carts", "ada")?, ReadOptions::default()).await?;
//! // After `telemetry.interval`:
//! # while numbers.0.lock().unwrap().get("Front").is_none_or(|front| front.0 == 0) {
//! #     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
//! # }
//! assert!(numbers.0.lock().unwrap()["Front"].0 > 0);
//! # node.stop().await;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

pub use crate::meter::ActorReport;

/// Target of the actors' events.
pub const ACTOR: &str = "henge::actor";
/// Target of the requests' events.
pub const REQUEST: &str = "henge::request";
/// Target of what concerns members and the ring.
pub const MEMBERSHIP: &str = "henge::membership";
/// Target of what concerns the shards' logs.
pub const STORAGE: &str = "henge::storage";
/// Target of what concerns replicas that are not the same.
pub const ANTI_ENTROPY: &str = "henge::anti_entropy";
/// Target of what concerns connections between nodes.
pub const TRANSPORT: &str = "henge::transport";

/// Of the requests that are neither slow nor failed, one in this many is told at `DEBUG`; the
/// others are told at `TRACE`.
pub const REQUEST_SAMPLE_EVERY: u64 = 16;
/// A request that takes this long is slow, and always told.
pub const REQUEST_SLOW: Duration = Duration::from_millis(100);
