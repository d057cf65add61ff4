//! `simulate`: whole clusters in one process, where everything can fail.

use std::path::PathBuf;

use clap::Args;
use henge_actors::simulation::Fault;

/// `henge simulate`
#[derive(Debug, Args)]
#[command(
    about = "Run whole clusters in simulated time, where everything can fail, and judge them",
    long_about = "Run whole clusters in simulated time, where everything can fail, and judge them\n\n\
                  Each seed is a run of its own: three to seven nodes of the real actors on a \
                  simulated network, simulated disks and simulated clocks, with clients that write \
                  down what they are told. A seed decides the cluster, the clients, and which faults \
                  happen when; the same seed is the same run, everywhere. Never does more go wrong \
                  than the store promises to survive, so a red seed is a bug.\n\n\
                  Of a red seed the history is written to --dir, the run is made smaller while it \
                  stays red, and what happened is shown with the command that repeats it.\n\n\
                  Exit code 0 if no seed is red, else 1.",
    after_help = "Examples:\n  \
                  henge simulate --seed 1\n  \
                  henge simulate --seeds 300 --kept\n  \
                  henge simulate --seed 7 --without crash --without bit-rot\n  \
                  henge simulate --options data/simulated/seed-7.json\n  \
                  henge simulate --seeds 200 --defects"
)]
pub struct SimulateArgs {
    /// The first seed [default: a fresh one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many seeds, one after the other
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Run what this file says, as a red seed left it, instead of seeds
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "kept"])]
    pub options: Option<PathBuf>,
    /// Run what found something once, too
    #[arg(long)]
    pub kept: bool,
    /// A kind of fault that shall not happen; repeatable
    #[arg(long, value_name = "KIND")]
    pub without: Vec<Fault>,
    /// Where histories of red seeds are written
    #[arg(long, value_name = "DIR", default_value = "data/simulated")]
    pub dir: PathBuf,
    /// How many seeds run at a time [default: as many as there are cores]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u8).range(1..))]
    pub threads: Option<u8>,
    /// Leave red runs as they are
    #[arg(long)]
    pub no_shrink: bool,
    /// Fail if fewer writes were acknowledged, or a kind of fault did not happen
    #[arg(long, value_name = "WRITES")]
    pub demand: Option<u64>,
    /// Plant mistakes, those of these names or all, and show how many seeds find each: --seeds, or
    /// 1,000, at most; needs a build with --features planted-defects
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with_all = ["options", "kept"])]
    pub defects: Option<Vec<String>>,
    /// Show what each seed decides, and its hash
    #[arg(long)]
    pub verbose: bool,
}
