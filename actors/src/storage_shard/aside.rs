//! What a shard holds that was left behind: its disk was restored from a backup or replaced, while
//! every member promised that some of it is gone. Nobody can tell what of it, so none of it may be
//! passed on. It is set aside, in files beside the log that nothing reads but an operator, and the
//! partition is filled anew by the other homes.
//!
//! In order: the doubt about the partition and the flag `clearing` are durable; from then on the
//! shard takes nothing in and says nothing about it; what it holds is durable in the files; it is
//! taken out of the log; when that is synced, the flag is taken back. A start in the middle of it
//! begins again with the files.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use henge_kernel::{
    key::{Key, PartitionId},
    reaping::Fence,
};
use tracing::{error, warn};

use super::{StorageShard, Waiting, batch::stored_digest};
use crate::{
    events::ANTI_ENTROPY,
    fence_file::{Fences, Kept},
    storage::{
        KeyRange, Start, StorageError,
        state_file::{StateFile, StateFormat},
    },
};

const FORMAT: StateFormat =
    StateFormat { magic: *b"HENGEASD", version: 1, what: "records set aside" };
/// Bytes of records after which a file ends.
const FILE_BYTES: usize = 8 << 20;

/// Records on their way out, and whether the partition holds more. `None` for a damaged one: what
/// is left of it stays in the log.
type Chunk = Vec<(Key, Option<Bytes>)>;

impl StorageShard {
    /// The shard was left behind in these partitions.
    pub(super) fn set_aside(&mut self, left: &[(PartitionId, Fence)]) {
        if left.is_empty() || self.closed {
            return;
        }
        self.write_batch();
        let mut changed = Fences::new();
        for (partition, theirs) in left {
            let kept = self.fencing.kept(*partition);
            let fence = kept.fence.anew(theirs.finished, theirs.reaped);
            changed.insert(*partition, Kept { fence, clearing: true, ..kept });
            self.fencing.promised.remove(partition);
        }
        // If the doubt or the fence is not durable, all is as it was, and they are met again.
        let partitions: Vec<PartitionId> = changed.keys().copied().collect();
        if self.doubt(&partitions).is_ok() && self.write_fences(changed).is_ok() {
            self.clear(&partitions);
        }
    }

    /// Goes on where the last run ended.
    pub(super) fn clear_again(&mut self) {
        let clearing = self.fencing.all().filter(|(_, kept)| kept.clearing);
        let partitions: Vec<PartitionId> = clearing.map(|(partition, _)| partition).collect();
        self.clear(&partitions);
    }

    fn clear(&mut self, partitions: &[PartitionId]) {
        let mut changed = Fences::new();
        for partition in partitions {
            let kept = self.fencing.kept(*partition);
            match self.take_out(*partition, kept) {
                Ok(0) => {}
                Ok(records) => {
                    let aside = kept.aside.saturating_add(records);
                    changed.insert(*partition, Kept { aside, ..kept });
                    warn!(target: ANTI_ENTROPY, node = self.shard.commons.name(), partition = partition.0, records, "set aside: this disk was restored or replaced");
                }
                Err(error) => {
                    // The flag stays, and the next start tries again.
                    error!(target: ANTI_ENTROPY, node = self.shard.commons.name(), partition = partition.0, %error, "not set aside");
                    continue;
                }
            }
            self.fencing.cleared.push((*partition, self.engine.counts().last));
        }
        if !changed.is_empty() {
            // The count is told to operators only.
            let _ = self.write_fences(changed);
        }
        self.request_sync();
        self.tell_ledger(true);
    }

    /// Moves the records of a partition from the log to files; how many.
    fn take_out(&mut self, partition: PartitionId, kept: Kept) -> Result<u64, StorageError> {
        let mut records = 0;
        for file in 0_u32.. {
            let chunk = self.next_chunk(partition);
            if chunk.is_empty() {
                break;
            }
            let name = format!("aside-{}-{}-{file}", partition.0, kept.fence.generation.0);
            let directory = self.directory();
            let disk = Arc::clone(&self.shard.commons.environment.disk);
            StateFile::new(disk, directory, name, FORMAT).write(&encode(&chunk))?;
            records += chunk.len() as u64;
            for (key, payload) in chunk {
                self.remove(key, payload);
            }
            self.write_batch();
            if let Some(poisoned) = self.engine.poisoned() {
                return Err(poisoned);
            }
        }
        Ok(records)
    }

    fn directory(&self) -> PathBuf {
        self.shard.commons.settings.node.data_dir.join(format!("shard-{}", self.shard.index))
    }

    fn next_chunk(&self, partition: PartitionId) -> Chunk {
        let partitions = self.shard.commons.cluster.load().ring.partitions();
        let start = Start::At(partition.first_token(partitions));
        let range = KeyRange { start, through: partition.last_token(partitions) };
        let (mut chunk, mut bytes) = (Chunk::new(), 0);
        self.engine.scan(range, usize::MAX, &mut |found, payload| {
            bytes += payload.as_ref().map_or(0, Bytes::len) + found.key.len();
            // What the engine holds was a key once.
            if let Ok(key) = found.to_key() {
                chunk.push((key, payload.ok()));
            }
            if bytes < FILE_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        chunk
    }

    /// Takes a record out of the log with the next batch.
    pub(super) fn remove(&mut self, key: Key, payload: Option<Bytes>) {
        let token = key.token();
        let digests = (stored_digest(payload), None);
        self.enqueue(Waiting::removal(token, key, digests), None);
    }

    /// Ends the clearing of partitions of which nothing can come back any more.
    pub(super) fn end_clearing(&mut self) {
        let synced = self.engine.counts().synced;
        let over: Vec<_> =
            self.fencing.cleared.extract_if(.., |(_, through)| *through <= synced).collect();
        let mut changed = Fences::new();
        for (partition, _) in over {
            let kept = self.fencing.kept(partition);
            changed.insert(partition, Kept { clearing: false, ..kept });
        }
        if !changed.is_empty() && self.write_fences(changed).is_ok() {
            self.tell_ledger(true);
        }
    }
}

/// Each record as `u16 length | bucket | u16 length | key | u32 length | stored record`.
fn encode(chunk: &[(Key, Option<Bytes>)]) -> BytesMut {
    let mut to = BytesMut::new();
    for (key, payload) in chunk {
        let Some(payload) = payload else { continue };
        for part in [key.bucket(), key.key()] {
            to.put_u16_le(u16::try_from(part.len()).unwrap_or(u16::MAX));
            to.put_slice(part);
        }
        to.put_u32_le(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        to.put_slice(payload);
    }
    to
}
