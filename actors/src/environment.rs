//! All that a node may know of the outside: clocks, entropy, network, disk.
//!
//! Cloned into every actor. Production and simulation differ here and nowhere else, so this is
//! the one file that reads a clock or draws entropy.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use henge_kernel::{
    id::WriteId,
    time::{Instant, WallMillis, whole_micros, whole_millis},
};

use crate::{
    settings::Settings,
    storage::{disk::Disk, disk_files::FileDisk},
    transport::{
        Transport,
        faults::Faults,
        quic::{PEER_CONNECTIONS, Quic, QuicSettings},
        tls::{Directory, Identity, TlsError},
    },
};

/// What surrounds a node. All parts are shared by its shards, which may run on several threads.
#[derive(Clone)]
pub struct Environment {
    /// Monotone and wall time.
    pub clock: Arc<dyn Clock>,
    /// Fresh random bits.
    pub entropy: Arc<dyn Entropy>,
    /// How nodes reach each other.
    pub transport: Arc<dyn Transport>,
    /// Where records survive.
    pub disk: Arc<dyn Disk>,
    /// Cuts made on purpose, where the transport obeys them and the node was started to allow it.
    pub faults: Option<Arc<Faults>>,
}

impl Environment {
    /// The clocks, entropy, network and disk of this machine, for the node of `settings`.
    ///
    /// Reads the node's certificate from `settings.tls.dir`; makes what is missing there first if
    /// `settings.tls.generate` says so. Faults can be injected if `settings.allow_faults` does.
    /// Nothing is opened yet: that is for [`Node::start`](crate::Node::start).
    pub fn production(settings: &Settings) -> Result<Self, TlsError> {
        let clock = SystemClock::start();
        let identity = identity(settings, clock.wall())?;
        let clients_max = usize::try_from(settings.limits.connections_max).unwrap_or(usize::MAX);
        let connections_max = clients_max.saturating_add(PEER_CONNECTIONS);
        let bounds = QuicSettings { connections_max, clients_max, ..QuicSettings::default() };
        let quic = Quic::new(identity, bounds);
        let faults = settings.allow_faults.then(|| Arc::new(Faults::new()));
        let quic = match &faults {
            Some(faults) => quic.with_faults(Arc::clone(faults)),
            None => quic,
        };
        Ok(Self {
            clock: Arc::new(clock),
            entropy: Arc::new(SystemEntropy),
            transport: Arc::new(quic),
            disk: Arc::new(FileDisk),
            faults,
        })
    }
}

fn identity(settings: &Settings, now: WallMillis) -> Result<Identity, TlsError> {
    let directory = Directory::new(&settings.tls.dir, settings.cluster.name.as_str())?;
    if settings.tls.generate {
        directory.generate_missing(&settings.node.name, now)?;
    }
    directory.load_node(&settings.node.name, now)
}

/// Tells the time. Timers follow tokio's clock, which a simulation pauses.
pub trait Clock: Send + Sync {
    /// Monotone time of this process.
    fn now(&self) -> Instant;
    /// The wall clock, right or wrong.
    fn wall(&self) -> WallMillis;
}

/// Draws random bits.
pub trait Entropy: Send + Sync {
    /// 64 fresh bits. A seeded source gives each `purpose` a stream of its own, so that a new
    /// user of randomness does not shift what the others draw.
    fn draw(&self, purpose: &'static str) -> u64;

    /// A fresh name for a write.
    fn draw_write_id(&self) -> WriteId {
        let (high, low) = (self.draw("write id"), self.draw("write id"));
        WriteId(u128::from(high) << 64 | u128::from(low))
    }
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose monotone time begins now.
    pub fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::from_micros(whole_micros(self.origin.elapsed()))
    }

    #[expect(clippy::disallowed_methods, reason = "the clock itself")]
    fn wall(&self) -> WallMillis {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        WallMillis(since_epoch.map_or(0, whole_millis))
    }
}

/// Entropy of the operating system.
#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn draw(&self, _purpose: &'static str) -> u64 {
        match getrandom::u64() {
            Ok(bits) => bits,
            // Without entropy two shards could share a uid, and then one dot could name two
            // values: there is no safe way on.
            Err(error) => panic!("the operating system gives no random bits: {error}"),
        }
    }
}

/// A clock on tokio's (paused) time, with a wall clock that a test can bend.
#[derive(Debug)]
pub struct SimulatedClock {
    /// When the process began.
    origin: tokio::time::Instant,
    /// When the wall clock showed [`SIMULATED_EPOCH_MS`].
    epoch: tokio::time::Instant,
    skew_ms: AtomicI64,
    drift_ppm: AtomicI64,
}

/// Where simulated wall clocks begin: a day in 2024, in milliseconds since the epoch.
const SIMULATED_EPOCH_MS: u64 = 1_714_000_000_000;

impl SimulatedClock {
    /// A clock whose both times begin now; must be called inside a tokio runtime.
    pub fn start() -> Self {
        Self::since(tokio::time::Instant::now())
    }

    /// The clock of a process that begins now, on a machine whose wall clock began at `epoch`.
    pub fn since(epoch: tokio::time::Instant) -> Self {
        let origin = tokio::time::Instant::now();
        Self { origin, epoch, skew_ms: AtomicI64::new(0), drift_ppm: AtomicI64::new(0) }
    }

    /// The clock of the next process on the same machine.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let [skew_ms, drift_ppm] = [&self.skew_ms, &self.drift_ppm]
            .map(|bent| AtomicI64::new(bent.load(Ordering::Relaxed)));
        Self { skew_ms, drift_ppm, ..Self::since(self.epoch) }
    }

    /// Sets how far the wall clock is off, in milliseconds.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    /// Sets by how many millionths the wall clock is too fast, or too slow.
    pub fn set_drift_ppm(&self, drift_ppm: i64) {
        self.drift_ppm.store(drift_ppm, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Instant {
        Instant::from_micros(whole_micros(self.origin.elapsed()))
    }

    fn wall(&self) -> WallMillis {
        let passed = whole_millis(self.epoch.elapsed());
        let drift = i64::try_from(passed).unwrap_or(i64::MAX) / 1000
            * self.drift_ppm.load(Ordering::Relaxed)
            / 1000;
        let skew = self.skew_ms.load(Ordering::Relaxed) + drift;
        WallMillis((SIMULATED_EPOCH_MS + passed).saturating_add_signed(skew))
    }
}

/// Entropy from a seed: the same draws, run after run.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    streams: Mutex<BTreeMap<&'static str, u64>>,
}

impl SeededEntropy {
    /// A source that `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self { seed, streams: Mutex::default() }
    }
}

impl Entropy for SeededEntropy {
    fn draw(&self, purpose: &'static str) -> u64 {
        // Whoever panicked elsewhere left a count that is whole.
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = streams.entry(purpose).or_insert(0);
        *drawn += 1;
        let mut input = [0; 16];
        input[..8].copy_from_slice(&self.seed.to_le_bytes());
        input[8..].copy_from_slice(&drawn.to_le_bytes());
        xxhash_rust::xxh3::xxh3_64_with_seed(purpose.as_bytes(), xxhash_rust::xxh3::xxh3_64(&input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_has_a_name_of_its_own() {
        let seeded = SeededEntropy::new(7);
        for entropy in [&SystemEntropy as &dyn Entropy, &seeded] {
            let (first, second) = (entropy.draw_write_id(), entropy.draw_write_id());
            assert_ne!(first, second);
            assert_ne!(first.0 >> 64, first.0 & u128::from(u64::MAX), "both halves are drawn");
        }
        assert_eq!(SeededEntropy::new(7).draw_write_id(), SeededEntropy::new(7).draw_write_id());
    }
}
