//! One actor in numbers: what waits for it, what it has done, how long that took.
//!
//! Depth and counts are exact; times are taken of one message in [`SAMPLE_EVERY`], so that measuring
//! costs little. Once an interval the `NodeSupervisor` turns each [`Meter`] into one `actor_metrics`
//! event.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use henge_kernel::{
    histogram::{class_of, upper_edge},
    time::whole_micros,
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::events::ACTOR;

/// One message in this many is timed.
const SAMPLE_EVERY: u64 = 16;
/// A handler that runs longer than this holds up its whole shard, and is named.
const SLOW: Duration = Duration::from_millis(50);
/// A mailbox deeper than this is named once, until it has been empty again.
const DEEP: u32 = 10_000;

/// Counts and times of one actor. Shared between threads, without locks.
#[derive(Debug)]
pub struct Meter {
    /// The actor's name.
    pub actor: &'static str,
    /// Which of several, for example the peer of a link.
    pub instance: String,
    /// Name of the node.
    pub node: String,
    /// The shard it runs on.
    pub shard: u16,
    sent: AtomicU64,
    depth_max: AtomicU32,
    handled: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    restarts: AtomicU64,
    named_deep: AtomicU32,
    waits: Histogram,
    runs: Histogram,
}

impl Meter {
    /// A message was put into the mailbox; says whether this one is timed.
    pub fn sent(&self) -> bool {
        let before = self.sent.fetch_add(1, Relaxed);
        let depth = self.depth();
        if depth > self.depth_max.load(Relaxed) {
            self.depth_max.store(depth, Relaxed);
            if depth > DEEP && self.named_deep.swap(1, Relaxed) == 0 {
                warn!(target: ACTOR, actor = self.actor, instance = self.instance, shard = self.shard, depth, "mailbox_high");
            }
        }
        before.is_multiple_of(SAMPLE_EVERY)
    }

    /// Messages that wait or are being handled: what was sent and is not handled. Both counts only
    /// grow, so that a message costs two atomic additions and no more.
    fn depth(&self) -> u32 {
        let waiting = self.sent.load(Relaxed).saturating_sub(self.handled.load(Relaxed));
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// A timed message was taken from the mailbox after `wait`.
    pub fn waited(&self, wait: Duration) {
        self.waits.count(wait);
    }

    /// A message has been handled, in `ran` if it was timed; `failed` by a panic.
    pub fn handled(&self, ran: Option<Duration>, failed: bool, message: &'static str) {
        self.handled.fetch_add(1, Relaxed);
        if self.named_deep.load(Relaxed) != 0 && self.depth() == 0 {
            self.named_deep.store(0, Relaxed);
        }
        if failed {
            self.failed.fetch_add(1, Relaxed);
        }
        if let Some(ran) = ran {
            self.runs.count(ran);
            if ran > SLOW {
                warn!(target: ACTOR, actor = self.actor, shard = self.shard, message, run_us = ran.as_micros(), "slow_message");
            }
        }
    }

    /// Work was refused at the actor's door.
    pub fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    /// The actor was rebuilt after a panic.
    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// What the meter shows since the node began.
    pub fn report(&self) -> ActorReport {
        self.report_of(&self.waits.counts(), &self.runs.counts())
    }

    fn report_of(&self, waits: &Counts, runs: &Counts) -> ActorReport {
        ActorReport {
            actor: self.actor.into(),
            instance: self.instance.clone(),
            node: self.node.clone(),
            shard: self.shard,
            depth: self.depth(),
            depth_max: self.depth_max.load(Relaxed),
            handled: self.handled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            wait_p50_us: waits.percentile(50),
            wait_p99_us: waits.percentile(99),
            run_p50_us: runs.percentile(50),
            run_p99_us: runs.percentile(99),
            run_max_us: runs.percentile(100),
            restarts: self.restarts.load(Relaxed),
        }
    }
}

/// One actor in numbers: depth of its mailbox, messages handled, times in microseconds (sampled,
/// upper bound of a bucket that is at most a quarter too wide).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorReport {
    /// The actor's name.
    pub actor: Cow<'static, str>,
    /// Which of several.
    pub instance: String,
    /// Name of the node.
    pub node: String,
    /// The shard it runs on.
    pub shard: u16,
    /// Messages waiting now.
    pub depth: u32,
    /// Most messages that ever waited.
    pub depth_max: u32,
    /// Messages handled.
    pub handled: u64,
    /// Messages whose handler panicked.
    pub failed: u64,
    /// Work refused at the door.
    pub rejected: u64,
    /// Median wait in the mailbox.
    pub wait_p50_us: u64,
    /// 99th percentile of the waits.
    pub wait_p99_us: u64,
    /// Median time in the handler.
    pub run_p50_us: u64,
    /// 99th percentile of the times in the handler.
    pub run_p99_us: u64,
    /// Longest time in the handler.
    pub run_max_us: u64,
    /// Rebuilt after panics.
    pub restarts: u64,
}

/// The meters of one node.
#[derive(Debug, Default)]
pub struct Roster {
    meters: Mutex<Vec<Arc<Meter>>>,
}

/// What a reporter remembers of each meter, to tell the difference since the last event.
#[derive(Debug, Default)]
pub struct LastTold {
    counts: Vec<(u64, u64, Counts, Counts)>,
}

impl Roster {
    /// Makes the meter of an actor and keeps it.
    pub fn enlist(
        &self,
        node: &str,
        shard: u16,
        actor: &'static str,
        instance: String,
    ) -> Arc<Meter> {
        let meter = Arc::new(Meter {
            actor,
            instance,
            node: node.to_owned(),
            shard,
            sent: AtomicU64::new(0),
            depth_max: AtomicU32::new(0),
            handled: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            named_deep: AtomicU32::new(0),
            waits: Histogram::default(),
            runs: Histogram::default(),
        });
        self.lock().push(Arc::clone(&meter));
        meter
    }

    /// All actors in numbers.
    pub fn reports(&self) -> Vec<ActorReport> {
        self.lock().iter().map(|meter| meter.report()).collect()
    }

    /// One `actor_metrics` event an actor, counting since the last time. Costs nothing when
    /// nobody listens.
    pub fn tell(&self, last: &mut LastTold) {
        if !tracing::enabled!(target: ACTOR, tracing::Level::INFO) {
            return;
        }
        let meters = self.lock().clone();
        last.counts.resize_with(meters.len(), Default::default);
        for (meter, (handled, failed, waits, runs)) in meters.iter().zip(&mut last.counts) {
            let (all_waits, all_runs) = (meter.waits.counts(), meter.runs.counts());
            let report = meter.report_of(&all_waits.since(waits), &all_runs.since(runs));
            info!(
                target: ACTOR,
                actor = &*report.actor,
                instance = report.instance,
                node = report.node,
                shard = report.shard,
                depth = report.depth,
                depth_max = report.depth_max,
                handled = report.handled - *handled,
                failed = report.failed - *failed,
                rejected = report.rejected,
                wait_p50_us = report.wait_p50_us,
                wait_p99_us = report.wait_p99_us,
                run_p50_us = report.run_p50_us,
                run_p99_us = report.run_p99_us,
                run_max_us = report.run_max_us,
                restarts = report.restarts,
                "actor_metrics"
            );
            (*handled, *failed) = (report.handled, report.failed);
            (*waits, *runs) = (all_waits, all_runs);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Meter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to two hours; what takes longer falls into the last class.
const CLASSES: usize = 4 * 32;

/// Counts of spans by their class.
#[derive(Debug)]
struct Histogram([AtomicU64; CLASSES]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Histogram {
    fn count(&self, span: Duration) {
        self.0[class_of(span, CLASSES)].fetch_add(1, Relaxed);
    }

    fn counts(&self) -> Counts {
        Counts(std::array::from_fn(|class| self.0[class].load(Relaxed)))
    }
}

/// A histogram at one moment.
#[derive(Clone, Debug)]
struct Counts([u64; CLASSES]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

impl Counts {
    fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|class| self.0[class] - earlier.0[class]))
    }

    /// The greatest whole microsecond of the class that holds this percentile; 0 if empty.
    fn percentile(&self, percent: u64) -> u64 {
        let total: u64 = self.0.iter().sum();
        let wanted = (total * percent).div_ceil(100);
        let mut seen = 0;
        let reached = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let reached = reached.filter(|_| total > 0);
        reached.map_or(0, |class| whole_micros(upper_edge(class)) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_counts_what_is_sent_and_handled() {
        let roster = Roster::default();
        let meter = roster.enlist("a", 0, "StorageShard", String::new());
        assert!(meter.sent(), "the first message is timed");
        assert!(!meter.sent());
        meter.waited(Duration::from_micros(10));
        meter.handled(Some(Duration::from_micros(100)), false, "M");
        meter.handled(None, true, "M");
        let report = &roster.reports()[0];
        assert_eq!((report.depth, report.depth_max), (0, 2));
        assert_eq!((report.handled, report.failed), (2, 1));
        assert!(report.run_p50_us >= 100 && report.run_p50_us <= 125);
    }
}
