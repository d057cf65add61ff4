//! The simulator itself: that it repeats what it did, does no more than it may, and sees what is
//! wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod atlas;
mod determinism;
mod kept;
mod processes;
mod wishes;

use henge_actors::simulation::Options;

/// What `seed` decides, but shorter.
fn short(seed: u64) -> Options {
    let mut options = Options::draw(seed);
    options.bursts = 1;
    options.burst_ms = 3_000;
    options
}
