//! Henge.

pub mod cli;
pub mod commands;
pub mod config;
pub mod shutdown;
pub mod surfaces;
pub mod telemetry;
