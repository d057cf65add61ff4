//! What the causality of Henge promises: laws against a plain model, named cases, schedules.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod contexts;
mod encodings;
mod forms;
mod histories;
mod last_writer_wins;
mod laws;
mod limits;
mod minting;
mod model;
mod naive;
mod named_cases;
mod stamps;
mod support;
mod tokens;
mod write_ids;
