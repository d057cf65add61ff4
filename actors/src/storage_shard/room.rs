//! What the disk has room for: see the kernel's [`room`](henge_kernel::room).

use henge_kernel::{coordination::RequestError, room::Room};
use tracing::{info, warn};

use super::StorageShard;
use crate::{events::STORAGE, storage::StorageError, wire::PeerReply};

impl StorageShard {
    /// Why a record of so many bytes is refused that brings a value, if so. What only deletes or
    /// takes a mark off is written into the reserve.
    pub(super) fn refuse_value(&mut self, brings: bool, bytes: usize) -> Option<PeerReply> {
        if !brings {
            return None;
        }
        let end = self.log_end().saturating_add(self.batch.bytes as u64);
        if self.room.is_stale(end) {
            self.look_at_room();
        }
        let full = self.with_room(|room| room.admit(end, bytes as u64)).err()?;
        Some(PeerReply::Refused(RequestError::StorageFull { free: full.free, needed: full.needed }))
    }

    /// Looks how much is free. A disk that does not tell is taken for as it was.
    pub(super) fn look_at_room(&mut self) {
        let commons = &self.shard.commons;
        if let Ok(free) = commons.environment.disk.free(&commons.settings.node.data_dir) {
            let end = self.log_end();
            self.with_room(|room| room.look(free, end));
        }
    }

    /// Looks whether a disk that was full has room again: somebody may wait for that.
    pub(super) fn look_for_room(&mut self) {
        if self.room.is_full() {
            self.look_at_room();
        }
    }

    /// Notes that the disk had no room for a batch, if that was it.
    pub(super) fn miss_room(&mut self, error: &StorageError) {
        if let StorageError::Full { free, needed } = *error {
            let end = self.log_end();
            self.with_room(|room| room.exhaust(free, needed, end));
        }
    }

    fn log_end(&self) -> u64 {
        self.engine.counts().log_bytes
    }

    /// Says so when the disk turns out to be nearly full, and when it has room again.
    fn with_room<T>(&mut self, act: impl FnOnce(&mut Room) -> T) -> T {
        let before = self.room.is_full();
        let outcome = act(&mut self.room);
        if before != self.room.is_full() {
            let (node, shard, free) =
                (self.shard.commons.name(), self.shard.index, self.room.free());
            let reserve = self.shard.commons.settings.storage.reserve_bytes;
            if before {
                info!(target: STORAGE, node, shard, free, reserve, "the disk has room again");
            } else {
                warn!(target: STORAGE, node, shard, free, reserve, "the disk is nearly full: puts are refused");
            }
            self.tell_sample();
        }
        outcome
    }
}
