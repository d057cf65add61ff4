//! What this shard tells of its records to those who ask for more than one of them, or for how one
//! lies here.

use actix::Handler;
use henge_kernel::coordination::RequestError;

use super::StorageShard;
use crate::{
    actor_ref::Told,
    messages::storage_shard::{CountBuckets, InspectRecord, ListKeys},
    storage_reports::{list_keys, replica_report},
    wire::PeerReply,
};

impl Handler<Told<ListKeys>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ListKeys>, _: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        if self.is_late(request.deadline) {
            return request.reply.forget();
        }
        self.write_batch();
        let commons = &self.shard.commons;
        let partitions = commons.cluster.load().ring.partitions();
        let wall = commons.environment.clock.wall();
        let listed =
            list_keys(self.engine.as_ref(), partitions, request.partition, &request.range, wall);
        request.reply.answer(PeerReply::Listed(listed));
    }
}

impl Handler<Told<InspectRecord>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<InspectRecord>, _: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        let report = self
            .load(request.key.token(), &request.key)
            .map(|record| replica_report(&self.shard.commons, &request.key, &record));
        // An asker that has gone wants no report.
        let _ = request.outcome.send(report.map_err(|error| RequestError::NotReady {
            reason: format!("the record cannot be read: {error}").into(),
        }));
    }
}

impl Handler<Told<CountBuckets>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<CountBuckets>, _: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        // What waits to be written counts.
        self.write_batch();
        let _ = request.outcome.send(self.engine.buckets());
    }
}
