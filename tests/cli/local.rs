//! Demo, serve and tls, as far as the others rely on them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::UdpSocket,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{bare, feed, support::node::until};

/// Ended by its own id, whatever happens.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, names: &[&str]) {
        let id = self.0.id().to_string();
        for name in names {
            let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
            assert!(sent.success(), "{name}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Pastes the export line of `told` and then puts and gets.
fn follow(told: &str) {
    let export = told.lines().map(str::trim).find(|line| line.starts_with("export "));
    let export = export.unwrap_or_else(|| panic!("no export line: {told}"));
    let program = env!("CARGO_BIN_EXE_henge");
    let script = format!("{export}; {program} put b k x && {program} get b k");
    let shell = Command::new("bash").args(["-c", &script]).current_dir("/").output().unwrap();
    let got = String::from_utf8(shell.stdout.clone()).unwrap();
    assert!(got.ends_with("\nx"), "{export}: {shell:?}");
}

/// What comes on stdout up to a line that holds `end`.
fn told_until(running: &mut Running, end: &str) -> String {
    let mut told = String::new();
    let lines = BufReader::new(running.0.stdout.as_mut().unwrap()).lines();
    for line in lines {
        told += &(line.unwrap() + "\n");
        if told.contains(end) {
            return told;
        }
    }
    let mut errors = String::new();
    running.0.stderr.as_mut().unwrap().read_to_string(&mut errors).unwrap();
    panic!("{told}\n{errors}")
}

#[test]
fn the_line_that_a_dev_node_prints_leads_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = bare();
    command.args(["serve", "--dev", "--set", "http.listen=127.0.0.1:0", "--set"]);
    command.arg(format!("node.listen={listen}")).arg("--set");
    command.arg(format!("cluster.nodes[0].address={listen}")).current_dir(directory.path());
    let mut dev = Running::start(command);
    follow(&told_until(&mut dev, "export "));
    dev.signal(&["TERM"]);
    assert_eq!(until("it ends", || dev.0.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn the_line_that_a_demo_prints_leads_to_it_and_its_data_goes_even_in_a_hurry() {
    let mut command = bare();
    command.args(["demo", "--no-tour"]);
    let mut demo = Running::start(command);
    let told = told_until(&mut demo, "export ");
    let data = told.split("their data is in ").nth(1).unwrap();
    let data = PathBuf::from(data.split(" (removed").next().unwrap());
    assert!(data.is_dir());
    follow(&told);
    // Both signals wait while it stands still, so the second comes before the first is done with.
    demo.signal(&["STOP", "TERM", "INT", "CONT"]);
    let status = until("it ends", || demo.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(130), "it ended at once");
    assert!(!data.exists(), "its temporary directory is removed");
}

#[test]
fn a_client_certificate_is_replaced_only_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    let tls = |arguments: &[&str]| {
        let mut command = bare();
        command.arg("tls").args(arguments).args(["--dir", dir]);
        feed(command, b"")
    };
    tls(&["init"]).ends(0);
    tls(&["client"]).ends(0);
    let key = fs::read(directory.path().join("client.key")).unwrap();
    tls(&["client", "--name", "other"]).fails(1, "client.pem exists already", "--force");
    assert_eq!(fs::read(directory.path().join("client.key")).unwrap(), key);
    tls(&["client", "--force"]).ends(0);
    assert_ne!(fs::read(directory.path().join("client.key")).unwrap(), key);
}

#[test]
fn a_node_that_does_not_start_says_so_in_json_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let serve = |arguments: &[&str]| {
        let mut command = bare();
        command.args(["serve", "--json"]).args(arguments).current_dir(directory.path());
        let run = feed(command, b"").ends(2);
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        serde_json::from_str::<Value>(&run.stderr).unwrap()
    };
    let unreadable = serve(&["--config", "none.toml"]);
    assert!(unreadable["why"].is_string() && unreadable["exit"] == 2, "{unreadable}");
    let invalid = serve(&["--dev", "--set", "defaults.w=9"]);
    let message = &invalid["violations"][0]["message"];
    assert!(message.as_str().unwrap().contains('9'), "{invalid}");
}
