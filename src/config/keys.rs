//! Every key: its type, its default, its rule, in the order of the reference file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use henge_actors::settings::{
    Address, AntiEntropySettings, ClusterName, ClusterSettings, DEFAULT_LISTEN, HandoffSettings,
    InvalidSettings, LayoutEntry, LimitSettings, MembershipSettings, NodeSettings, RingSettings,
    Settings, ShardCount, StorageSettings, TelemetrySettings, TlsSettings,
};
use henge_kernel::{
    bucket::{BucketChange, BucketProperties, Setting, Violations},
    id::{NODE_NAME_MAX, NodeName},
    key::PartitionCount,
    ring::{WEIGHT_MAX, Weight, ZONE_BYTES_MAX, Zone},
};

use super::{
    Config, HttpConfig, Origin,
    error::Violation,
    file::{Written, quoted},
    reader::{Given, Reader},
};
use crate::telemetry::LogFormat;

const DEFAULT_HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7480);

/// Takes all keys and checks the rules between them; violations stay with the reader.
pub(super) fn read(reader: &mut Reader<'_>, allow_faults: bool) -> Option<Config> {
    let node = read_node(reader);
    let cluster = read_cluster(reader);
    let ring = read_ring(reader);
    let defaults = read_defaults(reader);
    let storage = read_storage(reader);
    let membership = read_membership(reader);
    let handoff = read_handoff(reader);
    let anti_entropy = read_anti_entropy(reader);
    let tls = read_tls(reader);
    let http = read_http(reader);
    let limits = read_limits(reader);
    let (telemetry, log_format) = read_telemetry(reader);
    let settings = Settings {
        node: node?,
        cluster,
        ring,
        defaults,
        storage,
        membership,
        handoff,
        tls,
        limits,
        anti_entropy,
        telemetry,
        allow_faults,
    };
    let config = Config { settings, http, log_format };
    check(reader, &config);
    Some(config)
}

fn check(reader: &mut Reader<'_>, config: &Config) {
    if let Err(InvalidSettings(violations)) = config.settings.check() {
        for violation in violations {
            let fields = violation.fields();
            reader.refuse_rule(violation, &fields);
        }
    }
    let HttpConfig { listen, allow_remote_without_auth } = config.http;
    let remote = !listen.ip().is_loopback();
    if remote && !allow_remote_without_auth {
        let fields = ["http.listen", "http.allow_remote_without_auth"].map(str::to_owned);
        reader.refuse_rule(Violation::RemoteHttp { listen }, &fields);
    }
    if remote && config.settings.tls.generate {
        let fields = ["tls.generate", "http.listen"].map(str::to_owned);
        reader.refuse_rule(Violation::GenerateRemoteHttp { listen }, &fields);
    }
}

fn read_node(reader: &mut Reader<'_>) -> Option<NodeSettings> {
    let name = reader.required("node.name", "one of the names in cluster.nodes", node_name);
    let listen = reader.word("node.listen", DEFAULT_LISTEN, socket);
    let data_dir = reader.path("node.data_dir", "./data".into());
    let shards = |given: &Given| match &given.written {
        Written::Text(text) if text == "auto" => Ok(None),
        _ => {
            let number = given.number().ok().and_then(|number| ShardCount::new(number).ok());
            number.map(Some).ok_or_else(|| format!("\"auto\" or {}", ShardCount::RULE))
        }
    };
    let show = |shards: &Option<ShardCount>| shards.map_or("\"auto\"".into(), |k| k.to_string());
    let shards = reader.take("node.shards", None, shards, show);
    // The other sections are still worth checking when the name is not known: any name will do,
    // as no rule is reported of a field that is broken by itself.
    let name = name.or_else(|| NodeName::new("unnamed").ok())?;
    Some(NodeSettings { name, listen, data_dir, shards })
}

fn read_cluster(reader: &mut Reader<'_>) -> ClusterSettings {
    let parse = |text: &str| ClusterName::new(text).map_err(|refused| refused.rule.to_owned());
    let name = reader.word("cluster.name", ClusterName::default(), parse);
    let count = reader.tables("cluster.nodes");
    if count == 0 && !reader.is_broken("cluster.nodes") {
        reader.missing(
            "cluster.nodes",
            "the same list of all nodes, [[cluster.nodes]], in each file",
        );
    }
    let nodes = (0..count).filter_map(|position| read_layout_entry(reader, position));
    ClusterSettings { name, nodes: nodes.collect() }
}

fn read_layout_entry(reader: &mut Reader<'_>, position: usize) -> Option<LayoutEntry> {
    let key = |field: &str| format!("cluster.nodes[{position}].{field}");
    let name = reader.required(&key("name"), "the node's name", node_name);
    let parse = |text: &str| text.parse().map_err(|_| Address::RULE.to_owned());
    let address = reader.required(&key("address"), Address::RULE, parse);
    let parse = |text: &str| Zone::new(text).map_err(|_| label(ZONE_BYTES_MAX));
    let zone = reader.word(&key("zone"), Zone::default(), parse);
    let parse = |number| {
        let weight = u32::try_from(number).ok().and_then(|number| Weight::new(number).ok());
        weight.ok_or_else(|| format!("a number from 1 to {WEIGHT_MAX}"))
    };
    let weight = reader.number(&key("weight"), Weight::default(), parse);
    Some(LayoutEntry { name: name?, address: address?, zone, weight })
}

fn read_ring(reader: &mut Reader<'_>) -> RingSettings {
    let parse = |given: &Given| {
        let count = given.number().ok().and_then(|number| u32::try_from(number).ok());
        count
            .and_then(PartitionCount::new)
            .ok_or_else(|| format!("a power of two from 1 to {}", PartitionCount::MAX))
    };
    let show = |count: &PartitionCount| count.get().to_string();
    let partitions = reader.take("ring.partitions", PartitionCount::DEFAULT, parse, show);
    RingSettings { partitions }
}

/// Bucket properties have rules of their own, in the kernel: all of them are checked there, at once.
fn read_defaults(reader: &mut Reader<'_>) -> BucketProperties {
    let mut change = BucketChange::default();
    let mut origins = Vec::new();
    for name in BucketProperties::NAMES {
        let key = format!("defaults.{name}");
        let given = reader.given(&key);
        origins.push(given.as_ref().map_or(Origin::Default, |given| given.origin.clone()));
        let Some(given) = given else { continue };
        match setting(&given) {
            Some(setting) => change = change.set(name, setting),
            None => reader.refuse(&key, &given, "a single value".to_owned()),
        }
    }
    match change.apply(&BucketProperties::default()) {
        Ok(properties) => {
            note_defaults(reader, &properties, origins);
            properties
        }
        Err(Violations(violations)) => {
            for violation in violations {
                let key = format!("defaults.{}", violation.field);
                // A default can be wrong too: w = 2 when the file says n = 1.
                let fields = [key.clone(), "defaults.n".to_owned()];
                let (value, expected) = (violation.value, violation.limit);
                reader.refuse_rule(Violation::Unfit { key, value, expected }, &fields[..]);
            }
            BucketProperties::default()
        }
    }
}

fn setting(given: &Given) -> Option<Setting> {
    match &given.written {
        Written::Text(text) if given.is_bare() || text == "none" => Some(text.as_str().into()),
        Written::Text(text) => Some(Setting::Text(text.clone())),
        Written::Number(number) => Some(Setting::Number(*number)),
        Written::Flag(flag) => Some(Setting::Flag(*flag)),
        Written::Table | Written::Tables(_) | Written::Other(_) => None,
    }
}

fn note_defaults(reader: &mut Reader<'_>, properties: &BucketProperties, origins: Vec<Origin>) {
    // What the properties print as JSON is TOML too, null apart.
    let json = serde_json::to_value(properties).unwrap_or_default();
    for (name, origin) in BucketProperties::NAMES.into_iter().zip(origins) {
        let value = match &json[name] {
            serde_json::Value::Null => quoted(&"none"),
            value => value.to_string(),
        };
        reader.note(&format!("defaults.{name}"), value, origin);
    }
}

fn read_storage(reader: &mut Reader<'_>) -> StorageSettings {
    let default = StorageSettings::default();
    StorageSettings {
        segment_bytes: reader.size("storage.segment_bytes", default.segment_bytes),
        reserve_bytes: reader.size("storage.reserve_bytes", default.reserve_bytes),
        sync_interval: reader.span("storage.sync_interval", default.sync_interval),
        tombstone_min_age: reader.span("storage.tombstone_min_age", default.tombstone_min_age),
    }
}

fn read_membership(reader: &mut Reader<'_>) -> MembershipSettings {
    let default = MembershipSettings::default();
    MembershipSettings {
        probe_interval: reader.span("membership.probe_interval", default.probe_interval),
        probe_timeout: reader.span("membership.probe_timeout", default.probe_timeout),
        suspicion: reader.span("membership.suspicion", default.suspicion),
        announce_to_down_interval: reader
            .span("membership.announce_to_down_interval", default.announce_to_down_interval),
    }
}

fn read_handoff(reader: &mut Reader<'_>) -> HandoffSettings {
    let default = HandoffSettings::default();
    HandoffSettings {
        hint_bytes_max: reader.size("handoff.hint_bytes_max", default.hint_bytes_max),
    }
}

fn read_anti_entropy(reader: &mut Reader<'_>) -> AntiEntropySettings {
    let default = AntiEntropySettings::default();
    AntiEntropySettings { interval: reader.span("anti_entropy.interval", default.interval) }
}

fn read_tls(reader: &mut Reader<'_>) -> TlsSettings {
    let default = TlsSettings::default();
    let dir = reader.path("tls.dir", default.dir);
    TlsSettings { dir, generate: reader.flag("tls.generate", default.generate) }
}

fn read_http(reader: &mut Reader<'_>) -> HttpConfig {
    let listen = reader.word("http.listen", DEFAULT_HTTP_LISTEN, socket);
    let allow_remote_without_auth = reader.flag("http.allow_remote_without_auth", false);
    HttpConfig { listen, allow_remote_without_auth }
}

fn read_limits(reader: &mut Reader<'_>) -> LimitSettings {
    let default = LimitSettings::default();
    let narrow = |number| u32::try_from(number).map_err(|_| "a number below 4294967296".to_owned());
    LimitSettings {
        value_bytes_max: reader.size("limits.value_bytes_max", default.value_bytes_max),
        requests_in_flight_max: reader.number(
            "limits.requests_in_flight_max",
            default.requests_in_flight_max,
            narrow,
        ),
        request_bytes_in_flight_max: reader
            .size("limits.request_bytes_in_flight_max", default.request_bytes_in_flight_max),
        connections_max: reader.number("limits.connections_max", default.connections_max, narrow),
    }
}

fn read_telemetry(reader: &mut Reader<'_>) -> (TelemetrySettings, LogFormat) {
    let interval = reader.span("telemetry.interval", TelemetrySettings::default().interval);
    let parse = |text: &str| LogFormat::parse(text).ok_or_else(|| LogFormat::RULE.to_owned());
    let format = reader.word("telemetry.format", LogFormat::Text, parse);
    (TelemetrySettings { interval }, format)
}

fn node_name(text: &str) -> Result<NodeName, String> {
    NodeName::new(text).map_err(|_| label(NODE_NAME_MAX))
}

/// The rule of names and zones.
fn label(bytes_max: usize) -> String {
    format!("1 to {bytes_max} characters of a-z, 0-9 and '-'")
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "IP:PORT, such as 127.0.0.1:7400".to_owned())
}
