//! What can go wrong in the storage.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use henge_kernel::key::Key;

/// Why a storage operation failed. After any error of a write, nothing of that write is applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk refused an operation.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `append to`, `sync`…
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// The record of this key is damaged. Never to be read as "not found".
    #[error("the record of {key:?} is damaged: {detail}")]
    Corrupt {
        /// Whose record.
        key: Key,
        /// What does not fit.
        detail: &'static str,
    },
    /// A small state file and the one before it are damaged.
    #[error("{} is damaged: {detail}", path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// The disk has no room. The engine goes on: removals and reads may succeed.
    #[error("no room on the disk for {needed} bytes: {free} are free")]
    Full {
        /// Bytes that are free.
        free: u64,
        /// The size of the refused write, in bytes.
        needed: u64,
    },
    /// An earlier write or sync failed, so nobody knows what the disk holds: no more writes.
    #[error("the log takes no more writes: {cause}")]
    Poisoned {
        /// The first failure.
        cause: Arc<str>,
    },
    /// A file of a format that this build does not know. Nothing was changed.
    #[error("{} has format version {found}; this build knows version {known}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this build reads and writes.
        known: u32,
    },
    /// A file that is something else than its name says. Nothing was changed.
    #[error("{} is not a {expected}", path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// What was expected there.
        expected: &'static str,
    },
    /// More bytes than the format can hold.
    #[error("{what} has {size} bytes; the most is {max}")]
    TooLarge {
        /// `payload`, `batch`, `state file`…
        what: &'static str,
        /// Its size, in bytes.
        size: u64,
        /// The greatest size, in bytes.
        max: u64,
    },
    /// Another process works in this directory.
    #[error("{} is locked by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

impl StorageError {
    /// Wraps what the disk said about `path`; for `map_err`.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source: Arc::new(source) }
    }
}
