//! The transport of production: QUIC, one endpoint per shard on the shard's own thread.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`Quic`], its settings, `bind` |
//! | `config.rs` | what quinn is told; where sockets come from |
//! | `congestion.rs` | how much may be under way |
//! | `endpoint.rs` | accepts and dials |
//! | `link.rs` | from a connection to a link: who is it, two lanes, hello; the tasks of a link |
//! | `reset.rs` | keys by which a restarted node tells its peers that their links are dead |
//! | `socket.rs` | the system's socket; quinn's tasks in the shard's `LocalSet` |
//!
//! A connection serves one protocol, agreed by ALPN: `henge-peer/1` between nodes, `henge-client/1`
//! from a client to a node. Both are: two long-lived streams opened by the dialer, first the control lane, then the request lane (see `lane.rs`); the first
//! frame of the control lane, in both directions, is the hello.

mod config;
mod congestion;
mod endpoint;
mod link;
mod reset;
mod socket;

use std::{rc::Rc, sync::Arc, time::Duration};

use self::{
    config::DatagramSize,
    endpoint::{Home, QuicEndpoint},
    socket::ShardRuntime,
};
use super::{
    Binding, CONTROL_FRAME_BYTES_MAX, Endpoint, Protocol, Transport, TransportError,
    TransportEvent,
    faults::Faults,
    tls::{Identity, Role},
};

pub use config::{Sockets, SystemSockets};

/// The protocol between nodes.
const PEER_PROTOCOL: &[u8] = b"henge-peer/1";
/// The protocol of clients.
const CLIENT_PROTOCOL: &[u8] = b"henge-client/1";
/// What a node serves, best first. Whoever offers none of these is refused in the TLS handshake.
const PROTOCOLS: &[&[u8]] = &[PEER_PROTOCOL, CLIENT_PROTOCOL];

/// Connections that clients leave to peers, and to whoever is in handshake, unless told otherwise.
pub const PEER_CONNECTIONS: usize = 256;

/// The bounds of a QUIC endpoint.
#[derive(Clone, Debug)]
pub struct QuicSettings {
    /// How long a dial may take, from the name's resolution to the peer's hello.
    pub dial_timeout: Duration,
    /// How long whoever connects may take until his hello is in.
    pub handshake_timeout: Duration,
    /// Connections at a time, those in handshake included; more are refused.
    pub connections_max: usize,
    /// Clients at a time; more are refused. What is left of `connections_max` is for peers.
    pub clients_max: usize,
    /// Bytes that may wait for a slow peer on the request lane of one link; more are refused as busy.
    pub outbox_bytes_max: usize,
    /// The same for a slow client.
    pub client_outbox_bytes_max: usize,
}

impl Default for QuicSettings {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(2),
            connections_max: 1024 + PEER_CONNECTIONS,
            clients_max: 1024,
            outbox_bytes_max: 64 << 20,
            client_outbox_bytes_max: 4 << 20,
        }
    }
}

/// QUIC with mutual TLS 1.3, for one node, or for one client: its endpoint only dials.
pub struct Quic {
    identity: Arc<Identity>,
    settings: QuicSettings,
    sockets: Arc<dyn Sockets>,
    faults: Option<Arc<Faults>>,
    seed: Option<u64>,
}

impl Quic {
    /// The transport of the node or the client that `identity` proves.
    pub fn new(identity: impl Into<Arc<Identity>>, settings: QuicSettings) -> Self {
        Self {
            identity: identity.into(),
            settings,
            sockets: Arc::new(SystemSockets),
            faults: None,
            seed: None,
        }
    }

    /// Obeys the cuts in `faults` on every endpoint that is bound from now on.
    #[must_use]
    pub fn with_faults(mut self, faults: Arc<Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Runs over `sockets`, with QUIC's randomness drawn from `seed`: a reproducible network.
    #[must_use]
    pub fn over(mut self, sockets: Arc<dyn Sockets>, seed: u64) -> Self {
        self.sockets = sockets;
        self.seed = Some(seed);
        self
    }

    fn check(&self, binding: &Binding) -> Result<(), TransportError> {
        let subject = self.identity.subject();
        if subject.role() == Role::Authority || subject.name() != Some(&binding.name) {
            let name = &binding.name;
            let why = format!("the certificate proves {subject}, not a node or client {name}");
            return Err(TransportError::Refused(why));
        }
        let (size, max) = (binding.hello.len(), CONTROL_FRAME_BYTES_MAX);
        if size > max { Err(TransportError::HelloTooLarge { size, max }) } else { Ok(()) }
    }

    /// What this endpoint dials for. A client is nobody's server.
    fn protocol(&self) -> Protocol {
        match self.identity.subject().role() {
            Role::Client => Protocol::Client,
            Role::Node | Role::Authority => Protocol::Peer,
        }
    }

    fn open(&self, binding: &Binding) -> Result<quinn::Endpoint, TransportError> {
        let size = DatagramSize::at(binding.listen.ip());
        let transport = config::transport(size);
        let endpoint = config::endpoint(&self.identity, binding.shard, size, self.seed)?;
        let (server, offered) = match self.protocol() {
            Protocol::Peer => {
                let server = config::server(&self.identity, Arc::clone(&transport))?;
                (Some(server), PEER_PROTOCOL)
            }
            Protocol::Client => (None, CLIENT_PROTOCOL),
        };
        let client = config::client(&self.identity, offered, transport)?;
        let attempt = || {
            let mut socket = self.sockets.open(binding.listen)?;
            if let Some(faults) = &self.faults {
                socket = Arc::clone(faults).apply(socket);
            }
            let runtime = Arc::new(ShardRuntime);
            quinn::Endpoint::new_with_abstract_socket(endpoint, server, socket, runtime)
        };
        let mut endpoint = attempt()
            .map_err(|source| TransportError::Listen { address: binding.listen, source })?;
        endpoint.set_default_client_config(client);
        Ok(endpoint)
    }
}

impl Transport for Quic {
    fn bind(
        &self,
        binding: Binding,
        events: Rc<dyn Fn(TransportEvent)>,
    ) -> Result<Rc<dyn Endpoint>, TransportError> {
        self.check(&binding)?;
        let endpoint = self.open(&binding)?;
        let cluster = self.identity.subject().cluster().into();
        let home = Home { cluster, protocol: self.protocol() };
        QuicEndpoint::start(endpoint, home, binding, self.settings.clone(), events)
    }
}
