//! What the shard lacks, or owes, is compared first and at once, and it is told what was found
//! equal.

use actix::Handler;
use henge_kernel::{anti_entropy::schedule::ScheduleEvent, key::PartitionId};

use super::AntiEntropyWorker;
use crate::{
    actor_ref::Told,
    links::PeerShard,
    messages::{anti_entropy_worker::LedgerRead, storage_shard::ReplicasEqual},
};

impl AntiEntropyWorker {
    /// Plans to compare with a shard of a peer what the ledger says.
    pub(super) fn look_into_ledger(&mut self, (peer, lane): PeerShard) {
        let Some(shards) = self.shard.commons.peer_shards.get(&peer).map(|shards| *shards) else {
            return;
        };
        let owed = self.ledger.owed.iter().filter(|(node, _)| *node == peer);
        let wanted = self.ledger.doubted.iter().chain(owed.map(|(_, partition)| partition));
        let partitions: Vec<_> =
            wanted.filter(|partition| partition.shard(shards) == lane).copied().collect();
        self.plan(lane, ScheduleEvent::Dirty { peer, partitions });
    }

    pub(super) fn found_equal(&mut self, peer: PeerShard, partitions: Vec<PartitionId>) {
        let through = self.drivers.get(&peer).map_or(0, |driver| driver.number);
        let equal = ReplicasEqual { peer: peer.0, partitions, through };
        self.shard.storage().tell(equal);
    }
}

impl Handler<Told<LedgerRead>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<LedgerRead>, _: &mut Self::Context) {
        let (ledger, _handling) = self.me.open(told);
        let news = ledger.news;
        self.ledger = ledger;
        self.sync.incomplete.clone_from(&self.ledger.incomplete);
        self.sync.quarantined = self.ledger.quarantined;
        self.sync.owed = self.ledger.owed.iter().map(|(node, _)| *node).collect();
        self.publish();
        if news {
            let lanes = self.lanes.iter();
            let peers = lanes.flat_map(|(lane, held)| held.peers.iter().map(|peer| (*peer, *lane)));
            for peer in peers.collect::<Vec<_>>() {
                self.look_into_ledger(peer);
            }
        }
    }
}
