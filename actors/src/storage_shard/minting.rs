//! Minting: a write gets its dot, and its record is written before anybody hears of it.

use std::sync::Arc;

use bytes::Bytes;
use henge_kernel::{
    causality::{RecordLimits, Write},
    coordination::Failure,
    planted::{Defect, planted},
    reaping::Fence,
};
use tracing::warn;

use super::{Answer, Loaded, StorageShard, Waiting, batch::stored_digest, hints::NO_ROOM, refusal};
use crate::{
    events::STORAGE,
    messages::storage_shard::MintRecord,
    wire::{Minted, PeerReply},
};

impl StorageShard {
    pub(super) fn mint(&mut self, request: MintRecord) {
        // Of a poisoned log it is sure that nothing is written: another home can.
        if self.closed || self.engine.poisoned().is_some() || self.is_outdated(&request) {
            return request.reply.answer(PeerReply::Failed(Failure::Refused));
        }
        let token = request.key.token();
        let partition = self.partition_of(token);
        if let Some(barred) = self.bar(partition, request.generation) {
            return request.reply.answer(barred);
        }
        if self.is_outrun(partition) {
            return request.reply.answer(PeerReply::Failed(Failure::Refused));
        }
        let MintRecord { key, context, content, write_id, expires_at, .. } = request;
        let is_value = content.is_value();
        let MintRecord { stands_in_for, conflict, limits, reply, .. } = request;
        let Loaded { mut record, payload: before } = match self.load_to_write(token, &key) {
            Ok(loaded) => loaded,
            Err(error) => return reply.answer(refusal(&error)),
        };
        let wall = self.shard.commons.environment.clock.wall();
        let Fence { generation, reaped: reaped_stamp, .. } = self.fencing.kept(partition).fence;
        let write =
            Write { context, content, write_id, expires_at, wall, reaped_stamp, conflict, limits };
        let written = match record.write_once(&mut self.minter, write) {
            Ok(written) => written,
            Err(refused) => return reply.answer(PeerReply::Refused(refused.into())),
        };
        if written.amnesia {
            warn!(target: STORAGE, shard = self.shard.index, "amnesia: a right was outrun");
        }
        if written.minted && written.versions >= RecordLimits::default().versions_warn {
            warn!(target: STORAGE, shard = self.shard.index, siblings = written.versions, "a key has many siblings");
        }
        let marked = stands_in_for.is_some_and(|home| record.mark(home));
        let mut payload = Vec::new();
        record.encode_own(&mut payload);
        let own = payload.len();
        let digest = record.encode_replicated(&mut payload);
        let encoded = Bytes::copy_from_slice(&payload[own..]);
        if self.is_full_of_hints(stands_in_for, &key, payload.len()) {
            return reply.answer(NO_ROOM);
        }
        let changed = written.minted || marked;
        if let Some(full) = self.refuse_value(is_value && changed, payload.len()) {
            return reply.answer(full);
        }
        let digests = (stored_digest(before), Some(digest));
        let record = Arc::new(record);
        let waiting = changed.then(|| Waiting::record(key, &record, (payload, digests)));
        let answer = PeerReply::Minted(Box::new(Minted { written, record, encoded, generation }));
        if planted(Defect::DotBeforeWrite) {
            reply.answer(answer);
            if let Some(waiting) = waiting {
                self.enqueue(waiting, None);
            }
        } else if let Some(waiting) = waiting {
            let answer = Answer { to: reply, says: answer, durable: false };
            self.enqueue(waiting, Some(answer));
        } else {
            reply.answer(answer);
        }
    }

    /// Whether the write was planned under an `n` or `conflict` that are no longer sure: a bucket
    /// gets its own only as long as no member holds data of it, so none may come in behind that.
    fn is_outdated(&self, request: &MintRecord) -> bool {
        let cluster = self.shard.commons.cluster.load();
        let bucket = request.key.bucket();
        cluster.examined.iter().any(|examined| examined == bucket)
            || cluster.buckets.compare(bucket, request.properties).refused
    }
}
