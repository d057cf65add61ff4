//! Who is alive, as far as this node can tell. Liveness never moves a partition.
//!
//! [`Swim`] is SWIM with suspicion and incarnations (Das, Gupta, Motivala 2002, §3 and §4) by the
//! crate `foca`: it probes, asks others to probe, suspects, and spreads what it learns. What lies
//! around it is ours, because a store must also come *back* quickly:
//!
//! - **Contact.** A node calls every member of the layout that is not up ([`SwimTiming::call_period`]),
//!   whether it was up before or not. It takes a member as up when that member *answered*: two-way,
//!   so that a node which can only hear does not swing between up and down.
//! - **Lives.** A member that was declared down returns under a new life. Whoever is met with a life
//!   that is over is told the number to exceed, so one round trip is enough, whatever the clocks say.
//! - **Isolation.** A node that has lost everybody forgets whom it declared down: it is more likely
//!   that it was cut off, and on its return nobody else must renew.
//! - **Pauses.** A node that was itself stopped does not blame its peers for the time it missed (the
//!   idea of Lifeguard: Dadgar, Phillips, Currey 2018).
//!
//! Only members of the layout take part; everything that names another node is dropped and counted.

mod contact;
mod event;
mod health;
mod life;
mod packet;
mod swim;
#[cfg(test)]
mod tests;
mod timers;
mod view;

pub use event::{SwimCounters, SwimEffect, SwimEvent, SwimSettings, SwimTiming};
pub use health::{
    CLOCK_SKEW_MAX, HINTED_HOMES_MAX, HintsKept, SelfHealth, StorageState, clock_skew,
};
pub use life::Life;
pub use packet::PACKET_BYTES_MAX;
pub use swim::Swim;
pub use view::{Liveness, MemberState, MemberView};
