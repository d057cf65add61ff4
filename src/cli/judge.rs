//! `judge`, as types.

use std::path::PathBuf;

use clap::Args;

/// `henge judge`
///
/// Reads a history: what clients did, what they were told, and what replicas held, one JSON object a
/// line. Says which promises were broken, knowing nothing of the store's own vectors and clocks.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  henge judge run.jsonl\n  henge judge run.jsonl --min-acked 1000 \
                        --require-fault crash --json\n\n\
                        Exit codes: 0 valid, 1 a promise was broken, 2 no history, 5 too little was \
                        tried to tell."
)]
pub struct JudgeArgs {
    /// The history, as `henge simulate` writes one
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Acknowledged writes without which the run proves nothing
    #[arg(long, value_name = "N")]
    pub min_acked: Option<usize>,
    /// A kind of fault without which the run proves nothing; repeatable
    #[arg(long, value_name = "KIND")]
    pub require_fault: Vec<String>,
    /// How many broken promises to show; --json shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub show: usize,
}
