//! Probes: endpoints that note what is reported to them.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use henge_actors::transport::{
    Binding, Endpoint, Frame, Lane, Link, PeerAddress, SendError, TransportError, TransportEvent,
    simulated::{NetworkProfile, SimulatedNetwork},
};
use henge_kernel::id::NodeName;
use tokio::{runtime::Builder, task::LocalSet, time::Instant};

/// Runs `main` in one thread on paused time.
pub fn simulate<T>(main: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, main)
}

/// Lets virtual time pass.
pub async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

pub fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub fn lossless() -> NetworkProfile {
    NetworkProfile { loss_percent: 0, ..NetworkProfile::default() }
}

pub fn lossy() -> NetworkProfile {
    NetworkProfile { loss_percent: 30, ..NetworkProfile::default() }
}

/// An event as a probe saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Connected { peer: String, hello: Vec<u8>, dialled: bool },
    Frame(Lane, Vec<u8>),
    Closed(String),
    DialFailed(String),
}

/// An endpoint, its newest link, and what it saw when, in ms since it was bound.
pub struct Probe {
    pub address: PeerAddress,
    pub endpoint: Rc<dyn Endpoint>,
    link: Rc<RefCell<Option<Rc<dyn Link>>>>,
    seen: Rc<RefCell<Vec<(u64, Seen)>>>,
}

impl Probe {
    /// Binds node `title` at port `port` of 10.0.0.1.
    pub fn bind(network: &SimulatedNetwork, title: &str, port: u16) -> Self {
        Self::try_bind(network, title, port).unwrap()
    }

    pub fn try_bind(
        network: &SimulatedNetwork,
        title: &str,
        port: u16,
    ) -> Result<Self, TransportError> {
        let (link, seen) = (Rc::default(), Rc::default());
        let binding = Binding {
            name: name(title),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port),
            shard: 0,
            hello: format!("hello of {title}").into(),
        };
        let events = watch(Rc::clone(&link), Rc::clone(&seen));
        let endpoint = network.transport().bind(binding, events)?;
        let port = endpoint.local_address().port();
        let address = PeerAddress { name: Some(name(title)), host: "10.0.0.1".into(), port };
        Ok(Self { address, endpoint, link, seen })
    }

    pub fn is_linked(&self) -> bool {
        self.link.borrow().is_some()
    }

    pub fn link(&self) -> Rc<dyn Link> {
        self.link.borrow().clone().expect("a link is up")
    }

    pub fn send(&self, lane: Lane, text: &str) -> Result<(), SendError> {
        self.link().send(lane, Frame::new(text.into()))
    }

    /// What was seen so far, with its time.
    pub fn seen(&self) -> Vec<(u64, Seen)> {
        self.seen.borrow().clone()
    }

    /// The frames of `lane` so far.
    pub fn frames(&self, lane: Lane) -> Vec<String> {
        let frames = self.seen().into_iter().filter_map(|(_, seen)| match seen {
            Seen::Frame(on, frame) if on == lane => Some(String::from_utf8(frame).unwrap()),
            _ => None,
        });
        frames.collect()
    }

    /// When and why links were closed.
    pub fn closings(&self) -> Vec<(u64, String)> {
        let closings = self.seen().into_iter().filter_map(|(at, seen)| match seen {
            Seen::Closed(reason) => Some((at, reason)),
            _ => None,
        });
        closings.collect()
    }

    /// When and why dials failed.
    pub fn failures(&self) -> Vec<(u64, String)> {
        let failures = self.seen().into_iter().filter_map(|(at, seen)| match seen {
            Seen::DialFailed(reason) => Some((at, reason)),
            _ => None,
        });
        failures.collect()
    }
}

fn watch(
    link_of: Rc<RefCell<Option<Rc<dyn Link>>>>,
    seen: Rc<RefCell<Vec<(u64, Seen)>>>,
) -> Rc<dyn Fn(TransportEvent)> {
    let start = Instant::now();
    Rc::new(move |event| {
        let at = u64::try_from(start.elapsed().as_millis()).unwrap();
        let mut seen = seen.borrow_mut();
        match event {
            TransportEvent::Connected { link, hello, dial } => {
                let peer = link.peer().to_string();
                let connected =
                    Seen::Connected { peer, hello: hello.to_vec(), dialled: dial.is_some() };
                seen.push((at, connected));
                *link_of.borrow_mut() = Some(link);
            }
            TransportEvent::Frames { lane, frames, .. } => {
                assert!(!frames.is_empty());
                seen.extend(frames.iter().map(|frame| (at, Seen::Frame(lane, frame.to_vec()))));
            }
            TransportEvent::Closed { reason, .. } => seen.push((at, Seen::Closed(reason))),
            TransportEvent::DialFailed { reason, .. } => seen.push((at, Seen::DialFailed(reason))),
        }
    })
}

/// Binds n1 and n2 and links them; n1 dials.
pub async fn linked(network: &SimulatedNetwork) -> (Probe, Probe) {
    let (a, b) = (Probe::bind(network, "n1", 7401), Probe::bind(network, "n2", 7402));
    a.endpoint.dial(&b.address);
    pass(1000).await;
    assert!(a.failures().is_empty(), "{:#?}", network.last_events(20));
    (a, b)
}
