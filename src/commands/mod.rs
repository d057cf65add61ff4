//! One file a command, and what they share.
//!
//! | command | file |
//! | --- | --- |
//! | `demo` | `demo/` |
//! | `serve` | `serve.rs` |
//! | `check-config` | `check_config.rs` |
//! | `tls` | `tls.rs` |
//! | `put`, `get`, `delete` | `put.rs`, `get.rs`, `delete.rs`; what a key holds: `found.rs`; the value of a put: `value.rs`; writes: `writing.rs` |
//! | `keys` | `keys.rs` |
//! | `buckets`, `bucket` | `buckets.rs` |
//! | `status`, `members`, `ring`, `hints`, `repair`, `actors` | each its own; what they share: `screen.rs` |
//! | `bench` | `bench/` |
//! | `judge` | `judge.rs` |
//! | `simulate` | `simulate/` |
//! | `torture` | `torture/` |
//! | `completions` | `completions.rs` |
//!
//! | shared | file |
//! | --- | --- |
//! | how commands fail, and the exit codes | `failure.rs` |
//! | stdout and stderr | `output.rs` |
//! | tables | `table.rs` |
//! | buckets, keys and lines to paste | `words.rs` |
//! | the way to the cluster | `session.rs`; over HTTP `http_client.rs` |
//! | clusters of our own: where nodes listen, where their data lies | `ports.rs`, `data.rs` |

mod actors;
mod bench;
mod buckets;
mod check_config;
mod completions;
mod data;
mod delete;
mod demo;
mod failure;
mod found;
mod get;
mod hints;
mod http_client;
mod judge;
mod keys;
mod members;
mod output;
mod ports;
mod put;
mod repair;
mod ring;
mod screen;
mod serve;
mod session;
mod simulate;
mod status;
mod table;
mod tls;
mod torture;
mod value;
mod words;
mod writing;

use std::process::ExitCode;

#[cfg(feature = "fuzzing")]
pub(crate) use check_config::effective_text;
pub use failure::{Exit, Failure};
use output::stderr_takes_colours;

use crate::cli::{Cli, Command};

/// Runs what the command line asks for.
pub fn run(cli: &Cli) -> ExitCode {
    output::choose_colours(cli.global.color);
    let done = match &cli.command {
        Command::Demo(args) => demo::run(args, cli.global),
        Command::Serve(args) => serve::run(args, cli.global),
        Command::CheckConfig(args) => check_config::run(args, cli.global),
        Command::Tls(command) => tls::run(command, cli.global),
        Command::Put(args) => put::run(args, cli),
        Command::Get(args) => get::run(args, cli),
        Command::Delete(args) => delete::run(args, cli),
        Command::Keys(args) => keys::run(args, cli),
        Command::Buckets(args) => buckets::list(args, cli),
        Command::Bucket(command) => buckets::run(command, cli),
        Command::Status(args) => status::run(args, cli),
        Command::Members(args) => members::run(args, cli),
        Command::Ring(args) => ring::run(args, cli),
        Command::Hints(args) => hints::run(args, cli),
        Command::Repair(args) => repair::run(args, cli),
        Command::Actors(args) => actors::run(args, cli),
        Command::Bench(args) => bench::run(args, cli),
        Command::Judge(args) => judge::run(args, cli.global),
        Command::Simulate(args) => simulate::run(args, cli.global),
        Command::Torture(args) => torture::run(args, cli.global),
        Command::Completions(args) => completions::run(*args, cli.global),
    };
    done.unwrap_or_else(|failure| {
        failure.report(cli.global.json);
        failure.exit
    })
    .into()
}

/// Says what is wrong with the command line, or what was asked about it: the help, the version.
pub fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() || !wants_json {
        // There is nobody to tell if that fails.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
    }
    let text = error.to_string();
    let why = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let failure = Failure::usage("the command line was not understood", why, "add --help");
    failure.report(true);
    failure.exit.into()
}
