//! `henge`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use henge::{cli::Cli, commands};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => commands::run(&cli),
        Err(error) => commands::misused(&error),
    }
}
