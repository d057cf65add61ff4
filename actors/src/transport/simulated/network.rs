//! The state of a simulated network: who is there, and what happens when.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    ops::RangeInclusive,
    sync::Arc,
};

use bytes::Bytes;
use henge_kernel::id::NodeName;
use tokio::sync::Notify;

use super::{
    Mishaps, NetworkProfile,
    link::{End, EndStatus, LinkState},
    trace::Trace,
};
use crate::transport::{Binding, DialId, Lane, PeerAddress};

/// After how long without hearing of each other both ends give a link up, in µs.
pub(super) const IDLE_TIMEOUT: u64 = 5_000_000;

/// How long a dial may take, in µs.
pub(super) const DIAL_TIMEOUT: u64 = 1_000_000;

/// How many bytes may be on their way in one direction of a link.
pub(super) const QUEUED_BYTES_MAX: usize = 64 << 20;

/// Names an endpoint that was ever bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointKey(pub usize);

/// Something that reaches an endpoint.
pub(super) struct Delivery {
    /// Who caused it: the peer or, by its own clock or call, the endpoint itself.
    pub from: EndpointKey,
    /// What it is.
    pub what: Delivered,
}

/// A [`TransportEvent`](crate::transport::TransportEvent) as plain data.
pub(super) enum Delivered {
    Connected { end: End, peer: NodeName, hello: Bytes, dial: Option<DialId> },
    Frames { end: End, lane: Lane, frames: Vec<Bytes> },
    Closed { end: End, reason: String },
    DialFailed { dial: DialId, reason: String },
}

/// What the pump of an endpoint does next.
pub(super) enum Next {
    /// Reports this.
    Report(Delivered),
    /// Waits to be woken.
    Wait,
    /// Ends: nothing will ever come.
    End,
}

pub(super) struct EndpointState {
    pub binding: Binding,
    pub status: EndpointStatus,
    pub dials: BTreeMap<DialId, Dial>,
    pub dialled: u64,
    /// Whether somebody can still dial.
    pub is_held: bool,
    pub inbox: VecDeque<Delivery>,
    pub wake: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointStatus {
    Open,
    /// Closed in order: what it said before still arrives.
    Closed,
    /// Its process died: nothing of it arrives any more.
    Gone,
}

/// A dial under way.
pub(super) struct Dial {
    pub peer: PeerAddress,
    /// The link, once the peer has accepted it.
    pub link: Option<u64>,
}

/// Something that happens at its time.
pub(super) enum Due {
    /// Frames may have arrived at an end.
    Arrival { end: End, lane: Lane },
    /// The other end's notice that it closed the link arrives.
    Close { end: End, reason: String },
    /// The end gives up, if the link is silent since then without a break.
    Idle { end: End, since: u64 },
    /// The first packet of a dial arrives where it was sent.
    Knock { dialler: EndpointKey, dial: DialId },
    /// The dialler sees the certificate of someone else.
    Stranger { dialler: EndpointKey, dial: DialId, reason: String },
    /// The dialler's certificate and hello arrive.
    Accept { dialler: EndpointKey, dial: DialId, acceptor: EndpointKey },
    /// The acceptor's hello arrives.
    Open { link: u64 },
    /// The dial has taken too long.
    Deadline { dialler: EndpointKey, dial: DialId },
}

/// The state. Every call begins with [`State::set_now`].
pub(super) struct State {
    pub now: u64,
    pub profile: NetworkProfile,
    pub rng: fastrand::Rng,
    /// By time in µs, then by order of scheduling.
    schedule: BTreeMap<(u64, u64), Due>,
    scheduled: u64,
    /// Wakes the driver when something earlier than all else was scheduled.
    earlier: Arc<Notify>,
    pub endpoints: Vec<EndpointState>,
    pub links: BTreeMap<u64, LinkState>,
    pub links_opened: u64,
    /// From whom to whom nothing gets.
    pub cuts: BTreeMap<NodeName, BTreeSet<NodeName>>,
    pub paused: BTreeSet<NodeName>,
    /// By how much longer it takes from whom to whom, in µs.
    pub slow: BTreeMap<(NodeName, NodeName), u64>,
    pub mishaps: Mishaps,
    /// Whose frames are changed on the way, and how.
    pub twists: BTreeMap<NodeName, Twist>,
    /// Which frames may come twice, if not all.
    pub repeats: Option<Repeats>,
    pub trace: Trace,
}

/// Changes a frame.
pub(super) type Twist = Box<dyn FnMut(Lane, Bytes) -> Bytes + Send>;

/// Whether a frame may come twice.
pub(super) type Repeats = Box<dyn Fn(Lane, &Bytes) -> bool + Send>;

impl State {
    pub fn new(seed: u64, profile: NetworkProfile, earlier: Arc<Notify>) -> Self {
        Self {
            now: 0,
            profile,
            rng: fastrand::Rng::with_seed(seed),
            schedule: BTreeMap::new(),
            scheduled: 0,
            earlier,
            endpoints: Vec::new(),
            links: BTreeMap::new(),
            links_opened: 0,
            cuts: BTreeMap::new(),
            paused: BTreeSet::new(),
            slow: BTreeMap::new(),
            mishaps: Mishaps::default(),
            twists: BTreeMap::new(),
            repeats: None,
            trace: Trace::default(),
        }
    }

    /// Moves the clock, which never goes back, to `now` µs.
    pub fn set_now(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// Lets happen all that is due, and says when, in µs, the next is.
    pub fn run_due(&mut self) -> Option<u64> {
        while let Some(entry) = self.schedule.first_entry() {
            let at = entry.key().0;
            if at > self.now {
                return Some(at);
            }
            let due = entry.remove();
            self.happen(at, due);
        }
        None
    }

    pub fn schedule(&mut self, at: u64, due: Due) {
        let is_first = self.schedule.first_key_value().is_none_or(|(first, _)| at < first.0);
        self.schedule.insert((at, self.scheduled), due);
        self.scheduled += 1;
        if is_first {
            self.earlier.notify_one();
        }
    }

    fn happen(&mut self, at: u64, due: Due) {
        match due {
            Due::Arrival { end, lane } => self.arrive(end, lane, at),
            Due::Close { end, reason } if !self.is_blocked_to(end) => {
                self.end_link(end, end.other(), &reason);
            }
            // A notice of closing is not repeated: whoever missed it hears nothing more.
            Due::Close { .. } => {}
            Due::Idle { end, since } => self.give_up(end, since),
            Due::Knock { dialler, dial } => self.knock(dialler, dial),
            Due::Stranger { dialler, dial, reason } => self.fail_dial(dialler, dial, &reason),
            Due::Accept { dialler, dial, acceptor } => self.accept(dialler, dial, acceptor),
            Due::Open { link } => self.open(link),
            Due::Deadline { dialler, dial } => {
                self.abandon_dial(dialler, dial, "the dial timed out");
            }
        }
    }

    /// How long a packet takes from one endpoint to another, in µs.
    pub fn way(&mut self, from: EndpointKey, to: EndpointKey) -> u64 {
        let more = if self.slow.is_empty() {
            0
        } else {
            let way = (self.name(from).clone(), self.name(to).clone());
            self.slow.get(&way).copied().unwrap_or_default()
        };
        self.mishaps.slowed += u64::from(more > 0);
        self.one_way() + more
    }

    /// Whether something happens that happens to so many of a hundred.
    pub fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.u8(0..100) < percent
    }

    /// How long a packet takes one way, its retransmission included if it is lost, in µs.
    pub fn one_way(&mut self) -> u64 {
        let delay = draw(&mut self.rng, &self.profile.delay_us);
        if self.rng.u8(0..100) < self.profile.loss_percent {
            self.mishaps.lost += 1;
            delay + draw(&mut self.rng, &self.profile.retransmit_ms) * 1000
        } else {
            delay
        }
    }
}

impl State {
    /// Adds an endpoint, or says that its address is taken. Port 0 becomes a free one.
    pub fn bind(
        &mut self,
        mut binding: Binding,
    ) -> Result<(EndpointKey, SocketAddr, Arc<Notify>), SocketAddr> {
        if binding.listen.port() == 0 {
            let free = |port: &u16| self.listener(with_port(binding.listen, *port)).is_none();
            let port = (49152..=u16::MAX).find(free).ok_or(binding.listen)?;
            binding.listen.set_port(port);
        }
        let address = binding.listen;
        if self.listener(address).is_some() {
            return Err(address);
        }
        let wake = Arc::new(Notify::new());
        self.endpoints.push(EndpointState {
            binding,
            status: EndpointStatus::Open,
            dials: BTreeMap::new(),
            dialled: 0,
            is_held: true,
            inbox: VecDeque::new(),
            wake: Arc::clone(&wake),
        });
        Ok((EndpointKey(self.endpoints.len() - 1), address, wake))
    }

    /// Takes the next thing to report out of the inbox, and records it.
    pub fn next(&mut self, key: EndpointKey) -> Next {
        let is_paused = self.paused.contains(self.name(key));
        let endpoint = &mut self.endpoints[key.0];
        match (is_paused, endpoint.status) {
            (_, EndpointStatus::Gone) => return Next::End,
            (true, _) => return Next::Wait,
            _ => {}
        }
        match endpoint.inbox.pop_front() {
            Some(delivery) => {
                self.trace.record(self.now, key, &delivery);
                Next::Report(delivery.what)
            }
            // A dial of a closed endpoint fails, and that is reported too.
            None if endpoint.is_held || endpoint.status == EndpointStatus::Open => Next::Wait,
            None => Next::End,
        }
    }

    /// Closes an endpoint in order.
    pub fn close(&mut self, key: EndpointKey, reason: &str) {
        let endpoint = &mut self.endpoints[key.0];
        if endpoint.status != EndpointStatus::Open {
            return;
        }
        endpoint.status = EndpointStatus::Closed;
        let dials: Vec<DialId> = endpoint.dials.keys().copied().collect();
        for dial in dials {
            self.abandon_dial(key, dial, reason);
        }
        for end in self.ends_of(key) {
            self.close_link(end, reason);
        }
        self.endpoints[key.0].wake.notify_one();
    }

    /// Notes that nobody holds an endpoint any more. It works on unless it is closed.
    pub fn release(&mut self, key: EndpointKey) {
        let endpoint = &mut self.endpoints[key.0];
        endpoint.is_held = false;
        endpoint.wake.notify_one();
    }

    /// Takes an endpoint away without a word, unless it has closed in order before.
    pub fn vanish(&mut self, key: EndpointKey) {
        let endpoint = &mut self.endpoints[key.0];
        endpoint.inbox.clear();
        endpoint.dials.clear();
        endpoint.wake.notify_one();
        if endpoint.status != EndpointStatus::Open {
            return;
        }
        endpoint.status = EndpointStatus::Gone;
        for end in self.ends_of(key) {
            if let Some(link) = self.links.get_mut(&end.link) {
                link.end_mut(end).status = EndStatus::Closed;
            }
            self.settle(end.link);
        }
    }

    /// How people call an endpoint.
    pub fn title(&self, key: EndpointKey) -> String {
        let binding = &self.endpoints[key.0].binding;
        format!("{}/{}", binding.name, binding.shard)
    }

    pub fn name(&self, key: EndpointKey) -> &NodeName {
        &self.endpoints[key.0].binding.name
    }

    pub fn keys(&self) -> impl Iterator<Item = EndpointKey> + use<> {
        (0..self.endpoints.len()).map(EndpointKey)
    }

    pub fn is_open(&self, key: EndpointKey) -> bool {
        self.endpoints[key.0].status == EndpointStatus::Open
    }

    pub fn listener(&self, address: SocketAddr) -> Option<EndpointKey> {
        self.keys()
            .find(|key| self.is_open(*key) && self.endpoints[key.0].binding.listen == address)
    }

    pub fn deliver(&mut self, to: EndpointKey, from: EndpointKey, what: Delivered) {
        let endpoint = &mut self.endpoints[to.0];
        let inbox = &mut endpoint.inbox;
        // What came in before the shard could look is one read.
        match (inbox.back_mut().map(|last| &mut last.what), what) {
            (
                Some(Delivered::Frames { end, lane, frames }),
                Delivered::Frames { end: of, lane: on, frames: more },
            ) if (*end, *lane) == (of, on) => frames.extend(more),
            (_, what) => inbox.push_back(Delivery { from, what }),
        }
        endpoint.wake.notify_one();
    }
}

fn draw(rng: &mut fastrand::Rng, range: &RangeInclusive<u64>) -> u64 {
    if range.is_empty() { *range.start() } else { rng.u64(range.clone()) }
}

fn with_port(address: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), port)
}
