//! What the simulated network promises to the tests that stand on it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod dials;
mod faults;
mod lanes;
mod sandbox;
mod support;
