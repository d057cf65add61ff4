//! A network in memory, seeded, for whole nodes of production actors in one thread.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`SimulatedNetwork`]: what a test does with the network |
//! | `endpoint.rs` | the transport's traits on top of it |
//! | `network.rs` | the state: who is there, what happens when |
//! | `dials.rs` | how links come about |
//! | `traffic.rs` | what happens on links |
//! | `faults.rs` | cuts, stopped and killed nodes |
//! | `link.rs` | one link and its frames in flight |
//! | `trace.rs` | the record of what was delivered |
//!
//! It models links of QUIC, not packets: lanes are ordered and reliable while the link lives. A
//! lost frame is one that comes later, after its retransmission; a cut holds frames back, and
//! kills the link at both ends when it lasts.
//!
//! Time is tokio's, paused, so that a test of hours takes moments; the network knows microseconds,
//! tokio's timers milliseconds, hence all that falls due within one tick is handled at its end in
//! order of (time, sequence). One seed, one run: chance comes from the seed alone and is drawn in
//! the order of the calls, which one thread makes repeatable. Two runs that differ show it in
//! [`SimulatedNetwork::trace_hash`].

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use henge_kernel::{id::NodeName, time::whole_micros};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use self::{endpoint::SimulatedTransport, network::State};
use super::{Lane, Transport};

mod dials;
mod endpoint;
mod faults;
mod link;
mod network;
mod trace;
mod traffic;

/// How good a network is.
#[derive(Clone, Debug)]
pub struct NetworkProfile {
    /// How long a packet takes one way, in microseconds.
    pub delay_us: RangeInclusive<u64>,
    /// How many of a hundred packets are lost, and come after a retransmission.
    pub loss_percent: u8,
    /// By how much later a lost packet comes, in milliseconds.
    pub retransmit_ms: RangeInclusive<u64>,
    /// How many of a hundred frames come twice: worse than QUIC, which no frame passes twice.
    pub duplicate_percent: u8,
    /// How many of a hundred frames are overtaken by those behind them: worse than QUIC, too.
    pub reorder_percent: u8,
}

impl Default for NetworkProfile {
    /// A network of one region: 0.1 to 3 ms, 1 % loss made good within 10 to 200 ms.
    fn default() -> Self {
        Self {
            delay_us: 100..=3000,
            loss_percent: 1,
            retransmit_ms: 10..=200,
            duplicate_percent: 0,
            reorder_percent: 0,
        }
    }
}

/// What a network did to packets and frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Packets lost, and sent again.
    pub lost: u64,
    /// Frames that came twice.
    pub duplicated: u64,
    /// Frames that were overtaken.
    pub reordered: u64,
    /// Packets that took longer because of a slow link.
    pub slowed: u64,
}

/// The network. All its calls take effect at the present virtual time; what they cause is reported
/// to endpoints later, from tasks of the endpoints' own.
///
/// Dropping it stops all delivery.
pub struct SimulatedNetwork {
    shared: Arc<Shared>,
    driver: JoinHandle<()>,
}

impl SimulatedNetwork {
    /// A network that `seed` decides. Its time begins now.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime. For runs to be repeatable this must be a current-thread runtime
    /// that was built with its time paused.
    pub fn new(seed: u64, profile: NetworkProfile) -> Self {
        let earlier = Arc::new(Notify::new());
        let state = Mutex::new(State::new(seed, profile, Arc::clone(&earlier)));
        let shared = Arc::new(Shared { origin: Instant::now(), state });
        // A task of the runtime, not of a `LocalSet`: it outlives the nodes, each of which may have
        // a set of its own.
        let driver = tokio::spawn(drive(Arc::clone(&shared), earlier));
        Self { shared, driver }
    }

    /// What the nodes' environments take. An endpoint listens at the IP address and port of its
    /// binding and is reached at these, or at `localhost`, and no other name.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(SimulatedTransport::new(Arc::clone(&self.shared)))
    }

    /// Cuts two nodes off from each other. Their links die after 5 s; if healed before, what was
    /// sent meanwhile comes late by up to the length of the cut.
    pub fn cut(&self, a: &NodeName, b: &NodeName) {
        self.shared.with(|state| {
            state.cut(a, b);
            state.cut(b, a);
        });
    }

    /// Lets nothing pass `from` one node `to` another. The other direction goes on delivering, but
    /// without answers dials fail, and links die after 5 s at both ends.
    pub fn cut_one_way(&self, from: &NodeName, to: &NodeName) {
        self.shared.with(|state| state.cut(from, to));
    }

    /// Cuts a node off from all others that have ever been bound.
    pub fn isolate(&self, name: &NodeName) {
        self.shared.with(|state| state.isolate(name));
    }

    /// Ends all cuts between two nodes.
    pub fn heal(&self, a: &NodeName, b: &NodeName) {
        self.shared.with(|state| {
            state.heal(|from, to| (from, to) == (a, b) || (from, to) == (b, a));
        });
    }

    /// Ends all cuts.
    pub fn heal_all(&self) {
        self.shared.with(|state| state.heal(|_, _| true));
    }

    /// Makes everything from one node to another take so much longer, or no longer.
    pub fn slow_down(&self, from: &NodeName, to: &NodeName, by: Duration) {
        self.shared.with(|state| state.slow_down(from, to, whole_micros(by)));
    }

    /// Ends all slowness of single links.
    pub fn speed_up_all(&self) {
        self.shared.with(|state| state.slow.clear());
    }

    /// The network is so good from now on.
    pub fn set_profile(&self, profile: NetworkProfile) {
        self.shared.with(|state| state.profile = profile);
    }

    /// What went wrong so far.
    pub fn mishaps(&self) -> Mishaps {
        self.shared.with(|state| state.mishaps)
    }

    /// Ends a node's process without a word: nothing is delivered from it or to it, and nothing
    /// reported to it, any more; its peers find out after 5 s of silence. A node that binds later
    /// under the same name is a new process.
    pub fn kill(&self, name: &NodeName) {
        self.shared.with(|state| state.kill(name));
    }

    /// Stops a node as SIGSTOP does: it neither receives nor sends. Its links die after 5 s, which
    /// it learns when it goes on.
    pub fn pause(&self, name: &NodeName) {
        self.shared.with(|state| state.pause(name));
    }

    /// Lets a stopped node go on.
    pub fn resume(&self, name: &NodeName) {
        self.shared.with(|state| state.resume(name));
    }

    /// Passes every frame that a node sends through `twist` from now on: a node that says what is
    /// not so.
    pub fn twist(&self, name: &NodeName, twist: impl FnMut(Lane, Bytes) -> Bytes + Send + 'static) {
        self.shared.with(|state| state.twists.insert(name.clone(), Box::new(twist)));
    }

    /// Lets a node's frames pass as they are again.
    pub fn untwist(&self, name: &NodeName) {
        self.shared.with(|state| state.twists.remove(name));
    }

    /// Has only those frames come twice that `may`: not those whose sender takes the first answer
    /// for all that they have done.
    pub fn repeat_only(&self, may: impl Fn(Lane, &Bytes) -> bool + Send + 'static) {
        self.shared.with(|state| state.repeats = Some(Box::new(may)));
    }

    /// A hash over every event delivered so far: its time, who caused it, who got it, its bytes.
    pub fn trace_hash(&self) -> u64 {
        self.shared.with(|state| state.trace.hash)
    }

    /// How many frames were delivered so far.
    pub fn frames_delivered(&self) -> u64 {
        self.shared.with(|state| state.trace.frames)
    }

    /// The last `n` events, oldest first, a line each; at most 4096 are remembered.
    pub fn last_events(&self, n: usize) -> Vec<String> {
        self.shared.with(|state| state.trace.last(n, |key| state.title(key)))
    }
}

impl Drop for SimulatedNetwork {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for SimulatedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedNetwork").finish_non_exhaustive()
    }
}

/// What transports, endpoints, links and the driver share. It holds plain data only, which is why
/// [`Transport`] can be `Send`; the callbacks live in the endpoints' own tasks.
struct Shared {
    origin: Instant,
    state: Mutex<State>,
}

impl Shared {
    /// Does something at the present virtual time.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.set_now(whole_micros(self.origin.elapsed()));
        act(&mut state)
    }
}

/// Lets happen what is due, then sleeps until the next or until something earlier is scheduled.
async fn drive(shared: Arc<Shared>, earlier: Arc<Notify>) {
    loop {
        match shared.with(State::run_due) {
            Some(next) => {
                let at = shared.origin + Duration::from_micros(next);
                // Either is a reason to look again.
                let _woken = timeout_at(at, earlier.notified()).await;
            }
            None => earlier.notified().await,
        }
    }
}
