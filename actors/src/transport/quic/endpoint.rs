//! One shard's endpoint: accepts, dials, closes.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use quinn::{Connection, Incoming, VarInt};
use tokio::time::timeout;

use super::{
    QuicSettings,
    link::{CLOSED, Established, LinkError, QuicLink, Side, establish},
};
use crate::transport::{
    Binding, DialId, Endpoint, LinkId, PeerAddress, Protocol, TransportError, TransportEvent,
};

/// How long a closed endpoint may take to tell its peers.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Where an endpoint belongs, as its certificate says.
pub(super) struct Home {
    pub(super) cluster: Box<str>,
    /// What it dials for.
    pub(super) protocol: Protocol,
}

/// What the tasks of an endpoint share.
pub(super) struct Shared {
    pub(super) home: Home,
    pub(super) binding: Binding,
    pub(super) settings: QuicSettings,
    endpoint: quinn::Endpoint,
    events: Rc<dyn Fn(TransportEvent)>,
    /// Why the endpoint was closed, once it was.
    closing: RefCell<Option<String>>,
    dials: Cell<u64>,
    links: Cell<u64>,
    clients: Cell<usize>,
}

impl Shared {
    pub(super) fn emit(&self, event: TransportEvent) {
        (self.events)(event);
    }

    pub(super) fn next_link(&self) -> LinkId {
        LinkId(next(&self.links))
    }

    /// Whether a link of `protocol` is one of a client to this node.
    pub(super) fn serves(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Client && self.home.protocol == Protocol::Peer
    }

    /// A link of `protocol` comes up; refused if it is of one client too many.
    pub(super) fn admit(&self, protocol: Protocol) -> Result<(), LinkError> {
        let (clients, max) = (self.clients.get(), self.settings.clients_max);
        if self.serves(protocol) {
            if clients >= max {
                return Err(LinkError::TooManyClients { max });
            }
            self.clients.set(clients + 1);
        }
        Ok(())
    }

    /// A link of `protocol` is gone.
    pub(super) fn dismiss(&self, protocol: Protocol) {
        if self.serves(protocol) {
            self.clients.set(self.clients.get().saturating_sub(1));
        }
    }

    /// Why we closed, if it was the whole endpoint.
    pub(super) fn closing(&self) -> Option<String> {
        self.closing.borrow().clone()
    }

    async fn accept(self: Rc<Self>) {
        while let Some(incoming) = self.endpoint.accept().await {
            if self.endpoint.open_connections() < self.settings.connections_max {
                tokio::task::spawn_local(Rc::clone(&self).welcome(incoming));
            } else {
                incoming.refuse();
            }
        }
        if self.closing().is_none() {
            tracing::error!(
                target: "henge::transport",
                listen = %self.binding.listen,
                "the endpoint lost its socket"
            );
        }
    }

    async fn welcome(self: Rc<Self>, incoming: Incoming) {
        let remote = incoming.remote_address();
        let limit = self.settings.handshake_timeout;
        let met = timeout(limit, async {
            let connection = incoming.await?;
            let established = establish(&self, &connection, Side::Accepts).await;
            close_on_error(&connection, established)
        });
        match met.await.unwrap_or(Err(LinkError::TimedOut(limit))) {
            Ok(established) => QuicLink::start(self, established, None),
            Err(error) => {
                let reason = self.explain(&error);
                tracing::info!(target: "henge::transport", %remote, %reason, "link refused");
            }
        }
    }

    async fn attempt(self: Rc<Self>, dial: DialId, peer: PeerAddress) {
        let limit = self.settings.dial_timeout;
        let reached = timeout(limit, self.reach(dial, &peer)).await;
        match reached.unwrap_or(Err(LinkError::TimedOut(limit))) {
            Ok(established) => QuicLink::start(self, established, Some(dial)),
            Err(error) => {
                let reason = self.explain(&error);
                self.emit(TransportEvent::DialFailed { dial, reason });
            }
        }
    }

    async fn reach(&self, dial: DialId, peer: &PeerAddress) -> Result<Established, LinkError> {
        let address = self.resolve(dial, peer).await?;
        let server = peer.name.as_ref().map_or(peer.host.as_str(), |name| name.as_str());
        let connection = self.endpoint.connect(address, server)?.await?;
        let side = Side::Dials { wanted: peer.name.as_ref() };
        let established = establish(self, &connection, side).await;
        close_on_error(&connection, established)
    }

    /// One address of `peer`: of several, dials take turns.
    async fn resolve(&self, dial: DialId, peer: &PeerAddress) -> Result<SocketAddr, LinkError> {
        if let Ok(address) = peer.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, peer.port));
        }
        let host = || peer.host.clone();
        let found = tokio::net::lookup_host((peer.host.as_str(), peer.port))
            .await
            .map_err(|source| LinkError::Resolve { host: host(), source })?;
        let usable = |address: &SocketAddr| address.is_ipv4() || self.binding.listen.is_ipv6();
        let addresses: Vec<SocketAddr> = found.filter(usable).collect();
        let turn = usize::try_from(dial.0).unwrap_or_default();
        let chosen = turn.checked_rem(addresses.len()).and_then(|index| addresses.get(index));
        chosen.copied().ok_or_else(|| LinkError::NoAddress { host: host() })
    }

    fn explain(&self, error: &LinkError) -> String {
        match error {
            LinkError::Connection(error) => super::link::explain(error, || self.closing()),
            other => other.to_string(),
        }
    }
}

/// Tells the peer why it is turned away.
fn close_on_error<T>(
    connection: &Connection,
    outcome: Result<T, LinkError>,
) -> Result<T, LinkError> {
    outcome.inspect_err(|error| connection.close(error.code(), error.to_string().as_bytes()))
}

fn next(counter: &Cell<u64>) -> u64 {
    let number = counter.get();
    counter.set(number.saturating_add(1));
    number
}

/// The endpoint that an actor holds.
pub(super) struct QuicEndpoint {
    shared: Rc<Shared>,
    local_address: SocketAddr,
}

impl QuicEndpoint {
    /// Begins to accept on `endpoint`.
    pub(super) fn start(
        endpoint: quinn::Endpoint,
        home: Home,
        binding: Binding,
        settings: QuicSettings,
        events: Rc<dyn Fn(TransportEvent)>,
    ) -> Result<Rc<dyn Endpoint>, TransportError> {
        let local_address = endpoint
            .local_addr()
            .map_err(|source| TransportError::Listen { address: binding.listen, source })?;
        let shared = Rc::new(Shared {
            home,
            binding,
            settings,
            endpoint,
            events,
            closing: RefCell::new(None),
            dials: Cell::new(0),
            links: Cell::new(0),
            clients: Cell::new(0),
        });
        tokio::task::spawn_local(Rc::clone(&shared).accept());
        Ok(Rc::new(Self { shared, local_address }))
    }
}

impl Endpoint for QuicEndpoint {
    fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    fn dial(&self, peer: &PeerAddress) -> DialId {
        let dial = DialId(next(&self.shared.dials));
        tokio::task::spawn_local(Rc::clone(&self.shared).attempt(dial, peer.clone()));
        dial
    }

    fn close(&self, reason: &str) {
        let mut closing = self.shared.closing.borrow_mut();
        if closing.is_none() {
            *closing = Some(reason.to_owned());
            self.shared.endpoint.close(VarInt::from_u32(CLOSED), reason.as_bytes());
        }
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let endpoint = self.shared.endpoint.clone();
        Box::pin(async move {
            let _ = timeout(FLUSH_MAX, endpoint.wait_idle()).await;
        })
    }
}
