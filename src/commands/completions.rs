//! `henge completions`: what makes a shell complete this command.

use clap::CommandFactory as _;
use serde_json::json;

use super::{
    failure::{Exit, Failure},
    output,
};
use crate::cli::{Cli, CompletionsArgs, GlobalArgs};

pub(super) fn run(args: CompletionsArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "henge", &mut script);
    if global.json {
        let script = String::from_utf8_lossy(&script);
        output::json(&json!({ "shell": args.shell.to_string(), "script": script }))?;
    } else {
        output::raw(&script)?;
    }
    Ok(Exit::Ok)
}
