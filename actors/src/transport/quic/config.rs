//! What quinn is told, and the socket that it gets.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{
    AckFrequencyConfig, AsyncUdpSocket, ClientConfig, EndpointConfig, IdleTimeout,
    MtuDiscoveryConfig, Runtime, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    PROTOCOLS,
    congestion::FlooredCubic,
    reset::{Cids, ShardKey},
    socket::ShardRuntime,
};
use crate::transport::{TransportError, tls::Identity};

const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const LINK_WINDOW_BYTES: u32 = 16 << 20;
/// What one client may leave unread, or send unread, in QUIC's own hands.
pub(super) const CLIENT_WINDOW_BYTES: u32 = 4 << 20;
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Two are lanes; the rest is room for transfers.
const STREAMS_MAX: u32 = 16;
const ACK_THRESHOLD: u32 = 50;
const ACK_DELAY_MAX: Duration = Duration::from_millis(5);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const IDLE_MILLIS_MAX: u32 = 5_000;
/// A guess for the first packets only: with quinn's 333 ms one that is lost costs a second.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(10);
/// Handshakes whose first packet waits to be looked at, and the bytes that may follow it.
const INCOMING_MAX: usize = 64;
const INCOMING_BYTES_MAX: u64 = 64 << 10;

/// How large datagrams are, in bytes.
#[derive(Clone, Copy)]
pub(super) struct DatagramSize {
    first: u16,
    sent_max: u16,
    received_max: u16,
}

/// Fits every path at first; what Ethernet carries is found by probing.
const NETWORK: DatagramSize = DatagramSize { first: 1200, sent_max: 1452, received_max: 1472 };
/// 40 % less CPU per operation, where every path is known to carry it.
const LOOPBACK: DatagramSize = DatagramSize { first: 6500, sent_max: 6500, received_max: 6600 };

/// quinn hands the kernel up to this many datagrams in one call. What exceeds the kernel's limit
/// for one call is lost, silently, every time.
const SEGMENTS: u32 = 10;
const SEGMENTED_SEND_BYTES_MAX: u32 = 65_507;
const _: () = assert!(NETWORK.is_sendable() && LOOPBACK.is_sendable());

impl DatagramSize {
    /// What fits for an endpoint that listens at `address`.
    pub(super) const fn at(address: IpAddr) -> Self {
        if address.is_loopback() { LOOPBACK } else { NETWORK }
    }

    const fn is_sendable(self) -> bool {
        SEGMENTS * (self.sent_max as u32) < SEGMENTED_SEND_BYTES_MAX
    }
}

/// What the endpoint of shard `shard` is, in both directions. A `seed` makes it reproducible.
pub(super) fn endpoint(
    identity: &Arc<Identity>,
    shard: u16,
    size: DatagramSize,
    seed: Option<u64>,
) -> Result<EndpointConfig, TransportError> {
    let mut config =
        EndpointConfig::new(Arc::new(ShardKey::derive(identity, shard, "stateless reset")?));
    let first_cid = seed.map_or_else(getrandom::u64, Ok).map_err(refused)?;
    let key = Arc::new(ShardKey::derive(identity, shard, "connection ids")?);
    config.cid_generator(move || Box::new(Cids::new(Arc::clone(&key), first_cid)));
    config.rng_seed(seed.map(widen)).max_udp_payload_size(size.received_max).map_err(refused)?;
    Ok(config)
}

/// What those who dial us meet.
pub(super) fn server(
    identity: &Identity,
    transport: Arc<TransportConfig>,
) -> Result<ServerConfig, TransportError> {
    let crypto = QuicServerConfig::try_from(identity.server(PROTOCOLS)?).map_err(refused)?;
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport)
        .validation_token_config(tokens)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX * 16)
        // Nodes do not move: whoever speaks from a new address dials anew.
        .migration(false);
    Ok(config)
}

/// What we are to those whom we dial, for `protocol`.
pub(super) fn client(
    identity: &Identity,
    protocol: &[u8],
    transport: Arc<TransportConfig>,
) -> Result<ClientConfig, TransportError> {
    let crypto = QuicClientConfig::try_from(identity.client(protocol)?).map_err(refused)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport);
    Ok(config)
}

/// The same for both sides.
pub(super) fn transport(size: DatagramSize) -> Arc<TransportConfig> {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(ACK_THRESHOLD.into()).max_ack_delay(Some(ACK_DELAY_MAX));
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(size.sent_max);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(LINK_WINDOW_BYTES.into())
        .send_window(LINK_WINDOW_BYTES.into())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLIS_MAX))))
        .initial_rtt(FIRST_ROUND_TRIP)
        .ack_frequency_config(Some(acks))
        .initial_mtu(size.first)
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(Arc::new(FlooredCubic::default()))
        .enable_segmentation_offload(true);
    Arc::new(config)
}

fn widen(seed: u64) -> [u8; 32] {
    let mut wide = [0; 32];
    wide[..8].copy_from_slice(&seed.to_le_bytes());
    wide
}

fn refused<E: std::fmt::Display>(error: E) -> TransportError {
    TransportError::Refused(format!("{error}"))
}

/// Where UDP sockets come from: the system, or a network in memory.
pub trait Sockets: Send + Sync {
    /// Opens a socket that listens at `address`, on the calling thread's runtime.
    fn open(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;
}

/// The system's sockets, with buffers for bursts.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSockets;

impl Sockets for SystemSockets {
    fn open(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        // The system grants what its own limits allow, and does not say so.
        socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
        socket.bind(&address.into())?;
        ShardRuntime.wrap_udp_socket(socket.into())
    }
}
