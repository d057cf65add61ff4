//! What anti-entropy promises: the trees against a recount, exchanges between two stores while
//! writes go on and messages fail, the schedule and its budget.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod budget;
mod exchange;
mod ledger;
mod schedule;
mod stores;
mod trees;
