//! Actors.

pub mod settings;
