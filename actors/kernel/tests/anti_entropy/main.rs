//! What anti-entropy promises: the trees against a recount, exchanges between two stores while
//! writes go on and messages fail, the schedule.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod exchange;
mod ledger;
mod schedule;
mod stores;
mod trees;
