//! The certificate directory.

use std::{fs, os::unix::fs::PermissionsExt, sync::Barrier, thread};

use henge_actors::transport::tls::{Directory, Issue, Role, TlsError};
use tempfile::TempDir;

use super::support::{Cluster, name, now};

#[test]
fn three_processes_that_start_at_the_same_instant_share_one_ca() {
    let dir = TempDir::new().unwrap();
    let start = Barrier::new(3);
    thread::scope(|scope| {
        for node in ["a", "b", "c"] {
            let (path, start) = (dir.path().join("tls"), &start);
            scope.spawn(move || {
                let directory = Directory::new(path, "stones").unwrap();
                start.wait();
                directory.generate_missing(&name(node), now()).unwrap();
                directory.load_node(&name(node), now()).unwrap();
            });
        }
    });
    let directory = Directory::new(dir.path().join("tls"), "stones").unwrap();
    for node in ["a", "b", "c"] {
        let identity = directory.load_node(&name(node), now()).unwrap();
        assert_eq!(identity.subject().to_string(), format!("henge://stones/node/{node}"));
    }
    assert_eq!(directory.load_client(now()).unwrap().subject().role(), Role::Client);
}

#[test]
fn what_is_there_is_kept() {
    let dir = TempDir::new().unwrap();
    let directory = Directory::new(dir.path(), "stones").unwrap();
    directory.generate_missing(&name("a"), now()).unwrap();
    let read = |file: &str| fs::read(dir.path().join(file)).unwrap();
    let before = (read("ca.pem"), read("a.pem"), read("client.key"));
    directory.generate_missing(&name("a"), now()).unwrap();
    assert_eq!(before, (read("ca.pem"), read("a.pem"), read("client.key")));
}

#[test]
fn keys_are_for_their_owner_only() {
    let dir = TempDir::new().unwrap();
    let directory = Directory::new(dir.path(), "stones").unwrap();
    directory.generate_missing(&name("a"), now()).unwrap();
    for file in ["ca.key", "a.key", "client.key"] {
        let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_missing_file_is_an_error_that_names_the_file_and_the_command() {
    let dir = TempDir::new().unwrap();
    let directory = Directory::new(dir.path(), "stones").unwrap();
    let path = dir.path().display();
    let refused = directory.load_node(&name("a"), now()).err().unwrap().to_string();
    assert_eq!(
        refused,
        format!(
            "{path}/ca.pem is missing: `henge tls init --dir {path} --cluster stones` makes it"
        )
    );
    directory.init(now()).unwrap();
    let refused = directory.load_node(&name("a"), now()).err().unwrap().to_string();
    let command = format!("henge tls issue --dir {path} --cluster stones --node a");
    assert_eq!(refused, format!("{path}/a.pem is missing: `{command}` makes it"));
}

#[test]
fn a_cluster_has_one_ca() {
    let cluster = Cluster::new("stones");
    assert!(matches!(cluster.certificates.init(now()), Err(TlsError::Exists { .. })));
}

#[test]
fn the_ca_of_another_cluster_is_refused_with_both_names() {
    let cluster = Cluster::new("stones");
    let other = Directory::new(cluster.dir.path(), "menhirs").unwrap();
    let refused = other.generate_missing(&name("a"), now()).err().unwrap();
    assert!(matches!(&refused, TlsError::OtherCluster { found, expected, .. }
        if found == "stones" && expected == "menhirs"));
    assert!(!cluster.dir.path().join("a.pem").exists());
}

#[test]
fn a_certificate_under_another_name_is_refused() {
    let cluster = Cluster::new("stones");
    cluster.identity("a");
    for kind in ["pem", "key"] {
        let file = |node| cluster.dir.path().join(format!("{node}.{kind}"));
        fs::copy(file("a"), file("b")).unwrap();
    }
    let refused = cluster.certificates.load_node(&name("b"), now());
    assert!(matches!(refused, Err(TlsError::OtherSubject { .. })));
}

#[test]
fn a_certificate_of_another_ca_is_refused_at_the_start() {
    let (cluster, other) = (Cluster::new("stones"), Cluster::new("stones"));
    other.identity("a");
    for file in ["a.pem", "a.key"] {
        fs::copy(other.dir.path().join(file), cluster.dir.path().join(file)).unwrap();
    }
    let refused = cluster.certificates.load_node(&name("a"), now());
    assert!(matches!(refused, Err(TlsError::Invalid { .. })));
}

#[test]
fn names_that_cannot_be_dialled_or_stored_are_not_certified() {
    let cluster = Cluster::new("stones");
    for unfit in ["1", "a-", "ca", "client"] {
        let refused =
            cluster.certificates.issue(Issue::Node { name: &name(unfit), names: &[] }, now());
        assert!(matches!(refused, Err(TlsError::Unfit { .. })), "{unfit}");
    }
    assert!(matches!(Directory::new("x", "a/b"), Err(TlsError::Unfit { .. })));
}

#[test]
fn damaged_files_are_errors() {
    let cluster = Cluster::new("stones");
    cluster.identity("a");
    for (file, text) in [("a.key", "garbage"), ("a.pem", ""), ("ca.pem", "\u{0}")] {
        fs::write(cluster.dir.path().join(file), text).unwrap();
        let refused = cluster.certificates.load_node(&name("a"), now());
        assert!(matches!(refused, Err(TlsError::Invalid { .. })), "{file}");
    }
}
