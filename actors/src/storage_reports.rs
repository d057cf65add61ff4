//! What a shard tells of its records: listings of live keys, and one record as it lies there.

use std::ops::ControlFlow;

use actix::{Context, Handler};
use bytes::Bytes;
use henge_kernel::{
    causality::{Dot, Record, Version},
    coordination::{Failure, RequestError},
    key::{Key, PartitionCount, PartitionId},
    time::WallMillis,
};

use crate::{
    actor_ref::Told,
    api::{KeyPosition, KeyRange},
    commons::Commons,
    messages::storage_shard::{CountBuckets, InspectRecord, ListKeys},
    reports::{HistoryReport, ReplicaReport, VersionReport},
    storage::{Engine, KeyRange as Arc, Start},
    storage_shard::StorageShard,
    wire::{ListedKeys, PeerReply},
};

/// The most keys that one listing looks at, so that it does not hold up the shard.
const LOOKED_AT_MAX: usize = 2_000;

/// Live keys of a partition, in token order; a key whose record is damaged is left out.
fn list_keys(
    engine: &dyn Engine,
    partitions: PartitionCount,
    partition: PartitionId,
    range: &KeyRange,
    wall: WallMillis,
) -> ListedKeys {
    let after = range.after.as_ref().and_then(|place| {
        Some((place.token, Key::new(range.bucket.clone(), place.key.clone()).ok()?))
    });
    let start = match &after {
        Some((token, key)) if token.partition(partitions) == partition => Start::After(*token, key),
        _ => Start::At(partition.first_token(partitions)),
    };
    let arc = Arc { start, through: partition.last_token(partitions) };
    let mut listed = ListedKeys::default();
    let mut looked_at = 0;
    engine.keys(arc, usize::MAX, &mut |found| {
        looked_at += 1;
        let wanted = *found.bucket == range.bucket && found.key.starts_with(&range.prefix);
        let place = KeyPosition { token: found.token, key: Bytes::copy_from_slice(found.key) };
        let key = found.to_key().ok().filter(|_| wanted);
        if key.is_some_and(|key| is_live(engine, &key, wall)) {
            listed.keys.push(place.clone());
        }
        if listed.keys.len() < usize::from(range.limit) && looked_at < LOOKED_AT_MAX {
            return ControlFlow::Continue(());
        }
        listed.resume = Some(place);
        ControlFlow::Break(())
    });
    listed
}

fn is_live(engine: &dyn Engine, key: &Key, wall: WallMillis) -> bool {
    let Ok(Some(payload)) = engine.get(key.token(), key) else { return false };
    let record =
        Record::replicated_part(&payload).and_then(|part| Record::decode_replicated(&part));
    record.is_ok_and(|record| !record.read(wall).values.is_empty())
}

/// The record of a key as this node has it.
fn replica_report(commons: &Commons, key: &Key, record: &Record) -> ReplicaReport {
    let cluster = commons.cluster.load();
    let token = key.token();
    let partition = token.partition(cluster.ring.partitions());
    let homes = cluster.ring.homes(partition, cluster.buckets.properties(key.bucket()).n);
    let nothing = record.is_nothing();
    ReplicaReport {
        node: commons.name().to_owned(),
        home: homes.contains(&commons.node),
        homes: homes.iter().map(|home| cluster.name_of(*home)).collect(),
        token: format!("{:016x}", token.0),
        partition: partition.0,
        digest: (!nothing).then(|| format!("{:032x}", record.digest().0)),
        versions: record.versions().iter().map(version_report).collect(),
        history: record
            .history()
            .entries()
            .iter()
            .map(|run| HistoryReport {
                actor: format!("{:016x}.{}", run.actor.uid.0, run.actor.epoch),
                seen: (run.first, run.last),
            })
            .collect(),
        marks: record.marks().iter().map(|home| cluster.name_of(*home)).collect(),
        has_right: record.right().is_some(),
    }
}

fn version_report(version: &Version) -> VersionReport {
    let value = version.value();
    let (kind, size) = value.map_or(("tombstone", 0), |value| ("value", value.bytes.len()));
    VersionReport {
        dot: dot_text(version.dot),
        kind: kind.into(),
        size,
        stamp: version.stamp.0,
        write_id: format!("{:032x}", version.write_id.0),
        expires_at: version.expires_at.map(|at| at.0),
        checksum: format!("{:032x}", version.checksum()),
    }
}

fn dot_text(dot: Dot) -> String {
    format!("{:016x}.{}.{}", dot.actor.uid.0, dot.actor.epoch, dot.counter)
}

impl Handler<Told<ListKeys>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ListKeys>, _: &mut Context<Self>) {
        let (request, _handling) = self.me.open(told);
        if self.is_late(request.deadline) {
            return request.reply.forget();
        }
        if !self.is_complete(request.partition) {
            // Another home can tell of all of its keys.
            return request.reply.answer(PeerReply::Failed(Failure::Refused));
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

    fn handle(&mut self, told: Told<InspectRecord>, _: &mut Context<Self>) {
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

    fn handle(&mut self, told: Told<CountBuckets>, _: &mut Context<Self>) {
        let (request, _handling) = self.me.open(told);
        // What waits to be written counts.
        self.write_batch();
        let _ = request.outcome.send(self.engine.buckets());
    }
}
