//! Hosts: an endpoint with its events, and a cluster that certifies them.

use std::{
    cell::RefCell,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    rc::Rc,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use henge_actors::transport::{
    Binding, DialId, Endpoint, Lane, Link, LinkId, PeerAddress, Transport, TransportEvent,
    faults::Faults,
    quic::{Quic, QuicSettings},
    tls::{Directory, Identity, Issue},
};
use henge_kernel::{id::NodeName, time::WallMillis};
use tempfile::TempDir;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::LocalSet,
    time::timeout,
};

pub fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub fn now() -> WallMillis {
    WallMillis(UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap())
}

/// Runs `test` as a shard runs: one thread, one `LocalSet`, real time.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { timeout(Duration::from_secs(30), test).await.expect("in time") };
    LocalSet::new().block_on(&runtime, bounded);
}

/// A cluster's certificate directory.
pub struct Cluster {
    pub dir: TempDir,
    pub certificates: Directory,
}

impl Deref for Cluster {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.certificates
    }
}

impl Cluster {
    pub fn new(cluster: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let certificates = Directory::new(dir.path(), cluster).unwrap();
        certificates.init(now()).unwrap();
        Self { dir, certificates }
    }

    pub fn identity(&self, node: &str) -> Identity {
        let node = name(node);
        self.certificates.issue(Issue::Node { name: &node, names: &[] }, now()).unwrap();
        self.certificates.load_node(&node, now()).unwrap()
    }

    pub fn quic(&self, node: &str) -> Quic {
        Quic::new(self.identity(node), patient())
    }

    pub fn host(&self, node: &str) -> Host {
        Host::bind(&self.quic(node), node, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
    }

    /// A host that gives up soon.
    pub fn quick_host(&self, node: &str) -> Host {
        let quic = Quic::new(self.identity(node), quick());
        Host::bind(&quic, node, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
    }

    pub fn host_with_faults(&self, node: &str) -> (Host, Arc<Faults>) {
        let faults = Arc::new(Faults::new());
        let quic = Quic::new(self.identity(node), quick()).with_faults(Arc::clone(&faults));
        (Host::bind(&quic, node, (Ipv4Addr::LOCALHOST, 0).into()).unwrap(), faults)
    }
}

/// Settings for what must succeed, however busy the machine is.
pub fn patient() -> QuicSettings {
    within(Duration::from_secs(20))
}

/// Settings for what must fail by time.
pub fn quick() -> QuicSettings {
    within(Duration::from_secs(1))
}

fn within(limit: Duration) -> QuicSettings {
    QuicSettings { dial_timeout: limit, handshake_timeout: limit, ..QuicSettings::default() }
}

pub fn hello_of(node: &str) -> Bytes {
    Bytes::from(format!("hello from {node}"))
}

/// An endpoint and what it reports.
pub struct Host {
    pub node: String,
    pub endpoint: Rc<dyn Endpoint>,
    events: RefCell<UnboundedReceiver<TransportEvent>>,
}

impl Host {
    pub fn bind(
        quic: &dyn Transport,
        node: &str,
        listen: SocketAddr,
    ) -> Result<Self, henge_actors::transport::TransportError> {
        let (sender, events) = unbounded_channel();
        let binding = Binding { name: name(node), listen, shard: 0, hello: hello_of(node) };
        let events_out = move |event| sender.send(event).unwrap_or_default();
        let endpoint = quic.bind(binding, Rc::new(events_out))?;
        Ok(Self { node: node.to_owned(), endpoint, events: RefCell::new(events) })
    }

    pub fn address(&self) -> SocketAddr {
        self.endpoint.local_address()
    }

    pub fn peer(&self) -> PeerAddress {
        let address = self.address();
        PeerAddress {
            name: Some(name(&self.node)),
            host: address.ip().to_string(),
            port: address.port(),
        }
    }

    #[allow(clippy::await_holding_refcell_ref, reason = "one test, one reader")]
    pub async fn event(&self) -> TransportEvent {
        self.events.borrow_mut().recv().await.unwrap()
    }

    pub fn nothing_happened(&self) -> bool {
        self.events.borrow_mut().try_recv().is_err()
    }

    pub async fn connected(&self) -> (Rc<dyn Link>, Bytes, Option<DialId>) {
        match self.event().await {
            TransportEvent::Connected { link, hello, dial } => (link, hello, dial),
            other => panic!("{other:?}"),
        }
    }

    pub async fn dial_failed(&self, wanted: DialId) -> String {
        match self.event().await {
            TransportEvent::DialFailed { dial, reason } if dial == wanted => reason,
            other => panic!("{other:?}"),
        }
    }

    pub async fn closed(&self, wanted: LinkId) -> String {
        match self.event().await {
            TransportEvent::Closed { link, reason } if link == wanted => reason,
            other => panic!("{other:?}"),
        }
    }

    /// The next `count` frames of `lane`, and in how many batches they came.
    pub async fn frames(&self, lane: Lane, count: usize) -> (Vec<Bytes>, usize) {
        let (mut all, mut batches) = (Vec::new(), 0);
        while all.len() < count {
            match self.event().await {
                TransportEvent::Frames { lane: on, frames, .. } if on == lane => {
                    assert!(!frames.is_empty());
                    all.extend(frames);
                    batches += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        (all, batches)
    }
}

/// Links `dialer` to `listener` and returns both ends.
pub async fn link(dialer: &Host, listener: &Host) -> (Rc<dyn Link>, Rc<dyn Link>) {
    let dial = dialer.endpoint.dial(&listener.peer());
    let (near, _, seen) = dialer.connected().await;
    assert_eq!(seen, Some(dial));
    (near, listener.connected().await.0)
}
