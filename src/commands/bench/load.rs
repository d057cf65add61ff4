//! The clients of a bench.

use std::{collections::BTreeMap, iter::Sum, time::Duration};

use bytes::Bytes;
use hdrhistogram::Histogram;
use henge_actors::environment::{Entropy as _, SystemEntropy};
use henge_kernel::key::Key;
use tokio::time::Instant;

use crate::cli::{BenchArgs, Mix};

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(2);

/// A way into the cluster, for one client.
pub trait Door {
    /// What a get has seen, for the next put.
    type Context: Clone + Default;

    /// Reads a key; `None` if there is none.
    async fn get(&mut self, key: &Key) -> Result<Option<Self::Context>, String>;

    /// Writes a key.
    async fn put(
        &mut self,
        key: &Key,
        value: Bytes,
        context: Self::Context,
    ) -> Result<Self::Context, String>;
}

/// What every client does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    mix: Mix,
    value_size: usize,
}

impl Plan {
    pub fn new(args: &BenchArgs) -> Self {
        // Values fit into memory: their limit is far below that.
        let value_size = usize::try_from(args.value_size).unwrap_or(usize::MAX);
        Self { mix: args.mix, value_size }
    }
}

/// One client, with its keys and what it has seen of each.
pub struct Worker<D: Door> {
    door: D,
    keys: Vec<(Key, D::Context)>,
    plan: Plan,
    random: fastrand::Rng,
}

impl<D: Door> Worker<D> {
    /// A client that has seen nothing.
    pub fn new(door: D, keys: Vec<Key>, plan: Plan) -> Self {
        let keys = keys.into_iter().map(|key| (key, D::Context::default())).collect();
        let random = fastrand::Rng::with_seed(SystemEntropy.draw("bench"));
        Self { door, keys, plan, random }
    }

    /// Writes the keys that are not there, and learns what there is of the others.
    pub async fn prepare(&mut self) -> Result<(), String> {
        for (key, context) in &mut self.keys {
            *context = if let Some(seen) = self.door.get(key).await? {
                seen
            } else {
                let value = fresh(&mut self.random, self.plan.value_size);
                self.door.put(key, value, D::Context::default()).await?
            };
        }
        Ok(())
    }

    /// Sends one request after the other.
    pub async fn send_until(&mut self, end: Instant) -> Measured {
        let mut measured = Measured::default();
        while Instant::now() < end {
            let at = self.random.usize(..self.keys.len());
            let reads = match self.plan.mix {
                Mix::Get => true,
                Mix::Put => false,
                Mix::Mixed => self.random.bool(),
            };
            if reads {
                self.get(at, &mut measured.gets).await;
            } else {
                self.put(at, &mut measured.puts).await;
            }
        }
        measured
    }

    async fn get(&mut self, at: usize, gets: &mut Requests) {
        let (key, _) = &self.keys[at];
        let begun = Instant::now();
        match self.door.get(key).await {
            Ok(Some(_)) => gets.took(begun.elapsed()),
            Ok(None) => gets.failed("not found".to_owned()),
            Err(why) => gets.failed(why),
        }
    }

    async fn put(&mut self, at: usize, puts: &mut Requests) {
        let value = fresh(&mut self.random, self.plan.value_size);
        let (key, context) = &mut self.keys[at];
        let begun = Instant::now();
        match self.door.put(key, value, context.clone()).await {
            Ok(seen) => {
                puts.took(begun.elapsed());
                *context = seen;
            }
            Err(why) => {
                puts.failed(why);
                // It may have been applied; what is there then is seen before the next put.
                if let Ok(Some(seen)) = self.door.get(key).await {
                    *context = seen;
                }
            }
        }
    }
}

/// A value that no other equals, and that does not compress.
fn fresh(random: &mut fastrand::Rng, size: usize) -> Bytes {
    let mut value = vec![0; size];
    random.fill(&mut value);
    value.into()
}

/// Lets all clients do `work` at the same time; gives them back with what came of it.
pub async fn together<D: Door + 'static, T: 'static>(
    workers: Vec<Worker<D>>,
    work: impl AsyncFn(&mut Worker<D>) -> T + Copy + 'static,
) -> Vec<(Worker<D>, T)> {
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            tokio::task::spawn_local(async move {
                let outcome = work(&mut worker).await;
                (worker, outcome)
            })
        })
        .collect();
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(outcome) => done.push(outcome),
            Err(fell) => std::panic::resume_unwind(fell.into_panic()),
        }
    }
    done
}

/// What requests of one kind took.
pub struct Requests {
    /// Of those that succeeded, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// How many failed, by what was said.
    pub failures: BTreeMap<String, u64>,
}

impl Default for Requests {
    fn default() -> Self {
        // 1 ns to the longest, to three digits: the bounds that make this fail are constants.
        let latencies = Histogram::new_with_bounds(1, nanos(LONGEST), 3)
            .unwrap_or_else(|error| unreachable!("{error}"));
        Self { latencies, failures: BTreeMap::new() }
    }
}

impl Requests {
    fn took(&mut self, elapsed: Duration) {
        self.latencies.saturating_record(nanos(elapsed).max(1));
    }

    fn failed(&mut self, why: String) {
        *self.failures.entry(why).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        // Both have the same bounds, so nothing is out of them.
        let added = self.latencies.add(&other.latencies);
        debug_assert!(added.is_ok());
        for (why, times) in other.failures {
            *self.failures.entry(why).or_default() += times;
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What a client measured.
#[derive(Default)]
pub struct Measured {
    pub gets: Requests,
    pub puts: Requests,
}

impl Sum for Measured {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |mut all, one| {
            all.gets.add(one.gets);
            all.puts.add(one.puts);
            all
        })
    }
}
