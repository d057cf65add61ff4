//! The native client against nodes as programs run them.
//!
//! | file | what it proves |
//! | --- | --- |
//! | `verbs.rs` | every verb of the store, and the reports |
//! | `errors.rs` | what is refused, with the code and the fate that HTTP gives |
//! | `inputs.rs` | every door refuses the same inputs in the same words, and writes nothing |
//! | `certificates.rs` | who may be a client, and of which cluster |
//! | `frames.rs` | what breaks the protocol ends its link and nothing else |
//! | `readers.rs` | clients that read slowly, or not at all |
//! | `routing.rs` | requests go to a home of their key, at the port of its shard |
//! | `failover.rs` | real processes killed under a client: no failed request, nothing lost or doubled |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests wait on the machine's own clock")]

#[path = "../support/processes.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod processes;
#[path = "../support/requests.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod requests;
#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod dial;
mod errors;
mod failover;
mod frames;
mod inputs;
mod readers;
mod routing;
mod verbs;

use henge::{Client, ClientError, ClientTls, Key, PutOptions, Value};

use crate::support::node::TestNode;

/// The certificates of a node's cluster.
fn tls(node: &TestNode) -> ClientTls {
    ClientTls::from_dir(&node.handle.settings().tls.dir).unwrap()
}

/// Where a node takes clients.
fn address(node: &TestNode) -> String {
    node.handle.settings().node.listen.to_string()
}

/// A client that was given the address of this node alone.
async fn connect(node: &TestNode) -> Client {
    Client::connect([address(node)], tls(node)).await.unwrap()
}

fn key(name: &str) -> Key {
    Key::new("carts", name.to_owned()).unwrap()
}

fn text(value: &str) -> Value {
    Value::text(value.to_owned())
}

fn blind() -> PutOptions {
    PutOptions::default()
}

/// Code and fate of a request that must fail.
fn failure<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> (&'static str, &'static str) {
    let error = outcome.unwrap_err();
    (error.code(), error.fate().as_str())
}
