//! The judge: it accuses nobody who kept his promises, and misses nobody who broke one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broken;
mod defects;
mod format;
mod last_writer;
mod model;
mod proof;
mod reach;
mod soundness;
mod story;
