//! Three nodes, seen through any of them.

use serde_json::json;

use crate::support::{
    http::{call, delete, get, put, put_over},
    node::{Cluster, eventually},
};

#[test]
fn every_node_answers_for_the_cluster() {
    let cluster = Cluster::of_three();
    let names = ["node-a", "node-b", "node-c"];
    let ring = get(cluster.http(0), "/v1/cluster/ring").json();
    for (place, name) in names.iter().enumerate() {
        let report = get(cluster.http(place), "/v1/cluster").json();
        assert_eq!(report["node"], *name);
        let members = report["members"].as_array().unwrap();
        let listed: Vec<_> =
            members.iter().map(|member| member["name"].as_str().unwrap()).collect();
        assert_eq!(listed, names);
        assert!(members.iter().all(|member| member["liveness"] == "up"), "{report}");
        assert_eq!(get(cluster.http(place), "/v1/cluster/ring").json(), ring);
    }
    assert_eq!(ring["partitions"], 256);
    assert_eq!(ring["assignment"].as_array().unwrap().len(), 256);
    let list = get(cluster.http(1), "/v1/cluster/ring?bucket=b&key=%FFk").json();
    let mut homes: Vec<_> =
        list["homes"].as_array().unwrap().iter().map(|home| home.as_str().unwrap()).collect();
    homes.sort_unstable();
    assert_eq!(
        (homes.as_slice(), &list["n"], &list["fallbacks"]),
        (&names[..], &json!(3), &json!([]))
    );
    get(cluster.http(0), "/v1/cluster/ring?bucket=b").refuses("key");
    get(cluster.http(0), "/v1/cluster/ring?key=k").refuses("bucket");
}

#[test]
fn writes_through_one_node_are_read_through_another() {
    let cluster = Cluster::of_three();
    let k = "/v1/kv/b/k";
    let written = put(cluster.http(0), k, "x");
    assert_eq!(written.status, 204, "{written:?}");
    let replicas = written.header("henge-replicas").unwrap();
    assert!(
        ["acks=2,fallbacks=0,homes=3", "acks=3,fallbacks=0,homes=3"].contains(&replicas),
        "{replicas}"
    );
    for place in 0..3 {
        assert_eq!(get(cluster.http(place), k).text(), "x");
    }
    let (one, two) = ("/v1/kv/b/c?w=3", "/v1/kv/b/c");
    put(cluster.http(0), one, "left");
    put(cluster.http(1), one, "right");
    let siblings = get(cluster.http(2), two);
    assert_eq!((siblings.status, siblings.json()["siblings"].as_array().unwrap().len()), (300, 2));
    assert_eq!(put_over(cluster.http(1), one, &siblings.context(), "both").status, 204);
    let read = get(cluster.http(0), two);
    assert_eq!((read.status, read.text()), (200, "both"));
    assert_eq!(delete(cluster.http(2), one, &read.context()).status, 204);
    let gone = get(cluster.http(0), two);
    gone.problem(404, "deleted");
    gone.context();
    let replica =
        |place| get(cluster.http(place), "/v1/admin/replica/b/c").json()["digest"].clone();
    eventually("all replicas are equal", || replica(0) == replica(1) && replica(1) == replica(2));
}

#[test]
fn limits_are_those_of_the_bucket() {
    let cluster = Cluster::of_three();
    let body = put(cluster.http(0), "/v1/kv/b/k?w=4", "x").refuses("w");
    assert_eq!((&body["value"], &body["limit"]), (&json!("4"), &json!("1 to 3 (n)")));
    let body = get(cluster.http(0), "/v1/kv/b/k?pr=3").refuses("pr");
    assert_eq!((&body["value"], &body["limit"]), (&json!("3"), &json!("1 to 2 (r)")));
    get(cluster.http(0), "/v1/kv/b/k").problem(404, "not_found");
    assert_eq!(put(cluster.http(1), "/v1/buckets/one", r#"{"n": 1, "r": 1, "w": 1}"#).status, 200);
    eventually("the bucket can be used", || {
        get(cluster.http(0), "/v1/buckets").json()["buckets"][0]["established"] == true
    });
    put(cluster.http(0), "/v1/kv/one/k?w=2", "x").refuses("w");
    assert_eq!(put(cluster.http(0), "/v1/kv/one/k", "x").status, 204);
    assert_eq!(get(cluster.http(2), "/v1/kv/one/k").text(), "x");
}

#[test]
fn a_node_that_is_cut_off_says_what_it_misses() {
    let cluster = Cluster::of_three();
    let json_type = [("Content-Type", "application/json; charset=utf-8")];
    let faults =
        |body: &str| call(cluster.http(0), "POST", "/v1/admin/faults", &json_type, body.as_bytes());
    let written = put(cluster.http(0), "/v1/kv/b/k?w=3", "x");
    assert_eq!(written.status, 204, "{written:?}");
    assert_eq!(faults(r#"{"cut": ["node-b", "node-c"]}"#).status, 204);
    eventually("both are known as down", || {
        let report = get(cluster.http(0), "/v1/cluster").json();
        report["members"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|member| member["liveness"] == "down")
            .count()
            == 2
    });
    assert_eq!(get(cluster.http(0), "/ready").status, 200, "ready stays while peers are down");
    let refused = put(cluster.http(0), "/v1/kv/b/k", "y");
    let body = refused.problem(503, "quorum_not_met");
    assert_eq!(refused.header("henge-replicas"), Some(&*format!("acks={}", body["got"])));
    let expected = json!({
        "type": "https://henge.dev/problems/quorum_not_met",
        "title": "Quorum not met",
        "status": 503,
        "detail": "1 of 2 needed replicas answered; 2 homes are down",
        "code": "quorum_not_met",
        "fate": "not_applied",
        "needed": 2,
        "got": 1,
        "homes_down": 2,
    });
    // Refused by what is known, nothing was asked: how many it could have got is not counted.
    assert_eq!(
        (&body["needed"], &body["homes_down"], &body["fate"]),
        (&expected["needed"], &expected["homes_down"], &expected["fate"])
    );
    let refused = get(cluster.http(0), "/v1/kv/b/k");
    let got = &refused.problem(503, "quorum_not_met")["got"];
    assert_eq!(refused.header("henge-replicas"), Some(&*format!("acks={got}")));
    assert_eq!(get(cluster.http(0), "/v1/kv/b/k?r=1").text(), "x");
    assert_eq!(get(cluster.http(1), "/v1/kv/b/k").text(), "x");
    assert_eq!(faults(r#"{"heal": true}"#).status, 204);
    eventually("the cluster is whole", || {
        put(cluster.http(0), "/v1/kv/b/healed?w=3", "z").status == 204
    });
}

#[test]
fn faults_are_taken_all_or_none() {
    let cluster = Cluster::of_three();
    let json_type = [("Content-Type", "application/json")];
    let faults =
        |body: &str| call(cluster.http(0), "POST", "/v1/admin/faults", &json_type, body.as_bytes());
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"cut": []}"#,
        r#"{"cut": "node-b"}"#,
        r#"{"heal": false}"#,
        r#"{"cut": ["node-b"], "heal": true}"#,
        r#"{"heal": true, "one_way": true}"#,
        r#"{"cut": ["node-b"], "both": true}"#,
        r#"{"cut": ["node-b"], "one_way": "no"}"#,
        r#"{"heal": true, "heal": true}"#,
        r#"{"one_way": true}"#,
    ] {
        faults(body).refuses("body");
    }
    for name in ["node-a", "node-d", "Node-B", ""] {
        let body = faults(&format!(r#"{{"cut": ["node-b", "{name}"]}}"#)).refuses("cut");
        assert_eq!(body["value"], name);
    }
    assert_eq!(put(cluster.http(0), "/v1/kv/b/k?w=3", "x").status, 204, "nobody was cut off");
}
