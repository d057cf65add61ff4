//! How nodes talk: authenticated links of two ordered lanes between shards.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | the words that actors use: [`Transport`], [`Endpoint`], [`Link`], [`TransportEvent`] |
//! | `quic/` | the transport of production: quinn, mutual TLS, lanes |
//! | `lane.rs` | frames over a QUIC stream: outbox and deframer |
//! | `faults.rs` | cuts made on purpose, at the socket |
//! | `tls/` | who may talk: the CA of a cluster, certificates of nodes and clients |
//! | `simulated/` | a seeded network in memory, for tests (feature `simulation`) |
//!
//! A [`Link`] joins one shard here with one shard of a peer, or with a client, whose name its
//! certificate proved. Both protocols have the same lanes and frames ([`Protocol`]). What a frame
//! means is the business of `wire`; how long to wait before the next dial that of the actor
//! which dialled. Sends never wait: a frame is taken at once, or refused at once because the peer
//! is slow or gone, and the caller does what it can then: another replica, another time.
//!
//! Promises about events, kept by every implementation:
//! - they arrive on the thread that bound the endpoint, never from inside a call into this module;
//! - every dial ends in exactly one of [`TransportEvent::Connected`] and
//!   [`TransportEvent::DialFailed`];
//! - of one link the first event is `Connected`, the last is `Closed`, each exactly once, whoever
//!   closed it;
//! - frames of one lane arrive in the order in which they were sent, without gaps, until the link
//!   closes; nothing is promised between the two lanes.

pub mod faults;
mod lane;
pub mod quic;
#[cfg(feature = "simulation")]
pub mod simulated;
pub mod tls;

#[cfg(feature = "simulation")]
pub(crate) use lane::deframed;

use std::{fmt, net::SocketAddr, pin::Pin, rc::Rc};

use bytes::Bytes;
use henge_kernel::id::NodeName;

/// The longest frame on [`Lane::Request`], in bytes: a record that seven homes have each filled to
/// its limit of 4 MiB, and its header.
pub const REQUEST_FRAME_BYTES_MAX: usize = 32 << 20;

/// The longest frame on [`Lane::Control`], in bytes; also the longest hello.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 << 10;

/// The longest frame that a node takes from a client, in bytes: the longest value and its header.
pub const CLIENT_FRAME_BYTES_MAX: usize = 4 << 20;

/// What lets a shard talk to the shards of other nodes.
pub trait Transport: Send + Sync {
    /// Opens the endpoint of one shard on the calling thread, which must be inside a tokio
    /// current-thread runtime and a `LocalSet`.
    fn bind(
        &self,
        binding: Binding,
        events: Rc<dyn Fn(TransportEvent)>,
    ) -> Result<Rc<dyn Endpoint>, TransportError>;
}

/// What an endpoint is and says of itself.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The node's or the client's own name; its certificate must prove it.
    pub name: NodeName,
    /// Where to listen; a client's endpoint only dials from there. Port 0 lets the system choose: see [`Endpoint::local_address`].
    pub listen: SocketAddr,
    /// Which shard of the node this is.
    pub shard: u16,
    /// The first frame to everyone who connects and everyone who is dialled; at most
    /// [`CONTROL_FRAME_BYTES_MAX`].
    pub hello: Bytes,
}

/// One shard's socket: it accepts links and dials them.
pub trait Endpoint {
    /// Where it listens.
    fn local_address(&self) -> SocketAddr;

    /// Begins one attempt to reach `peer`, bounded in time by the implementation.
    fn dial(&self, peer: &PeerAddress) -> DialId;

    /// Closes every link, each peer being told the `reason`, fails every dial under way and accepts
    /// nothing more. Idempotent.
    fn close(&self, reason: &str);

    /// Resolves, within a bound, when everything that a closed endpoint had to say is sent. Call
    /// [`Endpoint::close`] first. The address is free for another when the endpoint and its links
    /// are dropped, too.
    fn closed(&self) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// Where a shard of a peer is, and who must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The name that its certificate must prove; a client may leave it open, and takes any node of
    /// its cluster.
    pub name: Option<NodeName>,
    /// A DNS name or an IP address.
    pub host: String,
    /// The UDP port of the wanted shard.
    pub port: u16,
}

/// An established, authenticated link to one shard of a peer.
pub trait Link {
    /// Its identity, unique within its endpoint and never reused.
    fn id(&self) -> LinkId;

    /// What it is for.
    fn protocol(&self) -> Protocol;

    /// The name of the node or client at the other end, as its certificate proved it.
    fn peer(&self) -> &NodeName;

    /// Takes `frame` for sending, or refuses it; it never waits. A frame that was taken and then
    /// lost with its link is reported by [`TransportEvent::Closed`] only.
    fn send(&self, lane: Lane, frame: Frame) -> Result<(), SendError>;

    /// Bytes of `lane` that the link has taken and not yet got rid of: they wait for the peer.
    fn unsent(&self, lane: Lane) -> usize;

    /// Closes the link, telling the peer the `reason`. Frames not yet sent are lost; some may still
    /// come in before [`TransportEvent::Closed`]. Idempotent.
    fn close(&self, reason: &str);
}

/// What a link is for. The certificates decide who may use it for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Nodes among themselves.
    Peer,
    /// A client, which dials, and a node.
    Client,
}

/// Names a dial of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// Names a link of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Two lanes to a link, so that membership and ring traffic does not queue behind values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Requests and replies, values among them.
    Request,
    /// Gossip, with self-health in it, and bucket properties.
    Control,
}

impl Lane {
    /// The longest frame that this lane carries, in bytes.
    pub const fn frame_bytes_max(self) -> usize {
        match self {
            Self::Request => REQUEST_FRAME_BYTES_MAX,
            Self::Control => CONTROL_FRAME_BYTES_MAX,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Request => "request",
            Self::Control => "control",
        })
    }
}

/// What one send takes. The peer gets `header` and `tail` joined, as one `Bytes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The encoded message.
    pub header: Vec<u8>,
    /// Bytes that follow the header as they are, shared with whoever else holds them: a stored record
    /// is not copied to reach several peers. Empty for most frames.
    pub tail: Bytes,
}

impl Frame {
    /// A frame without tail.
    pub const fn new(header: Vec<u8>) -> Self {
        Self { header, tail: Bytes::new() }
    }

    /// A frame of a header and the bytes that follow it.
    pub const fn with_tail(header: Vec<u8>, tail: Bytes) -> Self {
        Self { header, tail }
    }

    /// Its length in bytes, without the length prefix.
    pub const fn len(&self) -> usize {
        self.header.len().saturating_add(self.tail.len())
    }

    /// Whether it carries nothing at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an endpoint reports.
pub enum TransportEvent {
    /// A link is up: both certificates and both hellos are in.
    Connected {
        /// The link. Dropping it does not close it.
        link: Rc<dyn Link>,
        /// The peer's hello.
        hello: Bytes,
        /// The dial that led to it, or `None` if the peer dialled.
        dial: Option<DialId>,
    },
    /// Frames came in; one batch per read, so that their answers can be batched too.
    Frames {
        /// On which link.
        link: LinkId,
        /// On which lane of it.
        lane: Lane,
        /// The frames in order, never empty. They may share one large receive buffer: copy what is
        /// to be kept for long.
        frames: Vec<Bytes>,
    },
    /// A link is gone.
    Closed {
        /// Which.
        link: LinkId,
        /// Why, for people.
        reason: String,
    },
    /// A dial did not lead to a link.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why, for people.
        reason: String,
    },
}

impl fmt::Debug for TransportEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { link, hello, dial } => f
                .debug_struct("Connected")
                .field("link", &link.id())
                .field("peer", link.peer())
                .field("hello_bytes", &hello.len())
                .field("dial", dial)
                .finish(),
            Self::Frames { link, lane, frames } => f
                .debug_struct("Frames")
                .field("link", link)
                .field("lane", lane)
                .field("frames", &frames.len())
                .finish(),
            Self::Closed { link, reason } => {
                f.debug_struct("Closed").field("link", link).field("reason", reason).finish()
            }
            Self::DialFailed { dial, reason } => {
                f.debug_struct("DialFailed").field("dial", dial).field("reason", reason).finish()
            }
        }
    }
}

/// Why a link did not take a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer is slower than the caller: what waits for it has reached its bound.
    #[error("the peer is slow: {queued} bytes wait to be sent, at most {max} may")]
    Busy {
        /// Bytes that wait already.
        queued: usize,
        /// How many may.
        max: usize,
    },
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
    /// The frame exceeds the lane's limit.
    #[error("a frame of {size} bytes exceeds the limit of its lane, {max} bytes")]
    TooLarge {
        /// The frame's length in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
}

/// Why an endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The socket could not be opened.
    #[error("cannot listen on udp {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The hello exceeds its limit.
    #[error("a hello of {size} bytes exceeds the limit of {max} bytes")]
    HelloTooLarge {
        /// The hello's length in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The node's certificate is not usable.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The binding or the settings contradict what the transport needs.
    #[error("cannot open the transport: {0}")]
    Refused(String),
}
