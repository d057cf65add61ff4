//! Who may be a client.

use std::path::Path;

use henge::{Client, ClientTls, Store as _};
use henge_actors::{
    environment::{Clock as _, SystemClock},
    transport::tls::{Directory, Identity, Issue},
};
use henge_kernel::{id::NodeName, time::WallMillis};

use crate::{
    address, blind, connect,
    dial::{Dialler, local},
    failure, key,
    support::node::{Single, TestNode},
    text,
};

const YEAR_MS: u64 = 365 * 86_400_000;

fn now() -> WallMillis {
    SystemClock::start().wall()
}

/// A client of another cluster, or of one that only has the same name.
fn stranger(dir: &Path, cluster: &str) {
    let directory = Directory::new(dir, cluster).unwrap();
    directory.init(now()).unwrap();
    let name = NodeName::new("client").unwrap();
    directory.issue(Issue::Client { name: &name }, now()).unwrap();
}

/// The node serves a client as before.
async fn serves(node: &TestNode) {
    let client = connect(node).await;
    client.put(&key("after"), text("x"), blind()).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_client_of_another_ca_is_refused_by_both_sides() {
    let single = Single::start();
    let name = single.node.handle.settings().cluster.name.as_str().to_owned();
    for cluster in [name.as_str(), "elsewhere"] {
        let dir = tempfile::tempdir().unwrap();
        stranger(dir.path(), cluster);
        let tls = ClientTls::from_dir(dir.path()).unwrap();
        assert_eq!(tls.cluster(), cluster);
        let refused = Client::connect([address(&single.node)], tls).await.unwrap_err();
        assert_eq!((refused.code(), refused.fate().as_str()), ("unreachable", "not_applied"));
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
    serves(&single.node).await;
}

/// A certificate that the cluster's CA gave out for another time.
fn of_another_time(node: &TestNode, at: WallMillis) -> (tempfile::TempDir, Identity) {
    let dir = tempfile::tempdir().unwrap();
    for file in ["ca.pem", "ca.key"] {
        std::fs::copy(node.handle.settings().tls.dir.join(file), dir.path().join(file)).unwrap();
    }
    let directory = Directory::open(dir.path()).unwrap();
    let name = NodeName::new("client").unwrap();
    directory.issue(Issue::Client { name: &name }, at).unwrap();
    let identity = directory.load_client(at).unwrap();
    (dir, identity)
}

#[test]
fn expired_and_not_yet_valid_certificates_are_refused_here_and_there() {
    local(async {
        let single = Single::start();
        for at in [WallMillis(now().0 - 12 * YEAR_MS), WallMillis(now().0 + YEAR_MS)] {
            let (dir, identity) = of_another_time(&single.node, at);
            let here = ClientTls::from_dir(dir.path());
            assert_eq!(failure(here), ("bad_certificate", "not_applied"));
            let reason = Dialler::new(identity, &single.node).refusal().await;
            assert!(reason.contains("certificate"), "{reason}");
        }
        serves(&single.node).await;
    });
}

#[test]
fn a_directory_without_certificates_says_what_makes_them() {
    let dir = tempfile::tempdir().unwrap();
    let refused = ClientTls::from_dir(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("henge tls init"), "{refused}");
    let directory = Directory::new(dir.path(), "test").unwrap();
    directory.init(now()).unwrap();
    let refused = ClientTls::from_dir(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("henge tls client"), "{refused}");
}

#[tokio::test]
async fn a_node_is_no_client() {
    let single = Single::start();
    let directory = Directory::open(&single.node.handle.settings().tls.dir).unwrap();
    let name = single.node.handle.settings().node.name.clone();
    let identity = directory.load_node(&name, now()).unwrap();
    // A node dials peers: it does not even offer the protocol of clients.
    let refused = Client::connect([address(&single.node)], identity.into()).await;
    assert_eq!(failure(refused).1, "not_applied");
    serves(&single.node).await;
}
