//! What does not belong together.

use std::{
    fs,
    process::{Command, Output},
};

use crate::processes::{Cluster, PROMPTLY, Plan, ServeNode, until};

fn serve(node: &ServeNode) -> Output {
    Command::new(env!("CARGO_BIN_EXE_henge"))
        .args(["serve", "--config"])
        .arg(&node.config)
        .env("RUST_LOG", "error")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, exit: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in:\n{stderr}");
    }
    assert_eq!(stderr.lines().count(), 3, "what, why, what to do:\n{stderr}");
}

fn edit(node: &ServeNode, from: &str, to: &str) {
    let text = fs::read_to_string(&node.config).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&node.config, text.replace(from, to)).unwrap();
}

#[test]
fn nodes_born_of_different_facts_refuse_each_other_naming_field_and_both_values() {
    let mut cluster = Cluster::planned(&Plan::default());
    let (birth, other) = ("[cluster]", "[ring]\npartitions = 128\n[cluster]");
    edit(&cluster.nodes[2], birth, other);
    for node in &mut cluster.nodes {
        node.start();
    }
    // Whoever is refused by the other first hears it in the other's words.
    let seen = ["ring.partitions is \"256\" on ", "ring.partitions is \"128\" on c"];
    for node in &cluster.nodes {
        until(PROMPTLY, &format!("{} says why", node.name), || {
            let log = node.log().replace('\\', "");
            seen.iter().any(|why| log.contains(why)).then_some(())
        });
    }
}

#[test]
fn a_file_that_disagrees_with_the_birth_of_the_directory_is_refused() {
    let mut cluster = Cluster::planned(&Plan::default());
    cluster.nodes[0].start();
    cluster.nodes[0].kill();
    edit(&cluster.nodes[0], "[cluster]", "[ring]\npartitions = 128\n[cluster]");
    assert_refused(&serve(&cluster.nodes[0]), 2, &["ring.partitions", "\"128\"", "\"256\""]);
    edit(&cluster.nodes[0], "partitions = 128", "partitions = 256");
    edit(&cluster.nodes[0], "shards = 1", "shards = 2");
    assert_refused(&serve(&cluster.nodes[0]), 2, &["node.shards", "\"2\"", "\"1\""]);
    edit(&cluster.nodes[0], "shards = 2", "shards = 1");
    cluster.nodes[0].start();
}

#[test]
fn a_data_directory_serves_one_process() {
    let mut cluster = Cluster::planned(&Plan::default());
    cluster.nodes[0].start();
    assert_refused(&serve(&cluster.nodes[0]), 1, &["locked by another process", "node.data_dir"]);
}

#[test]
fn a_port_in_use_is_named() {
    let mut cluster = Cluster::planned(&Plan::default());
    cluster.nodes[0].start();
    let held = cluster.nodes[0].http.to_string();
    edit(&cluster.nodes[1], "listen = \"127.0.0.1:0\"", &format!("listen = \"{held}\""));
    assert_refused(&serve(&cluster.nodes[1]), 1, &[&held, "http.listen"]);
}

#[test]
fn missing_certificates_name_the_commands_that_make_them() {
    let cluster = Cluster::planned(&Plan::default());
    edit(&cluster.nodes[0], "generate = true", "generate = false");
    assert_refused(&serve(&cluster.nodes[0]), 2, &["ca.pem", "henge tls init"]);
}
