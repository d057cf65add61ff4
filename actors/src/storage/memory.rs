//! The engine of tests: records in an ordered map, gone with the process.

use bytes::{BufMut, Bytes, BytesMut};
use henge_kernel::key::{Key, Token};

use super::{
    Change, Counts, Engine, KeyRange, KeyVisitor, RecordVisitor, Sequence, StorageError,
    SyncCompletion, Visited, check_sizes, directory::Directory,
};

/// Keeps records in memory. What it calls synced is as gone after a restart as the rest.
pub struct MemoryEngine {
    records: Directory<Bytes>,
    bytes: u64,
    last: Sequence,
}

impl MemoryEngine {
    /// An engine without records.
    pub fn new() -> Self {
        Self { records: Directory::new(), bytes: 0, last: Sequence(0) }
    }

    fn apply(&mut self, change: &Change<'_>) {
        let replaced = match *change {
            Change::Record { token, key, payload } => {
                let payload = join(payload);
                self.bytes += length(&payload);
                self.records.insert(token, key, payload)
            }
            Change::Removal { token, key } => self.records.remove(token, key),
        };
        self.bytes -= replaced.as_ref().map_or(0, length);
        self.last.0 += 1;
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for MemoryEngine {
    fn get(&self, token: Token, key: &Key) -> Result<Option<Bytes>, StorageError> {
        Ok(self.records.get(token, key).cloned())
    }

    fn append(&mut self, batch: &[Change<'_>]) -> Result<Sequence, StorageError> {
        check_sizes(batch)?;
        for change in batch {
            self.apply(change);
        }
        Ok(self.last)
    }

    fn keys(&self, range: KeyRange<'_>, limit: usize, visit: &mut KeyVisitor<'_>) -> Visited {
        self.records.visit(range, limit, &mut |listed, _| visit(listed))
    }

    fn scan(&self, range: KeyRange<'_>, limit: usize, visit: &mut RecordVisitor<'_>) -> Visited {
        self.records.visit(range, limit, &mut |listed, payload| visit(listed, Ok(payload.clone())))
    }

    fn request_sync(&mut self, done: SyncCompletion) {
        done(Ok(self.last));
    }

    fn counts(&self) -> Counts {
        Counts {
            keys: self.records.keys(),
            quarantined: 0,
            live_bytes: self.bytes,
            log_bytes: self.bytes,
            unsynced_bytes: 0,
            last: self.last,
            synced: self.last,
        }
    }

    fn bucket_keys(&self, bucket: &[u8]) -> u64 {
        self.records.bucket_keys(bucket)
    }

    fn buckets(&self) -> Vec<(Bytes, u64)> {
        self.records.buckets()
    }

    fn poisoned(&self) -> Option<StorageError> {
        None
    }
}

fn join(pieces: &[&[u8]]) -> Bytes {
    let mut joined = BytesMut::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        joined.put_slice(piece);
    }
    joined.freeze()
}

fn length(payload: &Bytes) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX)
}
