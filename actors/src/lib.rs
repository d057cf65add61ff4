//! Actors.

pub mod environment;
pub mod settings;
pub mod storage;
pub mod transport;
