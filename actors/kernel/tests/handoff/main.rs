//! What hinted handoff promises: statements about the index and the delivery, and a model of two
//! shards in which nothing that was acknowledged may be lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod deliveries;
mod hints;
mod many;
mod model;
mod support;
