//! Actors.

pub mod transport;
