//! How long a fallen actor waits, and when its parent is asked instead.

use std::{collections::VecDeque, time::Duration};

use henge_kernel::time::Instant;

/// Restarts at most `restarts_max` times within `window`, each wait twice the last one.
#[derive(Clone, Copy, Debug)]
pub struct BackoffPolicy {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// More restarts than this within `window` are given up.
    pub restarts_max: usize,
    /// What "within" means; also the quiet time after which the waits begin anew.
    pub window: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(10),
            longest: Duration::from_secs(1),
            restarts_max: 5,
            window: Duration::from_secs(30),
        }
    }
}

/// The state of one child under a policy. Jitter comes from a seed, so a simulation repeats it.
#[derive(Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    falls: VecDeque<Instant>,
    jitter: fastrand::Rng,
}

impl Backoff {
    /// A child that never fell.
    pub fn new(policy: BackoffPolicy, seed: u64) -> Self {
        Self { policy, falls: VecDeque::new(), jitter: fastrand::Rng::with_seed(seed) }
    }

    /// The child fell at `now`: how long it waits, or `None` when it falls too often.
    pub fn fell(&mut self, now: Instant) -> Option<Duration> {
        while self.falls.front().is_some_and(|fall| now.since(*fall) > self.policy.window) {
            self.falls.pop_front();
        }
        let earlier = self.falls.len();
        if earlier >= self.policy.restarts_max {
            return None;
        }
        self.falls.push_back(now);
        let doublings = u32::try_from(earlier).unwrap_or(u32::MAX).min(16);
        let wait = (self.policy.first * (1 << doublings)).min(self.policy.longest);
        // Children that fell together do not come back together.
        Some(wait.mul_f64(0.75 + self.jitter.f64() / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_with_the_intensity() {
        let policy = BackoffPolicy { restarts_max: 4, ..BackoffPolicy::default() };
        let mut backoff = Backoff::new(policy, 1);
        let now = Instant::from_micros(1);
        let waits: Vec<_> = std::iter::from_fn(|| backoff.fell(now)).collect();
        assert_eq!(waits.len(), 4);
        for (doublings, wait) in (0u32..).zip(&waits) {
            let middle = policy.first * (1 << doublings);
            assert!(*wait >= middle.mul_f64(0.75) && *wait <= middle.mul_f64(1.25), "{waits:?}");
        }
    }

    #[test]
    fn a_quiet_window_forgives() {
        let policy = BackoffPolicy { restarts_max: 1, ..BackoffPolicy::default() };
        let mut backoff = Backoff::new(policy, 1);
        assert!(backoff.fell(Instant::from_micros(0)).is_some());
        assert!(backoff.fell(Instant::from_micros(1)).is_none());
        let later = Instant::from_micros(0).after(policy.window * 2);
        assert!(backoff.fell(later).is_some());
    }
}
