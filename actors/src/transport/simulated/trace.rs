//! The record of what a simulated network delivered: a hash to compare runs, the last events to
//! read after a failure.

use std::collections::VecDeque;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::network::{Delivered, Delivery, EndpointKey};
use crate::transport::Lane;

/// How many events are remembered.
const LINES_MAX: usize = 4096;

/// The record.
#[derive(Default)]
pub(super) struct Trace {
    /// Chained over all events so far.
    pub hash: u64,
    /// How many frames were delivered.
    pub frames: u64,
    lines: VecDeque<Line>,
}

/// One delivered event, without its payload.
pub(super) struct Line {
    at: u64,
    from: EndpointKey,
    to: EndpointKey,
    what: What,
    /// The chained hash after this event: where two runs part, these part too.
    hash: u64,
}

enum What {
    Connected,
    Frames { lane: Lane, count: usize, bytes: usize },
    Closed(String),
    DialFailed(String),
}

impl Trace {
    /// Records that `delivery` reaches `to` at `at` µs.
    pub fn record(&mut self, at: u64, to: EndpointKey, delivery: &Delivery) {
        self.mix(&at.to_le_bytes());
        self.mix(&delivery.from.0.to_le_bytes());
        self.mix(&to.0.to_le_bytes());
        let what = match &delivery.what {
            Delivered::Connected { hello, .. } => {
                self.mix(hello);
                What::Connected
            }
            Delivered::Frames { lane, frames, .. } => self.frames(*lane, frames),
            Delivered::Closed { reason, .. } => {
                self.mix(reason.as_bytes());
                What::Closed(reason.clone())
            }
            Delivered::DialFailed { reason, .. } => {
                self.mix(reason.as_bytes());
                What::DialFailed(reason.clone())
            }
        };
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, from: delivery.from, to, what, hash: self.hash });
    }

    /// The last `n` events, oldest first, with endpoints as `name` calls them.
    pub fn last(&self, n: usize, name: impl Fn(EndpointKey) -> String) -> Vec<String> {
        let skipped = self.lines.len().saturating_sub(n);
        self.lines.iter().skip(skipped).map(|line| line.text(&name)).collect()
    }

    fn frames(&mut self, lane: Lane, frames: &[Bytes]) -> What {
        self.mix(&[u8::from(lane == Lane::Control)]);
        let mut bytes = 0;
        for frame in frames {
            self.mix(frame);
            self.frames += 1;
            bytes += frame.len();
        }
        What::Frames { lane, count: frames.len(), bytes }
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.hash = xxh3_64_with_seed(bytes, self.hash);
    }
}

impl Line {
    fn text(&self, name: impl Fn(EndpointKey) -> String) -> String {
        let (ms, us) = (self.at / 1000, self.at % 1000);
        let (from, to, hash) = (name(self.from), name(self.to), self.hash);
        let what = match &self.what {
            What::Connected => "connected".to_owned(),
            What::Frames { lane, count, bytes } => {
                format!("{lane}: {count} frames, {bytes} bytes")
            }
            What::Closed(reason) => format!("closed: {reason}"),
            What::DialFailed(reason) => format!("dial failed: {reason}"),
        };
        format!("{ms:>8}.{us:03} ms  {from} -> {to}  {what}  #{hash:016x}")
    }
}
