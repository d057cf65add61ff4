//! Actors.

pub mod storage;
