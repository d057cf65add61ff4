//! Lists in JSON, the same over HTTP and with `--json` on the command line.

use bytes::Bytes;
use henge_actors::events::ActorReport;
use henge_kernel::bucket::{BucketProperties, BucketRegister};
use serde::Serialize;

use super::text::Name;

/// Keys, and where their list goes on.
#[derive(Debug, Serialize)]
pub struct Keys {
    keys: Vec<Name>,
    next: Option<String>,
}

impl Keys {
    /// `keys`, which `next` follows if there may be more.
    pub fn new(keys: impl IntoIterator<Item = Bytes>, next: Option<String>) -> Self {
        Self { keys: keys.into_iter().map(Name).collect(), next }
    }
}

/// Buckets with their properties.
#[derive(Debug, Serialize)]
pub struct Buckets {
    buckets: Vec<Bucket>,
}

impl From<Vec<BucketRegister>> for Buckets {
    fn from(registers: Vec<BucketRegister>) -> Self {
        Self { buckets: registers.into_iter().map(Bucket::from).collect() }
    }
}

/// A bucket with its properties.
#[derive(Debug, Serialize)]
pub struct Bucket {
    #[serde(rename = "bucket")]
    name: Name,
    /// Whether it can be used: its own `n` or `conflict` has reached every member.
    established: bool,
    #[serde(flatten)]
    properties: BucketProperties,
}

impl From<BucketRegister> for Bucket {
    fn from(register: BucketRegister) -> Self {
        let BucketRegister { name, properties, established, version: _ } = register;
        Self { name: Name(name), established, properties }
    }
}

/// The actors of a node in numbers.
#[derive(Debug, Serialize)]
pub struct Actors {
    /// One entry an actor.
    pub actors: Vec<ActorReport>,
}
