//! One link: two ends, and a flow of frames towards each.

use std::collections::VecDeque;

use bytes::Bytes;

use super::network::EndpointKey;
use crate::transport::{DialId, Lane, LinkId};

/// One of the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Which link of the network.
    pub link: u64,
    /// Whether this is the end that was dialled.
    pub accepted: bool,
}

impl End {
    /// Both ends of a link, the dialler's first.
    pub const fn both(link: u64) -> [Self; 2] {
        [Self { link, accepted: false }, Self { link, accepted: true }]
    }

    /// The end that this one talks to.
    pub const fn other(self) -> Self {
        Self { link: self.link, accepted: !self.accepted }
    }

    /// How its endpoint calls it. The two ends differ, since an endpoint may dial itself.
    pub fn id(self) -> LinkId {
        LinkId(self.link * 2 + u64::from(self.accepted))
    }

    fn index(self) -> usize {
        usize::from(self.accepted)
    }
}

/// What the network knows of one link.
pub(super) struct LinkState {
    ends: [EndState; 2],
    /// Since when, in µs, the link cannot be heard both ways.
    pub silent_since: Option<u64>,
}

/// What the network knows of one end.
pub(super) struct EndState {
    /// Whose end this is.
    pub endpoint: EndpointKey,
    /// How far it has come.
    pub status: EndStatus,
    /// What is on its way to this end.
    pub inbound: Flow,
}

/// The life of an end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EndStatus {
    /// It dialled, and waits for the hello.
    Opening(DialId),
    /// `Connected` was reported.
    Up,
    /// It has closed the link, or learned that the link is closed, or its process is gone.
    Closed,
}

impl LinkState {
    /// A link whose dialler has yet to hear, at `hello_at` µs, that it is up.
    pub fn opening(
        dialler: EndpointKey,
        dial: DialId,
        acceptor: EndpointKey,
        hello_at: u64,
    ) -> Self {
        let end = |endpoint, status, not_before| EndState {
            endpoint,
            status,
            inbound: Flow::starting(not_before),
        };
        Self {
            ends: [
                end(dialler, EndStatus::Opening(dial), hello_at),
                end(acceptor, EndStatus::Up, 0),
            ],
            silent_since: None,
        }
    }

    /// One end.
    pub fn end(&self, end: End) -> &EndState {
        &self.ends[end.index()]
    }

    /// One end, to change it.
    pub fn end_mut(&mut self, end: End) -> &mut EndState {
        &mut self.ends[end.index()]
    }

    /// Whether an end is closed.
    pub fn any_closed(&self) -> bool {
        self.ends.iter().any(|end| end.status == EndStatus::Closed)
    }

    /// Whether nobody is left on it.
    pub fn all_closed(&self) -> bool {
        self.ends.iter().all(|end| end.status == EndStatus::Closed)
    }
}

/// The frames on their way to one end. A lane is a QUIC stream: ordered, and not held up by the
/// other lane's losses.
pub(super) struct Flow {
    lanes: [LaneQueue; 2],
    /// Bytes sent and not yet arrived.
    pub queued: usize,
    /// Since when, in µs, nothing gets through.
    pub blocked_since: Option<u64>,
}

struct LaneQueue {
    /// Arrival in µs, never decreasing, and the frame.
    frames: VecDeque<(u64, Bytes)>,
    latest_arrival: u64,
}

impl Flow {
    fn starting(not_before: u64) -> Self {
        let lane = || LaneQueue { frames: VecDeque::new(), latest_arrival: not_before };
        Self { lanes: [lane(), lane()], queued: 0, blocked_since: None }
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneQueue {
        &mut self.lanes[index(lane)]
    }

    /// Takes a frame that would arrive at `arrival` were it alone, and says when it does: never
    /// before an earlier frame of its lane.
    pub fn push(&mut self, lane: Lane, arrival: u64, frame: Bytes) -> u64 {
        self.queued += frame.len();
        let queue = self.lane(lane);
        queue.latest_arrival = queue.latest_arrival.max(arrival);
        let arrival = queue.latest_arrival;
        // Behind all, but for those that it overtakes.
        let place = queue.frames.partition_point(|(other, _)| *other <= arrival);
        queue.frames.insert(place, (arrival, frame));
        arrival
    }

    /// Takes a frame that later ones may overtake; says when it arrives, which is not before what
    /// was sent before it.
    pub fn push_overtaken(&mut self, lane: Lane, arrival: u64, frame: Bytes) -> u64 {
        self.queued += frame.len();
        let queue = self.lane(lane);
        let arrival = queue.latest_arrival.max(arrival);
        let place = queue.frames.partition_point(|(other, _)| *other <= arrival);
        queue.frames.insert(place, (arrival, frame));
        arrival
    }

    /// Bytes of `lane` on their way.
    pub fn bytes(&self, lane: Lane) -> usize {
        self.lanes[index(lane)].frames.iter().map(|(_, frame)| frame.len()).sum()
    }

    /// Takes out what has arrived on `lane` by the time `at`.
    pub fn arrived(&mut self, lane: Lane, at: u64) -> Vec<Bytes> {
        let queue = self.lane(lane);
        let due = queue.frames.partition_point(|(arrival, _)| *arrival <= at);
        let frames: Vec<Bytes> = queue.frames.drain(..due).map(|(_, frame)| frame).collect();
        self.queued -= frames.iter().map(Bytes::len).sum::<usize>();
        frames
    }

    /// Lets nothing of what waits arrive before `at`.
    pub fn hold_until(&mut self, at: u64) {
        for queue in self.lanes.iter_mut().filter(|queue| !queue.frames.is_empty()) {
            queue.latest_arrival = queue.latest_arrival.max(at);
            for (arrival, _) in &mut queue.frames {
                *arrival = (*arrival).max(at);
            }
        }
    }
}

const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Request => 0,
        Lane::Control => 1,
    }
}
