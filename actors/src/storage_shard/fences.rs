//! The fences of the shard's partitions: what it admits, and how it learns how far others are. See
//! the kernel's [`reaping`](henge_kernel::reaping).
//!
//! A member that refuses what was read under an old generation says at which it is itself. Whoever
//! hears that goes on in one of three ways:
//!
//! - if more is **finished** than it knows of itself, its disk was restored or replaced: it was
//!   **left behind**, sets aside what it holds of the partition, and is filled anew;
//! - else, if it has heard from every member since it was opened, it is sound and has only missed a
//!   promise: it **raises** itself, reads again, and may be heard;
//! - else it cannot tell yet. It mints nothing there, so that its writes go through another home.
//!
//! "Has heard from every member" would be worth nothing if somebody could drop later what it has
//! just been asked about. So a promise counts only until the member is next heard: see
//! [`Fencing::promised`].

use std::collections::{BTreeMap, BTreeSet};

use henge_kernel::{
    coordination::{Failure, Generation},
    key::{PartitionId, Token},
    reaping::Fence,
};
use tracing::{error, info};

use super::StorageShard;
use crate::{
    events::ANTI_ENTROPY,
    fence_file::{FenceFile, Fences, Kept},
    links::PeerShard,
    storage::{Sequence, StorageError},
    wire::PeerReply,
};

/// The fences as they were found beside the log.
pub struct OpenedFences {
    /// Where they are written.
    pub file: FenceFile,
    /// What they are.
    pub fences: Fences,
}

/// The fences of one shard.
pub(super) struct Fencing {
    file: FenceFile,
    kept: Fences,
    /// The rounds that were promised, and may still end in a drop. None that was promised before a
    /// start, or before somebody asked how far this shard is: what was said then must stay true.
    pub(super) promised: BTreeMap<PartitionId, u64>,
    /// Later generations that others are at, where this shard may not follow yet.
    ahead: BTreeMap<PartitionId, Generation>,
    /// Who was heard since the node started.
    heard: BTreeSet<PeerShard>,
    /// Partitions that were cleared, and through which change that must be synced to be over.
    pub(super) cleared: Vec<(PartitionId, Sequence)>,
}

impl Fencing {
    pub(super) fn new(OpenedFences { file, fences }: OpenedFences) -> Self {
        Self {
            file,
            kept: fences,
            promised: BTreeMap::new(),
            ahead: BTreeMap::new(),
            heard: BTreeSet::new(),
            cleared: Vec::new(),
        }
    }

    /// The shard is opened anew: what was under way is not any more.
    pub(super) fn reopen(&mut self) {
        self.promised.clear();
        self.cleared.clear();
    }

    pub(super) fn kept(&self, partition: PartitionId) -> Kept {
        self.kept.get(&partition).copied().unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (PartitionId, Kept)> {
        self.kept.iter().map(|(partition, kept)| (*partition, *kept))
    }
}

impl StorageShard {
    pub(super) fn partition_of(&self, token: Token) -> PartitionId {
        token.partition(self.shard.commons.cluster.load().ring.partitions())
    }

    /// Why content that was read under `read` is not taken in, if so.
    pub(super) fn bar(&self, partition: PartitionId, read: Generation) -> Option<PeerReply> {
        let Kept { fence, clearing, .. } = self.fencing.kept(partition);
        if clearing {
            return Some(PeerReply::Failed(Failure::Refused));
        }
        fence.admit(read).is_err().then_some(PeerReply::Outdated(fence))
    }

    /// Whether nothing may be minted in a partition: others would not take it.
    pub(super) fn is_outrun(&self, partition: PartitionId) -> bool {
        self.fencing.ahead.contains_key(&partition)
    }

    /// Changes fences; durable when this returns, and else all is as it was.
    pub(super) fn write_fences(&mut self, changed: Fences) -> Result<(), StorageError> {
        let mut next = self.fencing.kept.clone();
        next.extend(changed);
        let written = if self.closed { Ok(()) } else { self.fencing.file.write(&next) };
        written.inspect_err(|error| {
            error!(target: ANTI_ENTROPY, node = self.shard.commons.name(), shard = self.shard.index, %error, "the fences were not written");
        })?;
        self.fencing.kept = next;
        self.publish_fences();
        Ok(())
    }

    /// Shows the coordinators of the shard under which generation they work.
    pub(super) fn publish_fences(&self) {
        let fences = self.fencing.all().map(|(partition, kept)| (partition, kept.fence));
        *self.shard.fences.borrow_mut() = fences.collect();
    }

    /// Takes in how far other members are.
    pub(super) fn meet(&mut self, theirs: &[(PartitionId, Fence)]) {
        let (mut changed, mut left) = (Fences::new(), Vec::new());
        for (partition, theirs) in theirs {
            let kept = self.fencing.kept(*partition);
            let mut fence = kept.fence;
            let Ok(ahead) = fence.follow(theirs, self.is_verified(*partition)) else {
                left.push((*partition, *theirs));
                continue;
            };
            self.fencing.ahead.extend(ahead.map(|ahead| (*partition, ahead)));
            if fence != kept.fence {
                changed.insert(*partition, Kept { fence, ..kept });
            }
        }
        // What could not be written is met again.
        if !changed.is_empty() && self.write_fences(changed).is_ok() {
            self.catch_up();
        }
        self.set_aside(&left);
    }

    /// A shard of a peer has told how far it is in each partition.
    pub(super) fn hear(&mut self, peer: PeerShard, theirs: &[(PartitionId, Fence)]) {
        let (own, shards) = (self.shard.index, self.shard.commons.shards);
        let is_own = |(partition, _): &&(PartitionId, Fence)| partition.shard(shards) == own;
        let theirs: Vec<_> = theirs.iter().filter(is_own).copied().collect();
        self.fencing.heard.insert(peer);
        self.meet(&theirs);
        self.catch_up();
    }

    /// Raises the shard where it may follow others by now.
    fn catch_up(&mut self) {
        let ahead = std::mem::take(&mut self.fencing.ahead);
        let mut changed = Fences::new();
        for (partition, generation) in ahead {
            let kept = self.fencing.kept(partition);
            let (mut fence, theirs) = (kept.fence, Fence { generation, ..kept.fence });
            // It says nothing new about what is finished, so it leaves nobody behind.
            let still = fence.follow(&theirs, self.is_verified(partition)).unwrap_or(None);
            self.fencing.ahead.extend(still.map(|ahead| (partition, ahead)));
            if fence != kept.fence {
                changed.insert(partition, Kept { fence, ..kept });
            }
        }
        if !changed.is_empty() {
            info!(target: ANTI_ENTROPY, node = self.shard.commons.name(), shard = self.shard.index, partitions = changed.len(), "follows a later generation");
            let _ = self.write_fences(changed);
        }
    }

    /// Whether every other member has told how far it is in a partition since this node started.
    fn is_verified(&self, partition: PartitionId) -> bool {
        let commons = &self.shard.commons;
        let cluster = commons.cluster.load();
        let mut others = cluster.nodes.keys().filter(|node| **node != commons.node);
        others.all(|node| {
            let shards = commons.peer_shards.get(node).map(|shards| *shards);
            shards.is_some_and(|shards| {
                self.fencing.heard.contains(&(*node, partition.shard(shards)))
            })
        })
    }
}
