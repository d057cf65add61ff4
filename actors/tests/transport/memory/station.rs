//! A station: an endpoint that keeps links to its peers, asks them numbered questions, answers
//! theirs, and accounts for every one.

use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::transport::{
    Binding, Endpoint, Frame, Lane, Link, LinkId, PeerAddress, SendError, Transport as _,
    TransportEvent,
    quic::{Quic, QuicSettings},
    tls::Identity,
};
use tokio::time::{Instant, sleep};

use super::network::Network;
use crate::support::{hello_of, name};

/// The pause before a peer is dialled again.
const REDIAL: Duration = Duration::from_millis(200);

const QUESTION: u8 = 0;
const ANSWER: u8 = 1;

/// What became of a question.
#[derive(Clone, Debug)]
pub enum Fate {
    Waits {
        on: LinkId,
        since: Instant,
    },
    Answered {
        after: Duration,
    },
    /// Its link ended, for this reason.
    Lost(String),
    /// It was not taken.
    Refused(SendError),
    /// There was no link.
    Unreachable,
}

/// What one end of a link has sent and heard of its request lane.
struct Open {
    link: Rc<dyn Link>,
    peer: String,
    sent: u64,
    heard: u64,
}

pub struct Station {
    node: String,
    address: SocketAddr,
    endpoint: RefCell<Option<Rc<dyn Endpoint>>>,
    /// Whom to dial again when the link is gone.
    peers: RefCell<BTreeMap<String, PeerAddress>>,
    links: RefCell<BTreeMap<LinkId, Open>>,
    fates: RefCell<BTreeMap<u64, Fate>>,
    pub failed_dials: RefCell<Vec<String>>,
    pub ends: RefCell<Vec<String>>,
}

pub fn ip(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

impl Station {
    /// Binds `node` at the address of its `number`.
    pub fn bind(network: &Network, identity: Identity, node: &str, number: u8) -> Rc<Self> {
        Self::bind_with(network, identity, node, number, QuicSettings::default())
    }

    pub fn bind_with(
        network: &Network,
        identity: Identity,
        node: &str,
        number: u8,
        settings: QuicSettings,
    ) -> Rc<Self> {
        let address = SocketAddr::new(ip(number), 7400);
        let station = Rc::new(Self {
            node: node.to_owned(),
            address,
            endpoint: RefCell::default(),
            peers: RefCell::default(),
            links: RefCell::default(),
            fates: RefCell::default(),
            failed_dials: RefCell::default(),
            ends: RefCell::default(),
        });
        let quic = Quic::new(identity, settings).over(Arc::new(network.clone()), number.into());
        let binding =
            Binding { name: name(node), listen: address, shard: 0, hello: hello_of(node) };
        let weak = Rc::downgrade(&station);
        let on_event =
            move |event| weak.upgrade().into_iter().for_each(|station| station.on(&event));
        *station.endpoint.borrow_mut() = Some(quic.bind(binding, Rc::new(on_event)).unwrap());
        station
    }

    pub fn peer_address(&self) -> PeerAddress {
        let (name, host) = (Some(name(&self.node)), self.address.ip().to_string());
        PeerAddress { name, host, port: self.address.port() }
    }

    /// Dials `peer`, now and whenever the link to it is gone.
    pub fn keep_linked_to(&self, peer: &Self) {
        self.keep_linked_to_as(peer, &peer.node);
    }

    /// The same, in the belief that it is called `title`.
    pub fn keep_linked_to_as(&self, peer: &Self, title: &str) {
        let address = PeerAddress { name: Some(name(title)), ..peer.peer_address() };
        self.peers.borrow_mut().insert(title.to_owned(), address);
        self.dial(title);
    }

    fn dial(&self, peer: &str) {
        let address = self.peers.borrow().get(peer).cloned();
        if let (Some(address), Some(endpoint), false) =
            (address, &*self.endpoint.borrow(), self.is_linked_to(peer))
        {
            endpoint.dial(&address);
        }
    }

    fn dial_later(self: &Rc<Self>, peer: String) {
        let weak: Weak<Self> = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            sleep(REDIAL).await;
            if let Some(station) = weak.upgrade() {
                station.dial(&peer);
            }
        });
    }

    fn on(self: &Rc<Self>, event: &TransportEvent) {
        match event {
            TransportEvent::Connected { link, .. } => {
                let peer = link.peer().to_string();
                let open = Open { link: Rc::clone(link), peer, sent: 0, heard: 0 };
                let before = self.links.borrow_mut().insert(link.id(), open);
                assert!(before.is_none(), "a link comes up once");
            }
            TransportEvent::Frames { link, frames, .. } => {
                for frame in frames {
                    self.hear(*link, frame);
                }
            }
            TransportEvent::Closed { link, reason } => {
                let open = self.links.borrow_mut().remove(link).expect("a link ends once");
                self.ends.borrow_mut().push(reason.clone());
                for fate in self.fates.borrow_mut().values_mut() {
                    if matches!(fate, Fate::Waits { on, .. } if on == link) {
                        *fate = Fate::Lost(reason.clone());
                    }
                }
                self.dial_later(open.peer);
            }
            TransportEvent::DialFailed { reason, .. } => {
                self.failed_dials.borrow_mut().push(reason.clone());
                let peers: Vec<_> = self.peers.borrow().keys().cloned().collect();
                for peer in peers {
                    self.dial_later(peer);
                }
            }
        }
    }

    /// Every frame carries its place on the lane: none may be missing, repeated or overtaken.
    fn hear(&self, link: LinkId, frame: &Bytes) {
        let number = |at: usize| u64::from_le_bytes(*frame[at..].first_chunk().unwrap());
        let (kind, place, question) = (frame[0], number(1), number(9));
        {
            let mut links = self.links.borrow_mut();
            let open = links.get_mut(&link).expect("frames come between up and closed");
            assert_eq!(place, open.heard, "frames of a lane come in order, without gaps");
            open.heard += 1;
        }
        if kind == QUESTION {
            let _ = self.send(link, ANSWER, question, frame.len());
            return;
        }
        let mut fates = self.fates.borrow_mut();
        let fate = fates.get_mut(&question).expect("what was never asked is not answered");
        let Fate::Waits { on, since } = *fate else { panic!("{question} was {fate:?} already") };
        assert_eq!(on, link, "the answer comes where it was asked");
        *fate = Fate::Answered { after: since.elapsed() };
    }

    fn send(&self, link: LinkId, kind: u8, question: u64, length: usize) -> Result<(), SendError> {
        let mut links = self.links.borrow_mut();
        let open = links.get_mut(&link).ok_or(SendError::Closed)?;
        let mut frame = vec![kind];
        frame.extend(open.sent.to_le_bytes());
        frame.extend(question.to_le_bytes());
        frame.resize(length.max(frame.len()), kind);
        open.link.send(Lane::Request, Frame::new(frame))?;
        open.sent += 1;
        Ok(())
    }

    fn link_to(&self, peer: &str) -> Option<LinkId> {
        let links = self.links.borrow();
        let newest = links.iter().rev().find(|(_, open)| open.peer == peer);
        newest.map(|(id, _)| *id)
    }

    pub fn is_linked_to(&self, peer: &str) -> bool {
        self.link_to(peer).is_some()
    }

    /// The newest link to a peer.
    pub fn link(&self, peer: &str) -> Option<Rc<dyn Link>> {
        let id = self.link_to(peer)?;
        self.links.borrow().get(&id).map(|open| Rc::clone(&open.link))
    }

    /// Asks `peer`, in `length` bytes; the answer is as long.
    pub fn ask(&self, peer: &str, question: u64, length: usize) {
        let fate = match self.link_to(peer) {
            None => Fate::Unreachable,
            Some(on) => match self.send(on, QUESTION, question, length) {
                Ok(()) => Fate::Waits { on, since: Instant::now() },
                Err(refused) => Fate::Refused(refused),
            },
        };
        let before = self.fates.borrow_mut().insert(question, fate);
        assert!(before.is_none(), "a question is asked once");
    }

    pub fn fates(&self) -> Ref<'_, BTreeMap<u64, Fate>> {
        self.fates.borrow()
    }

    pub fn waiting(&self) -> usize {
        self.fates().values().filter(|fate| matches!(fate, Fate::Waits { .. })).count()
    }

    /// How long the answers took.
    pub fn answer_times(&self) -> Vec<Duration> {
        let time = |fate: &Fate| match fate {
            Fate::Answered { after } => Some(*after),
            _ => None,
        };
        self.fates().values().filter_map(time).collect()
    }
}
