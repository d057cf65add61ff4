//! What a node tells of its cluster and of itself: shapes of the JSON of the admin surface.

use std::{borrow::Cow, collections::BTreeSet};

use henge_kernel::{
    bucket::{BucketTable, N_MAX},
    id::NodeId,
    key::Key,
    membership::{Liveness, MemberView, StorageState},
    time::whole_millis,
};
use serde::{Deserialize, Serialize};

pub use crate::anti_entropy_report::{
    AntiEntropyReport, DivergedReport, PeerSyncReport, ReadRepairReport, ScrubReport,
};
pub use crate::reap_reports::{AsideReport, BlockedReport, ReapReport};
use crate::{
    commons::{Commons, Phase},
    completeness::yet_to_compare,
    view::Site,
};

/// The members of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Name of the cluster.
    pub cluster: String,
    /// The node that answers.
    pub node: String,
    /// Partitions of the ring.
    pub partitions: u16,
    /// Epoch of the ring.
    pub ring_epoch: u64,
    /// Replicas of each key: the default `n`, then those of buckets that have another.
    pub n: Vec<u8>,
    /// Whether there are fewer members than the default `n`.
    pub under_replicated: bool,
    /// How far this node's wall clock is off its peers' median, in milliseconds, if that is more
    /// than [`CLOCK_SKEW_MAX`](henge_kernel::membership::CLOCK_SKEW_MAX).
    pub clock_skew_ms: Option<i64>,
    /// The members, by name.
    pub members: Vec<MemberReport>,
}

/// One member as the answering node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its name.
    pub name: String,
    /// Its identity, in hexadecimal.
    pub id: String,
    /// HOST:PORT of its shard 0.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// Its weight.
    pub weight: u32,
    /// `up`, `down` or `unknown`.
    pub liveness: Cow<'static, str>,
    /// Whether it is suspected to be down.
    pub suspected: bool,
    /// How long it has been so, in milliseconds.
    pub since_ms: u64,
    /// Partitions that it owns.
    pub owns: usize,
    /// The life of its data directory, in hexadecimal, if known.
    pub incarnation: Option<String>,
    /// What it says of itself, if it was heard.
    pub health: Option<HealthReport>,
    /// What others keep for it until it is back, by what they last said.
    pub hints: WaitingReport,
}

/// Copies that wait for a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingReport {
    /// Hints.
    pub count: u64,
    /// For how long the oldest has been kept, in milliseconds; 0 if there is none.
    pub oldest_ms: u64,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// How late its event loop was, in milliseconds.
    pub loop_lag_ms: u32,
    /// `ok`, `incomplete`, `full` or `poisoned`.
    pub storage: Cow<'static, str>,
    /// How far its wall clock is off this node's, in milliseconds, as far as can be told.
    pub clock_offset_ms: Option<i64>,
    /// Keys in its logs, tombstones and hinted copies included.
    pub keys: u64,
    /// Bytes of its logs on the disk.
    pub disk_bytes: u64,
}

impl ClusterReport {
    pub(crate) fn of(commons: &Commons) -> Self {
        let (cluster, members) = (commons.cluster.load(), commons.members.load());
        let now = commons.environment.clock.now();
        let report_of = |node: NodeId, site: &Site| {
            let state = members.get(node);
            let own = node == commons.node;
            let liveness = state.map_or(Liveness::Unknown, |state| state.liveness);
            MemberReport {
                name: site.name.to_string(),
                id: node.to_string(),
                address: format!("{}:{}", site.host, site.port),
                zone: site.zone.to_string(),
                weight: site.weight,
                liveness: Cow::Borrowed(match liveness {
                    _ if own => "up",
                    Liveness::Up => "up",
                    Liveness::Down => "down",
                    Liveness::Unknown => "unknown",
                }),
                suspected: state.is_some_and(|state| state.suspected),
                since_ms: state.map_or(0, |state| whole_millis(now.since(state.since))),
                owns: cluster.ring.owned_by(node),
                incarnation: if own {
                    Some(format!("{:016x}", commons.incarnation.0))
                } else {
                    state.and_then(|state| state.incarnation).map(|life| format!("{:016x}", life.0))
                },
                health: state.and_then(|state| {
                    let health = state.health.as_ref()?;
                    Some(HealthReport {
                        loop_lag_ms: health.loop_lag_ms,
                        storage: storage_text(health.storage).into(),
                        clock_offset_ms: state.clock_offset_ms,
                        keys: health.keys,
                        disk_bytes: health.disk_bytes,
                    })
                }),
                hints: waiting_for(node, &members),
            }
        };
        let mut reports: Vec<_> =
            cluster.nodes.iter().map(|(node, site)| report_of(*node, site)).collect();
        reports.sort_by(|left, right| left.name.cmp(&right.name));
        Self {
            cluster: commons.settings.cluster.name.as_str().to_owned(),
            node: commons.name().to_owned(),
            partitions: cluster.ring.partitions().get(),
            ring_epoch: cluster.ring.epoch(),
            under_replicated: reports.len() < usize::from(cluster.buckets.defaults().n),
            n: replicas(&cluster.buckets),
            clock_skew_ms: members.clock_skew(),
            members: reports,
        }
    }
}

/// What all members said that they keep for `home`. An age is as its keeper's clock has it.
fn waiting_for(home: NodeId, members: &MemberView) -> WaitingReport {
    let mut waiting = WaitingReport::default();
    for (health, kept) in members.hints_kept().filter(|(_, kept)| kept.home == home) {
        let age = health.wall.0.saturating_sub(kept.oldest.0);
        waiting.count = waiting.count.saturating_add(kept.count);
        waiting.oldest_ms = waiting.oldest_ms.max(age);
    }
    waiting
}

fn replicas(buckets: &BucketTable) -> Vec<u8> {
    let default = buckets.defaults().n;
    let all: BTreeSet<u8> = buckets.iter().map(|register| register.properties.n).collect();
    std::iter::once(default).chain(all.into_iter().filter(|n| *n != default)).collect()
}

fn storage_text(state: StorageState) -> &'static str {
    match state {
        StorageState::Ok => "ok",
        StorageState::Incomplete => "incomplete",
        StorageState::Full => "full",
        StorageState::Poisoned => "poisoned",
    }
}

/// The ring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RingReport {
    /// Its epoch.
    pub epoch: u64,
    /// Its digest, in hexadecimal: equal on all nodes that agree.
    pub digest: String,
    /// Partitions.
    pub partitions: u16,
    /// Per node, by name: partitions owned, and their share in percent.
    pub owners: Vec<OwnerReport>,
    /// The owner of each partition, in token order.
    pub assignment: Vec<String>,
}

/// What one node owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnerReport {
    /// The node.
    pub name: String,
    /// Partitions.
    pub owns: usize,
    /// Percent of all.
    pub share: f64,
}

impl RingReport {
    pub(crate) fn of(commons: &Commons) -> Self {
        let cluster = commons.cluster.load();
        let ring = &cluster.ring;
        let mut owners: Vec<_> = cluster
            .nodes
            .iter()
            .map(|(node, site)| OwnerReport {
                name: site.name.to_string(),
                owns: ring.owned_by(*node),
                share: (ring.share(*node) * 10_000.0).round() / 100.0,
            })
            .collect();
        owners.sort_by(|left, right| left.name.cmp(&right.name));
        let owner_of = |partition| {
            ring.owner(partition).map_or_else(String::new, |owner| cluster.name_of(owner))
        };
        Self {
            epoch: ring.epoch(),
            digest: format!("{:032x}", ring.digest().0),
            partitions: ring.partitions().get(),
            owners,
            assignment: ring.partitions().all().map(owner_of).collect(),
        }
    }
}

/// What a client needs to send each request to a home of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingReport {
    /// Epoch of the ring.
    pub epoch: u64,
    /// Partitions.
    pub partitions: u16,
    /// The nodes and where they are reached.
    pub nodes: Vec<RoutingNode>,
    /// Of each partition, in token order, the places in `nodes` of as many homes as a bucket can
    /// have at most, in the order of the ring.
    pub homes: Vec<Vec<u16>>,
}

/// A node as clients reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingNode {
    /// Its name.
    pub name: String,
    /// Host of its endpoints.
    pub host: String,
    /// UDP port of its shard 0; shard k listens on this port plus k.
    pub port: u16,
    /// How many shards it has, if the node that answers has ever met it.
    pub shards: Option<u16>,
}

impl RoutingReport {
    pub(crate) fn of(commons: &Commons) -> Self {
        let cluster = commons.cluster.load();
        let ring = &cluster.ring;
        let shards = |node: NodeId| {
            let own = (node == commons.node).then_some(commons.shards);
            own.or_else(|| commons.peer_shards.get(&node).map(|shards| *shards))
        };
        let nodes = cluster.nodes.iter().map(|(node, site)| RoutingNode {
            name: site.name.to_string(),
            host: site.host.clone(),
            port: site.port,
            shards: shards(*node),
        });
        let place = |home: &NodeId| {
            let place = cluster.nodes.keys().position(|node| node == home)?;
            u16::try_from(place).ok()
        };
        let homes = |partition| ring.homes(partition, N_MAX).iter().filter_map(place).collect();
        Self {
            epoch: ring.epoch(),
            partitions: ring.partitions().get(),
            nodes: nodes.collect(),
            homes: ring.partitions().all().map(homes).collect(),
        }
    }
}

/// Who is asked for a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreferenceReport {
    /// Token of the key, in hexadecimal.
    pub token: String,
    /// Its partition.
    pub partition: u16,
    /// The `n` of its bucket.
    pub n: u8,
    /// The homes, in the order of the ring.
    pub homes: Vec<String>,
    /// The others, in the order in which they would stand in.
    pub fallbacks: Vec<String>,
}

impl PreferenceReport {
    pub(crate) fn of(commons: &Commons, key: &Key) -> Self {
        let cluster = commons.cluster.load();
        let token = key.token();
        let partition = token.partition(cluster.ring.partitions());
        let n = cluster.buckets.properties(key.bucket()).n;
        let list = cluster.ring.preference_list(partition);
        let (homes, fallbacks) = list.split_at(usize::from(n).min(list.len()));
        let names = |nodes: &[NodeId]| nodes.iter().map(|node| cluster.name_of(*node)).collect();
        Self {
            token: format!("{:016x}", token.0),
            partition: partition.0,
            n,
            homes: names(homes),
            fallbacks: names(fallbacks),
        }
    }
}

/// The record of a key as one node has it: no coordination, no repair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The node.
    pub node: String,
    /// Whether it is a home of the key.
    pub home: bool,
    /// Names of the homes, in ring order.
    pub homes: Vec<String>,
    /// Token of the key, in hexadecimal.
    pub token: String,
    /// Its partition.
    pub partition: u16,
    /// Digest of the record, in hexadecimal; `None` without a record.
    pub digest: Option<String>,
    /// The versions, tombstones among them, in the order of their dots.
    pub versions: Vec<VersionReport>,
    /// What the record has seen.
    pub history: Vec<HistoryReport>,
    /// Homes for which this copy stands in.
    pub marks: Vec<String>,
    /// Whether this node may mint further dots here without a fresh epoch.
    pub has_right: bool,
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionReport {
    /// Its dot, as `uid.epoch.counter` with the uid in hexadecimal.
    pub dot: String,
    /// `value` or `tombstone`.
    pub kind: Cow<'static, str>,
    /// Size of the value in bytes.
    pub size: usize,
    /// Its stamp, in milliseconds.
    pub stamp: u64,
    /// The write that made it.
    pub write_id: String,
    /// When it expires, in milliseconds since the epoch.
    pub expires_at: Option<u64>,
    /// Checksum of the content, in hexadecimal.
    pub checksum: String,
}

/// One actor in a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// Whose writes: `uid.epoch`.
    pub actor: String,
    /// First and last counter of a run that was seen.
    pub seen: (u64, u64),
}

/// What a node keeps for homes that are away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HintsReport {
    /// The node.
    pub node: String,
    /// Bytes that one of its shards keeps at most.
    pub shard_bytes_max: u64,
    /// For whom, by name; empty if it keeps nothing.
    pub homes: Vec<HomeHintsReport>,
}

/// What a node keeps for one home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeHintsReport {
    /// The home.
    pub home: String,
    /// Records.
    pub count: u64,
    /// Their bytes, as they count against the bound.
    pub bytes: u64,
    /// How long the oldest has been kept, in milliseconds, to the second; a restart of the node
    /// begins anew.
    pub oldest_ms: u64,
}

/// Whether a node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not.
    NotReady {
        /// Why, for people.
        reason: String,
    },
}

impl Readiness {
    pub(crate) fn of(commons: &Commons) -> Self {
        let not = |reason: String| Self::NotReady { reason };
        match commons.phase() {
            Phase::Starting => return not("the node is starting".to_owned()),
            Phase::Stopping => return not("the node stops".to_owned()),
            Phase::Serving => {}
        }
        if commons.storage_is_poisoned() {
            return not("a log takes no more writes".to_owned());
        }
        if commons.is_assembled() {
            return Self::Ready;
        }
        let (members, cluster) = (commons.members.load(), commons.cluster.load());
        let reached = |node: NodeId| members.is_up(node) && commons.has_met(node);
        let settled = |node: NodeId| reached(node) || members.is_down(node);
        let waiting: Vec<_> = cluster
            .nodes
            .iter()
            .filter(|(node, _)| **node != commons.node && !settled(**node))
            .map(|(_, site)| site.name.to_string())
            .collect();
        if waiting.is_empty() && !cluster.learned {
            not("the bucket properties are not yet learned from peers".to_owned())
        } else if waiting.is_empty() {
            let peers = yet_to_compare(commons);
            if peers.is_empty() {
                commons.assemble();
                return Self::Ready;
            }
            let names: Vec<_> = peers.into_iter().map(|peer| cluster.name_of(peer)).collect();
            not(format!("the disk is new, and not yet compared with {}", names.join(", ")))
        } else {
            not(format!("not yet reached and not yet known as down: {}", waiting.join(", ")))
        }
    }
}
