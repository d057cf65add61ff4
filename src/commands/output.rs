//! What commands print: data on stdout, messages on stderr.
//!
//! Whoever reads may go away (`henge keys carts | head`): that is no failure of the command.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::failure::{Exit, Failure};
use crate::cli::Colour;

/// Sets once for the process whether there are colours.
pub fn choose_colours(colour: Colour) {
    match colour {
        Colour::Auto => ColorChoice::Auto,
        Colour::Always => ColorChoice::Always,
        Colour::Never => ColorChoice::Never,
    }
    .write_global();
}

/// Whether stderr takes colours, all things considered.
pub fn stderr_takes_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Whether a person reads stdout.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Bytes as they are. Says whether somebody still reads.
pub fn raw(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    told(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Text, whose colours are left out where there are none. Says whether somebody still reads.
pub fn text(text: &str) -> Result<bool, Failure> {
    let mut stdout = anstream::stdout().lock();
    told(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// One line of JSON. Says whether somebody still reads.
pub fn json(document: &impl Serialize) -> Result<bool, Failure> {
    let line = serde_json::to_string(document).map_err(|error| unwritten(&error.into()))?;
    raw(format!("{line}\n").as_bytes())
}

/// A line for people on stderr. There is nobody to tell if that fails.
pub fn message(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A line on stderr, if a person reads it: what programs get by `--json`.
pub fn aside(text: &str) {
    if io::stderr().is_terminal() {
        message(text);
    }
}

fn told(outcome: io::Result<()>) -> Result<bool, Failure> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritten(&error)),
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new(
        "the output could not be written",
        error.to_string(),
        "see whether there is room where stdout leads",
        Exit::Failed,
    )
}
