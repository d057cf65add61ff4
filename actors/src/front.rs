//! `Front`: the door of a shard for everything that comes from another thread of the node, and
//! the actor that answers the messages of whoever embeds it.
//!
//! Parent: `NodeSupervisor`. It keeps nothing that a restart could lose: a request goes straight
//! on to a leased `Coordinator`.

use std::{rc::Rc, sync::Arc};

use actix::{Actor, Context, Handler, ResponseFuture, Supervised};
use henge_kernel::{coordination::RequestError, id::NodeId};

use crate::{
    actor_ref::{ActorRef, Told},
    api::{Answer, Got, Written},
    handle::NodeHandle,
    messages::{
        front::{
            BeginGet, BeginList, BeginPut, CloseEndpoint, Delete, Get, MemberJudged, Put,
            ShardsKnown,
        },
        hinted_handoff_queue::HandOffNow,
        peer_link::PeerJudged,
    },
    peer_link::Peer,
    shard::Shard,
};

/// The actor.
pub struct Front {
    pub(crate) me: ActorRef<Self>,
    pub(crate) shard: Rc<Shard>,
}

impl Front {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "Front";

    /// The front of `shard`.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        Self { me, shard }
    }

    fn node(&self) -> NodeHandle {
        NodeHandle::new(Arc::clone(&self.shard.commons))
    }

    /// Starts the conversations with those shards of a peer that share partitions with this one.
    fn meet(&self, node: NodeId, shards: u16) {
        let commons = &self.shard.commons;
        let cluster = commons.cluster.load();
        let Some(site) = cluster.nodes.get(&node) else { return };
        for theirs in 0..shards {
            let shares = cluster.ring.partitions().all().any(|partition| {
                partition.shard(commons.shards) == self.shard.index
                    && partition.shard(shards) == theirs
            });
            if shares && self.shard.links.peer((node, theirs)).is_none() {
                self.shard.converse(Peer { node, shard: theirs, site: site.clone() });
            }
        }
    }
}

impl Actor for Front {
    type Context = Context<Self>;
}

impl Supervised for Front {}

impl Handler<Told<BeginGet>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<BeginGet>, _: &mut Self::Context) {
        let (begin, _handling) = self.me.open(told);
        self.shard.lease().tell(begin);
    }
}

impl Handler<Told<BeginPut>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<BeginPut>, _: &mut Self::Context) {
        let (begin, _handling) = self.me.open(told);
        self.shard.lease().tell(begin);
    }
}

impl Handler<Told<BeginList>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<BeginList>, _: &mut Self::Context) {
        let (begin, _handling) = self.me.open(told);
        self.shard.lease().tell(begin);
    }
}

/// A request of an embedder takes the way of all others, so that it is admitted, watched and
/// sent to the shard of its key as they are. Its future lives beside the actor, not in it.
impl Handler<Get> for Front {
    type Result = ResponseFuture<Result<Answer<Got>, RequestError>>;

    fn handle(&mut self, Get { key, options }: Get, _: &mut Self::Context) -> Self::Result {
        let node = self.node();
        Box::pin(async move { node.get(&key, options).await })
    }
}

impl Handler<Put> for Front {
    type Result = ResponseFuture<Result<Answer<Written>, RequestError>>;

    fn handle(&mut self, Put { key, value, options }: Put, _: &mut Self::Context) -> Self::Result {
        let node = self.node();
        Box::pin(async move { node.put(&key, value, options).await })
    }
}

impl Handler<Delete> for Front {
    type Result = ResponseFuture<Result<Answer<Written>, RequestError>>;

    fn handle(&mut self, Delete { key, options }: Delete, _: &mut Self::Context) -> Self::Result {
        let node = self.node();
        Box::pin(async move { node.delete(&key, options).await })
    }
}

impl Handler<Told<MemberJudged>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<MemberJudged>, _: &mut Self::Context) {
        let (MemberJudged { node, judgement }, _handling) = self.me.open(told);
        for ((peer, _), link) in self.shard.links.peers() {
            if peer == node {
                link.tell(PeerJudged(judgement));
            }
        }
    }
}

impl Handler<Told<ShardsKnown>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<ShardsKnown>, _: &mut Self::Context) {
        let (ShardsKnown { node, shards }, _handling) = self.me.open(told);
        self.meet(node, shards);
    }
}

impl Handler<Told<HandOffNow>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<HandOffNow>, _: &mut Self::Context) {
        let (now, _handling) = self.me.open(told);
        if let Some(queue) = self.shard.handoff() {
            queue.tell(now);
        }
    }
}

impl Handler<Told<CloseEndpoint>> for Front {
    type Result = ();

    fn handle(&mut self, told: Told<CloseEndpoint>, _: &mut Self::Context) {
        let (CloseEndpoint { outcome }, _handling) = self.me.open(told);
        if let Some(endpoint) = self.shard.links.endpoint() {
            endpoint.close("the node stops");
            let closed = endpoint.closed();
            actix_rt::spawn(async move {
                closed.await;
                let _ = outcome.send(());
            });
        }
    }
}
