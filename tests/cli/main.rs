//! The command line against real nodes: what scripts and people rely on.
//!
//! | file | what it proves |
//! | --- | --- |
//! | `data.rs` | put, get, delete: bytes in are bytes out; options reach the cluster |
//! | `siblings.rs` | the printed commands resolve siblings when they are pasted |
//! | `keys.rs` | keys, buckets and their properties |
//! | `screens.rs` | status, members, ring, actors; `--watch` |
//! | `refusals.rs` | exit codes, and errors in three lines or as JSON |
//! | `help.rs` | every example of every `--help` parses; completions load |
//! | `bench.rs` | the bench measures what it says |
//! | `judge.rs` | verdicts, their exit codes, and what is no history |
//! | `torture.rs` | processes that are mistreated, judged, and gone in every case |
//! | `simulate.rs` | a seed is judged, and is the same run in every process |
//! | `local.rs` | what demo, serve and tls tell and leave behind |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests wait on the machine's own clock")]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod data;
mod help;
mod judge;
mod keys;
mod local;
mod refusals;
mod screens;
mod siblings;
mod simulate;
mod torture;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::node::TestNode;

/// What a run of the program left.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Run {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The one line of stdout, as JSON.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts how it ended.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Asserts that it failed so, and that it says so in three lines and nothing else.
    #[track_caller]
    fn fails(self, code: i32, why: &str, remedy: &str) -> Self {
        let run = self.ends(code);
        let lines: Vec<&str> = run.stderr.lines().collect();
        let [what, reason, hint] = lines[..] else { panic!("three lines: {run:?}") };
        assert!(what.starts_with("error: ") && run.stdout.is_empty(), "{run:?}");
        assert!(reason.starts_with("  why: ") && reason.contains(why), "{run:?}");
        assert!(hint.starts_with("  try: ") && hint.contains(remedy), "{run:?}");
        run
    }
}

/// The program, that knows no cluster.
fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_henge"));
    for variable in ["HENGE_NODES", "HENGE_TLS_DIR", "RUST_LOG", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command
}

/// The program, that knows where `node` is.
fn at(node: &TestNode) -> Command {
    let mut command = bare();
    let settings = node.handle.settings();
    command.env("HENGE_NODES", settings.node.listen.to_string());
    command.env("HENGE_TLS_DIR", &settings.tls.dir);
    command
}

/// Runs `command` with `input` on its stdin.
fn feed(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that has read enough may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program at `node`.
fn henge(node: &TestNode, arguments: &[&str]) -> Run {
    let mut command = at(node);
    command.args(arguments);
    feed(command, b"")
}

/// Writes `value` and gives the context.
#[track_caller]
fn put(node: &TestNode, arguments: &[&str]) -> String {
    let run = henge(node, &[&["put"], arguments].concat()).ends(0);
    run.text().trim_end().to_owned()
}
