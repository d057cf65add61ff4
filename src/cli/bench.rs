//! `bench`: how fast a cluster is.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use henge_kernel::{
    bucket::VALUE_BYTES_MAX,
    units::{InvalidQuantity, parse_size},
};

use super::ConnectArgs;

/// `henge bench`
#[derive(Debug, Args)]
#[command(
    about = "Measure gets and puts",
    long_about = "Measure gets and puts\n\nA closed loop: each client has keys of its own, sends its \
                  next request when the last one is answered, and puts with the context of what it \
                  wrote before, so no siblings arise. Keys that are missing are written first. The \
                  CPU time of the nodes is read from /proc, of processes of this machine.\n\nExit \
                  code 1 if any request failed.",
    after_help = "Examples:\n  \
                  henge bench --mix put --clients 16\n  \
                  henge bench --mix get --value-size 100KiB --seconds 30 --json\n  \
                  henge bench --via http --http 127.0.0.1:7480 --http 127.0.0.1:7580"
)]
pub struct BenchArgs {
    /// What to send
    #[arg(long, value_enum, value_name = "MIX", default_value_t = Mix::Mixed)]
    pub mix: Mix,
    /// Through which door
    #[arg(long, value_enum, value_name = "DOOR", default_value_t = Via::Native)]
    pub via: Via,
    /// How many clients send at a time
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub clients: u16,
    /// Size of each value, as 100B or 1KiB
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = value_size)]
    pub value_size: u64,
    /// How many keys, shared out among the clients
    #[arg(long, value_name = "KEYS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// How long to send before that, unmeasured
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub warmup: u32,
    /// Where the keys are
    #[arg(long, value_name = "BUCKET", default_value = "bench")]
    pub bucket: OsString,
    /// Replicas that must answer a get [default: the bucket's]
    #[arg(long, value_name = "R")]
    pub r: Option<u8>,
    /// Replicas that must acknowledge a put [default: the bucket's]
    #[arg(long, value_name = "W")]
    pub w: Option<u8>,
    /// A node's HTTP address; repeatable: the clients take turns [default: 127.0.0.1:7480]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Vec<String>,
    /// A process whose CPU time counts as the nodes'; repeatable [default: every `henge serve` and
    /// `henge demo` of this machine]
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u32>,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

fn value_size(text: &str) -> Result<u64, InvalidQuantity> {
    parse_size(text, VALUE_BYTES_MAX.into())
}

/// What a bench sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mix {
    /// Gets only
    Get,
    /// Puts only
    Put,
    /// As many gets as puts
    Mixed,
}

/// Through which door a bench goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// The native client, over QUIC
    Native,
    /// HTTP/1.1, a connection a client
    Http,
}
