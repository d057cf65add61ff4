//! Whole nodes of production actors on the simulated network, disks and paused time: one thread,
//! one `LocalSet`, no actix `System`. A seed decides everything.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod anti_entropy;
mod bad_times;
mod buckets;
mod clocks;
mod deletes;
mod determinism;
mod embedding;
mod failure;
mod handoff;
mod impostors;
mod interruptions;
mod nearly_full;
mod observing;
mod overheard;
mod read_repair;
mod reaped;
mod reaping;
mod requests;
mod rot;
mod schedules;
mod sloppy;
mod soak;
mod soundness;
mod storage;
mod strangers;
mod supervision;
mod updates;
mod world;
mod yielding;
