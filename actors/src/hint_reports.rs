//! What a node says of the hints that it keeps, and how it is made to deliver them.

use std::collections::BTreeMap;

use henge_kernel::{coordination::RequestError, handoff::hint::HintTotals, id::NodeId};
use tokio::sync::oneshot;

use crate::{
    NodeHandle,
    messages::{hinted_handoff_queue::HandOffNow, storage_shard::CountHints},
    reports::{HintsReport, HomeHintsReport},
};

impl NodeHandle {
    /// What this node keeps for homes that are away.
    pub async fn hints(&self) -> Result<HintsReport, RequestError> {
        let mut homes: BTreeMap<NodeId, HintTotals> = BTreeMap::new();
        for storage in self.commons.storages.get().into_iter().flatten() {
            let (outcome, counted) = oneshot::channel();
            storage.tell(CountHints { outcome });
            for (home, totals) in counted.await.map_err(|_| RequestError::Interrupted)? {
                homes.entry(home).or_default().add(totals);
            }
        }
        let (cluster, wall) = (self.commons.cluster.load(), self.commons.environment.clock.wall());
        let report = |(home, totals): (NodeId, HintTotals)| HomeHintsReport {
            home: cluster.name_of(home),
            count: totals.count,
            bytes: totals.bytes,
            oldest_ms: totals.oldest.map_or(0, |oldest| wall.0.saturating_sub(oldest.0)),
        };
        let mut homes: Vec<_> = homes.into_iter().map(report).collect();
        homes.sort_by(|left, right| left.home.cmp(&right.home));
        Ok(HintsReport {
            node: self.commons.name().to_owned(),
            shard_bytes_max: self.commons.settings.handoff.hint_bytes_max,
            homes,
        })
    }

    /// Makes the node deliver what it keeps to all homes that are up, without waiting out the pause
    /// after a delivery that failed.
    pub fn hand_off(&self) {
        for front in self.commons.fronts.get().into_iter().flatten() {
            front.tell(HandOffNow);
        }
    }
}
