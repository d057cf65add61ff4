//! Reading a history back.

use std::io::{self, BufRead};

use super::{Event, FORMAT, History};

/// A file that is no history.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The file cannot be read on.
    #[error("line {line} cannot be read: {source}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: io::Error,
    },
    /// A line is no event.
    #[error("line {line}: {source}")]
    NoEvent {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The file is of another version of the format.
    #[error("line {line}: format {found} is unknown; this program knows {FORMAT}")]
    UnknownFormat {
        /// The line, from 1.
        line: usize,
        /// The version of the file.
        found: u32,
    },
    /// An event contradicts what was told before.
    #[error("line {line}: {why}")]
    Contradiction {
        /// The line, from 1.
        line: usize,
        /// What does not fit.
        why: String,
    },
}

impl Malformed {
    /// The line that is wrong, from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::Unreadable { line, .. }
            | Self::NoEvent { line, .. }
            | Self::UnknownFormat { line, .. }
            | Self::Contradiction { line, .. } => *line,
        }
    }
}

/// The events of a file, in its order.
///
/// # Errors
///
/// At the first line that is no event; an empty line is none.
pub fn read(file: impl BufRead) -> Result<Vec<Event>, Malformed> {
    events(file).collect()
}

/// A whole history, without keeping its events.
///
/// # Errors
///
/// At the first line that is no event, or does not fit those before it.
pub fn read_history(file: impl BufRead) -> Result<History, Malformed> {
    History::collect(events(file))
}

fn events(file: impl BufRead) -> impl Iterator<Item = Result<Event, Malformed>> {
    file.lines().enumerate().map(|(index, text)| {
        let line = index + 1;
        let text = text.map_err(|source| Malformed::Unreadable { line, source })?;
        read_line(line, &text)
    })
}

/// The event in one line, whose number is `line`.
///
/// # Errors
///
/// If it is none, or of an unknown format.
pub fn read_line(line: usize, text: &str) -> Result<Event, Malformed> {
    let event = serde_json::from_str(text).map_err(|source| Malformed::NoEvent { line, source })?;
    match event {
        Event::Meta(meta) if meta.fmt != FORMAT => {
            Err(Malformed::UnknownFormat { line, found: meta.fmt })
        }
        event => Ok(event),
    }
}
