//! `status`, `members`, `ring`, `hints`, `repair`, `actors`: one screen each; and `completions`.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use clap_complete::Shell;
use henge_kernel::units::{InvalidQuantity, parse_duration};

use super::ConnectArgs;

/// The longest time between two refreshes.
const WATCH_MAX: Duration = Duration::from_hours(1);

/// What all screens share.
#[derive(Clone, Debug, Args)]
pub struct ScreenArgs {
    /// Show it again and again, until Ctrl-C [default SPAN: 2s]
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true,
          default_missing_value = "2s", value_parser = interval)]
    pub watch: Option<Duration>,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge status`
#[derive(Debug, Args)]
#[command(
    about = "Show how the cluster is, and what to do about it",
    long_about = "Show how the cluster is, and what to do about it\n\nOne line a node, as the node \
                  that answers sees it: the first of --node that does. It begins with two letters: \
                  U up, S suspected, D down, ? not heard of yet; then N normal, I some of its records \
                  may be missing, F disk nearly full (no puts), P a log takes no more writes.",
    after_help = "Examples:\n  henge status\n  henge status --watch=5s\n  \
                  henge status --node 10.0.0.1:7400 --json"
)]
pub struct StatusArgs {
    /// How to show it.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `henge members`
#[derive(Debug, Args)]
#[command(
    about = "Show the members: where they are and how they are",
    after_help = "Examples:\n  henge members\n  henge members --json"
)]
pub struct MembersArgs {
    /// How to show it.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `henge ring`
#[derive(Debug, Args)]
#[command(
    about = "Show the ring, or who holds a key",
    long_about = "Show the ring, or who holds a key\n\nWith BUCKET and KEY: the homes of the key in \
                  the order of the ring, and who would stand in for them.",
    after_help = "Examples:\n  henge ring\n  henge ring carts ada\n  henge ring --json"
)]
pub struct RingArgs {
    /// The bucket of a key
    #[arg(value_name = "BUCKET", requires = "key")]
    pub bucket: Option<OsString>,
    /// The key
    #[arg(value_name = "KEY")]
    pub key: Option<OsString>,
    /// BUCKET and KEY are percent-encoded
    #[arg(long)]
    pub percent: bool,
    /// How to show it.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `henge actors`
#[derive(Debug, Args)]
#[command(
    about = "Show the actors of one node in numbers",
    long_about = "Show the actors of one node in numbers\n\nThe node is the first of --node that \
                  answers. Times are those of one message in sixteen.",
    after_help = "Examples:\n  henge actors\n  henge actors --watch --node 127.0.0.1:7500"
)]
pub struct ActorsArgs {
    /// How to show it.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `henge hints`
#[derive(Debug, Args)]
#[command(
    about = "Show what one node keeps for nodes that are away",
    long_about = "Show what one node keeps for nodes that are away\n\nThe node is the first of \
                  --node that answers. It hands the records over when those nodes are back.",
    after_help = "Examples:\n  henge hints\n  henge hints --watch --node 127.0.0.1:7500"
)]
pub struct HintsArgs {
    /// How to show it.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `henge repair`
#[derive(Debug, Args)]
#[command(
    about = "Show how far one node and its peers hold the same",
    long_about = "Show how far one node and its peers hold the same\n\nThe node is the first of \
                  --node that answers. Nodes compare what they share every few seconds and mend \
                  what differs: this shows with whom it was compared, when, what differs since \
                  when, and how many keys were mended. It also tells which records the node itself \
                  may lack.",
    after_help = "Examples:\n  henge repair\n  henge repair --watch --node 127.0.0.1:7500\n  \
                  henge repair --json"
)]
pub struct RepairArgs {
    /// How to show it.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `henge completions`
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "Examples:\n  source <(henge completions bash)\n  \
                        henge completions zsh > ~/.zfunc/_henge\n  \
                        henge completions fish > ~/.config/fish/completions/henge.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

fn interval(text: &str) -> Result<Duration, InvalidQuantity> {
    parse_duration(text, WATCH_MAX)
}
