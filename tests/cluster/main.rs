//! Three `henge serve` processes over real sockets, real certificates and real files.
//!
//! | file | what it proves |
//! | --- | --- |
//! | `forming.rs` | processes that start at one instant find each other; every node serves every key |
//! | `conflicts.rs` | siblings, their resolution, deletes |
//! | `outages.rs` | one of three killed, stopped or cut off; two of three gone |
//! | `survival.rs` | kill -9 of all under load loses nothing that was acknowledged |
//! | `stopping.rs` | SIGTERM under load is seen by nobody else |
//! | `single.rs` | one node alone, by `--dev` |
//! | `tour.rs` | `henge demo` from its start to its end |
//! | `refusals.rs` | what does not belong together does not talk, and says why |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests wait on the machine's own clock")]

#[path = "../support/processes.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod processes;
#[path = "../support/requests.rs"]
mod requests;

mod conflicts;
mod forming;
mod load;
mod outages;
mod refusals;
mod single;
mod stopping;
mod survival;
mod tour;
