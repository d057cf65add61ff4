//! The whole command line, as types. No behaviour.
//!
//! | file | commands |
//! | --- | --- |
//! | `mod.rs` | `demo`, `serve`, `check-config`, `tls`; the options of all |
//! | `data.rs` | `put`, `get`, `delete`, `keys`, `buckets`, `bucket` |
//! | `bench.rs` | `bench` |
//! | `judge.rs` | `judge` |
//! | `simulate.rs` | `simulate` |
//! | `torture.rs` | `torture` |
//! | `screens.rs` | `status`, `members`, `ring`, `hints`, `repair`, `actors`; `completions` |

mod bench;
mod data;
mod judge;
mod screens;
mod simulate;
mod torture;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use henge_actors::settings::ClusterName;
use henge_kernel::{
    coordination::options::TIMEOUT_MAX,
    id::NodeName,
    units::{InvalidQuantity, parse_duration},
};

pub use bench::{BenchArgs, Mix, Via};
pub use data::{
    BucketCommand, BucketGetArgs, BucketSetArgs, BucketsArgs, DeleteArgs, GetArgs, KeyArgs,
    KeysArgs, PutArgs, WriteArgs,
};
pub use judge::JudgeArgs;
pub use screens::{
    ActorsArgs, CompletionsArgs, HintsArgs, MembersArgs, RepairArgs, RingArgs, ScreenArgs,
    StatusArgs,
};
pub use simulate::SimulateArgs;
pub use torture::{Harm, TortureArgs};

/// A Dynamo-style key-value store: no leader, a quorum per request, conflicts kept until they are
/// resolved.
#[derive(Debug, Parser)]
#[command(
    name = "henge",
    version,
    after_help = "First steps:\n  henge demo                     a three-node cluster in this process\n  \
                  henge serve --dev              a single node on loopback\n  \
                  henge put carts ada 'a book'   with the export line that either prints\n  \
                  henge get carts ada\n  \
                  henge status\n\n\
                  Exit codes: 0 ok, 1 failed and surely not applied, 2 usage or configuration, \
                  3 siblings, 4 not found, 5 outcome unknown (may have been applied), 6 unavailable."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Where the cluster is, for the commands that ask it; each takes these options as well.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Copy, Debug, Args)]
pub struct GlobalArgs {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; `NO_COLOR` is honoured
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub color: Colour,
}

/// Where the cluster is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ConnectArgs {
    /// A node, by the address of its QUIC; repeatable [env: `HENGE_NODES`, with commas]
    /// [default: 127.0.0.1:7400]
    #[arg(long = "node", value_name = "HOST:PORT")]
    pub nodes: Vec<String>,
    /// Directory with ca.pem, client.pem and client.key [env: `HENGE_TLS_DIR`] [default: ./data/tls]
    #[arg(long, value_name = "DIR")]
    pub tls_dir: Option<PathBuf>,
    /// How long to wait, as 500ms or 5s [default: 2s for a key, 10s for the rest]
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    pub timeout: Option<Duration>,
}

fn timeout(text: &str) -> Result<Duration, InvalidQuantity> {
    parse_duration(text, TIMEOUT_MAX)
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a cluster in this process, with a guided tour of a partition
    Demo(DemoArgs),
    /// Run one node
    Serve(ServeArgs),
    /// Check a configuration file and show what is in effect
    ///
    /// Shows each value with its origin, as a TOML file that means the same; or every violation at
    /// once, with file, line and what would be right.
    CheckConfig(CheckConfigArgs),
    /// Make the cluster's CA and the certificates of its nodes and clients
    #[command(
        subcommand,
        after_help = "Examples:\n  henge tls init --dir ca --cluster orders\n  \
                      henge tls issue --dir ca --cluster orders --node a --san a.example.org\n  \
                      henge tls client --dir ca --cluster orders"
    )]
    Tls(TlsCommand),
    /// Write a value
    Put(PutArgs),
    /// Read a value
    Get(GetArgs),
    /// Delete what was read of a key
    Delete(DeleteArgs),
    /// List the keys of a bucket
    Keys(KeysArgs),
    /// List the buckets
    Buckets(BucketsArgs),
    /// Show or set the properties of a bucket
    #[command(
        subcommand,
        after_help = "Examples:\n  henge bucket get carts\n  \
                      henge bucket set sessions conflict=lww ttl=30d"
    )]
    Bucket(BucketCommand),
    /// Show how the cluster is, and what to do about it
    Status(StatusArgs),
    /// Show the members: where they are and how they are
    Members(MembersArgs),
    /// Show the ring, or who holds a key
    Ring(RingArgs),
    /// Show what one node keeps for nodes that are away
    Hints(HintsArgs),
    /// Show how far one node and its peers hold the same
    Repair(RepairArgs),
    /// Show the actors of one node in numbers
    Actors(ActorsArgs),
    /// Measure gets and puts
    Bench(BenchArgs),
    /// Judge what clients saw of a run: which promises were broken
    Judge(JudgeArgs),
    /// Run whole clusters in simulated time, where everything can fail, and judge them
    Simulate(SimulateArgs),
    /// Run a cluster of real processes, do it harm, and judge what clients were told
    Torture(TortureArgs),
    /// Print what makes a shell complete this command
    Completions(CompletionsArgs),
}

/// `henge demo`
///
/// Runs a cluster of real nodes on loopback: real UDP sockets, real certificates, real files. The
/// tour cuts one node off, writes on both sides, heals, shows the siblings and resolves them. Then
/// the cluster stays up for you, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  henge demo --nodes 5\n  henge demo --tour --exit --json")]
pub struct DemoArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=9))]
    pub nodes: u8,
    /// Shards of each node: threads, logs and ports
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: u16,
    /// Keep the data in this directory [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Run the guided tour; the default, spelled out for scripts
    #[arg(long, conflicts_with = "no_tour")]
    pub tour: bool,
    /// Start the cluster only
    #[arg(long, conflicts_with = "exit")]
    pub no_tour: bool,
    /// End after the tour: with 0 if every step held, else with 1
    #[arg(long)]
    pub exit: bool,
}

/// `henge serve`
///
/// Runs one node until SIGTERM or SIGINT: then it takes no new requests, ends those in flight, syncs
/// its logs, tells its peers, and exits with 0 within 10 s.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("source").required(true).args(["config", "dev"]),
    after_help = "Example:\n  henge serve --config config/cluster/a.toml\n  \
                  henge serve --dev --set http.listen=127.0.0.1:8080"
)]
pub struct ServeArgs {
    /// The configuration file; config/henge.toml explains every key
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A single node on loopback, with generated certificates and n = r = w = 1, data in ./data/dev
    #[arg(long)]
    pub dev: bool,
    /// Let `POST /v1/admin/faults` cut links to peers; for tests and demonstrations
    #[arg(long)]
    pub allow_faults: bool,
    /// Stop, as after SIGTERM, when stdin ends; so a node ends with the program that started it
    #[arg(long)]
    pub end_with_stdin: bool,
    /// Changes of single keys.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// `henge check-config`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  henge check-config config/cluster/a.toml\n  \
                        HENGE_DEFAULTS_W=3 henge check-config a.toml --set node.shards=2\n\n\
                        Exit codes: 0 valid, 2 not.")]
pub struct CheckConfigArgs {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Changes of single keys.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Changes of single keys.
#[derive(Debug, Args)]
pub struct OverrideArgs {
    /// Set a key of the configuration, above the environment (`HENGE_NODE_LISTEN` for node.listen) and
    /// the file; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `henge tls`
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Make the cluster's CA: ca.pem, which every node needs, and ca.key, which nobody else may have
    #[command(after_help = "Example:\n  henge tls init --dir ca --cluster orders")]
    Init(TlsArgs),
    /// Issue a node's certificate: NAME.pem and NAME.key, to be carried to that node with ca.pem
    #[command(after_help = "Example:\n  henge tls issue --dir ca --cluster orders --node a --san \
                            a.example.org --san 10.0.0.1")]
    Issue(TlsIssueArgs),
    /// Issue a client's certificate: client.pem and client.key
    #[command(after_help = "Example:\n  henge tls client --dir ca --cluster orders --name backup")]
    Client(TlsClientArgs),
}

/// What all `tls` commands need.
#[derive(Debug, Args)]
pub struct TlsArgs {
    /// Directory of the CA, where certificates are made too
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The cluster's name, as in cluster.name
    #[arg(long, value_name = "NAME", default_value_t, value_parser = ClusterName::new)]
    pub cluster: ClusterName,
}

/// `henge tls issue`
#[derive(Debug, Args)]
pub struct TlsIssueArgs {
    /// Where the CA is.
    #[command(flatten)]
    pub authority: TlsArgs,
    /// The node's name, as in node.name
    #[arg(long, value_name = "NAME", value_parser = NodeName::new)]
    pub node: NodeName,
    /// A further DNS name or IP address under which the node is reached; repeatable
    #[arg(long = "san", value_name = "HOST")]
    pub san: Vec<String>,
}

/// `henge tls client`
#[derive(Debug, Args)]
pub struct TlsClientArgs {
    /// Where the CA is.
    #[command(flatten)]
    pub authority: TlsArgs,
    /// The client's name: 1 to 32 characters of a-z, 0-9 and '-'
    #[arg(long, value_name = "NAME", default_value = "client", value_parser = NodeName::new)]
    pub name: NodeName,
    /// Replace a client's certificate that is there already
    #[arg(long)]
    pub force: bool,
}
