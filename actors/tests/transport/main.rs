//! The QUIC transport over real sockets, and over a network in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod certificates;
mod clients;
mod credentials;
mod cuts;
mod links;
mod memory;
mod refusals;
mod support;
