//! Status, members, ring, actors.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
};

use serde_json::{Value, json};

use crate::{
    at, bare, feed, henge,
    support::node::{Cluster, Single, eventually},
};

/// Ended by its own id, whatever happens.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn status_has_a_line_a_node_and_says_what_it_means() {
    let mut cluster = Cluster::of_three();
    let up = henge(&cluster.nodes[0], &["status"]).ends(0);
    let lines: Vec<&str> = up.text().lines().collect();
    assert!(lines[0].starts_with("cluster henge · 3 nodes · "), "{up:?}");
    assert!(lines[0].ends_with("N=3 everywhere"), "{up:?}");
    for (line, name) in lines[2..5].iter().zip(["node-a", "node-b", "node-c"]) {
        assert!(line.starts_with(&format!("  UN  {name} ")), "{line}");
    }
    assert_eq!(lines[5..], ["All nodes are up."]);
    henge(&cluster.nodes[0], &["put", "carts", "ada", "milk", "--w", "3"]).ends(0);
    eventually("the key is counted", || {
        let status = henge(&cluster.nodes[0], &["status"]);
        status.text().lines().skip(2).take(3).all(|line| line.contains(" %     1  "))
    });
    cluster.nodes.pop().unwrap().stop();
    eventually("one is down", || {
        henge(&cluster.nodes[0], &["status"]).text().contains("  DN  node-c ")
    });
    let down = henge(&cluster.nodes[0], &["status"]).ends(0);
    assert!(down.text().contains("node-c is down: "), "{down:?}");
    let unknown = down.text().lines().any(|line| line.contains("node-c") && line.contains("  ?  "));
    assert!(unknown, "{down:?}");
    assert!(!down.text().contains('\x1b'), "no colours on a pipe");
    let coloured = henge(&cluster.nodes[0], &["status", "--color", "always"]).ends(0);
    assert!(coloured.text().contains("\x1b[31mDN\x1b[0m"), "{coloured:?}");
    let document = henge(&cluster.nodes[0], &["status", "--json"]).ends(0).json();
    assert_eq!(
        (&document["n"], &document["members"][2]["liveness"]),
        (&[3].as_slice().into(), &"down".into())
    );
}

#[test]
fn members_are_shown_with_their_addresses() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[1];
    let members = henge(node, &["members"]).ends(0);
    for member in node.handle.cluster().members {
        assert!(members.text().contains(&member.address), "{members:?}");
    }
    assert!(members.text().ends_with("As node-b sees it.\n"), "{members:?}");
    let document = henge(node, &["members", "--json"]).ends(0).json();
    assert_eq!(document["node"], "node-b");
}

#[test]
fn the_ring_shows_owners_or_who_holds_a_key() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    let ring = node.handle.ring();
    let owners = henge(node, &["ring"]).ends(0);
    assert!(owners.text().contains(&ring.digest), "{owners:?}");
    assert_eq!(henge(node, &["ring", "--json"]).ends(0).json()["digest"], ring.digest);
    let key = henge::Key::new("carts", "ada").unwrap();
    let list = node.handle.preference_list(&key);
    let shown = henge(node, &["ring", "carts", "ada"]).ends(0);
    let rows = shown.text().lines().skip(2);
    for (row, home) in rows.zip(&list.homes) {
        assert!(row.contains("UN") && row.contains(home) && row.contains("home"), "{shown:?}");
    }
    assert!(shown.text().contains(&list.token), "{shown:?}");
    let document = henge(node, &["ring", "--json", "--percent", "c%61rts", "ada"]).json();
    assert_eq!(document, serde_json::to_value(&list).unwrap());
    henge(node, &["ring", "carts"]).ends(2);
}

#[test]
fn hints_are_those_of_the_node_that_is_asked() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[1];
    let shown = henge(node, &["hints"]).ends(0);
    assert_eq!(shown.text(), "node-b keeps nothing for other nodes.\n");
    assert_eq!(henge(node, &["hints", "--json"]).ends(0).json()["node"], "node-b");
}

#[test]
fn the_repair_screen_shows_each_peer_and_when_it_was_compared() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    eventually("all are compared", || {
        let shown = henge(node, &["repair"]).ends(0);
        shown.text().matches("in sync").count() == 2
    });
    let shown = henge(node, &["repair"]).ends(0);
    for (line, name) in shown.text().lines().skip(1).zip(["node-b", "node-c"]) {
        assert!(line.contains(name) && line.contains(" ago"), "{shown:?}");
    }
    assert!(shown.text().ends_with("node-a lacks nothing that it knows of.\n"), "{shown:?}");
    let document = henge(node, &["repair", "--json"]).ends(0).json();
    let peer = &document["peers"][0];
    assert_eq!((&document["node"], &document["incomplete"]), (&"node-a".into(), &0.into()));
    assert_eq!((&peer["name"], &peer["diverged"]), (&"node-b".into(), &json!([])));
    assert!(peer["exchanged_ms"].is_u64() && peer["mended"] == 0, "{document}");
    let single = Single::start();
    let alone = henge(&single.node, &["repair"]).ends(0);
    assert!(alone.text().starts_with("solo has met no node"), "{alone:?}");
}

#[test]
fn actors_are_those_of_the_node_that_is_asked() {
    let cluster = Cluster::of_three();
    for node in &cluster.nodes {
        let shown = henge(node, &["actors"]).ends(0);
        assert!(shown.text().starts_with(&format!("node {} ", node.name)), "{shown:?}");
        assert!(shown.text().contains("ClientLink"), "{shown:?}");
        let document = henge(node, &["actors", "--json"]).ends(0).json();
        assert_eq!(document["actors"][0]["node"], node.name);
    }
}

#[test]
fn a_screen_is_watched_until_its_end() {
    let single = Single::start();
    let mut command = at(&single.node);
    command.args(["status", "--json", "--watch=50ms"]);
    let mut watching = Watching(command.stdout(Stdio::piped()).spawn().unwrap());
    let stdout = watching.0.stdout.take().unwrap();
    let mut lines = BufReader::new(stdout).lines();
    let mut since = || {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        line["members"][0]["since_ms"].as_u64().unwrap()
    };
    let times = [since(), since(), since()];
    assert!(times[0] < times[1] && times[1] < times[2], "each is a new look: {times:?}");
    // Nobody reads any more: it ends by itself, and well.
    drop(lines);
    let status = crate::support::node::until("it ends", || watching.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn watching_goes_on_while_the_node_is_away() {
    let single = Single::start();
    let mut command = at(&single.node);
    command.args(["status", "--watch=50ms", "--timeout", "200ms"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = Watching(command.spawn().unwrap());
    let mut told = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    assert!(told.next().unwrap().unwrap().starts_with("cluster henge"));
    let errors = BufReader::new(watching.0.stderr.take().unwrap()).lines();
    drop(single);
    let error = errors.map(Result::unwrap).find(|line| line.starts_with("error: "));
    assert_eq!(error.as_deref(), Some("error: the status was not read"));
    assert_eq!(watching.0.try_wait().unwrap(), None, "it still watches");
}

#[test]
fn a_cluster_that_nobody_answers_for_is_unavailable() {
    let single = Single::start();
    let dir = single.node.handle.settings().tls.dir.clone();
    // Less time than a dial takes, and more.
    for timeout in ["200ms", "5s"] {
        let mut command = bare();
        command.args(["status", "--timeout", timeout, "--node", "127.0.0.1:1"]);
        command.args(["--node", "127.0.0.1:2"]).arg("--tls-dir").arg(&dir);
        let run = feed(command, b"").fails(6, "127.0.0.1:1", "HENGE_NODES=HOST:PORT");
        assert!(run.stderr.contains("127.0.0.1:2"), "all that were tried: {run:?}");
    }
}
