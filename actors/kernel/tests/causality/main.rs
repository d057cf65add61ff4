//! What the causality of Henge promises: laws against a plain model, named cases, schedules.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod encodings;
mod histories;
mod laws;
mod model;
mod named_cases;
mod support;
mod tokens;
