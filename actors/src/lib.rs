//! Actors.

pub mod simulation;
pub mod transport;
