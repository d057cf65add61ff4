//! When the next replica is asked although nobody failed.
//!
//! A hedge bounds the tail of latency ("The Tail at Scale", Dean and Barroso), but a hedge that is
//! triggered by a percentile adds load exactly when everything is slow, and a percentile that takes
//! in hedged answers or timeouts learns from its own effect: with a dead replica it grows until
//! hedges stop. So:
//!
//! - the delay of an **early** hedge is the 95th percentile of *unhedged* answers, at least
//!   [`EARLY_MIN`], and early hedges share a budget of one in [`REQUESTS_PER_HEDGE`] requests;
//! - a **late** hedge, after [`late_delay`], is never denied: it bounds the pause that a silent
//!   replica can cause;
//! - replacing a replica that failed or is known to be down is no hedge at all.
//!
//! Leaving the hedged ones out lowers the percentile, but by little: the budget keeps them to 5 %.

use core::time::Duration;

use crate::histogram::{class_of, upper_edge};

/// The least delay of an early hedge.
pub const EARLY_MIN: Duration = Duration::from_millis(2);
/// The least delay of a late hedge.
pub const LATE_MIN: Duration = Duration::from_millis(50);
/// So many requests earn one early hedge.
pub const REQUESTS_PER_HEDGE: u32 = 20;
/// So many early hedges can be saved up.
pub const HEDGES_SAVED_MAX: u32 = 16;

/// After how much silence the next replica is asked in any case: a tenth of the request's timeout,
/// at least [`LATE_MIN`].
pub fn late_delay(timeout: Duration) -> Duration {
    LATE_MIN.max(timeout / 10)
}

/// The two delays of one request, from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HedgeDelays {
    /// Of the early hedge, which needs a grant.
    pub early: Duration,
    /// Of the late hedge, and between one and the next.
    pub late: Duration,
}

/// What one shard knows about hedging its reads.
#[derive(Clone, Debug, Default)]
pub struct Hedging {
    latencies: Latencies,
    budget: Budget,
}

impl Hedging {
    /// The delays of a request that starts now and has `timeout`. It earns its share of the budget.
    pub fn begin(&mut self, timeout: Duration) -> HedgeDelays {
        self.budget.earn();
        HedgeDelays {
            early: EARLY_MIN.max(self.latencies.percentile_95()),
            late: late_delay(timeout),
        }
    }

    /// Whether an early hedge may be sent; takes it from the budget.
    pub fn grant(&mut self) -> bool {
        self.budget.spend()
    }

    /// Takes in how long an unhedged answer took.
    pub fn observe(&mut self, latency: Duration) {
        self.latencies.add(latency);
    }
}

/// A token bucket over requests instead of time. It starts empty, so that at no moment more than
/// one in [`REQUESTS_PER_HEDGE`] requests was hedged early.
#[derive(Clone, Debug, Default)]
struct Budget {
    /// In parts of a hedge: one part a request.
    parts: u32,
}

impl Budget {
    fn earn(&mut self) {
        self.parts = (self.parts + 1).min(HEDGES_SAVED_MAX * REQUESTS_PER_HEDGE);
    }

    fn spend(&mut self) -> bool {
        let rest = self.parts.checked_sub(REQUESTS_PER_HEDGE);
        self.parts = rest.unwrap_or(self.parts);
        rest.is_some()
    }
}

/// Up to four minutes; what takes longer falls into the last class.
const CLASSES: usize = 4 * 27;
/// Counts are halved when there are so many, so that the recent past weighs most.
const SAMPLES_MAX: u32 = 1024;

/// A histogram of latencies that forgets: 432 bytes, no allocation, no clock.
#[derive(Clone, Debug)]
struct Latencies {
    counts: [u32; CLASSES],
    total: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [0; CLASSES], total: 0 }
    }
}

impl Latencies {
    fn add(&mut self, latency: Duration) {
        if self.total >= SAMPLES_MAX {
            self.halve();
        }
        self.counts[class_of(latency, CLASSES)] += 1;
        self.total += 1;
    }

    fn halve(&mut self) {
        for count in &mut self.counts {
            *count /= 2;
        }
        self.total = self.counts.iter().sum();
    }

    /// The upper edge of the class in which the 95th percentile lies; zero without samples.
    fn percentile_95(&self) -> Duration {
        let above = self.total / 20;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate().rev() {
            seen += count;
            if seen > above {
                return upper_edge(class);
            }
        }
        Duration::ZERO
    }
}
