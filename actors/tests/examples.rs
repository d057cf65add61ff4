//! The examples run, and say what they promise. `cargo test` builds them before this runs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Longest time that an answer of an example may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn example(name: &str) -> Command {
    // target/debug/deps/this-test -> target/debug/examples/name
    let test = std::env::current_exe().unwrap();
    let path: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not built: `cargo build --examples` does it", path.display());
    Command::new(path)
}

#[test]
fn the_cart_actor_merges_siblings_and_loses_no_item() {
    let ended = example("cart").output().unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(text, "ada: book, cup, pen\nbob: bread, jam, milk, tea\n", "{errors}");
    assert!(ended.status.success());
}

#[test]
fn the_web_application_serves_its_own_routes_from_its_node_and_ends_in_order() {
    let mut web = Web::start();
    assert_eq!(web.call("GET", "/guests"), ("200".to_owned(), String::new()));
    assert_eq!(web.call("POST", "/guests/ada").0, "201");
    assert_eq!(web.call("POST", "/guests/bob").0, "201");
    assert_eq!(web.call("GET", "/guests"), ("200".to_owned(), "ada\nbob\n".to_owned()));
    web.end();
}

/// The process, killed if the test fails.
struct Web {
    child: Child,
    address: String,
}

impl Web {
    fn start() -> Self {
        let mut child = example("web").arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap();
        let address = address.strip_suffix("/guests").unwrap().to_owned();
        Self { child, address }
    }

    /// Status and body of one request.
    fn call(&self, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        write!(stream, "{method} {path} {head}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    fn end(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
