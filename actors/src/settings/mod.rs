//! What a node must be told before it starts.
//!
//! [`Settings`] is plain data: a program that embeds a node fills it in, the binary fills it from
//! its configuration file. Sections and fields are named as in that file, so a [`Violation`] names
//! the same field in both worlds.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `mod.rs` | [`Settings`] and its sections: units, effect, defaults |
//! | `words.rs` | names, addresses and counts that cannot be wrong once they exist |
//! | `rules.rs` | the rules between fields, one [`Violation`] variant a rule |

mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use henge_kernel::{
    anti_entropy::schedule::EVERY,
    bucket::BucketProperties,
    id::{ClusterId, NodeId, NodeName},
    key::PartitionCount,
    reaping::TOMBSTONE_MIN_AGE,
};

pub use henge_kernel::ring::{Weight, Zone};
pub use rules::{InvalidSettings, Quantity, Violation};
pub use words::{Address, ClusterName, InvalidWord, ShardCount};

/// Everything that a node must be told, complete and with defaults for what is seldom changed.
///
/// `cluster`, `ring`, `defaults` and `node.shards` are *birth facts*: a node stores them at its first
/// start and refuses to start with others, and peers refuse each other if theirs differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who this node is and where it lives.
    pub node: NodeSettings,
    /// The cluster that it belongs to.
    pub cluster: ClusterSettings,
    /// How the ring is cut.
    pub ring: RingSettings,
    /// Properties of buckets that have none of their own. Default: n = 3, r = w = 2, siblings.
    pub defaults: BucketProperties,
    /// How the log writes.
    pub storage: StorageSettings,
    /// How failures are detected.
    pub membership: MembershipSettings,
    /// What is kept for homes that are away.
    pub handoff: HandoffSettings,
    /// When replicas are compared.
    pub anti_entropy: AntiEntropySettings,
    /// Where the certificates are.
    pub tls: TlsSettings,
    /// Bounds against overload.
    pub limits: LimitSettings,
    /// How often actors report.
    pub telemetry: TelemetrySettings,
    /// Whether the links to peers may be cut on command. Default: no. Only for tests and demonstrations.
    pub allow_faults: bool,
}

impl Settings {
    /// The settings of the node `name` of a cluster whose first layout is `nodes`, with defaults for
    /// everything else. It listens on the port of its own address in `nodes`, on that address if it
    /// is an IP address and on all interfaces if it is a DNS name.
    pub fn member(
        cluster: ClusterName,
        nodes: Vec<LayoutEntry>,
        name: NodeName,
        data_dir: PathBuf,
    ) -> Self {
        let own = nodes.iter().find(|entry| entry.name == name).map(|entry| &entry.address);
        let listen = own.map_or(DEFAULT_LISTEN, Address::listen);
        Self {
            node: NodeSettings { name, listen, data_dir, shards: None },
            cluster: ClusterSettings { name: cluster, nodes },
            ring: RingSettings::default(),
            defaults: BucketProperties::default(),
            storage: StorageSettings::default(),
            membership: MembershipSettings::default(),
            handoff: HandoffSettings::default(),
            anti_entropy: AntiEntropySettings::default(),
            tls: TlsSettings::default(),
            limits: LimitSettings::default(),
            telemetry: TelemetrySettings::default(),
            allow_faults: false,
        }
    }

    /// The settings of a cluster of one: a program that embeds a node and needs no other, a test,
    /// a first try. `n = r = w = 1`, one shard, certificates made in `data_dir/tls` as needed.
    /// `listen` is an address on loopback with a port that is not 0.
    pub fn single(name: NodeName, listen: SocketAddr, data_dir: PathBuf) -> Self {
        let alone = vec![LayoutEntry::new(name.clone(), listen.into())];
        let tls = TlsSettings { dir: data_dir.join("tls"), generate: true };
        let mut settings = Self::member(ClusterName::default(), alone, name, data_dir);
        settings.node.shards = Some(ShardCount::ONE);
        settings.defaults = BucketProperties { n: 1, r: 1, w: 1, ..BucketProperties::default() };
        Self { tls, ..settings }
    }

    /// The cluster's identity.
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId::of(self.cluster.name.as_str())
    }

    /// This node's identity.
    pub fn node_id(&self) -> NodeId {
        NodeId::of(self.cluster_id(), &self.node.name)
    }
}

/// Where a node listens unless told otherwise: `127.0.0.1:7400`.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7400);

/// `[node]`: who this node is and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// Its name, unique in the cluster and one of `cluster.nodes`; all of its identity.
    pub name: NodeName,
    /// UDP address of shard 0; shard k listens on the port + k. Default [`DEFAULT_LISTEN`].
    /// The port is that of its address in `cluster.nodes`; the IP address may differ (0.0.0.0).
    pub listen: SocketAddr,
    /// Where logs and identity live; made if missing. One process at a time.
    pub data_dir: PathBuf,
    /// Shards: each one thread, one log, one port. `None` = [`ShardCount::for_cores`] at birth, and
    /// for ever what was chosen then: it decides which log holds a partition. May differ between
    /// nodes.
    pub shards: Option<ShardCount>,
}

/// `[cluster]`: the cluster's name and its first layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Its name: the source of all identities, and part of every certificate. Default `henge`.
    pub name: ClusterName,
    /// The first layout, the same on every node, this one included; 1 to
    /// [`NODES_MAX`](henge_kernel::ring::NODES_MAX).
    pub nodes: Vec<LayoutEntry>,
}

/// One of `[[cluster.nodes]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutEntry {
    /// The node's name.
    pub name: NodeName,
    /// Where its peers and clients reach its shard 0.
    pub address: Address,
    /// Its failure domain: homes of a key are spread over zones while there are enough of them.
    /// Default `default`.
    pub zone: Zone,
    /// Its share of the ring, relative to the other weights. Default 100.
    pub weight: Weight,
}

impl LayoutEntry {
    /// A node in the default zone with the default weight.
    pub fn new(name: NodeName, address: Address) -> Self {
        Self { name, address, zone: Zone::default(), weight: Weight::default() }
    }
}

/// `[ring]`: how the circle of tokens is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// Equal arcs of the ring; a power of two, 256 by default. Rule of thumb: 16 or more a node in
    /// the largest cluster that you expect; it never changes.
    pub partitions: PartitionCount,
}

impl Default for RingSettings {
    fn default() -> Self {
        Self { partitions: PartitionCount::DEFAULT }
    }
}

/// `[storage]`: how the log writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageSettings {
    /// Bytes after which a shard's log begins a new segment; 8 MiB to 1 GiB, default 64 MiB. Smaller
    /// ones are given back sooner, larger ones make fewer files.
    pub segment_bytes: u64,
    /// Bytes of the disk on which `node.data_dir` lies that puts leave free; 1 byte to 1 TiB, default
    /// 64 MiB. With less than that free the node refuses values; it still writes down deletes, and
    /// which hints were delivered.
    pub reserve_bytes: u64,
    /// Time between two fdatasync of a shard's log in the mode `periodic`; 10 ms to 10 s, default
    /// 100 ms: what a power cut of this node can take from it.
    pub sync_interval: Duration,
    /// How old what is deleted or expired becomes before it is reaped; 1 s to 30 d, default 1 h. It
    /// only gathers work: no promise rests on it.
    pub tombstone_min_age: Duration,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            reserve_bytes: 64 << 20,
            sync_interval: Duration::from_millis(100),
            tombstone_min_age: TOMBSTONE_MIN_AGE,
        }
    }
}

/// `[membership]`: failure detection by SWIM (Das, Gupta, Motivala 2002). The defaults know a dead
/// peer within 2 s on a local network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipSettings {
    /// Time between two probes of a node; 50 ms to 10 s, default 200 ms.
    pub probe_interval: Duration,
    /// How long an answer to a direct probe may take before others are asked to probe; below
    /// `probe_interval`, at least 10 ms, default 80 ms. Rule of thumb: four round trips.
    pub probe_timeout: Duration,
    /// How long a suspect may take to object before it is down; `probe_interval` to 60 s, default
    /// 1 s. Shorter finds failures sooner, longer forgives pauses.
    pub suspicion: Duration,
    /// Time between two announcements to a member that is down; 100 ms to 60 s, default 500 ms: how
    /// soon the two sides of a healed partition find each other.
    pub announce_to_down_interval: Duration,
}

impl Default for MembershipSettings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_millis(200),
            probe_timeout: Duration::from_millis(80),
            suspicion: Duration::from_secs(1),
            announce_to_down_interval: Duration::from_millis(500),
        }
    }
}

/// `[handoff]`: what a node keeps for homes that are away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandoffSettings {
    /// Bytes that a shard keeps for homes that are away, each record with 256 more, a record for two
    /// homes twice; 64 KiB to 1 TiB, default 4 GiB. Past it new copies are refused and do not count;
    /// none that was acknowledged is dropped.
    pub hint_bytes_max: u64,
}

impl Default for HandoffSettings {
    fn default() -> Self {
        Self { hint_bytes_max: 4 << 30 }
    }
}

/// `[anti_entropy]`: when replicas are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AntiEntropySettings {
    /// Time between two comparisons of all that two nodes share, if nothing calls for one sooner:
    /// a node that returns, a write that a home did not acknowledge, a damaged record. 1 s to 1 h,
    /// default 10 s.
    pub interval: Duration,
}

impl Default for AntiEntropySettings {
    fn default() -> Self {
        Self { interval: EVERY }
    }
}

/// `[tls]`: certificates of the cluster's own authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Directory of `ca.pem`, `<name>.pem` and `<name>.key`. Default `./data/tls`.
    pub dir: PathBuf,
    /// Whether to make whatever is missing there, the authority included; only if every listener is
    /// on loopback. Default: no.
    pub generate: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { dir: PathBuf::from("./data/tls"), generate: false }
    }
}

/// `[limits]`: bounds past which the answer is `overloaded`, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// The greatest value that this node takes and that a bucket may allow, in bytes; 1 KiB to
    /// [`VALUE_BYTES_MAX`](henge_kernel::bucket::VALUE_BYTES_MAX), default 1 MiB.
    pub value_bytes_max: u64,
    /// Client requests in flight in one shard, and also what one shard of a peer may ask of it at a
    /// time; 16 to 65,536, default 1,024.
    pub requests_in_flight_max: u32,
    /// Bytes of values of client requests in flight in one shard, and also of what one shard of a
    /// peer asks of it (there at least 32 MiB, a frame); at least four times `value_bytes_max`, at
    /// most 4 GiB, default 64 MiB.
    pub request_bytes_in_flight_max: u64,
    /// Connections of clients to one listener (the endpoint of a shard, HTTP); 16 to 65,536, default 1,024.
    pub connections_max: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            value_bytes_max: 1 << 20,
            requests_in_flight_max: 1024,
            request_bytes_in_flight_max: 64 << 20,
            connections_max: 1024,
        }
    }
}

/// `[telemetry]`, as far as the node itself is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// Time between two `actor_metrics` events of an actor; 100 ms to 1 h, default 10 s.
    pub interval: Duration,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10) }
    }
}
