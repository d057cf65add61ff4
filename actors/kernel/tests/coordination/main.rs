//! What the coordination of Henge promises: directed statements, and two brute-force oracles.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod get;
mod get_oracle;
mod hedging;
mod options;
mod put;
mod put_oracle;
mod quorum;
mod repair;
mod sloppy_get;
mod sloppy_put;
mod support;
