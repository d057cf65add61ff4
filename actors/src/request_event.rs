//! One event a request on the target [`REQUEST`], whichever door it came through: all of them
//! lead through [`NodeHandle`](crate::NodeHandle), which watches its requests with this.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use henge_kernel::{
    bucket::BucketRegister,
    coordination::{Replicas, RequestError},
    time::{Instant, whole_micros},
};
use tracing::{Level, enabled, event};

use crate::{
    api::{Answer, Got, KeyPage, Written},
    commons::Commons,
    events::{REQUEST, REQUEST_SAMPLE_EVERY, REQUEST_SLOW},
};

/// Watches one request, if anybody listens. Its event comes when it goes: with the outcome
/// `abandoned` if whoever asked did not wait for the end.
pub struct Watch<'a>(Option<Watched<'a>>);

struct Watched<'a> {
    commons: &'a Commons,
    op: Op,
    bucket: &'a [u8],
    began: Instant,
    ending: Ending,
}

/// What is asked, with the quorum that the request chose for itself.
#[derive(Clone, Copy)]
pub enum Op {
    Get { r: Option<u8> },
    Put { w: Option<u8> },
    Delete { w: Option<u8> },
    Keys,
    SetBucket,
}

struct Ending {
    outcome: &'static str,
    acks: Option<u8>,
    fallbacks: Option<u8>,
    /// Whether it is told however many others there are.
    notable: bool,
}

impl<'a> Watch<'a> {
    /// Begins to watch. When nobody listens, this is one comparison.
    pub fn begin(commons: &'a Commons, op: Op, bucket: &'a [u8]) -> Self {
        if !enabled!(target: REQUEST, Level::DEBUG) {
            return Self(None);
        }
        let began = commons.environment.clock.now();
        let ending = Ending { outcome: "abandoned", acks: None, fallbacks: None, notable: true };
        Self(Some(Watched { commons, op, bucket, began, ending }))
    }

    /// The request has ended.
    pub fn end<T: Tells>(mut self, answer: &Result<T, RequestError>) {
        if let Some(watched) = &mut self.0 {
            watched.ending = match answer {
                Ok(answer) => Ending::of(answer),
                Err(error) => Ending::failed(error),
            };
        }
    }
}

/// An answer as the event tells it.
pub trait Tells {
    /// In one word.
    fn outcome(&self) -> &'static str {
        "ok"
    }

    /// Who stood for it.
    fn replicas(&self) -> Option<Replicas> {
        None
    }
}

impl Tells for Answer<Got> {
    fn outcome(&self) -> &'static str {
        match self.body {
            Got::Value { .. } => "ok",
            Got::Siblings { .. } => "siblings",
            Got::Deleted { .. } => "deleted",
            Got::NotFound => "not_found",
        }
    }

    fn replicas(&self) -> Option<Replicas> {
        Some(self.replicas)
    }
}

impl Tells for Answer<Written> {
    fn replicas(&self) -> Option<Replicas> {
        Some(self.replicas)
    }
}

impl Tells for KeyPage {}

impl Tells for BucketRegister {}

impl Ending {
    fn of(answer: &impl Tells) -> Self {
        let replicas = answer.replicas();
        Self {
            outcome: answer.outcome(),
            acks: replicas.map(|replicas| replicas.acks),
            fallbacks: replicas.map(|replicas| replicas.fallbacks),
            notable: false,
        }
    }

    fn failed(error: &RequestError) -> Self {
        let acks = match error {
            RequestError::QuorumNotMet { got, .. } | RequestError::TimedOut { got, .. } => {
                Some(*got)
            }
            _ => None,
        };
        // What is shed comes in floods, and must not become a flood of events.
        let notable = !matches!(error, RequestError::Overloaded { .. });
        Self { outcome: error.code(), acks, fallbacks: None, notable }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let elapsed = self.commons.environment.clock.now().since(self.began);
        let weight = match () {
            () if self.ending.notable || elapsed >= REQUEST_SLOW => 1,
            () if is_sampled(self.commons.requests_watched.fetch_add(1, Relaxed)) => {
                REQUEST_SAMPLE_EVERY
            }
            () => 0,
        };
        self.tell(elapsed, weight);
    }
}

impl Watched<'_> {
    fn tell(&self, elapsed: Duration, weight: u64) {
        let cluster = self.commons.cluster.load();
        let properties = cluster.buckets.properties(self.bucket);
        let (op, r, w) = match self.op {
            Op::Get { r } => ("get", Some(r.unwrap_or(properties.r)), None),
            Op::Put { w } => ("put", None, Some(w.unwrap_or(properties.w))),
            Op::Delete { w } => ("delete", None, Some(w.unwrap_or(properties.w))),
            Op::Keys => ("keys", None, None),
            Op::SetBucket => ("set_bucket", None, None),
        };
        let Ending { outcome, acks, fallbacks, .. } = self.ending;
        let elapsed_us = whole_micros(elapsed);
        macro_rules! tell_at {
            ($level:expr) => {
                event!(
                    target: REQUEST,
                    $level,
                    op,
                    node = self.commons.name(),
                    bucket = %self.bucket.escape_ascii(),
                    n = properties.n,
                    r,
                    w,
                    acks,
                    fallbacks,
                    outcome,
                    elapsed_us,
                    weight,
                    "request"
                )
            };
        }
        if weight > 0 { tell_at!(Level::DEBUG) } else { tell_at!(Level::TRACE) }
    }
}

/// Whether the request with this number is one of those that stand for all. The multiples of the
/// golden ratio fall evenly, whatever rhythm the requests have: of clients that get and put in
/// turn, a plain every-sixteenth would see the gets alone.
fn is_sampled(number: u64) -> bool {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    number.wrapping_mul(GOLDEN) < u64::MAX / REQUEST_SAMPLE_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_fair_to_every_rhythm() {
        for rhythm in [1, 2, 3, 5, 16, 100] {
            let sampled = (0..16_000).filter(|round| is_sampled(round * rhythm)).count();
            assert!((950..=1050).contains(&sampled), "{sampled} of 16000 at {rhythm}");
        }
    }
}
