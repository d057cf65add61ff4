//! How much background work there may be: a token bucket of bytes, that shrinks while clients have
//! to wait, and grows again when they do not.

use core::time::Duration;

use crate::time::{Instant, whole_micros};

/// Millionths: what a rate of one earns in a second.
const BYTE: i128 = 1_000_000;
/// The bucket holds what it earns in this time: about as long may a client wait for what is moved at
/// once.
const BURST: Duration = Duration::from_millis(10);
/// By which part of the greatest rate it grows at a time.
const STEPS: u64 = 100;

/// A token bucket of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    rate: u64,
    rate_min: u64,
    rate_max: u64,
    /// In millionths of a byte; below zero after something greater than the bucket was let through.
    level: i128,
    filled: Instant,
}

impl Budget {
    /// A full bucket, at the least rate: what clients bear is yet to be seen. Both rates are in bytes
    /// per second.
    pub fn new(now: Instant, rate_min: u64, rate_max: u64) -> Self {
        let rate_max = rate_max.max(1);
        let rate_min = rate_min.clamp(1, rate_max);
        let mut budget = Self { rate: rate_min, rate_min, rate_max, level: 0, filled: now };
        budget.level = budget.capacity();
        budget
    }

    /// The rate, in bytes per second.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Takes so many bytes, or says when to try again. What is greater than the bucket is let
    /// through once it is full, and paid for afterwards.
    pub fn take(&mut self, now: Instant, bytes: u64) -> Result<(), Instant> {
        self.fill(now);
        let cost = i128::from(bytes) * BYTE;
        let wanted = cost.min(self.capacity());
        if self.level >= wanted {
            self.level -= cost;
            return Ok(());
        }
        let micros = (wanted - self.level) / i128::from(self.rate) + 1;
        Err(now.after(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))))
    }

    /// Takes in whether clients have to wait: half as much of it if they do, a little more if they do
    /// not.
    pub fn adapt(&mut self, now: Instant, is_waited: bool) {
        self.fill(now);
        self.rate = if is_waited {
            self.rate_min.max(self.rate / 2)
        } else {
            self.rate_max.min(self.rate.saturating_add(1.max(self.rate_max / STEPS)))
        };
    }

    /// Nothing was done for a while: what clients bear is seen anew.
    pub fn begin_anew(&mut self, now: Instant) {
        self.fill(now);
        self.rate = self.rate_min;
    }

    fn capacity(&self) -> i128 {
        i128::from(self.rate) * i128::from(whole_micros(BURST))
    }

    fn fill(&mut self, now: Instant) {
        let earned = i128::from(self.rate) * i128::from(whole_micros(now.since(self.filled)));
        self.filled = now;
        self.level = self.capacity().min(self.level + earned);
    }
}
