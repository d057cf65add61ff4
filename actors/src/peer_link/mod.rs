//! `PeerLink`: the conversation of this shard with one shard of one peer.
//!
//! Parent: `NodeSupervisor`. A restart loses the requests that wait for answers; their askers are
//! told so. The link itself outlives the fall and is taken up again.
//!
//! Either side dials while it has no link, the one with the smaller id first, so that a pair of
//! shards has one link, and a node that restarted is not at the mercy of peers that still believe
//! in the links of its earlier run. A dial that fails is repeated until it does not.

mod serving;

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Supervised};
use bytes::Bytes;
use henge_kernel::{coordination::Failure, id::NodeId, key::Token, time::Instant};
use tracing::{debug, info, warn};

use self::serving::Asked;
use crate::{
    actor_ref::{ActorRef, Told},
    admission::Admission,
    events::TRANSPORT,
    messages::{
        coordinator::ReplyTo,
        gossip_membership::GossipArrived,
        peer_link::{
            DialFailed, FramesArrived, Judgement, LinkDown, LinkUp, PeerJudged, SendControl,
            SendReply, SendRequest,
        },
        ring_manager::{PeerReached, RegisterAnswered, RegistersArrived},
    },
    shard::Shard,
    transport::{DialId, Frame, Lane, Link, LinkId, PeerAddress},
    view::Site,
    wire::{ControlMessage, HeaderTooLong, MalformedFrame, PeerReply, PeerRequest, RequestFrame},
};

/// The first pause after a dial that failed; each next one is twice as long.
const REDIAL_FIRST: Duration = Duration::from_millis(50);
/// The longest pause: a peer that returns is found within this and the time of one dial.
const REDIAL_LONGEST: Duration = Duration::from_millis(400);
/// How much longer the node with the greater id waits with a dial.
const PATIENCE: Duration = Duration::from_millis(100);
/// Two links that come up within this time are two dials that crossed.
const CROSSED: Duration = Duration::from_secs(1);
/// How often requests are looked through for those whose time is over.
const SWEEP: Duration = Duration::from_secs(1);

/// The actor.
pub struct PeerLink {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    peer: Peer,
    /// How much the peer may ask at a time.
    door: Arc<Admission>,
    link: Option<Current>,
    dialling: Option<DialId>,
    redial_after: Duration,
    /// Why the last dial failed: the log hears each reason once.
    failed: Option<String>,
    waiting: BTreeMap<u64, Waiting>,
    correlation: u64,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The node.
    pub node: NodeId,
    /// Its shard.
    pub shard: u16,
    /// Where it is.
    pub site: Site,
}

/// The link in use.
struct Current {
    link: Rc<dyn Link>,
    /// The run of the process at its other end.
    run: u64,
    dialled: bool,
    since: Instant,
}

struct Waiting {
    reply: ReplyTo,
    /// The token of the key that it is about.
    about: Token,
    deadline: Instant,
    /// On which link it was asked.
    link: LinkId,
}

/// To itself: dial, if there is still nobody.
#[derive(Message)]
#[rtype(result = "()")]
struct Dial;

impl PeerLink {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "PeerLink";

    /// An actor without a link.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>, peer: Peer) -> Self {
        let door = serving::door(&shard.commons.settings.limits);
        Self {
            me,
            shard,
            peer,
            door,
            link: None,
            dialling: None,
            redial_after: REDIAL_FIRST,
            failed: None,
            waiting: BTreeMap::new(),
            correlation: 0,
        }
    }

    /// Whether this node is the one that dials first.
    fn is_smaller(&self) -> bool {
        self.shard.commons.node < self.peer.node
    }

    fn dial(&mut self, context: &mut Context<Self>) {
        if self.link.is_some() || self.dialling.is_some() {
            return;
        }
        let Some(port) = self.peer.site.port.checked_add(self.peer.shard) else { return };
        let Site { name, host, .. } = &self.peer.site;
        let address = PeerAddress { name: Some(name.clone()), host: host.clone(), port };
        self.dialling = self.shard.links.dial(&address, (self.peer.node, self.peer.shard));
        if self.dialling.is_none() {
            // A peer can be heard of before this shard's own endpoint is open.
            self.dial_later(context);
        }
    }

    fn dial_later(&mut self, context: &mut Context<Self>) {
        let patience = if self.is_smaller() { Duration::ZERO } else { PATIENCE };
        context.notify_later(Dial, self.redial_after + patience);
        self.redial_after = (self.redial_after * 2).min(REDIAL_LONGEST);
    }

    /// Whether a second link to `run` is one of two dials that crossed.
    fn is_crossed(&self, run: u64, dialled: bool) -> bool {
        self.link.as_ref().is_some_and(|current| {
            current.run == run
                && current.dialled != dialled
                && self.now().since(current.since) < CROSSED
        })
    }

    /// The link is of no use: whoever waits for an answer on it learns so at once.
    fn lose_link(&mut self, reason: &str) {
        if let Some(current) = self.link.take() {
            current.link.close(reason);
            self.fail_waiting(current.link.id());
            self.shard.link_changed((self.peer.node, self.peer.shard), false);
        }
    }

    fn fail_waiting(&mut self, link: LinkId) {
        for (_, waiting) in self.waiting.extract_if(.., |_, waiting| waiting.link == link) {
            waiting.reply.answer(PeerReply::Failed(Failure::Lost));
        }
    }

    /// A link that is not used any more goes when what is on its way has arrived.
    fn retire(link: &Rc<dyn Link>, context: &mut Context<Self>) {
        let link = Rc::downgrade(link);
        context.run_later(CROSSED, move |_, _| {
            if let Some(link) = link.upgrade() {
                link.close("two dials crossed");
            }
        });
    }

    fn is_current(&self, link: LinkId) -> bool {
        self.link.as_ref().is_some_and(|current| current.link.id() == link)
    }

    /// Sends on the current link; tells which that is.
    fn send(&self, lane: Lane, frame: Result<Frame, HeaderTooLong>) -> Result<LinkId, Failure> {
        let link = &self.link.as_ref().ok_or(Failure::Unreachable)?.link;
        self.send_on(link.as_ref(), lane, frame).map(|()| link.id())
    }

    fn send_on(
        &self,
        link: &dyn Link,
        lane: Lane,
        frame: Result<Frame, HeaderTooLong>,
    ) -> Result<(), Failure> {
        let sent = frame
            .map_err(|error| error.to_string())
            .and_then(|frame| link.send(lane, frame).map_err(|error| error.to_string()));
        sent.map_err(|reason| {
            self.me.meter().rejected();
            debug!(target: TRANSPORT, peer = %self.peer.site.name, reason, "a frame was not taken");
            Failure::Refused
        })
    }

    fn ask(&mut self, request: &PeerRequest, deadline: Instant, reply: Option<ReplyTo>) {
        let remaining = deadline.since(self.now());
        // Correlation 0 asks for no answer.
        let correlation = if reply.is_some() { self.next_correlation() } else { 0 };
        let frame = request.encode(correlation, remaining);
        if let (Ok(frame), Some(reply)) = (&frame, &reply) {
            self.count(reply, frame.len());
        }
        let sent = self.send(Lane::Request, frame);
        match (sent, reply) {
            (Ok(link), Some(reply)) => {
                let about = request.about();
                self.waiting.insert(correlation, Waiting { reply, about, deadline, link });
            }
            (Err(failure), Some(reply)) => reply.answer(PeerReply::Failed(failure)),
            (_, None) => {}
        }
    }

    /// Counts the bytes that bring replicas together.
    fn count(&self, reply: &ReplyTo, bytes: usize) {
        if reply.is_background() {
            self.shard.commons.background_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn next_correlation(&mut self) -> u64 {
        self.correlation += 1;
        self.correlation
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    fn on_frame(&mut self, link: LinkId, lane: Lane, frame: &Bytes) -> Result<(), MalformedFrame> {
        match lane {
            Lane::Control => self.on_control(ControlMessage::decode(frame)?),
            Lane::Request => match RequestFrame::decode(frame)? {
                RequestFrame::Request { correlation, remaining, about, request } => {
                    let asked = Asked { link, correlation, remaining, about, bytes: frame.len() };
                    self.serve(request, &asked);
                }
                RequestFrame::Reply { correlation, about, reply } => {
                    self.on_reply(correlation, about, reply, frame.len());
                }
            },
        }
        Ok(())
    }

    /// An answer that is about another key than its question, or damaged, is none: whoever asked
    /// learns that nobody knows what the peer has done.
    fn on_reply(&mut self, correlation: u64, about: Token, reply: PeerReply, bytes: usize) {
        let Some(waiting) = self.waiting.remove(&correlation) else { return };
        self.count(&waiting.reply, bytes);
        if waiting.about == about {
            waiting.reply.answer(reply);
        } else {
            warn!(target: TRANSPORT, node = self.shard.commons.name(), peer = %self.peer.site.name, "an answer is refused: it is damaged, or of another key");
            waiting.reply.answer(PeerReply::Failed(Failure::Lost));
        }
    }

    fn on_control(&self, message: ControlMessage) {
        let from = self.peer.node;
        let commons = &self.shard.commons;
        match message {
            ControlMessage::Gossip(packet) => {
                if let Some(membership) = commons.membership.get() {
                    membership.tell(GossipArrived { from, packet });
                }
            }
            ControlMessage::Registers { ticket, registers } => {
                if let Some(ring_manager) = commons.ring_manager.get() {
                    ring_manager.tell(RegistersArrived { from, registers, ticket });
                }
            }
            ControlMessage::RegisterAnswered { ticket, refused } => {
                if let Some(ring_manager) = commons.ring_manager.get() {
                    ring_manager.tell(RegisterAnswered { from, ticket, refused });
                }
            }
        }
    }

    fn forget_late(&mut self) {
        let now = self.now();
        // Their coordinators have deadlines of their own and do not need to be told.
        self.waiting.retain(|_, waiting| waiting.deadline >= now);
    }
}

impl Actor for PeerLink {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(SWEEP, |link, _| link.forget_late());
        if self.is_smaller() {
            self.dial(context);
        } else {
            self.dial_later(context);
        }
    }
}

impl Supervised for PeerLink {
    fn restarting(&mut self, _: &mut Self::Context) {
        let fresh = Self::new(self.me.clone(), Rc::clone(&self.shard), self.peer.clone());
        // The link may still bring answers to what was asked before: they must meet no question.
        let correlation = self.correlation;
        *self = Self { link: self.link.take(), correlation, ..fresh };
    }
}

impl Handler<Dial> for PeerLink {
    type Result = ();

    fn handle(&mut self, _: Dial, context: &mut Self::Context) {
        self.dial(context);
    }
}

impl Handler<Told<LinkUp>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<LinkUp>, context: &mut Self::Context) {
        let (LinkUp { link, run, dialled }, _handling) = self.me.open(told);
        if dialled {
            self.dialling = None;
        }
        let Some(link) = self.shard.links.link(link) else { return };
        if self.is_crossed(run, dialled) {
            // Both sides keep the link of the node with the smaller id.
            if dialled != self.is_smaller() {
                return Self::retire(&link, context);
            }
            if let Some(current) = self.link.take() {
                Self::retire(&current.link, context);
            }
        }
        // Any other second link is better than the first, which the peer has lost or never had.
        self.lose_link("replaced by a newer link");
        info!(target: TRANSPORT, node = self.shard.commons.name(), peer = %self.peer.site.name, shard = self.peer.shard, "link up");
        self.link = Some(Current { link, run, dialled, since: self.now() });
        self.failed = None;
        self.redial_after = REDIAL_FIRST;
        self.shard.link_changed((self.peer.node, self.peer.shard), true);
        if let (0, 0, Some(ring_manager)) =
            (self.shard.index, self.peer.shard, self.shard.commons.ring_manager.get())
        {
            ring_manager.tell(PeerReached { node: self.peer.node });
        }
    }
}

impl Handler<Told<LinkDown>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<LinkDown>, context: &mut Self::Context) {
        let (LinkDown { link, reason }, _handling) = self.me.open(told);
        if self.is_current(link) {
            info!(target: TRANSPORT, node = self.shard.commons.name(), peer = %self.peer.site.name, reason, "link down");
            self.lose_link(&reason);
            self.dial_later(context);
        } else {
            self.fail_waiting(link);
        }
    }
}

impl Handler<Told<DialFailed>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<DialFailed>, context: &mut Self::Context) {
        let (DialFailed { dial, reason }, _handling) = self.me.open(told);
        if self.dialling == Some(dial) {
            if self.failed.as_ref() != Some(&reason) {
                warn!(target: TRANSPORT, node = self.shard.commons.name(), peer = %self.peer.site.name, reason, "dial failed");
            }
            self.failed = Some(reason);
            self.dialling = None;
            self.dial_later(context);
        }
    }
}

impl Handler<Told<PeerJudged>> for PeerLink {
    type Result = ();

    /// A link to a peer that is down is of no use: QUIC's probes back off to twice the outage, so
    /// a fresh dial is back sooner.
    fn handle(&mut self, told: Told<PeerJudged>, context: &mut Self::Context) {
        let (PeerJudged(judgement), _handling) = self.me.open(told);
        match judgement {
            Judgement::Up => {
                self.redial_after = REDIAL_FIRST;
                self.dial(context);
            }
            Judgement::Down if self.link.is_some() => {
                self.lose_link("membership judged this node down");
                self.dial_later(context);
            }
            Judgement::Down => {}
        }
    }
}

impl Handler<Told<FramesArrived>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<FramesArrived>, _: &mut Self::Context) {
        let (FramesArrived { link, lane, frames }, _handling) = self.me.open(told);
        for frame in &frames {
            if let Err(error) = self.on_frame(link, lane, frame) {
                warn!(target: TRANSPORT, peer = %self.peer.site.name, %lane, %error, "malformed frame");
                if let Some(link) = self.shard.links.link(link) {
                    link.close(&error.to_string());
                }
                return;
            }
        }
    }
}

impl Handler<Told<SendRequest>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<SendRequest>, _: &mut Self::Context) {
        let (SendRequest { request, deadline, reply }, _handling) = self.me.open(told);
        self.ask(&request, deadline, reply);
    }
}

impl Handler<Told<SendReply>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<SendReply>, _: &mut Self::Context) {
        let (SendReply { link, correlation, about, reply }, _handling) = self.me.open(told);
        if let (Some(link), 1..) = (self.shard.links.link(link), correlation) {
            let frame = reply
                .encode(correlation, about)
                .or_else(|_| PeerReply::Failed(Failure::Lost).encode(correlation, about));
            // A peer too slow to take its answer times out; it is told nothing else.
            let _ = self.send_on(link.as_ref(), Lane::Request, frame);
        }
    }
}

impl Handler<Told<SendControl>> for PeerLink {
    type Result = ();

    fn handle(&mut self, told: Told<SendControl>, _: &mut Self::Context) {
        let (SendControl(message), _handling) = self.me.open(told);
        // Gossip is repeated, registers are sent again when the link is up again.
        let _ = self.send(Lane::Control, message.encode());
    }
}
