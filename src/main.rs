//! `henge`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    henge::commands::run(&henge::cli::Cli::parse())
}
