//! What a seed decides about a run before it begins: swarm options, so that most runs have few
//! kinds of faults and some have all.

use std::{collections::BTreeSet, ops::RangeInclusive};

use henge_kernel::{causality::RecordLimits, planted::Defect};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Fault, Work};
use crate::transport::simulated::NetworkProfile;

/// All that decides a run. Two runs with the same options are the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Decides what the rest leaves to chance.
    pub seed: u64,
    /// How many nodes, 3 to 7.
    pub nodes: usize,
    /// Shards of each node, in turn.
    pub shards: Vec<u64>,
    /// Into how many arcs the ring is cut.
    pub partitions: u32,
    /// The network.
    pub weather: Weather,
    /// The kinds of faults that happen.
    pub faults: BTreeSet<Fault>,
    /// Time between two faults, on average.
    pub fault_every_ms: u64,
    /// How long a fault lasts at most.
    pub fault_ms_max: u64,
    /// How many nodes may lose what they had acknowledged, until all is equal again. Fewer than
    /// any write has acknowledgements, or losses were no bugs.
    pub damaged_max: usize,
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// Keys, shared out among the buckets.
    pub keys: usize,
    /// Values are so long.
    pub value_bytes: usize,
    /// Clients that work at a time.
    pub clients: usize,
    /// Time between two requests of a client, on average.
    pub pause_ms: u64,
    /// Bursts of work, each followed by quiet in which all must become equal.
    pub bursts: usize,
    /// How long a burst of work lasts.
    pub burst_ms: u64,
    /// What the clients do.
    pub mix: Mix,
    /// What single requests want for themselves.
    #[serde(default)]
    pub wishes: Wishes,
    /// Whether all write to one key what they have not seen, until it takes no more: then nobody may
    /// lose what it has written itself, and only homes write, so that the siblings can be bounded.
    #[serde(default)]
    pub crowd: bool,
    /// What nodes are told.
    pub tuning: Tuning,
    /// The mistake that is made on purpose.
    #[serde(default, with = "super::defects::by_name", skip_serializing_if = "Option::is_none")]
    pub planted: Option<Defect>,
}

/// How good the network is while faults are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weather {
    /// The shortest way of a packet.
    pub delay_us_min: u64,
    /// The longest.
    pub delay_us_max: u64,
    /// Packets lost, of a hundred.
    pub loss_percent: u8,
    /// Frames that come twice, of a hundred.
    pub duplicate_percent: u8,
    /// Frames that are overtaken, of a hundred.
    pub reorder_percent: u8,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Homes of its keys.
    pub n: u8,
    /// Replicas that answer a get.
    pub r: u8,
    /// Replicas that acknowledge a write.
    pub w: u8,
    /// Whether the last writer wins.
    pub lww: bool,
    /// Whether other nodes may stand in for homes.
    pub sloppy: bool,
    /// `os` or `periodic`.
    pub durability: String,
}

/// What the clients do: weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Reads.
    pub read: u32,
    /// Reads, then writes with what was read.
    pub update: u32,
    /// Writes without a context.
    pub blind: u32,
    /// Writes with the context of the client's last write of the key.
    pub chained: u32,
    /// Writes with a context of long ago.
    pub stale: u32,
    /// Deletes with what was read.
    pub delete: u32,
    /// Of a hundred writes, how many have a write id of the client's.
    pub write_id_percent: u8,
    /// Of a hundred requests that failed, how many are tried again.
    pub retry_percent: u8,
    /// Of a hundred requests, how many are given up by the client before the store answers.
    pub impatient_percent: u8,
}

/// What single requests want for themselves, whatever their bucket says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wishes {
    /// Of a hundred requests, how many have a quorum of their own.
    pub quorum_percent: u8,
    /// Of a hundred puts, how many expire.
    pub ttl_percent: u8,
    /// How long a value that expires lives at most.
    pub ttl_ms_max: u64,
}

/// What nodes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// `storage.sync_interval`.
    pub sync_interval_ms: u64,
    /// `storage.tombstone_min_age`.
    pub tombstone_min_age_ms: u64,
    /// `anti_entropy.interval`.
    pub anti_entropy_ms: u64,
    /// `handoff.hint_bytes_max`.
    pub hint_bytes_max: u64,
    /// `storage.reserve_bytes`; in runs that were written down before there was one, next to none.
    #[serde(default = "least_reserve")]
    pub reserve_bytes: u64,
}

fn least_reserve() -> u64 {
    1
}

/// Draws, each from a stream of its own: a new option does not shift the others.
struct Draws {
    seed: u64,
}

impl Draws {
    fn rng(&self, purpose: &str) -> fastrand::Rng {
        fastrand::Rng::with_seed(xxh3_64_with_seed(purpose.as_bytes(), self.seed))
    }

    fn of<T: Copy>(&self, purpose: &str, choices: &[T]) -> T {
        choices[self.rng(purpose).usize(..choices.len())]
    }

    fn within(&self, purpose: &str, range: RangeInclusive<u64>) -> u64 {
        self.rng(purpose).u64(range)
    }

    /// Mostly small numbers, at times great ones.
    fn skewed(&self, purpose: &str, range: RangeInclusive<u64>) -> u64 {
        let mut rng = self.rng(purpose);
        let (least, span) = (*range.start(), range.end() - range.start());
        let portion = rng.f64().powi(3);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small numbers"
        )]
        let above = (portion * (span + 1) as f64) as u64;
        least + above.min(span)
    }
}

impl Options {
    /// What `seed` decides.
    pub fn draw(seed: u64) -> Self {
        let draws = Draws { seed };
        let nodes = draws.of("nodes", &[3, 3, 3, 4, 5, 5, 6, 7]);
        let buckets = draw_buckets(&draws, nodes);
        let shards = draw_shards(&draws);
        let mut options = Self {
            seed,
            nodes,
            shards,
            partitions: draws.of("partitions", &[8, 16, 32, 64]),
            weather: Weather::draw(&draws),
            faults: draw_faults(&draws),
            fault_every_ms: draws.within("fault every", 500..=4_000),
            fault_ms_max: draws.of("fault ms max", &[1_000, 3_000, 6_000, 12_000]),
            damaged_max: draws.of("damaged max", &[0, 1, 1, 2]),
            buckets,
            keys: usize::try_from(1 + draws.skewed("keys", 0..=39)).unwrap_or(1),
            value_bytes: usize::try_from(draws.skewed("value bytes", 16..=4_000)).unwrap_or(16),
            clients: usize::try_from(draws.within("clients", 2..=8)).unwrap_or(2),
            pause_ms: draws.within("pause", 8..=60),
            bursts: usize::try_from(draws.within("bursts", 1..=3)).unwrap_or(1),
            burst_ms: draws.within("burst ms", 4_000..=10_000),
            mix: Mix::draw(&draws),
            wishes: Wishes::draw(&draws),
            crowd: draws.within("crowd", 0..=15) == 0,
            tuning: Tuning::draw(&draws),
            planted: None,
        };
        if options.crowd {
            options.gather();
        }
        options.settle();
        options
    }

    /// Has everybody write to one key.
    fn gather(&mut self) {
        self.buckets.truncate(1);
        self.keys = 1;
        self.clients = 8;
        self.pause_ms = 15;
        self.bursts = 1;
        self.value_bytes = self.value_bytes.min(200);
        self.mix = Mix { read: 3, update: 0, blind: 30, chained: 1, delete: 0, ..self.mix };
    }

    /// Draws the consequences of what was chosen: what cannot be, or would be no bug, is left out.
    pub fn settle(&mut self) {
        if self.crowd {
            self.damaged_max = 0;
            self.wishes.quorum_percent = 0;
            for bucket in &mut self.buckets {
                (bucket.lww, bucket.sloppy) = (false, false);
            }
        }
        let acknowledgements = self.buckets.iter().map(|bucket| usize::from(bucket.w)).min();
        self.damaged_max = self.damaged_max.min(acknowledgements.unwrap_or(1) - 1);
        if self.damaged_max == 0 {
            self.faults.retain(|fault| !fault.is_damage());
        }
        if !self.faults.contains(&Fault::PowerCut) {
            self.faults.remove(&Fault::TornTail);
        }
        if !self.faults.iter().any(|fault| fault.is_damage()) {
            self.damaged_max = 0;
        }
        if self.nodes < 4 {
            self.faults.remove(&Fault::Ring);
        }
        self.buckets.retain(|bucket| usize::from(bucket.n) <= self.nodes);
    }

    /// The most siblings that a get may show, if they are bounded: no home adds one to as many as a
    /// record takes, but what homes have added at a time comes together.
    pub fn siblings_max(&self) -> Option<usize> {
        let homes = self.buckets.iter().map(|bucket| usize::from(bucket.n)).max();
        homes.filter(|_| self.crowd).map(|homes| homes * RecordLimits::default().versions_max)
    }

    /// What the clients have to do.
    pub fn work(&self) -> Work {
        Work {
            buckets: self.buckets.clone(),
            keys: self.keys,
            value_bytes: self.value_bytes,
            mix: self.mix,
            wishes: self.wishes,
            // Fewer than the nodes that may lose it, and a loss were no bug.
            w_min: u8::try_from(self.damaged_max + 1).unwrap_or(u8::MAX),
            repeats: self.faults.contains(&Fault::Duplication),
        }
    }

    /// The network without faults.
    pub fn calm_profile() -> NetworkProfile {
        NetworkProfile { loss_percent: 0, ..NetworkProfile::default() }
    }

    /// The network while faults are on.
    pub fn profile(&self) -> NetworkProfile {
        let has = |fault| self.faults.contains(&fault);
        let percent = |fault, percent| if has(fault) { percent } else { 0 };
        let Weather { delay_us_min, delay_us_max, .. } = self.weather;
        let calm = Self::calm_profile();
        NetworkProfile {
            delay_us: if has(Fault::Delay) { delay_us_min..=delay_us_max } else { calm.delay_us },
            loss_percent: percent(Fault::Loss, self.weather.loss_percent),
            duplicate_percent: percent(Fault::Duplication, self.weather.duplicate_percent),
            reorder_percent: percent(Fault::Reordering, self.weather.reorder_percent),
            retransmit_ms: calm.retransmit_ms,
        }
    }
}

fn draw_shards(draws: &Draws) -> Vec<u64> {
    match draws.within("shards", 0..=3) {
        0 | 1 => vec![1],
        2 => vec![2],
        _ => vec![1, 2, 3],
    }
}

fn draw_faults(draws: &Draws) -> BTreeSet<Fault> {
    // A third of the runs have nearly all, the others few: what few do often, many hide.
    let percent = draws.of("faults", &[15, 30, 90]);
    let wanted = |fault: &Fault| draws.within(fault.name(), 0..=99) < percent;
    Fault::ALL.iter().copied().filter(wanted).collect()
}

fn draw_buckets(draws: &Draws, nodes: usize) -> Vec<Bucket> {
    let quorums: [(u8, u8, u8); 8] =
        [(3, 2, 2), (3, 2, 2), (3, 2, 2), (3, 1, 3), (3, 2, 3), (3, 3, 2), (3, 1, 1), (5, 3, 3)];
    let bucket = |place: u64| {
        let purpose = |what: &str| format!("{what} of bucket {place}");
        let fits = |quorum: &&(u8, u8, u8)| usize::from(quorum.0) <= nodes;
        let fitting: Vec<_> = quorums.iter().filter(fits).copied().collect();
        let (n, r, w) = draws.of(&purpose("quorum"), &fitting);
        Bucket {
            name: format!("b{place}"),
            n,
            r,
            w,
            lww: draws.within(&purpose("lww"), 0..=3) == 0,
            sloppy: draws.within(&purpose("sloppy"), 0..=2) > 0,
            durability: draws.of(&purpose("durability"), &["periodic", "periodic", "os"]).into(),
        }
    };
    (0..draws.within("buckets", 1..=3)).map(bucket).collect()
}

impl Weather {
    fn draw(draws: &Draws) -> Self {
        let delay_us_max = draws.of("delay", &[5_000, 20_000, 100_000]);
        let percent = |purpose, most| u8::try_from(draws.within(purpose, 1..=most)).unwrap_or(1);
        Self {
            delay_us_min: delay_us_max / 10,
            delay_us_max,
            loss_percent: percent("loss percent", 20),
            duplicate_percent: percent("duplicate percent", 20),
            reorder_percent: percent("reorder percent", 20),
        }
    }
}

impl Mix {
    fn draw(draws: &Draws) -> Self {
        let weight = |purpose| u32::try_from(draws.skewed(purpose, 0..=10)).unwrap_or(0);
        let percent = |purpose, most| u8::try_from(draws.within(purpose, 0..=most)).unwrap_or(0);
        Self {
            read: 2 + weight("read"),
            update: 3 + weight("update"),
            blind: weight("blind"),
            chained: weight("chained"),
            stale: weight("stale"),
            delete: weight("delete"),
            write_id_percent: percent("write id percent", 100),
            retry_percent: percent("retry percent", 100),
            impatient_percent: percent("impatient percent", 20),
        }
    }
}

impl Wishes {
    fn draw(draws: &Draws) -> Self {
        Self {
            quorum_percent: draws.of("quorum percent", &[0, 0, 10, 50]),
            ttl_percent: draws.of("ttl percent", &[0, 0, 10, 40]),
            ttl_ms_max: draws.of("ttl ms max", &[1_000, 5_000, 3_600_000]),
        }
    }
}

impl Tuning {
    fn draw(draws: &Draws) -> Self {
        Self {
            sync_interval_ms: draws.of("sync interval", &[20, 100, 500]),
            tombstone_min_age_ms: draws.of("tombstone min age", &[1_000, 3_000, 3_600_000]),
            anti_entropy_ms: draws.of("anti entropy", &[1_000, 3_000, 10_000]),
            hint_bytes_max: draws.of("hint bytes max", &[64 << 10, 4 << 30, 4 << 30]),
            reserve_bytes: draws.of("reserve bytes", &[1, 64 << 10, 1 << 20]),
        }
    }
}
