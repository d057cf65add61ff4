//! What programs see of a node from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests wait on the machine's own clock")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod bodies;
mod buckets;
mod cluster;
mod conditions;
mod events;
mod keys;
mod malformed;
mod mutated;
mod objects;
mod patience;
mod refusals;
mod siblings;
mod stopping;
mod surface;
