//! What a node says of its rounds: what was reaped, what is blocked, what was set aside; and how it
//! is made to run them.

use std::{collections::BTreeMap, time::Duration};

use henge_kernel::{
    coordination::RequestError,
    id::NodeId,
    key::PartitionId,
    time::{Instant, whole_millis},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    NodeHandle,
    commons::Commons,
    messages::{
        reaper::{ReadReaping, ReapNow},
        storage_shard::ReadFences,
    },
};

/// How long whoever had the rounds run is made to wait for them.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one shard has done, and cannot do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReaping {
    /// Rounds that came to their end.
    pub rounds: u64,
    /// Keys that were reaped by them.
    pub reaped: u64,
    /// Keys whose histories were pruned.
    pub pruned: u64,
    /// Keys that are dead or will be some day, as far as the shard keeps count.
    pub kept: usize,
    /// Partitions whose last round was blocked.
    pub blocked: BTreeMap<PartitionId, Blocked>,
}

/// Why the rounds of a partition come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// By whom.
    pub member: NodeId,
    /// Why, in one word.
    pub reason: &'static str,
    /// Since when.
    pub since: Instant,
}

/// What became of what was deleted, as one node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReapReport {
    /// The node that answers.
    pub node: String,
    /// Rounds that this node drove to their end since its start.
    pub rounds: u64,
    /// Keys that were reaped by them: they are gone at every member.
    pub reaped: u64,
    /// Keys whose histories were pruned by them.
    pub pruned: u64,
    /// Keys here that are deleted, or whose values will all expire, as far as they are counted
    /// (65,536 a shard).
    pub kept: usize,
    /// What is blocked, of the partitions whose rounds this node drives.
    pub blocked: Vec<BlockedReport>,
    /// What this node has set aside, because its disk was restored or replaced.
    pub aside: Vec<AsideReport>,
}

/// A partition whose rounds come to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedReport {
    /// The partition.
    pub partition: u16,
    /// The member that blocks.
    pub member: String,
    /// `down`, `silent`, or why it does not promise: `differs` (it holds another record), `alive`
    /// (nothing has expired by its clock), `quarantined`, `being_filled`, `suspect`, `left_behind`,
    /// `passed` (another round or write came in between), `epoch`, `too_many`.
    pub reason: String,
    /// Since how many milliseconds.
    pub since_ms: u64,
}

/// Records that lie in files beside the log, and are read by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideReport {
    /// Their partition.
    pub partition: u16,
    /// How many.
    pub records: u64,
}

impl ReapReport {
    fn of(commons: &Commons) -> Self {
        Self {
            node: commons.name().to_owned(),
            rounds: 0,
            reaped: 0,
            pruned: 0,
            kept: 0,
            blocked: Vec::new(),
            aside: Vec::new(),
        }
    }

    fn add(&mut self, commons: &Commons, shard: ShardReaping) {
        let (cluster, now) = (commons.cluster.load(), commons.environment.clock.now());
        self.rounds += shard.rounds;
        self.reaped += shard.reaped;
        self.pruned += shard.pruned;
        self.kept += shard.kept;
        let blocked = shard.blocked.into_iter().map(|(partition, blocked)| BlockedReport {
            partition: partition.0,
            member: cluster.name_of(blocked.member),
            reason: blocked.reason.to_owned(),
            since_ms: whole_millis(now.since(blocked.since)),
        });
        self.blocked.extend(blocked);
    }
}

impl NodeHandle {
    /// What became of what was deleted.
    pub async fn reaping(&self) -> Result<ReapReport, RequestError> {
        let (mut waiting, commons) = (Vec::new(), &self.commons);
        for reaper in commons.reapers.get().into_iter().flatten() {
            let (outcome, read) = oneshot::channel();
            reaper.tell(ReadReaping { outcome });
            waiting.push(read);
        }
        self.report(waiting).await
    }

    /// Runs the rounds of all partitions of which this node is a home now, whatever the age of what
    /// is deleted, and says what came of them. What is not through after 20 s goes on behind the
    /// answer.
    pub async fn reap(&self) -> Result<ReapReport, RequestError> {
        let (mut waiting, commons) = (Vec::new(), &self.commons);
        for reaper in commons.reapers.get().into_iter().flatten() {
            let (outcome, run) = oneshot::channel();
            reaper.tell(ReapNow { outcome });
            waiting.push(run);
        }
        let run = async {
            for run in waiting {
                let _ = run.await;
            }
        };
        let _ = timeout(PATIENCE, run).await;
        self.reaping().await
    }

    async fn report(
        &self,
        waiting: Vec<oneshot::Receiver<ShardReaping>>,
    ) -> Result<ReapReport, RequestError> {
        let commons = &self.commons;
        let mut report = ReapReport::of(commons);
        for shard in waiting {
            report.add(commons, shard.await.map_err(|_| RequestError::Interrupted)?);
        }
        for storage in commons.storages.get().into_iter().flatten() {
            let (outcome, read) = oneshot::channel();
            storage.tell(ReadFences { outcome });
            let kept = read.await.map_err(|_| RequestError::Interrupted)?;
            let aside = kept.into_iter().filter(|(_, kept)| kept.aside > 0);
            let aside = aside.map(|(partition, kept)| AsideReport {
                partition: partition.0,
                records: kept.aside,
            });
            report.aside.extend(aside);
        }
        Ok(report)
    }
}
