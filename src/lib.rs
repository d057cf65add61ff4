//! Henge: a Dynamo-style key-value store. Every node takes every request, concurrent writes stand
//! side by side as siblings, and each error says whether the write was surely not applied.
//!
//! # In your program
//!
//! A node inside your own actix `System` is [`Node`], reached through its [`NodeHandle`]; what one
//! can do with it is the trait [`Store`]. [`henge_actors`] is the guide, with an example each.
//!
//! ```
//! use henge::{
//!     Environment, Got, Key, Node, NodeName, PutOptions, ReadOptions, Settings, Value,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
//! # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
//! # actix_rt::System::new().block_on(async {
//! let environment = Environment::production(&settings)?;
//! let node = Node::start(settings, environment).await?;
//! let handle = node.handle();
//! let key = Key::new("greetings", "world")?;
//! let got = handle.get(&key, ReadOptions::default().r(1)).await?;
//! assert_eq!(got.body, Got::NotFound);
//! let options = PutOptions::default().context(got.context()).w(1);
//! handle.put(&key, Value::text("hello"), options).await?;
//! node.stop().await;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! A configuration file becomes [`Settings`] by [`Config::load`]; [`host`] runs a node together
//! with its HTTP surface, as `henge serve` does.
//!
//! # This package
//!
//! | module | what |
//! | --- | --- |
//! | [`cli`] | the whole command line, as types |
//! | [`client`] | the same store from far away, over QUIC |
//! | [`commands`] | one file a command |
//! | `fuzzing` | bytes that nobody would send (feature `fuzzing`) |
//! | [`config`] | where values come from, what each key means, what is wrong with it |
//! | [`host`] | one node with its certificates, its environment and HTTP |
//! | [`telemetry`] | log lines |
//! | [`shutdown`] | SIGTERM or SIGINT becomes one broadcast |

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod host;
pub mod shutdown;
pub mod surfaces;
pub mod telemetry;

pub use client::{Client, ClientError, ClientSettings, ClientTls};
pub use config::Config;
pub use henge_actors::{
    Answer, Context, DeleteOptions, Environment, Fate, Got, Key, Node, NodeHandle, NodeName,
    PutOptions, ReadOptions, RequestError, Settings, StartError, Store, Value, Written,
};
