//! Henge.

pub mod config;
pub mod telemetry;
