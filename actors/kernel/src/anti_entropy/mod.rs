//! Anti-entropy: how replicas that missed something, and know nothing of it, become equal (Dynamo,
//! SOSP 2007, §4.7, with trees that are kept up to date by every write instead of rebuilt).
//!
//! | module | role |
//! | --- | --- |
//! | [`tree`] | what a home holds of a partition, in one digest, 128 or 128 × 128 |
//! | [`exchange`] | the machine that finds and mends what differs between two nodes |
//! | [`schedule`] | when to compare with whom, and since when they differ |
//! | [`ledger`] | what is known to be missing, and until when |
//!
//! A tree covers the records of which the node is a home, per partition and `n`: homes of keys with
//! different `n` differ, so one tree for both could never be equal. Copies that are kept for other
//! homes are in no tree.

pub mod exchange;
pub mod ledger;
pub mod schedule;
pub mod tree;

pub use exchange::Exchange;
pub use ledger::{Ledger, Trust};
pub use schedule::Schedule;
pub use tree::{Brief, Place, Summary, Tree, TreeId, Trees};
