//! `torture`: a cluster of processes, mistreated and judged.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `henge torture`
#[derive(Debug, Args)]
#[command(
    about = "Run a cluster of real processes, do it harm, and judge what clients were told",
    long_about = "Run a cluster of real processes, do it harm, and judge what clients were told\n\n\
                  Starts `henge serve` processes on loopback with certificates and data of their own. \
                  Clients send reads, writes and deletes with fresh, stale and no contexts, retry some, \
                  and note all that they send and are told, while processes are killed and started \
                  again, stand still, or hear each other no more. Then all faults end; the nodes must \
                  become equal, every key is read, and the history is judged as `henge judge` does. \
                  What fails is never more than the store promises to survive.\n\n\
                  The faults and the clients follow from the seed, but not their timing: a seed repeats \
                  a run about, not exactly. The processes end with this one, whatever ends it. What a \
                  bad run leaves (history, data, logs) is kept, and named.",
    after_help = "Examples:\n  \
                  henge torture\n  \
                  henge torture --seconds 20 --faults kill,halves --history run.jsonl\n  \
                  henge torture --nodes 7 --clients 64 --rate 2000 --json\n\n\
                  Exit codes: 0 every promise was kept, 1 one was broken, 2 called wrongly, 5 too \
                  little was tried to tell."
)]
pub struct TortureArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=9))]
    pub nodes: u8,
    /// How long clients work and faults happen
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// Requests a second, of all clients together [default: as many as they get answered]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
    /// How many clients work at a time
    #[arg(long, value_name = "C", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub clients: u16,
    /// How many keys, shared out among the buckets
    #[arg(long, value_name = "K", default_value_t = 300, value_parser = clap::value_parser!(u16).range(4..=10_000))]
    pub keys: u16,
    /// What goes wrong; each kind happens at least once [default: all that so many nodes allow]
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub faults: Vec<Harm>,
    /// Decides which faults happen and what clients do [default: a fresh one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the history is written [default: history.jsonl beside the data]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Keep data and logs of the nodes in this directory, new or empty [default: a temporary one,
    /// removed after a good run]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What is done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Harm {
    /// Processes are killed by SIGKILL, and started again
    Kill,
    /// Processes stand still, by SIGSTOP, and go on
    Pause,
    /// One node is cut off from all others
    Cut,
    /// Some nodes are not heard by the others, which they hear
    OneWay,
    /// Two parts of the cluster hear nothing of each other
    Halves,
    /// Two parts hear nothing of each other; one node hears both
    Bridge,
    /// Each node hears its nearest neighbours only, which with it are a majority
    Ring,
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Kill, Self::Pause, Self::Cut, Self::OneWay, Self::Halves, Self::Bridge, Self::Ring];

    /// Its name, on the command line and in histories.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Cut => "cut",
            Self::OneWay => "one-way",
            Self::Halves => "halves",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
        }
    }

    /// Whether it befalls links, not processes.
    pub fn is_of_links(self) -> bool {
        !matches!(self, Self::Kill | Self::Pause)
    }
}
