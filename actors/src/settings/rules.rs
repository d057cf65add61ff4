//! The rules between fields, checked as a whole: all violations at once, each with both numbers.

use std::{fmt, net::SocketAddr, time::Duration};

use henge_kernel::{
    bucket::{self, VALUE_BYTES_MAX},
    id::NodeName,
    ring::NODES_MAX,
    units,
};

use super::{Address, LayoutEntry, Settings, ShardCount};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A number or a span of time lies outside its limits.
    #[error("{field} is {value}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Quantity,
        /// The least that it may be.
        min: Quantity,
        /// The greatest that it may be.
        max: Quantity,
    },
    /// The first layout is empty or has too many nodes.
    #[error("cluster.nodes has {count} nodes")]
    LayoutSize {
        /// How many there are.
        count: usize,
    },
    /// Two nodes of the first layout have the same name.
    #[error("cluster.nodes[{first}] and cluster.nodes[{second}] are both called {name}")]
    DuplicateName {
        /// The name.
        name: NodeName,
        /// Position of the first, from 0.
        first: usize,
        /// Position of the second, from 0.
        second: usize,
    },
    /// Two nodes of the first layout have the same address.
    #[error("{first} and {second} both have the address {address}")]
    DuplicateAddress {
        /// The address.
        address: Address,
        /// Name of the first.
        first: NodeName,
        /// Name of the second.
        second: NodeName,
        /// Position of the second, from 0.
        position: usize,
    },
    /// The node is not part of its own cluster.
    #[error("node.name is {name}, but cluster.nodes has only {}", list(known))]
    NotListed {
        /// The node's name.
        name: NodeName,
        /// The names of the first layout.
        known: Vec<NodeName>,
    },
    /// The node does not listen where the cluster expects it.
    #[error("node.listen has port {}, but cluster.nodes gives {name} the address {address}",
        listen.port())]
    PortsDiffer {
        /// The node's name.
        name: NodeName,
        /// Where it listens.
        listen: SocketAddr,
        /// Where the others reach it.
        address: Address,
        /// Its position in the layout, from 0.
        position: usize,
    },
    /// Shard k listens on port + k, and the last has no port.
    #[error("port {port} and up to {shards} shards need ports up to {}, beyond 65535",
        u32::from(*port) + u32::from(shards.get()) - 1)]
    PortsExhausted {
        /// The port of shard 0.
        port: u16,
        /// The shards, or how many there may be.
        shards: ShardCount,
    },
    /// A port of one of this node's shards is the address of another node.
    #[error("the address {address} of {other} lies within the ports {port} to {} of this node's up \
             to {shards} shards",
        u32::from(*port) + u32::from(shards.get()) - 1)]
    PortsOverlap {
        /// The other node.
        other: NodeName,
        /// Its address.
        address: Address,
        /// The port of this node's shard 0.
        port: u16,
        /// This node's shards, or how many there may be.
        shards: ShardCount,
    },
    /// Generated certificates are for one machine only.
    #[error("tls.generate is true, but node.listen {listen} is not on loopback")]
    GenerateNotLoopback {
        /// Where the node listens.
        listen: SocketAddr,
    },
    /// A field must stay below or at another one.
    #[error("{field} is {value}, but it must be {relation} {other}, so at most {limit}")]
    Above {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Quantity,
        /// How it must stand to the other field.
        relation: &'static str,
        /// The other field.
        other: &'static str,
        /// The greatest that it may be.
        limit: Quantity,
    },
    /// A bucket property of `[defaults]` breaks a rule of buckets.
    #[error("defaults.{} is {}", .0.field, .0.value)]
    Defaults(bucket::Violation),
}

impl Violation {
    /// The fields that this rule is about, as written in the configuration; the first is at fault.
    pub fn fields(&self) -> Vec<String> {
        let fixed: &[&str] = match self {
            Self::OutOfRange { field, .. } => &[field],
            Self::LayoutSize { .. } => &["cluster.nodes"],
            Self::DuplicateName { first, second, .. } => {
                return vec![node_field(*second, "name"), node_field(*first, "name")];
            }
            Self::DuplicateAddress { position, .. } => {
                return vec![node_field(*position, "address")];
            }
            Self::NotListed { .. } => &["node.name", "cluster.nodes"],
            Self::PortsDiffer { position, .. } => {
                let address = node_field(*position, "address");
                return vec!["node.listen".to_owned(), address, "node.name".to_owned()];
            }
            Self::PortsExhausted { .. } => &["node.listen", "node.shards"],
            Self::PortsOverlap { .. } => &["node.shards", "node.listen", "cluster.nodes"],
            Self::GenerateNotLoopback { .. } => &["tls.generate", "node.listen"],
            Self::Above { field, other, .. } => &[field, other],
            Self::Defaults(broken) => return vec![format!("defaults.{}", broken.field)],
        };
        fixed.iter().map(|&field| field.to_owned()).collect()
    }

    /// What would be right.
    pub fn remedy(&self) -> String {
        match self {
            Self::OutOfRange { min, max, .. } => format!("choose from {min} to {max}"),
            Self::LayoutSize { .. } => format!("list 1 to {NODES_MAX} nodes"),
            Self::DuplicateName { .. } => "give each node a name of its own".to_owned(),
            Self::DuplicateAddress { .. } => "give each node an address of its own".to_owned(),
            Self::NotListed { name, .. } => {
                format!("add a [[cluster.nodes]] named {name}, or choose one of the names there")
            }
            Self::PortsDiffer { address, .. } => format!("listen on port {}", address.port()),
            Self::PortsExhausted { shards, .. } => {
                format!(
                    "listen on a port up to {}, or set fewer node.shards",
                    65_536 - u32::from(shards.get())
                )
            }
            Self::PortsOverlap { address, port, .. } => format!(
                "set node.shards to at most {}, or leave {} ports between nodes on one host",
                address.port().saturating_sub(*port),
                ShardCount::MAX
            ),
            Self::GenerateNotLoopback { .. } => "listen on 127.0.0.1, or set tls.generate = false \
                and make certificates by `henge tls init` and `henge tls issue`"
                .to_owned(),
            Self::Above { field, other, limit, .. } => {
                format!("set {field} to at most {limit}, or raise {other}")
            }
            Self::Defaults(broken) => format!("choose {}", broken.limit),
        }
    }
}

fn node_field(position: usize, field: &str) -> String {
    format!("cluster.nodes[{position}].{field}")
}

fn list(names: &[NodeName]) -> String {
    names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

/// A number with its unit, shown as the configuration writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// A plain number.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// A span of time.
    Span(Duration),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) => units::Size(bytes).fmt(f),
            Self::Span(span) => units::Span(span).fmt(f),
        }
    }
}

/// Settings that break rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid settings: {}", .0.iter().map(Violation::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidSettings(pub Vec<Violation>);

impl Settings {
    /// Checks every rule between fields; the error has all violations.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let mut violations = Vec::new();
        self.check_layout(&mut violations);
        self.check_own_ports(&mut violations);
        self.check_ranges(&mut violations);
        self.check_order(&mut violations);
        self.check_defaults(&mut violations);
        if self.tls.generate && !self.node.listen.ip().is_loopback() {
            violations.push(Violation::GenerateNotLoopback { listen: self.node.listen });
        }
        if violations.is_empty() { Ok(()) } else { Err(InvalidSettings(violations)) }
    }

    fn check_layout(&self, violations: &mut Vec<Violation>) {
        let nodes = &self.cluster.nodes;
        if nodes.is_empty() || nodes.len() > NODES_MAX {
            violations.push(Violation::LayoutSize { count: nodes.len() });
        }
        for (second, entry) in nodes.iter().enumerate() {
            let before = &nodes[..second];
            if let Some(first) = before.iter().position(|other| other.name == entry.name) {
                let name = entry.name.clone();
                violations.push(Violation::DuplicateName { name, first, second });
            }
            if let Some(other) = before.iter().find(|other| other.address == entry.address) {
                violations.push(Violation::DuplicateAddress {
                    address: entry.address.clone(),
                    first: other.name.clone(),
                    second: entry.name.clone(),
                    position: second,
                });
            }
        }
    }

    fn check_own_ports(&self, violations: &mut Vec<Violation>) {
        let (name, listen) = (&self.node.name, self.node.listen);
        // Unset, the machine chooses, at birth: room for the most is the only safe answer.
        let shards = self.node.shards.unwrap_or(ShardCount::MAX);
        if u32::from(listen.port()) + u32::from(shards.get()) > 65_536 {
            violations.push(Violation::PortsExhausted { port: listen.port(), shards });
        }
        let nodes = &self.cluster.nodes;
        let Some(position) = nodes.iter().position(|entry| entry.name == *name) else {
            let known = nodes.iter().map(|entry| entry.name.clone()).collect();
            violations.push(Violation::NotListed { name: name.clone(), known });
            return;
        };
        let own = &nodes[position];
        if own.address.port() != listen.port() {
            let (name, address) = (name.clone(), own.address.clone());
            violations.push(Violation::PortsDiffer { name, listen, address, position });
        }
        violations.extend(nodes.iter().filter_map(|other| overlap(own, shards, other)));
    }

    fn check_ranges(&self, violations: &mut Vec<Violation>) {
        let millis = |span: Duration, min, max| {
            let [min, max] = [min, max].map(|millis| Quantity::Span(Duration::from_millis(millis)));
            (Quantity::Span(span), min, max)
        };
        let bytes =
            |bytes, min, max| (Quantity::Bytes(bytes), Quantity::Bytes(min), Quantity::Bytes(max));
        let count = |count: u32, min, max| {
            (Quantity::Count(u64::from(count)), Quantity::Count(min), Quantity::Count(max))
        };
        let (storage, membership, limits) = (&self.storage, &self.membership, &self.limits);
        let rules = [
            ("storage.segment_bytes", bytes(storage.segment_bytes, 8 << 20, 1 << 30)),
            ("storage.reserve_bytes", bytes(storage.reserve_bytes, 1, 1 << 40)),
            ("storage.sync_interval", millis(storage.sync_interval, 10, 10_000)),
            (
                "storage.tombstone_min_age",
                millis(storage.tombstone_min_age, 1_000, 30 * 24 * 3_600_000),
            ),
            ("handoff.hint_bytes_max", bytes(self.handoff.hint_bytes_max, 64 << 10, 1 << 40)),
            ("membership.probe_interval", millis(membership.probe_interval, 50, 10_000)),
            ("membership.probe_timeout", millis(membership.probe_timeout, 10, 10_000)),
            ("membership.suspicion", millis(membership.suspicion, 50, 60_000)),
            (
                "membership.announce_to_down_interval",
                millis(membership.announce_to_down_interval, 100, 60_000),
            ),
            ("anti_entropy.interval", millis(self.anti_entropy.interval, 1_000, 3_600_000)),
            (
                "limits.value_bytes_max",
                bytes(limits.value_bytes_max, 1 << 10, VALUE_BYTES_MAX.into()),
            ),
            ("limits.requests_in_flight_max", count(limits.requests_in_flight_max, 16, 65_536)),
            (
                "limits.request_bytes_in_flight_max",
                bytes(limits.request_bytes_in_flight_max, 4 << 10, 4 << 30),
            ),
            ("limits.connections_max", count(limits.connections_max, 16, 65_536)),
            ("telemetry.interval", millis(self.telemetry.interval, 100, 3_600_000)),
        ];
        violations.extend(
            rules
                .into_iter()
                .filter(|(_, (value, min, max))| value < min || value > max)
                .map(|(field, (value, min, max))| Violation::OutOfRange { field, value, min, max }),
        );
    }

    fn check_order(&self, violations: &mut Vec<Violation>) {
        let (membership, limits) = (&self.membership, &self.limits);
        let mut at_most = |(field, value), relation, other, limit| {
            if value > limit {
                violations.push(Violation::Above { field, value, relation, other, limit });
            }
        };
        at_most(
            ("membership.probe_timeout", Quantity::Span(membership.probe_timeout)),
            "below",
            "membership.probe_interval",
            Quantity::Span(membership.probe_interval.saturating_sub(Duration::from_millis(1))),
        );
        at_most(
            ("membership.probe_interval", Quantity::Span(membership.probe_interval)),
            "within",
            "membership.suspicion",
            Quantity::Span(membership.suspicion),
        );
        at_most(
            ("limits.value_bytes_max", Quantity::Bytes(limits.value_bytes_max)),
            "within a quarter of",
            "limits.request_bytes_in_flight_max",
            Quantity::Bytes(limits.request_bytes_in_flight_max / 4),
        );
        at_most(
            ("defaults.value_bytes_max", Quantity::Bytes(self.defaults.value_bytes_max.into())),
            "within",
            "limits.value_bytes_max",
            Quantity::Bytes(limits.value_bytes_max),
        );
    }

    fn check_defaults(&self, violations: &mut Vec<Violation>) {
        if let Err(bucket::Violations(broken)) = self.defaults.validate() {
            violations.extend(broken.into_iter().map(Violation::Defaults));
        }
    }
}

/// Whether `other` is expected on a port that a shard of `own` may take.
fn overlap(own: &LayoutEntry, shards: ShardCount, other: &LayoutEntry) -> Option<Violation> {
    let distance = other.address.port().checked_sub(own.address.port())?;
    let clash = own.address.host() == other.address.host() && (1..shards.get()).contains(&distance);
    clash.then(|| Violation::PortsOverlap {
        other: other.name.clone(),
        address: other.address.clone(),
        port: own.address.port(),
        shards,
    })
}
