//! `put`, `get`, `delete`, `keys`, `buckets`, `bucket`: what users do with their data.

use std::{ffi::OsString, time::Duration};

use clap::{ArgAction, Args, Subcommand};
use henge_kernel::{
    bucket::{Durability, TTL_MAX},
    causality::Dot,
    id::WriteId,
    units::{InvalidQuantity, parse_duration},
};

use super::ConnectArgs;

/// Which key.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// The bucket
    #[arg(value_name = "BUCKET")]
    pub bucket: OsString,
    /// The key: any bytes but NUL, or all with --percent
    #[arg(value_name = "KEY")]
    pub key: OsString,
    /// BUCKET and KEY are percent-encoded: `%FF` is one byte, `%25` a percent sign
    #[arg(long)]
    pub percent: bool,
}

/// What puts and deletes may choose alike.
#[derive(Clone, Debug, Args)]
pub struct WriteArgs {
    /// Replicas that must acknowledge [default: the bucket's]
    #[arg(long, value_name = "W")]
    pub w: Option<u8>,
    /// How many of them must be homes of the key [default: the bucket's]
    #[arg(long, value_name = "PW")]
    pub pw: Option<u8>,
    /// Whether other nodes may stand in for homes [default: the bucket's]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub sloppy: Option<bool>,
    /// When a write counts as stored: os or periodic [default: the bucket's]
    #[arg(long, value_name = "MODE")]
    pub durability: Option<Durability>,
    /// The write's name, a UUID: under one name it is one write, however often it is sent
    #[arg(long, value_name = "UUID")]
    pub write_id: Option<WriteId>,
}

/// `henge put`
#[derive(Debug, Args)]
#[command(
    about = "Write a value",
    long_about = "Write a value\n\nPrints the new context: pass it to the next put or delete of the \
                  key. Without --context a put replaces nothing; what was there becomes its sibling.",
    after_help = "Examples:\n  \
                  henge put carts ada 'one book'\n  \
                  henge put carts ada --context \"$(henge get carts ada --context-only)\" 'two books'\n  \
                  henge put photos ada.jpg --content-type image/jpeg --w 3 < ada.jpg\n  \
                  henge put sessions --percent user%2F7 --ttl 30m - < session.json"
)]
pub struct PutArgs {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArgs,
    /// The value; `-` or nothing reads it from stdin
    #[arg(value_name = "VALUE")]
    pub value: Option<OsString>,
    /// What was read of the key: the put replaces exactly that
    #[arg(long, value_name = "T")]
    pub context: Option<String>,
    /// Write the sibling of this name again, as it is: with --context, in the place of all
    #[arg(long, value_name = "DOT", requires = "context",
          conflicts_with_all = ["value", "content_type", "meta"])]
    pub keep: Option<Dot>,
    /// The value's media type
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Something to keep with the value; repeatable
    #[arg(long, value_name = "NAME=TEXT")]
    pub meta: Vec<String>,
    /// How long the value lives, as 30m or 7d [default: the bucket's]
    #[arg(long, value_name = "SPAN", value_parser = ttl)]
    pub ttl: Option<Duration>,
    /// Print what the key holds now, as `get` does, in place of the context
    #[arg(long)]
    pub return_body: bool,
    /// How to write.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge get`
#[derive(Debug, Args)]
#[command(
    about = "Read a value",
    long_about = "Read a value\n\nThe value goes to stdout byte for byte. The context (pass it to the \
                  next put or delete of the key) goes to stderr if that is a terminal; --json and \
                  --context-only print it too.\n\nSiblings are values of which none has seen the \
                  other: exit code 3, a table of them, and the commands that make them one again. \
                  The table is on stdout only if that is a terminal: a pipe gets values or nothing.",
    after_help = "Examples:\n  \
                  henge get carts ada\n  \
                  henge get photos ada.jpg --r 3 > ada.jpg\n  \
                  henge get carts ada --json\n  \
                  henge get carts --percent ada%FF --context-only\n\n\
                  Exit codes: 0 one value, 3 siblings, 4 not found or deleted."
)]
pub struct GetArgs {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Replicas that must answer [default: the bucket's]
    #[arg(long, value_name = "R")]
    pub r: Option<u8>,
    /// How many of them must be homes of the key [default: the bucket's]
    #[arg(long, value_name = "PR")]
    pub pr: Option<u8>,
    /// Whether other nodes may stand in for homes [default: the bucket's]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub sloppy: Option<bool>,
    /// Print the context and nothing else
    #[arg(long, conflicts_with_all = ["json", "dot"])]
    pub context_only: bool,
    /// Of siblings the one of this name: its value, byte for byte
    #[arg(long, value_name = "DOT", conflicts_with = "json")]
    pub dot: Option<Dot>,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge delete`
#[derive(Debug, Args)]
#[command(
    about = "Delete what was read of a key",
    long_about = "Delete what was read of a key\n\nA delete covers what its context has seen, and \
                  nothing else: a put that was not seen outlives it. Prints the new context.",
    group = clap::ArgGroup::new("seen").required(true).args(["context", "read_first"]),
    after_help = "Examples:\n  \
                  henge delete carts ada --read-first\n  \
                  henge delete carts ada --context \"$(henge get carts ada --context-only)\"\n\n\
                  Exit codes: 0 deleted, 4 nothing to delete (with --read-first)."
)]
pub struct DeleteArgs {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArgs,
    /// What was read of the key: the delete covers exactly that
    #[arg(long, value_name = "T")]
    pub context: Option<String>,
    /// Read the key now and delete all that is found, siblings too
    #[arg(long)]
    pub read_first: bool,
    /// How to write.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge keys`
#[derive(Debug, Args)]
#[command(
    about = "List the keys of a bucket",
    long_about = "List the keys of a bucket\n\nOne a line, in the order of the ring. Each partition \
                  is listed by one of its homes, so a key that is still in repair may be missing.",
    after_help = "Examples:\n  \
                  henge keys carts\n  \
                  henge keys carts --prefix a --limit 10\n  \
                  henge keys carts --percent --json"
)]
pub struct KeysArgs {
    /// The bucket
    #[arg(value_name = "BUCKET")]
    pub bucket: OsString,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<OsString>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// Go on where an earlier listing ended
    #[arg(long, value_name = "NEXT")]
    pub after: Option<String>,
    /// BUCKET and PREFIX are percent-encoded, and keys are printed so
    #[arg(long)]
    pub percent: bool,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge buckets`
#[derive(Debug, Args)]
#[command(
    about = "List the buckets",
    long_about = "List the buckets\n\nThose that have properties of their own, and those that hold \
                  keys on the node that answers. A pipe gets their names, one a line.",
    after_help = "Examples:\n  henge buckets\n  henge buckets --json"
)]
pub struct BucketsArgs {
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge bucket`
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// Show a bucket's properties, in the form in which they can be set
    #[command(after_help = "Example:\n  henge bucket get carts")]
    Get(BucketGetArgs),
    /// Set properties of a bucket, cluster-wide, all or none
    ///
    /// What is not named stays as it is. `n` and `conflict`, once chosen, never change.
    #[command(after_help = "Examples:\n  henge bucket set sessions conflict=lww ttl=30d\n  \
                            henge bucket set orders n=5 r=3 w=3\n\n\
                            Properties: n r w pr pw sloppy conflict ttl durability value_bytes_max")]
    Set(BucketSetArgs),
}

/// `henge bucket get`
#[derive(Debug, Args)]
pub struct BucketGetArgs {
    /// The bucket
    #[arg(value_name = "NAME")]
    pub bucket: OsString,
    /// NAME is percent-encoded
    #[arg(long)]
    pub percent: bool,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// `henge bucket set`
#[derive(Debug, Args)]
pub struct BucketSetArgs {
    /// The bucket
    #[arg(value_name = "NAME")]
    pub bucket: OsString,
    /// What to set
    #[arg(value_name = "PROPERTY=VALUE", required = true)]
    pub properties: Vec<String>,
    /// NAME is percent-encoded
    #[arg(long)]
    pub percent: bool,
    /// Where.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

fn ttl(text: &str) -> Result<Duration, InvalidQuantity> {
    parse_duration(text, TTL_MAX)
}
