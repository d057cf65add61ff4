//! Actors.

pub mod settings;
pub mod storage;
pub mod transport;
