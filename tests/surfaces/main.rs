//! What programs see of a node from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod bodies;
mod buckets;
mod cluster;
mod conditions;
mod keys;
mod objects;
mod refusals;
mod siblings;
mod stopping;
mod surface;
