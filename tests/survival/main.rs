//! Five `henge serve` processes, clients that write unique values, a fault, its end; then every
//! acknowledged write is there or was overwritten by one that had seen it, nothing that was
//! overwritten or deleted is back, all replicas are equal, and no hint is left.
//!
//! | file | what it is |
//! | --- | --- |
//! | `history.rs` | what clients did and were shown |
//! | `clients.rs` | the load |
//! | `judge.rs` | the promises, judged by values alone; and that the judge can say no |
//! | `scenario.rs` | one story from its start to the verdict |
//! | `power.rs` | power cuts, by the shutdown call of ext4 |
//! | `clocks.rs` | wall clocks that jump (needs libfaketime, or is skipped) |
//! | `full_disk.rs` | a disk that is full, and then is not |
//! | `faults.rs` | halves, one-way cut, bridge, majority ring, SIGSTOP, kill -9 |
//! | `loopback.rs` | the stories on loopback |
//! | `namespaces.rs`, `lab.rs` | the same, and 20 % loss, on five hosts that are network namespaces |
//!
//! A fault lasts 3 s, or as many as `HENGE_SURVIVAL_SECONDS` says. `--nocapture` shows the figures.
//! Hosts need root, iproute2 and nftables: without them their stories are skipped, and say so, unless
//! `HENGE_LAB_REQUIRED` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests wait on the machine's own clock")]

#[path = "../support/processes.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod processes;
#[path = "../support/requests.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod requests;

mod clients;
mod clocks;
mod faults;
mod full_disk;
mod history;
mod judge;
mod lab;
mod loopback;
mod namespaces;
mod power;
mod scenario;
