//! Where records lie: engines that keep opaque payloads by (token, key).
//!
//! | file | holds |
//! | --- | --- |
//! | `disk` | what the storage needs of a file system, as a trait of the `Environment` |
//! | `disk_files` | real files, and one thread per log that syncs them |
//! | `disk_simulated` | a disk in memory that can be killed, cut from power, filled and damaged |
//! | `log` | the append-only log, the engine of production |
//! | `memory` | an ordered map, the engine of tests |
//! | `directory` | the ordered map in memory that both engines stand on |
//! | `state_file` | small files that are replaced whole: identity, layout, bucket properties |
//! | `conformance` | what every engine must do, as tests over a factory |
//!
//! An engine is synchronous and lives on the one thread of its shard. It knows nothing of
//! versions, histories or quorums: a payload is the kernel's stored encoding of a record.

pub mod disk;
pub mod disk_files;
#[cfg(feature = "simulation")]
pub mod disk_simulated;
pub mod log;
pub mod memory;
pub mod state_file;

#[cfg(test)]
mod conformance;
mod directory;
mod error;

use std::ops::ControlFlow;

use bytes::Bytes;
use henge_kernel::key::{InvalidKey, Key, Token};

pub use error::StorageError;

/// The longest payload, in bytes: 64 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// The longest batch, in bytes of payloads, keys and headers: 256 MiB.
pub const BATCH_BYTES_MAX: usize = 256 << 20;

/// Numbers the changes of one engine, from 1. An engine that was reopened goes on counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// One change of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// The key's record from now on, whatever was there before.
    Record {
        /// Where the key lies on the ring.
        token: Token,
        /// Whose record.
        key: &'a Key,
        /// The payload in pieces, which are stored back to back.
        payload: &'a [&'a [u8]],
    },
    /// The key has no record any more. Harmless if it had none.
    Removal {
        /// Where the key lies on the ring.
        token: Token,
        /// Whose record.
        key: &'a Key,
    },
}

impl Change<'_> {
    fn key(&self) -> &Key {
        match self {
            Self::Record { key, .. } | Self::Removal { key, .. } => key,
        }
    }

    fn payload(&self) -> &[&[u8]] {
        match self {
            Self::Record { payload, .. } => payload,
            Self::Removal { .. } => &[],
        }
    }

    fn payload_length(&self) -> usize {
        self.payload().iter().map(|piece| piece.len()).sum()
    }
}

/// Refuses what the format cannot hold; returns how many bytes of a log the batch takes.
fn check_sizes(batch: &[Change<'_>]) -> Result<usize, StorageError> {
    let mut whole = 0;
    for change in batch {
        let payload = change.payload_length();
        check_size("payload", payload, PAYLOAD_BYTES_MAX)?;
        whole += log::entry_length(change);
    }
    check_size("batch", whole, BATCH_BYTES_MAX)?;
    Ok(whole)
}

fn check_size(what: &'static str, size: usize, max: usize) -> Result<(), StorageError> {
    if size <= max {
        return Ok(());
    }
    Err(StorageError::TooLarge { what, size: size as u64, max: max as u64 })
}

/// Receives "durable through this sequence"; runs on the sync thread, so it should only send on.
pub type SyncCompletion = Box<dyn FnOnce(Result<Sequence, StorageError>) + Send>;

/// Receives each key of a listing.
pub type KeyVisitor<'v> = dyn FnMut(Listed<'_>) -> ControlFlow<()> + 'v;
/// Receives each key of a scan with its payload, or with why it cannot be read.
pub type RecordVisitor<'v> =
    dyn FnMut(Listed<'_>, Result<Bytes, StorageError>) -> ControlFlow<()> + 'v;

/// Keeps records by (token, key), in that order.
///
/// After a write or sync error that leaves the state of the disk unknown the engine is poisoned:
/// it writes no more and goes on reading. A full disk is not such an error.
pub trait Engine {
    /// The payload of `key`, proven by its checksum.
    fn get(&self, token: Token, key: &Key) -> Result<Option<Bytes>, StorageError>;

    /// Applies the changes in their order with one write(2): all of them or none, also after a
    /// crash. Returns once that write returned (it survives the process, not yet a power cut),
    /// with the sequence of the last change. An empty batch does nothing.
    fn append(&mut self, batch: &[Change<'_>]) -> Result<Sequence, StorageError>;

    /// Visits the keys of `range` in order, without reading a payload, until the range ends, the
    /// visitor breaks, or `limit` keys were visited. Quarantined keys are among them.
    fn keys(&self, range: KeyRange<'_>, limit: usize, visit: &mut KeyVisitor<'_>) -> Visited;

    /// As [`Engine::keys`], with payloads.
    fn scan(&self, range: KeyRange<'_>, limit: usize, visit: &mut RecordVisitor<'_>) -> Visited;

    /// Makes everything appended so far survive a power cut, beside the calling thread, then calls
    /// `done`; with an error once the engine is poisoned. The caller bounds how many are under way.
    fn request_sync(&mut self, done: SyncCompletion);

    /// Sizes, for metrics and decisions.
    fn counts(&self) -> Counts;

    /// How many keys `bucket` has here.
    fn bucket_keys(&self, bucket: &[u8]) -> u64;

    /// Every bucket that has keys here, in byte order, with how many.
    fn buckets(&self) -> Vec<(Bytes, u64)>;

    /// Why the engine takes no more writes, if so: a [`StorageError::Poisoned`].
    fn poisoned(&self) -> Option<StorageError>;

    /// Takes no more writes from now on: a sync that an earlier engine over the same files had
    /// asked for failed. An engine without files has none.
    fn poison(&mut self, _cause: &StorageError) {}
}

/// A stretch of the order (token, bucket, key).
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'a> {
    /// Where it begins.
    pub start: Start<'a>,
    /// The last token that belongs to it.
    pub through: Token,
}

/// Where a [`KeyRange`] begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// With the first key of this token.
    At(Token),
    /// Behind this key, whether it is there or not.
    After(Token, &'a Key),
}

impl Start<'_> {
    /// The first token that can have keys in the range.
    fn token(self) -> Token {
        match self {
            Self::At(token) | Self::After(token, _) => token,
        }
    }
}

impl KeyRange<'_> {
    /// The whole ring.
    pub const ALL: KeyRange<'static> =
        KeyRange { start: Start::At(Token(0)), through: Token(u64::MAX) };
}

/// A key as a visitor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Where it lies on the ring.
    pub token: Token,
    /// The bucket's name.
    pub bucket: &'a Bytes,
    /// The key's bytes.
    pub key: &'a [u8],
}

impl Listed<'_> {
    /// The key by itself; never fails for what an engine lists, whose keys were keys before.
    pub fn to_key(&self) -> Result<Key, InvalidKey> {
        Key::new(self.bucket.clone(), Bytes::copy_from_slice(self.key))
    }
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visited {
    /// There is nothing more in the range.
    All,
    /// There may be more: go on with [`Start::After`] the last visited key.
    Stopped,
}

/// The sizes of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys, quarantined ones included.
    pub keys: u64,
    /// Keys whose newest record is damaged.
    pub quarantined: u64,
    /// Bytes that hold the newest records, headers and keys included.
    pub live_bytes: u64,
    /// Bytes on the disk, live or not.
    pub log_bytes: u64,
    /// Bytes that a power cut could still take.
    pub unsynced_bytes: u64,
    /// The sequence of the last change.
    pub last: Sequence,
    /// The sequence through which everything is known to survive a power cut.
    pub synced: Sequence,
}
