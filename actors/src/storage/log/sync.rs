//! What the shard's thread and the sync thread both know: how far the log is durable, and whether
//! it may still be written.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::storage::{Sequence, StorageError, SyncCompletion, disk::SyncDone};

/// A place in the log: everything before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    /// The last change.
    pub sequence: Sequence,
    /// Bytes of the log.
    pub bytes: u64,
}

/// How far the log is durable; shared with the sync thread.
#[derive(Default)]
pub struct Durability {
    sequence: AtomicU64,
    bytes: AtomicU64,
    poison: OnceLock<Arc<str>>,
}

impl Durability {
    /// How far the log survives a power cut.
    pub fn synced(&self) -> Mark {
        Mark {
            sequence: Sequence(self.sequence.load(Ordering::Acquire)),
            bytes: self.bytes.load(Ordering::Acquire),
        }
    }

    /// The log takes no more writes. The first cause stays, and the first is told.
    pub fn poison(&self, cause: &StorageError) -> StorageError {
        let cause = self.poison.get_or_init(|| {
            tracing::error!(target: "henge::storage", %cause, "the log takes no more writes");
            match cause {
                StorageError::Poisoned { cause } => Arc::clone(cause),
                cause => cause.to_string().into(),
            }
        });
        StorageError::Poisoned { cause: Arc::clone(cause) }
    }

    /// Why the log takes no more writes, if so.
    pub fn poisoned(&self) -> Option<StorageError> {
        let cause = self.poison.get()?;
        Some(StorageError::Poisoned { cause: Arc::clone(cause) })
    }

    /// What to do when the sync of `path`, which covers everything before `mark`, is over. An error
    /// poisons: the kernel reports a lost page once, so a second sync that succeeds proves nothing.
    pub fn when_synced(
        self: &Arc<Self>,
        mark: Mark,
        path: PathBuf,
        done: SyncCompletion,
    ) -> SyncDone {
        let durability = Arc::clone(self);
        Box::new(move |synced: io::Result<()>| {
            let outcome = synced.map_err(StorageError::io("sync", &path));
            done(durability.settle(mark, outcome));
        })
    }

    /// Everything before `mark` survives a power cut.
    pub fn reached(&self, mark: Mark) {
        self.sequence.fetch_max(mark.sequence.0, Ordering::AcqRel);
        self.bytes.fetch_max(mark.bytes, Ordering::AcqRel);
    }

    fn settle(
        &self,
        mark: Mark,
        outcome: Result<(), StorageError>,
    ) -> Result<Sequence, StorageError> {
        match (outcome, self.poisoned()) {
            (Err(error), _) => Err(self.poison(&error)),
            // Synced, but behind a sync or write that failed.
            (Ok(()), Some(poisoned)) => Err(poisoned),
            (Ok(()), None) => {
                self.reached(mark);
                Ok(mark.sequence)
            }
        }
    }
}
