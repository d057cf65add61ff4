//! One file a command; here is what they share: how they end and what they say then.
//!
//! | command | file |
//! | --- | --- |
//! | `demo` | `demo/` |
//! | `serve` | `serve.rs` |
//! | `check-config` | `check_config.rs` |
//! | `tls` | `tls.rs` |

mod check_config;
mod demo;
mod serve;
mod tls;

use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};

use crate::{
    cli::{Cli, Colour, Command},
    config::ConfigError,
};

/// How a command ends; a contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it should.
    Ok,
    /// It failed, and surely changed nothing that it did not report.
    Failed,
    /// It was called wrongly, or the configuration is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
        })
    }
}

/// Why a command failed, in three lines.
#[derive(Debug)]
pub struct Failure {
    /// What was not done.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do now.
    pub remedy: String,
    /// How the process ends.
    pub exit: Exit,
}

impl Failure {
    fn report(&self) {
        anstream::eprintln!("error: {}\n  why: {}\n  try: {}", self.what, self.why, self.remedy);
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { path, source } => Self {
                what: format!("cannot read the configuration {}", path.display()),
                why: source.to_string(),
                remedy: "name a file such as config/cluster/a.toml; config/henge.toml explains \
                         every key"
                    .to_owned(),
                exit: Exit::Usage,
            },
            ConfigError::Invalid(invalid) => Self {
                what: "the configuration cannot be used".to_owned(),
                why: invalid.to_string(),
                remedy: format!("henge check-config {} shows each", invalid.file),
                exit: Exit::Usage,
            },
        }
    }
}

/// Runs what the command line asks for.
pub fn run(cli: &Cli) -> ExitCode {
    colours(cli.global.color).write_global();
    let done = match &cli.command {
        Command::Demo(args) => demo::run(args, cli.global),
        Command::Serve(args) => serve::run(args, cli.global),
        Command::CheckConfig(args) => check_config::run(args, cli.global),
        Command::Tls(command) => tls::run(command, cli.global),
    };
    done.unwrap_or_else(|failure| {
        failure.report();
        failure.exit
    })
    .into()
}

fn colours(colour: Colour) -> ColorChoice {
    match colour {
        Colour::Auto => ColorChoice::Auto,
        Colour::Always => ColorChoice::Always,
        Colour::Never => ColorChoice::Never,
    }
}

/// Whether stderr takes colours, all things considered.
fn stderr_takes_colours() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}
