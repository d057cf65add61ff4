//! The rules of Henge as pure code.
//!
//! Nothing here reads a clock, draws entropy, opens a file or a socket: time, randomness and the
//! view of the members are arguments. The dependency list of this package is the proof.
//!
//! | module | rules |
//! | --- | --- |
//! | [`id`], [`key`], [`time`], [`machine`], [`units`] | the words that all others use |
//! | [`bucket`] | what a bucket promises, how that is set, how it travels |
//! | [`causality`] | which write has seen which: records, contexts, digests |
//! | [`membership`] | who is alive: SWIM, two-way contact, self-health |

pub mod bucket;
pub mod causality;
pub mod id;
pub mod key;
pub mod machine;
pub mod membership;
pub mod time;
pub mod units;
