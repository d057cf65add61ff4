//! The links of one shard's endpoint, who uses them, and which actor hears what comes in on each.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;
use henge_kernel::id::{NodeId, NodeName};
use tracing::{info, warn};

use crate::{
    actor_ref::ActorRef,
    client_link::ClientLink,
    events::TRANSPORT,
    messages::{
        anti_entropy_worker::LinkChanged,
        client_link::{ClientGone, RequestsArrived},
        gossip_membership::PeerMet,
        hinted_handoff_queue::HomeReached,
        peer_link::{DialFailed, FramesArrived, LinkDown, LinkUp, SendControl},
        reaper::PeerShardReached,
    },
    peer_link::{Peer, PeerLink},
    shard::Shard,
    transport::{DialId, Endpoint, Lane, Link, LinkId, PeerAddress, Protocol, TransportEvent},
    wire::{ClientHello, ControlMessage, Hello},
};

/// A shard of a peer.
pub type PeerShard = (NodeId, u16);

/// A link and the actor that uses it.
type Owned = (Rc<dyn Link>, User);

/// Who is at the other end, as the actor that talks to him.
enum User {
    Peer(ActorRef<PeerLink>),
    Client(ActorRef<ClientLink>),
}

/// The endpoint of a shard with its links and the actors behind them.
#[derive(Default)]
pub struct Links {
    endpoint: RefCell<Option<Rc<dyn Endpoint>>>,
    peers: RefCell<BTreeMap<PeerShard, ActorRef<PeerLink>>>,
    up: RefCell<BTreeMap<LinkId, Owned>>,
    /// The shards of peers to which there is a link.
    reached: RefCell<BTreeSet<PeerShard>>,
    /// Which shard each dial is for.
    dials: RefCell<BTreeMap<DialId, PeerShard>>,
    /// Why each peer was last turned away: it comes again and again, the log hears it once.
    refused: RefCell<BTreeMap<NodeName, String>>,
}

impl Links {
    /// The endpoint is open.
    pub fn open(&self, endpoint: Rc<dyn Endpoint>) {
        *self.endpoint.borrow_mut() = Some(endpoint);
    }

    /// The endpoint, once it is open.
    pub fn endpoint(&self) -> Option<Rc<dyn Endpoint>> {
        self.endpoint.borrow().clone()
    }

    /// The actor that talks to a shard of a peer, if there is one.
    pub fn peer(&self, peer: PeerShard) -> Option<ActorRef<PeerLink>> {
        self.peers.borrow().get(&peer).cloned()
    }

    /// Every actor that talks to a peer.
    pub fn peers(&self) -> Vec<(PeerShard, ActorRef<PeerLink>)> {
        self.peers.borrow().iter().map(|(peer, actor)| (*peer, actor.clone())).collect()
    }

    /// From now on this actor talks to that shard of a peer.
    pub fn enlist(&self, peer: PeerShard, actor: ActorRef<PeerLink>) {
        self.peers.borrow_mut().insert(peer, actor);
    }

    /// The shards of peers to which there is a link.
    pub fn reached(&self) -> Vec<PeerShard> {
        self.reached.borrow().iter().copied().collect()
    }

    /// A link by its name, while it is up.
    pub fn link(&self, link: LinkId) -> Option<Rc<dyn Link>> {
        self.up.borrow().get(&link).map(|(link, _)| Rc::clone(link))
    }

    /// Begins a dial of `peer` at `address`; `None` if the endpoint is not open yet.
    pub fn dial(&self, address: &PeerAddress, peer: PeerShard) -> Option<DialId> {
        let dial = self.endpoint()?.dial(address);
        self.dials.borrow_mut().insert(dial, peer);
        Some(dial)
    }

    fn dial_failed(&self, dial: DialId, peer: PeerShard, reason: String) {
        if let Some(actor) = self.peer(peer) {
            actor.tell(DialFailed { dial, reason });
        }
    }
}

impl Shard {
    /// Starts the actor that talks to one shard of a peer.
    pub fn converse(self: &Rc<Self>, peer: Peer) {
        let instance = format!("{}/{}", peer.site.name, peer.shard);
        let place = (peer.node, peer.shard);
        let link = self
            .start_child(PeerLink::NAME, instance, |me| PeerLink::new(me, Rc::clone(self), peer));
        self.links.enlist(place, link);
    }

    /// Sends a control message to a node, from shard 0.
    pub fn send_control(&self, node: NodeId, message: ControlMessage) {
        if let Some(link) = self.links.peer((node, 0)) {
            link.tell(SendControl(message));
        }
    }

    /// There is a link to a shard of a peer, or no longer.
    pub fn link_changed(&self, peer: PeerShard, up: bool) {
        let mut reached = self.links.reached.borrow_mut();
        if up {
            reached.insert(peer)
        } else {
            reached.remove(&peer)
        };
        if let Some(worker) = self.anti_entropy() {
            worker.tell(LinkChanged { peer, up });
        }
        if let (true, Some(reaper)) = (up, self.reaper()) {
            reaper.tell(PeerShardReached { peer });
        }
        if let (true, Some(queue)) = (up, self.handoff()) {
            queue.tell(HomeReached { node: peer.0 });
        }
    }

    /// Hands an event of the endpoint to the actor that it concerns.
    pub fn on_transport_event(self: &Rc<Self>, event: TransportEvent) {
        match event {
            TransportEvent::Connected { link, hello, dial } => match link.protocol() {
                Protocol::Peer => self.on_connected(link, &hello, dial),
                Protocol::Client => self.on_client(link, &hello),
            },
            TransportEvent::Frames { link, lane, frames } => self.on_frames(link, lane, frames),
            TransportEvent::Closed { link, reason } => {
                match self.links.up.borrow_mut().remove(&link) {
                    Some((_, User::Peer(actor))) => actor.tell(LinkDown { link, reason }),
                    Some((_, User::Client(actor))) => actor.tell(ClientGone { reason }),
                    None => {}
                }
            }
            TransportEvent::DialFailed { dial, reason } => {
                let dialled = self.links.dials.borrow_mut().remove(&dial);
                if let Some(peer) = dialled {
                    self.links.dial_failed(dial, peer, reason);
                }
            }
        }
    }

    fn on_frames(&self, link: LinkId, lane: Lane, frames: Vec<Bytes>) {
        match self.links.up.borrow().get(&link) {
            Some((_, User::Peer(actor))) => actor.tell(FramesArrived { link, lane, frames }),
            Some((_, User::Client(actor))) if actor.is_connected() => {
                actor.tell(RequestsArrived { lane, frames });
            }
            Some((link, User::Client(_))) => {
                link.close("this node failed at the client's requests");
            }
            None => {}
        }
    }

    /// A client has come: does it look for us?
    fn on_client(self: &Rc<Self>, link: Rc<dyn Link>, hello: &Bytes) {
        let accepted = ClientHello::decode(hello)
            .map_err(|error| error.to_string())
            .and_then(|theirs| theirs.check(&self.commons.hello(self.index)));
        if let Err(reason) = accepted {
            info!(target: TRANSPORT, node = self.commons.name(), client = link.peer().as_str(), reason, "a client was refused");
            return link.close(&reason);
        }
        let actor = self.meet_client(Rc::clone(&link));
        self.links.up.borrow_mut().insert(link.id(), (link, User::Client(actor)));
    }

    /// Two shards have met: do they belong together?
    fn on_connected(&self, link: Rc<dyn Link>, hello: &Bytes, dial: Option<DialId>) {
        let dialled = dial.and_then(|dial| self.links.dials.borrow_mut().remove(&dial));
        let met = self.accept(&link, hello).and_then(|(node, theirs)| {
            let reached = theirs.shard;
            if let Some((_, dialled)) = dialled.filter(|dialled| *dialled != (node, reached)) {
                return Err(format!("dialled its shard {dialled}, reached shard {reached}"));
            }
            let actor = self.links.peer((node, reached));
            let actor = actor.ok_or_else(|| format!("nobody here talks to its shard {reached}"))?;
            Ok((node, theirs, actor))
        });
        match met {
            Ok((node, theirs, actor)) => {
                let id = link.id();
                self.links.up.borrow_mut().insert(id, (link, User::Peer(actor.clone())));
                actor.tell(LinkUp { link: id, run: theirs.run, dialled: dial.is_some() });
                self.links.refused.borrow_mut().remove(&theirs.name);
                self.commons.peer_shards.insert(node, theirs.shards);
                self.commons.met.insert((node, self.index, theirs.shard), ());
                if let Some(membership) = self.commons.membership.get() {
                    membership.tell(PeerMet { node, shards: theirs.shards });
                }
            }
            Err(reason) => {
                let last =
                    self.links.refused.borrow_mut().insert(link.peer().clone(), reason.clone());
                if last.as_ref() != Some(&reason) {
                    warn!(target: TRANSPORT, node = self.commons.name(), peer = link.peer().as_str(), reason, "a peer was refused");
                }
                link.close(&reason);
                if let (Some(dial), Some(peer)) = (dial, dialled) {
                    self.links.dial_failed(dial, peer, reason);
                }
            }
        }
    }

    fn accept(&self, link: &Rc<dyn Link>, hello: &Bytes) -> Result<(NodeId, Hello), String> {
        let theirs = Hello::decode(hello).map_err(|error| error.to_string())?;
        self.commons.hello(self.index).check(&theirs).map_err(|error| error.to_string())?;
        if theirs.name != *link.peer() {
            return Err(format!(
                "it calls itself {} but its certificate says {}",
                theirs.name,
                link.peer()
            ));
        }
        let node = NodeId::of(self.commons.cluster_id, &theirs.name);
        let known = self.commons.cluster.load().nodes.contains_key(&node);
        let not_ourselves = node != self.commons.node;
        if !known || !not_ourselves {
            return Err(format!("{} is no other node of the layout", theirs.name));
        }
        Ok((node, theirs))
    }
}
