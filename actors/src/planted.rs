//! Panics on demand, so that tests see every actor fall and get up.

use std::panic::resume_unwind;

use actix::{Actor, Context, Handler};

use crate::{
    actor_ref::{ActorRef, Told},
    anti_entropy_worker::AntiEntropyWorker,
    coordinator::Coordinator,
    front::Front,
    gossip_membership::GossipMembership,
    handle::NodeHandle,
    hinted_handoff_queue::HintedHandoffQueue,
    peer_link::PeerLink,
    read_repairer::ReadRepairer,
    reaper::Reaper,
    ring_manager::RingManager,
    storage_shard::StorageShard,
    supervision::NodeSupervisor,
};

/// Panic.
#[derive(Debug)]
pub struct PlantPanic;

/// Make an actor of your shard panic.
#[derive(Debug)]
pub struct PlantPanicIn(pub &'static str);

macro_rules! panics_on_demand {
    ($($actor:ident)*) => {$(
        impl Handler<Told<PlantPanic>> for $actor {
            type Result = ();

            fn handle(&mut self, told: Told<PlantPanic>, _: &mut Context<Self>) {
                let (PlantPanic, _handling) = self.me.open(told);
                // Not `panic!`: nobody is to read of it.
                resume_unwind(Box::new(format!("planted in {}", Self::NAME)));
            }
        }
    )*};
}

panics_on_demand!(Coordinator Front GossipMembership PeerLink RingManager StorageShard);
panics_on_demand!(AntiEntropyWorker HintedHandoffQueue NodeSupervisor ReadRepairer Reaper);

impl Handler<Told<PlantPanicIn>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<PlantPanicIn>, _: &mut Context<Self>) {
        let (PlantPanicIn(actor), _handling) = self.me.open(told);
        match actor {
            PeerLink::NAME => {
                for (_, link) in self.shard.links.peers() {
                    link.tell(PlantPanic);
                }
            }
            Reaper::NAME => self.shard.reaper().into_iter().for_each(plant),
            HintedHandoffQueue::NAME => self.shard.handoff().into_iter().for_each(plant),
            ReadRepairer::NAME => plant(self.shard.read_repairer()),
            Coordinator::NAME => self.shard.lease().tell(PlantPanic),
            _ => unreachable!("{actor} is not reached through the front"),
        }
    }
}

fn plant<A>(actor: &ActorRef<A>)
where
    A: Actor<Context = Context<A>> + Handler<Told<PlantPanic>>,
{
    actor.tell(PlantPanic);
}

impl NodeHandle {
    /// The actors in which [`NodeHandle::plant_panic`] can plant one and that get up again; the
    /// `NodeSupervisor` is another, and does not.
    pub const ACTORS: [&'static str; 10] = [
        AntiEntropyWorker::NAME,
        Coordinator::NAME,
        Front::NAME,
        GossipMembership::NAME,
        HintedHandoffQueue::NAME,
        PeerLink::NAME,
        ReadRepairer::NAME,
        Reaper::NAME,
        RingManager::NAME,
        StorageShard::NAME,
    ];

    /// Makes every actor of that name on `shard` panic once.
    pub fn plant_panic(&self, actor: &'static str, shard: usize) {
        let commons = &self.commons;
        let Some(front) = commons.fronts.get().and_then(|fronts| fronts.get(shard)) else { return };
        match actor {
            Front::NAME => front.tell(PlantPanic),
            StorageShard::NAME => {
                commons.storages.get().into_iter().flatten().skip(shard).take(1).for_each(plant);
            }
            AntiEntropyWorker::NAME => {
                commons.workers.get().into_iter().flatten().skip(shard).take(1).for_each(plant);
            }
            NodeSupervisor::NAME => {
                commons.guardian.get().into_iter().for_each(|guardian| plant(&guardian.parent));
            }
            RingManager::NAME => commons.ring_manager.get().into_iter().for_each(plant),
            GossipMembership::NAME => commons.membership.get().into_iter().for_each(plant),
            actor => front.tell(PlantPanicIn(actor)),
        }
    }
}
