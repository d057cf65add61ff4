//! What this shard keeps for homes that are away.
//!
//! The marks in a stored record are the durable index of hints: record and marks are one entry of
//! the log, so there is nothing that could come apart. The index in memory mirrors them, and
//! changes only when the entry is written.

use std::ops::ControlFlow;

use henge_kernel::{
    causality::{Digest, Record},
    handoff::{HintIndex, hint::Hint},
    id::{NodeId, ShardUid},
    key::Key,
    time::WallMillis,
};
use tracing::{error, info, warn};

use super::{StorageShard, Waiting};
use crate::{
    events::STORAGE,
    shard::Shard,
    storage::{Engine, KeyRange},
};

/// What the index keeps of a record that bears marks.
pub(super) struct Kept {
    homes: Vec<NodeId>,
    digest: Digest,
}

impl Kept {
    /// `None` for a home's own record, which bears no marks.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let homes = record.marks().to_vec();
        (!homes.is_empty()).then(|| Self { homes, digest: record.digest() })
    }
}

impl Waiting {
    pub(super) fn hint_bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, |_| self.payload.len() as u64)
    }
}

impl StorageShard {
    /// Whether there is no room for another copy of so many bytes, what waits to be written
    /// included.
    pub(super) fn is_full_of_hints(&self, home: Option<NodeId>, key: &Key, bytes: usize) -> bool {
        let waiting = self.batch.hint_bytes;
        let admit = |home| self.hints.admit(home, key, waiting.saturating_add(bytes as u64));
        let Some(Err(full)) = home.map(admit) else { return false };
        warn!(target: STORAGE, shard = self.shard.index, %full, "a copy for another node is refused");
        true
    }

    /// A record without content in the place of one that is damaged or missing, with the marks that
    /// the index knows: what is merged into it goes to those homes all the same.
    pub(super) fn marked_as_known(&self, key: &Key) -> Record {
        let mut record = Record::default();
        let homes = self.hints.homes().map(|(home, _)| home);
        for home in homes.filter(|home| self.hints.get(*home, key).is_some()) {
            record.mark(home);
        }
        record
    }

    /// Takes in what was written.
    pub(super) fn index_hints(&mut self, written: Vec<Waiting>) {
        let since = self.shard.commons.environment.clock.wall();
        for Waiting { key, payload, kept, .. } in written {
            let Some(Kept { homes, digest }) = kept else { continue };
            let hint = Hint { digest, since, bytes: payload.len() as u64 };
            for home in homes {
                self.hints.insert(home, key.clone(), hint);
            }
        }
    }
}

/// The index of the marks in a log. Walks the directory, which is in memory, and reads the records
/// of which this node is no home: nothing else bears marks, as the layout is fixed. So it costs the
/// walk and a read a hinted copy. How long each has been kept is not stored: they begin to age
/// anew.
pub(super) fn rebuild(shard: &Shard, engine: &dyn Engine) -> HintIndex {
    let commons = &shard.commons;
    let mut index = HintIndex::new(commons.settings.handoff.hint_bytes_max);
    let (cluster, since) = (commons.cluster.load(), commons.environment.clock.wall());
    engine.keys(KeyRange::ALL, usize::MAX, &mut |listed| {
        let partition = listed.token.partition(cluster.ring.partitions());
        let n = cluster.buckets.properties(listed.bucket).n;
        let is_home = cluster.ring.homes(partition, n).contains(&commons.node);
        // What the directory holds was a key once.
        if let Some(key) = (!is_home).then(|| listed.to_key().ok()).flatten() {
            insert(&mut index, engine, &key, since);
        }
        ControlFlow::Continue(())
    });
    let totals = index.totals();
    if totals.count > 0 {
        info!(target: STORAGE, shard = shard.index, hints = totals.count, bytes = totals.bytes, "hints found");
    }
    index
}

fn insert(index: &mut HintIndex, engine: &dyn Engine, key: &Key, since: WallMillis) {
    let payload = match engine.get(key.token(), key) {
        Ok(Some(payload)) => payload,
        Ok(None) => return,
        Err(error) => {
            return error!(target: STORAGE, %error, "a record kept for another node is damaged");
        }
    };
    match Record::decode_stored(&payload, ShardUid(0)) {
        Ok(record) => {
            let hint = Hint { digest: record.digest(), since, bytes: payload.len() as u64 };
            for home in record.marks() {
                index.insert(*home, key.clone(), hint);
            }
        }
        Err(error) => {
            error!(target: STORAGE, %error, "a record kept for another node does not decode");
        }
    }
}
