//! Runs that found something once, kept so that they are run again for ever.

use serde::{Deserialize, Serialize};

use super::Options;

/// A run that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// What it found.
    pub found: String,
    /// The run.
    pub options: Options,
}

const KEPT: &str = include_str!("kept.jsonl");

/// All of them, in the order in which they were kept.
///
/// # Panics
///
/// If the list in the repository is damaged.
pub fn all() -> Vec<Kept> {
    let read = |(number, line): (usize, &str)| {
        let kept = serde_json::from_str(line);
        kept.unwrap_or_else(|error| unreachable!("line {} of kept.jsonl: {error}", number + 1))
    };
    KEPT.lines().filter(|line| !line.is_empty()).enumerate().map(read).collect()
}
