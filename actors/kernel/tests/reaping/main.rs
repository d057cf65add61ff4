//! What reaping promises: the fence and the round statement by statement, and a model in which
//! messages are stuck, power is cut and backups are restored.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod fences;
mod model;
mod pruning;
mod rounds;
mod support;
