#![doc = include_str!("../README.md")]
//!
//! | module | rules |
//! | --- | --- |
//! | [`id`], [`key`], [`time`], [`machine`], [`units`], [`violation`], [`histogram`] | the words that all others use |
//! | [`causality`] | which write has seen which: records, contexts, digests |
//! | [`bucket`] | what a bucket promises, how that is set, how it travels |
//! | [`ring`] | who is a home of a key |
//! | [`coordination`] | one request over the replicas of its key |
//! | [`handoff`] | what fallbacks keep for homes that were away, and how it comes home |
//! | [`anti_entropy`] | how replicas that missed something become equal |
//! | [`budget`] | how much of that there may be while clients are served |
//! | [`reaping`] | how a deleted key goes for good |
//! | [`membership`] | who is up, and how that is known |
//! | [`planted`] | mistakes on purpose, for those who test the tests |

pub mod anti_entropy;
pub mod bucket;
pub mod budget;
pub mod causality;
pub mod coordination;
pub mod handoff;
pub mod histogram;
pub mod id;
pub mod key;
pub mod machine;
pub mod membership;
pub mod planted;
pub mod reaping;
pub mod ring;
pub mod time;
pub mod units;
pub mod violation;
