//! The append-only log: the Bitcask idea (Sheehy & Smith, 2010), with a directory in token order.
//!
//! Every change is one entry at the end of the newest segment; the directory in memory says where
//! the newest record of each key lies. A put is one write(2) for its whole batch, a get one lookup
//! and one pread. Overwritten records stay in their segments: the log only grows.
//!
//! | file | holds |
//! | --- | --- |
//! | `record` | the format of an entry |
//! | `segment` | the format of a file, its name and header |
//! | `index` | where the newest record of each key lies |
//! | `sync` | how far the log is durable, shared with the sync thread |
//! | `opening` | the files of a directory become a log |
//! | `recovery`, `reader` | what the entries of those files say, and what damage means |
//!
//! **What a power cut leaves** is a prefix of the changes, at least through the last sync. For
//! that a segment is synced before the next one begins: the one place where an append waits for the
//! device, once in `segment_bytes`, and for no more than was written since the last sync.

mod index;
mod opening;
mod reader;
mod record;
mod recovery;
mod segment;
mod sync;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io, mem, ops::ControlFlow, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use henge_kernel::{
    key::{Key, Token},
    planted::{Defect, planted},
};

pub use self::recovery::{Cut, Loss, OpenReport};
use self::{
    index::{Index, Location, Newest},
    opening::Opened,
    record::Place,
    segment::{HEADER_BYTES, Segment},
    sync::{Durability, Mark},
};
use super::{
    Change, Counts, Engine, KeyRange, KeyVisitor, Listed, RecordVisitor, Sequence, StorageError,
    SyncCompletion, Visited, check_size, check_sizes,
    disk::{Disk, DiskLock, SyncLane},
};

pub(super) use self::record::entry_length;
#[cfg(feature = "simulation")]
pub(crate) use self::segment::mend as mend_segment;

/// The default of [`LogSettings::segment_bytes`]: 256 MiB.
pub const SEGMENT_BYTES_DEFAULT: u32 = 256 << 20;
/// The greatest [`LogSettings::segment_bytes`]: 1 GiB.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// A larger write buffer is given back after its batch, in bytes.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Where its files lie; created if missing.
    pub directory: PathBuf,
    /// A segment is sealed before it grows beyond this many bytes. A batch is never split, so a
    /// larger one gets a segment of its own.
    pub segment_bytes: u32,
    /// Fresh random bits: see the markers of the entries' format.
    pub salt: u64,
}

/// An append-only log. Dropping it waits for the syncs under way and releases the directory.
pub struct LogEngine {
    disk: Arc<dyn Disk>,
    settings: LogSettings,
    index: Index,
    sealed: BTreeMap<u32, Segment>,
    active: Segment,
    last: Sequence,
    /// Bytes in all segments.
    bytes: u64,
    durability: Arc<Durability>,
    /// Where batches are put together.
    buffer: Vec<u8>,
    lane: Box<dyn SyncLane>,
    _lock: Box<dyn DiskLock>,
}

impl LogEngine {
    /// Opens the log in the settings' directory, or begins one there. Reads all of it; nothing is
    /// changed before every segment was found to have a known format and to be readable.
    pub fn open(
        disk: Arc<dyn Disk>,
        settings: LogSettings,
    ) -> Result<(Self, OpenReport), StorageError> {
        check_size("segment_bytes", settings.segment_bytes as usize, SEGMENT_BYTES_MAX as usize)?;
        let lock = opening::lock_directory(&*disk, &settings.directory)?;
        let Opened { index, sealed, active, next, report } = opening::open(&*disk, &settings)?;
        let bytes = sealed.values().chain([&active]).map(|segment| u64::from(segment.length)).sum();
        let durability = Arc::new(Durability::default());
        durability.reached(Mark { sequence: Sequence(next - 1), bytes });
        let name = settings.directory.file_name().unwrap_or_default().to_string_lossy();
        let lane = disk.sync_lane(&name);
        let lane =
            lane.map_err(StorageError::io("start a sync thread for", &settings.directory))?;
        let engine = Self {
            disk,
            settings,
            index,
            sealed,
            active,
            last: Sequence(next - 1),
            bytes,
            durability,
            buffer: Vec::new(),
            lane,
            _lock: lock,
        };
        Ok((engine, report))
    }

    /// Seals the active segment, if a batch of `length` bytes does not fit in it any more.
    fn make_room(&mut self, length: usize) -> Result<(), StorageError> {
        let empty = self.active.length == HEADER_BYTES;
        let grown = self.active.length as usize + length;
        if empty || grown <= self.settings.segment_bytes as usize {
            return Ok(());
        }
        let synced = self.active.file.sync();
        synced
            .map_err(StorageError::io("sync", &self.active.path))
            .map_err(|failed| self.durability.poison(&failed))?;
        self.durability.reached(self.mark());
        let number = self.active.number + 1;
        let next = opening::begin_segment(&*self.disk, &self.settings, number, self.last.0 + 1);
        let next = next.map_err(|refused| match refused {
            StorageError::Io { source, .. } if is_full(&source) => self.full(length),
            refused => self.durability.poison(&refused),
        })?;
        let sealed = mem::replace(&mut self.active, next);
        self.sealed.insert(sealed.number, sealed);
        self.bytes += u64::from(HEADER_BYTES);
        Ok(())
    }

    /// The end of the log.
    fn mark(&self) -> Mark {
        Mark { sequence: self.last, bytes: self.bytes }
    }

    /// Puts the batch together in the buffer.
    fn encode(&mut self, batch: &[Change<'_>]) {
        self.buffer.clear();
        let first = self.last.0 + 1;
        let last = self.last.0 + batch.len() as u64;
        for (sequence, change) in (first..).zip(batch) {
            let place = Place {
                marker: self.active.marker,
                sequence,
                first: sequence == first,
                last: sequence == last,
            };
            record::encode(change, place, &mut self.buffer);
        }
    }

    /// Writes the buffer; after an error it is as if nothing had been tried.
    fn write(&mut self) -> Result<(), StorageError> {
        let Err(refused) = self.active.file.append(&self.buffer) else {
            return Ok(());
        };
        let full = is_full(&refused);
        let refused = StorageError::io("append to", &self.active.path)(refused);
        if let Err(uncut) = self.active.file.truncate(self.active.length.into()) {
            let uncut = StorageError::io("cut a torn write off", &self.active.path)(uncut);
            return Err(self.durability.poison(&uncut));
        }
        if full {
            return Err(self.full(self.buffer.len()));
        }
        Err(self.durability.poison(&refused))
    }

    /// The disk has no room for so many bytes.
    fn full(&self, needed: usize) -> StorageError {
        // A disk that does not even tell has none to give.
        let free = self.disk.free(&self.settings.directory).unwrap_or(0);
        StorageError::Full { free, needed: needed as u64 }
    }

    /// Points the directory to a batch that was written.
    fn apply(&mut self, batch: &[Change<'_>]) {
        for change in batch {
            let length = entry_length(change);
            match *change {
                Change::Removal { token, key } => self.index.remove(token, key),
                Change::Record { token, key, .. } => {
                    let offset = self.active.length;
                    if let Some(location) = Location::new(self.active.number, offset, length) {
                        self.index.record(token, key, location);
                    }
                }
            }
            self.active.length += u32::try_from(length).unwrap_or(0);
            self.last.0 += 1;
        }
    }

    /// Reads the newest record of `key`.
    fn read(&self, key: &Key, newest: Newest) -> Result<Bytes, StorageError> {
        let corrupt = |detail| StorageError::Corrupt { key: key.clone(), detail };
        let Newest::At(location) = newest else {
            return Err(corrupt("it did not hold when the log was opened"));
        };
        let segment = self.sealed.get(&location.segment).unwrap_or(&self.active);
        let mut entry = BytesMut::zeroed(location.length() as usize);
        let read = segment.file.read_at(&mut entry, location.offset.into());
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("its segment ends before it"));
            }
            read => read.map_err(StorageError::io("read", &segment.path))?,
        }
        record::payload_of(entry.freeze(), segment.marker, key).map_err(corrupt)
    }
}

impl Engine for LogEngine {
    fn get(&self, token: Token, key: &Key) -> Result<Option<Bytes>, StorageError> {
        match self.index.directory.get(token, key) {
            Some(newest) => match self.read(key, *newest) {
                Err(StorageError::Corrupt { .. } | StorageError::Io { .. })
                    if planted(Defect::CorruptIsNothing) =>
                {
                    Ok(None)
                }
                read => read.map(Some),
            },
            None => Ok(None),
        }
    }

    fn append(&mut self, batch: &[Change<'_>]) -> Result<Sequence, StorageError> {
        if let Some(poisoned) = self.poisoned() {
            return Err(poisoned);
        }
        if batch.is_empty() {
            return Ok(self.last);
        }
        let length = check_sizes(batch)?;
        self.make_room(length)?;
        self.encode(batch);
        let written = self.write();
        if written.is_ok() {
            self.apply(batch);
            self.bytes += length as u64;
        }
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        written.map(|()| self.last)
    }

    fn keys(&self, range: KeyRange<'_>, limit: usize, visit: &mut KeyVisitor<'_>) -> Visited {
        self.index.directory.visit(range, limit, &mut |listed, _| visit(listed))
    }

    fn scan(&self, range: KeyRange<'_>, limit: usize, visit: &mut RecordVisitor<'_>) -> Visited {
        let mut visit = |listed: Listed<'_>, newest: &Newest| match listed.to_key() {
            Ok(key) => visit(listed, self.read(&key, *newest)),
            // What the directory holds was a key once.
            Err(_) => ControlFlow::Continue(()),
        };
        self.index.directory.visit(range, limit, &mut visit)
    }

    fn request_sync(&mut self, done: SyncCompletion) {
        if let Some(poisoned) = self.poisoned() {
            return done(Err(poisoned));
        }
        if self.durability.synced().bytes == self.bytes {
            return done(Ok(self.last));
        }
        let path = self.active.path.clone();
        let done = self.durability.when_synced(self.mark(), path, done);
        self.lane.request(Arc::clone(&self.active.file), done);
    }

    fn counts(&self) -> Counts {
        let synced = self.durability.synced();
        Counts {
            keys: self.index.directory.keys(),
            quarantined: self.index.quarantined,
            live_bytes: self.index.live_bytes,
            log_bytes: self.bytes,
            unsynced_bytes: self.bytes - synced.bytes,
            last: self.last,
            synced: synced.sequence,
        }
    }

    fn bucket_keys(&self, bucket: &[u8]) -> u64 {
        self.index.directory.bucket_keys(bucket)
    }

    fn buckets(&self) -> Vec<(Bytes, u64)> {
        self.index.directory.buckets()
    }

    fn poisoned(&self) -> Option<StorageError> {
        self.durability.poisoned()
    }

    fn poison(&mut self, cause: &StorageError) {
        self.durability.poison(cause);
    }
}

/// Whether an error says that there is no room, so that trying again later makes sense.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
