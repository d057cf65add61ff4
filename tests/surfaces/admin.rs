//! What operators see of one node.

use serde_json::json;

use crate::support::{
    http::{call, get, put},
    node::Single,
};

#[test]
fn a_replica_is_shown_as_it_is() {
    let single = Single::start();
    let nothing = get(single.http(), "/v1/admin/replica/b/k").json();
    assert_eq!((&nothing["digest"], &nothing["versions"]), (&json!(null), &json!([])));
    assert_eq!(
        (&nothing["node"], &nothing["homes"], &nothing["home"]),
        (&json!("solo"), &json!(["solo"]), &json!(true))
    );
    put(single.http(), "/v1/kv/b/k", "four");
    let replica = get(single.http(), "/v1/admin/replica/b/k").json();
    assert!(replica["digest"].is_string() && replica["has_right"] == true, "{replica}");
    assert_eq!(replica["versions"].as_array().unwrap().len(), 1);
    let version = &replica["versions"][0];
    assert_eq!((&version["kind"], &version["size"]), (&json!("value"), &json!(4)));
    let etag =
        get(single.http(), "/v1/kv/b/k").header("etag").unwrap().trim_matches('"').to_owned();
    assert_eq!(version["dot"], etag);
    let context = get(single.http(), "/v1/kv/b/k").context();
    call(single.http(), "DELETE", "/v1/kv/b/k", &[("Henge-Context", &context)], b"");
    let replica = get(single.http(), "/v1/admin/replica/b/k").json();
    assert_eq!(replica["versions"][0]["kind"], "tombstone");
}

#[test]
fn actors_are_shown_in_numbers() {
    let single = Single::start();
    put(single.http(), "/v1/kv/b/k", "x");
    let actors = get(single.http(), "/v1/admin/actors").json();
    let actors = actors["actors"].as_array().unwrap();
    for name in [
        "NodeSupervisor",
        "AntiEntropyWorker",
        "Front",
        "RingManager",
        "GossipMembership",
        "StorageShard",
        "HintedHandoffQueue",
        "ReadRepairer",
        "Reaper",
        "Coordinator",
    ] {
        assert!(actors.iter().any(|actor| actor["actor"] == name), "{name}: {actors:?}");
    }
}

#[test]
fn a_node_alone_has_no_peers_to_compare_its_replicas_with() {
    let single = Single::start();
    let path = "/v1/admin/anti-entropy";
    assert_eq!(call(single.http(), "POST", path, &[], b"").status, 202);
    let report = get(single.http(), path).json();
    assert_eq!((&report["node"], &report["peers"]), (&json!("solo"), &json!([])));
    assert_eq!((&report["exchanges"], &report["clashes"]), (&json!(0), &json!(0)));
}

#[test]
fn hints_are_shown_and_handed_over_on_demand() {
    let single = Single::start();
    let hints = get(single.http(), "/v1/admin/hints").json();
    assert_eq!((&hints["node"], &hints["homes"]), (&json!("solo"), &json!([])));
    assert_eq!(hints["shard_bytes_max"], 4u64 << 30);
    let json_type = [("Content-Type", "application/json")];
    let reply = call(single.http(), "POST", "/v1/admin/handoff", &json_type, b"");
    assert_eq!(reply.status, 204);
    assert_eq!(get(single.http(), "/v1/admin/handoff").status, 405);
}

#[test]
fn what_is_deleted_is_reaped_on_demand() {
    let single = Single::start();
    put(single.http(), "/v1/kv/b/k", "x");
    let context = get(single.http(), "/v1/kv/b/k").context();
    call(single.http(), "DELETE", "/v1/kv/b/k", &[("Henge-Context", &context)], b"");
    let report = call(single.http(), "POST", "/v1/admin/reap", &[], b"").json();
    assert_eq!((&report["reaped"], &report["blocked"]), (&json!(1), &json!([])));
    let replica = get(single.http(), "/v1/admin/replica/b/k").json();
    assert_eq!((&replica["versions"], &replica["digest"]), (&json!([]), &json!(null)));
    assert_eq!(get(single.http(), "/v1/admin/reap").json()["rounds"], 1);
}

#[test]
fn faults_are_only_for_nodes_that_allow_them() {
    let single = Single::start();
    let json_type = [("Content-Type", "application/json")];
    for body in [r#"{"heal": true}"#, r#"{"cut": ["node-b"], "one_way": false}"#] {
        let reply = call(single.http(), "POST", "/v1/admin/faults", &json_type, body.as_bytes());
        assert_eq!(reply.problem(403, "forbidden")["fate"], "not_applied");
    }
}
