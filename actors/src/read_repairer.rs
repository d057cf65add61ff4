//! `ReadRepairer`: sends homes what a read found them to lack.
//!
//! Parent: `NodeSupervisor`. One a shard: coordinators end with their requests, so what they want
//! repaired is put together here, bounded, and shed first when clients have no room. A restart
//! loses what was under way, which the next read or anti-entropy finds again.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use actix::{Actor, Context, Handler, Supervised};
use bytes::Bytes;
use henge_kernel::{
    coordination::{
        ReplicaRecord,
        repair::{Offered, PATIENCE, Repairs},
    },
    id::NodeId,
    key::Key,
};

use crate::{
    actor_ref::{ActorRef, Told},
    messages::{
        coordinator::ReplyTo,
        read_repairer::{RepairEnded, RepairRecord, Repairing},
        storage_shard::StoreRecord,
    },
    shard::Shard,
};

/// The actor.
pub struct ReadRepairer {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    repairs: Repairs,
}

/// Repairs of one node since its start.
#[derive(Debug, Default)]
pub struct RepairCounts {
    /// Sent.
    pub sent: AtomicU64,
    /// Joined to one that was under way.
    pub joined: AtomicU64,
    /// Not sent, for want of room.
    pub shed: AtomicU64,
}

impl ReadRepairer {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "ReadRepairer";

    /// A repairer with nothing to do.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        Self { me, shard, repairs: Repairs::default() }
    }

    fn send(&self, home: NodeId, key: Key, replica: &ReplicaRecord) {
        let commons = &self.shard.commons;
        let counts = &commons.read_repairs;
        counts.sent.fetch_add(1, Ordering::Relaxed);
        let mut record = Vec::new();
        replica.record.encode_replicated(&mut record);
        let (record, generation) = (Bytes::from(record), replica.generation);
        let cluster = commons.cluster.load();
        let deadline = commons.environment.clock.now().after(PATIENCE);
        let reply = ReplyTo::repairer(self.me.clone(), Repairing { home, key: key.clone() });
        let conflict = cluster.buckets.properties(key.bucket()).conflict;
        let properties = cluster.buckets.get(key.bucket()).map(|register| register.version);
        let (stands_in_for, durable) = (None, false);
        let store = StoreRecord {
            key,
            record,
            generation,
            stands_in_for,
            durable,
            conflict,
            deadline,
            reply,
        };
        self.shard.store_at(home, store, properties);
    }
}

impl Actor for ReadRepairer {
    type Context = Context<Self>;
}

impl Supervised for ReadRepairer {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.repairs = Repairs::default();
    }
}

impl Handler<Told<RepairRecord>> for ReadRepairer {
    type Result = ();

    fn handle(&mut self, told: Told<RepairRecord>, _: &mut Self::Context) {
        let (RepairRecord { home, key, record, conflict }, _handling) = self.me.open(told);
        let (now, busy) =
            (self.shard.commons.environment.clock.now(), self.shard.leisure().is_over());
        let counts = &self.shard.commons.read_repairs;
        match self.repairs.offer(now, (home, &key), &record, conflict, busy) {
            Offered::Send => self.send(home, key, &record),
            Offered::Joined => drop(counts.joined.fetch_add(1, Ordering::Relaxed)),
            Offered::Shed => drop(counts.shed.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

impl Handler<Told<RepairEnded>> for ReadRepairer {
    type Result = ();

    fn handle(&mut self, told: Told<RepairEnded>, _: &mut Self::Context) {
        let (RepairEnded(Repairing { home, key }), _handling) = self.me.open(told);
        let now = self.shard.commons.environment.clock.now();
        if let Some(next) = self.repairs.ended(now, home, &key) {
            self.send(home, key, &next);
        }
    }
}
