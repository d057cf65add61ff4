//! The rules between fields.

use std::time::Duration;

use henge_kernel::id::NodeName;

use super::*;

fn three() -> Settings {
    let nodes = [("a", 7400), ("b", 7500), ("c", 7600)].map(|(name, port)| {
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        LayoutEntry::new(NodeName::new(name).unwrap(), address)
    });
    let name = NodeName::new("b").unwrap();
    Settings::member(ClusterName::default(), nodes.to_vec(), name, "data".into())
}

fn violations(change: impl FnOnce(&mut Settings)) -> Vec<String> {
    let mut settings = three();
    change(&mut settings);
    let violations = settings.check().err().map(|InvalidSettings(all)| all).unwrap_or_default();
    violations.iter().map(|violation| format!("{violation}: {}", violation.remedy())).collect()
}

#[test]
fn the_defaults_break_no_rule() {
    assert_eq!(violations(|_| ()), [""; 0]);
    assert_eq!(three().node.listen.port(), 7500);
}

#[test]
fn all_violations_come_at_once() {
    let found = violations(|settings| {
        settings.node.listen.set_port(7501);
        settings.limits.connections_max = 1;
        settings.membership.probe_timeout = Duration::from_millis(200);
        settings.defaults.w = 4;
    });
    assert_eq!(
        found,
        [
            "node.listen has port 7501, but cluster.nodes gives b the address 127.0.0.1:7500: \
         listen on port 7500",
            "limits.connections_max is 1: choose from 16 to 65536",
            "membership.probe_timeout is 200ms, but it must be below \
             membership.probe_interval, so at most 199ms: set membership.probe_timeout to at \
             most 199ms, or raise membership.probe_interval",
            "defaults.w is 4: choose 1 to 3 (n)",
        ]
    );
}

#[test]
fn a_node_is_part_of_its_cluster() {
    let found = violations(|settings| settings.node.name = NodeName::new("d").unwrap());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("node.name is d, but cluster.nodes has only a, b, c"));
}

#[test]
fn names_and_addresses_of_a_layout_are_unique() {
    let found = violations(|settings| {
        let twin = settings.cluster.nodes[0].clone();
        settings.cluster.nodes.push(twin);
    });
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("cluster.nodes[0] and cluster.nodes[3] are both called a"));
}

#[test]
fn every_shard_has_a_port_that_is_nobody_elses() {
    let set = |settings: &mut Settings, port: u16, shards: Option<u64>| {
        settings.node.listen.set_port(port);
        settings.cluster.nodes[1].address = settings.node.listen.into();
        settings.node.shards = shards.map(|shards| ShardCount::new(shards).unwrap());
    };
    assert_eq!(violations(|settings| set(settings, 7599, Some(1))).len(), 0);
    assert_eq!(violations(|settings| set(settings, 7599, Some(2))).len(), 1);
    assert_eq!(violations(|settings| set(settings, 7599, None)).len(), 1);
    assert_eq!(violations(|settings| set(settings, 65_472, None)).len(), 0);
    assert_eq!(violations(|settings| set(settings, 65_473, None)).len(), 1);
}

#[test]
fn certificates_are_generated_on_loopback_only() {
    let found = violations(|settings| {
        settings.tls = TlsSettings { generate: true, ..TlsSettings::default() };
        settings.node.listen.set_ip([0, 0, 0, 0].into());
    });
    assert_eq!(found.len(), 1, "{found:?}");
}
