//! `henge completions`: what makes a shell complete this command.

use clap::CommandFactory as _;

use super::{
    failure::{Exit, Failure},
    output,
};
use crate::cli::{Cli, CompletionsArgs};

pub(super) fn run(args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "henge", &mut script);
    output::raw(&script)?;
    Ok(Exit::Ok)
}
