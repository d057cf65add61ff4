//! Stories that chance seldom tells, on whole nodes in simulated time, network and disks. What
//! clients did and were told is judged as any other history; what replicas hold is looked at, too.
//!
//! The names of R1 to R14 are those under which such stores have lost writes, or brought deleted ones
//! back. Each story is played under several seeds. It must be able to fail: the tests plant a mistake,
//! or break what the promise rests on, and want to see it.
//!
//! | id | story | would be red | seen red with |
//! | --- | --- | --- | --- |
//! | R1 | a coordinator's disk is new, restored, rolled back by a power cut, or its copy is rotten; then it takes a blind put and one with a context | `lost`, `stale-strict` | a uid that outlives the start, a right of an earlier run, damage that is taken for none |
//! | R2 | a fallback writes, hands over, forgets, and writes the same key again | `lost` | an epoch that begins again |
//! | R3 | two fallbacks with different pasts of one actor hand over in either order, to a home that has lost its disk | `resurrected`, `lost` | a merge by union, a forgotten hint |
//! | R4 | a key is deleted and reaped; then a crashed home, a fallback, an old disk, a stuck copy, or a member that lost its power returns, and the key was made again or not | `undeleted`, `lost` | reaping by the clock, no generation check, a finished round that goes unnoticed, a promise that is not synced |
//! | R5 | two writers, 200 puts, each with the context of its own last one | `siblings`, `lost` | a context that is ignored, an answer with the whole history |
//! | R6 | disks are replaced during writes, and during a cut | `stale-strict`, `diverged` | an incomplete home that counts, nothing that is mended |
//! | R7 | every wall clock jumps by up to five minutes each second | `lost`, `diverged` | a context without its stamp |
//! | R8 | a coordinator stops for a minute in the middle of a put | `undeleted`, `dominated` | a merge by union |
//! | R9 | the power of all but one of those that acknowledged goes, that of a home that was handed a hint, and that of all nodes | `lost` | an acknowledgement too few, what is not synced called durable, an interval of ten seconds |
//! | R10 | disks are full, do not write, do not sync, do not read | `unavailable`, `lost`, `stale-strict` | a dot that leaves before it is written, a failed read that is taken for none; a full home that had the last word on every put that was forwarded to it |
//! | R11 | one node does not hear another, or nobody; a bridge; a ring | `unavailable` | quorums of all homes |
//! | R12 | a client is not told whether its put was applied, and tries again through another node; a forward is minted twice | `repeated`, `lost` | a twin that is shown twice, or merged away |
//! | R13 | the home for which a hint is kept never returns | `lost`, `hints-left` | a record that goes with its first mark |
//! | R14 | ten minutes of 20 % loss, 50 to 150 ms, 5 % reordered and repeated | `unavailable`, `diverged` | 300 ms a request, a merge by union |
//!
//! What is missing: nodes cannot join or leave yet, so R6 replaces disks only, and R13 has no home
//! that leaves the ring. There is no durability `group` yet, so R9 knows no put that outlives the
//! power cut of all nodes at once; `periodic` promises that for what is older than its interval. R7
//! has no TLS, whose certificates the clocks could outrun, and R15 (credentials) is no story of the
//! simulation: tests of the transport tell it.
//!
//! The schedules under which rules that look right fail are in [`schedules`], with the list of all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod clocks;
mod crowd;
mod deletes;
mod disks;
mod hints;
mod links;
mod names;
mod pen;
mod play;
mod schedules;
mod stage;
mod writers;
