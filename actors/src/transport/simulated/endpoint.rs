//! The transport's traits on a simulated network.

use std::{
    future::ready,
    io::{Error, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use henge_kernel::id::NodeName;
use tokio::sync::Notify;

use super::{
    Shared,
    link::End,
    network::{Delivered, EndpointKey, Next},
};
use crate::transport::{
    Binding, CONTROL_FRAME_BYTES_MAX, DialId, Endpoint, Frame, Lane, Link, LinkId, PeerAddress,
    Protocol, SendError, Transport, TransportError, TransportEvent,
};

/// Opens endpoints on one network.
pub(super) struct SimulatedTransport {
    shared: Arc<Shared>,
}

impl SimulatedTransport {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Transport for SimulatedTransport {
    fn bind(
        &self,
        binding: Binding,
        events: Rc<dyn Fn(TransportEvent)>,
    ) -> Result<Rc<dyn Endpoint>, TransportError> {
        let size = binding.hello.len();
        if size > CONTROL_FRAME_BYTES_MAX {
            return Err(TransportError::HelloTooLarge { size, max: CONTROL_FRAME_BYTES_MAX });
        }
        let bound = self.shared.with(|state| state.bind(binding));
        let (key, address, wake) = bound.map_err(|address| TransportError::Listen {
            address,
            source: Error::from(ErrorKind::AddrInUse),
        })?;
        let presence = Presence { shared: Arc::clone(&self.shared), key };
        tokio::task::spawn_local(pump(presence, wake, events));
        Ok(Rc::new(SimulatedEndpoint { shared: Arc::clone(&self.shared), key, address }))
    }
}

/// Keeps an endpoint on the network. It lives in the endpoint's task, and that in the `LocalSet` of
/// its node: a node whose tasks are dropped has died.
struct Presence {
    shared: Arc<Shared>,
    key: EndpointKey,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.with(|state| state.vanish(self.key));
    }
}

/// Reports what comes in, on the thread and in the `LocalSet` that bound the endpoint, until the
/// endpoint is closed, all is told and nobody holds the endpoint.
async fn pump(presence: Presence, wake: Arc<Notify>, events: Rc<dyn Fn(TransportEvent)>) {
    loop {
        match presence.shared.with(|state| state.next(presence.key)) {
            Next::Report(what) => events(event_of(what, &presence.shared)),
            Next::Wait => wake.notified().await,
            Next::End => return,
        }
    }
}

fn event_of(what: Delivered, shared: &Arc<Shared>) -> TransportEvent {
    match what {
        Delivered::Connected { end, peer, hello, dial } => {
            let link = Rc::new(SimulatedLink { shared: Arc::clone(shared), end, peer });
            TransportEvent::Connected { link, hello, dial }
        }
        Delivered::Frames { end, lane, frames } => {
            TransportEvent::Frames { link: end.id(), lane, frames }
        }
        Delivered::Closed { end, reason } => TransportEvent::Closed { link: end.id(), reason },
        Delivered::DialFailed { dial, reason } => TransportEvent::DialFailed { dial, reason },
    }
}

struct SimulatedEndpoint {
    shared: Arc<Shared>,
    key: EndpointKey,
    address: SocketAddr,
}

impl Endpoint for SimulatedEndpoint {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn dial(&self, peer: &PeerAddress) -> DialId {
        self.shared.with(|state| state.dial(self.key, peer.clone()))
    }

    fn close(&self, reason: &str) {
        self.shared.with(|state| state.close(self.key, reason));
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        // What is said is on its way at once, and arrives even if the process ends now.
        Box::pin(ready(()))
    }
}

impl Drop for SimulatedEndpoint {
    fn drop(&mut self) {
        self.shared.with(|state| state.release(self.key));
    }
}

struct SimulatedLink {
    shared: Arc<Shared>,
    end: End,
    peer: NodeName,
}

impl Link for SimulatedLink {
    fn id(&self) -> LinkId {
        self.end.id()
    }

    fn protocol(&self) -> Protocol {
        Protocol::Peer
    }

    fn peer(&self) -> &NodeName {
        &self.peer
    }

    fn send(&self, lane: Lane, frame: Frame) -> Result<(), SendError> {
        self.shared.with(|state| state.send(self.end, lane, frame))
    }

    fn unsent(&self, lane: Lane) -> usize {
        self.shared.with(|state| state.unsent(self.end, lane))
    }

    fn close(&self, reason: &str) {
        self.shared.with(|state| state.close_link(self.end, reason));
    }
}
