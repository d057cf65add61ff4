//! A link to a node that a test drives by itself, with whatever certificate and bytes it likes.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use henge_actors::{
    client_protocol::ClientHello,
    transport::{
        Binding, Endpoint, Link, PeerAddress, Transport as _, TransportEvent,
        quic::{Quic, QuicSettings},
        tls::Identity,
    },
};
use henge_kernel::id::ClusterId;
use tokio::{sync::mpsc, task::LocalSet, time::timeout};

use crate::support::node::{PATIENCE, TestNode};

/// An endpoint that dials one node.
pub struct Dialler {
    pub endpoint: Rc<dyn Endpoint>,
    target: PeerAddress,
    events: RefCell<mpsc::UnboundedReceiver<TransportEvent>>,
}

impl Dialler {
    /// Dials `node` as whom `identity` proves, with the hello that a client says.
    pub fn new(identity: Identity, node: &TestNode) -> Self {
        let hello = ClientHello::of(ClusterId::of(node.handle.settings().cluster.name.as_str()));
        Self::with_hello(identity, node, hello.encode().unwrap())
    }

    pub fn with_hello(identity: Identity, node: &TestNode, hello: Bytes) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let name = identity.subject().name().unwrap().clone();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let binding = Binding { name, listen, shard: 0, hello };
        let endpoint =
            Quic::new(identity, QuicSettings { dial_timeout: PATIENCE, ..QuicSettings::default() })
                .bind(binding, Rc::new(move |event| drop(tell.send(event))))
                .unwrap();
        let listen = node.handle.settings().node.listen;
        let target = PeerAddress { name: None, host: listen.ip().to_string(), port: listen.port() };
        Self { endpoint, target, events: RefCell::new(events) }
    }

    /// Dials once more.
    pub fn redial(&self) {
        self.endpoint.dial(&self.target);
    }

    /// The link, or why there is none.
    pub async fn dial(&self) -> Result<Rc<dyn Link>, String> {
        self.redial();
        match self.next().await {
            TransportEvent::Connected { link, .. } => Ok(link),
            TransportEvent::DialFailed { reason, .. } => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    /// Why the node wants no link, whether it says so before or after the link is up here.
    pub async fn refusal(&self) -> String {
        match self.dial().await {
            Ok(_) => self.closed().await,
            Err(reason) => reason,
        }
    }

    /// What the endpoint reports next.
    #[expect(clippy::await_holding_refcell_ref, reason = "one test waits at a time")]
    pub async fn next(&self) -> TransportEvent {
        let mut events = self.events.borrow_mut();
        timeout(PATIENCE, events.recv()).await.expect("an event").expect("the endpoint lives")
    }

    /// Why the link ends; frames before are passed over.
    pub async fn closed(&self) -> String {
        loop {
            if let TransportEvent::Closed { reason, .. } = self.next().await {
                return reason;
            }
        }
    }
}

/// Runs a test on a thread's own `LocalSet`, as endpoints want it.
pub fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        timeout(Duration::from_mins(2), test).await.expect("the test ends");
    });
}
