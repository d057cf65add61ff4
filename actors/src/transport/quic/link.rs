//! From a connection to a link, and what runs while it is up.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use henge_kernel::id::NodeName;
use quinn::{
    ConnectError, Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt,
    WriteError, crypto::rustls::HandshakeData,
};
use rustls::pki_types::CertificateDer;

use super::{CLIENT_PROTOCOL, PEER_PROTOCOL, config::CLIENT_WINDOW_BYTES, endpoint::Shared};
use crate::transport::{
    CLIENT_FRAME_BYTES_MAX, DialId, Frame, Lane, Link, LinkId, Protocol, SendError, TransportEvent,
    lane::{self, LaneError, Outbox},
    tls::{Role, Subject, TlsError},
};

/// Closed in good order; the reason says why.
pub(super) const CLOSED: u32 = 0;
/// Closed because the other side broke the protocol.
const VIOLATED: u32 = 1;
/// Turned away before the link was up.
const REFUSED: u32 = 2;

/// Bytes that may wait on a control lane.
const CONTROL_OUTBOX_BYTES_MAX: usize = 1 << 20;
/// Characters that we show of a reason that a peer gave.
const REASON_CHARS_MAX: usize = 256;

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host} has no address that this endpoint can reach")]
    NoAddress { host: String },
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error("no link within {0:?}")]
    TimedOut(Duration),
    #[error("this endpoint does not serve protocol {0:?}")]
    UnknownProtocol(String),
    #[error("{0}")]
    Certificate(#[from] TlsError),
    #[error("only nodes are peers; the certificate proves {0}")]
    NotANode(Subject),
    #[error("nodes are no clients; the certificate proves {0}")]
    NotAClient(Subject),
    #[error("this node serves {max} clients already")]
    TooManyClients { max: usize },
    #[error("this node is of cluster {ours:?}; the certificate proves {theirs}")]
    OtherCluster { ours: String, theirs: Subject },
    #[error("dialled {dialled}, reached {reached}")]
    OtherNode { dialled: NodeName, reached: NodeName },
    #[error("both sides are named {0}")]
    Namesake(NodeName),
    #[error("{0}")]
    Lane(LaneError),
}

impl From<LaneError> for LinkError {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Read(ReadError::ConnectionLost(lost))
            | LaneError::Write(WriteError::ConnectionLost(lost)) => Self::Connection(lost),
            other => Self::Lane(other),
        }
    }
}

impl LinkError {
    /// What the peer is told besides the text.
    pub(super) const fn code(&self) -> VarInt {
        VarInt::from_u32(if matches!(self, Self::Lane(_)) { VIOLATED } else { REFUSED })
    }
}

/// Which side of a connection we are.
#[derive(Clone, Copy)]
pub(super) enum Side<'a> {
    /// We dialled, and `wanted` must be there, if it is said.
    Dials { wanted: Option<&'a NodeName> },
    /// We were dialled, and wait for the lanes.
    Accepts,
}

/// A connection that has become a link.
pub(super) struct Established {
    connection: Connection,
    protocol: Protocol,
    peer: NodeName,
    hello: Bytes,
    control: (SendStream, RecvStream),
    request: (SendStream, RecvStream),
}

/// Learns who is at the other end, opens both lanes and exchanges hellos.
pub(super) async fn establish(
    shared: &Shared,
    connection: &Connection,
    side: Side<'_>,
) -> Result<Established, LinkError> {
    let protocol = protocol(connection)?;
    let peer = prove(shared, connection, protocol, side)?;
    let (mut control, mut request) = match side {
        Side::Dials { .. } => (connection.open_bi().await?, connection.open_bi().await?),
        Side::Accepts => (connection.accept_bi().await?, connection.accept_bi().await?),
    };
    lane::write_preamble(&mut control.0, Lane::Control).await?;
    lane::write_first(&mut control.0, &shared.binding.hello).await?;
    lane::write_preamble(&mut request.0, Lane::Request).await?;
    lane::read_preamble(&mut control.1, Lane::Control).await?;
    let hello = lane::read_first(&mut control.1, Lane::Control).await?;
    lane::read_preamble(&mut request.1, Lane::Request).await?;
    shared.admit(protocol)?;
    Ok(Established { connection: connection.clone(), protocol, peer, hello, control, request })
}

/// What the connection is for, as ALPN agreed.
fn protocol(connection: &Connection) -> Result<Protocol, LinkError> {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    match data.and_then(|data| data.protocol).as_deref() {
        Some(PEER_PROTOCOL) => Ok(Protocol::Peer),
        Some(CLIENT_PROTOCOL) => Ok(Protocol::Client),
        other => {
            let name = String::from_utf8_lossy(other.unwrap_or_default()).into_owned();
            Err(LinkError::UnknownProtocol(name))
        }
    }
}

/// The name of who is at the other end, if its certificate makes it one of our cluster who may speak
/// this protocol, and the one that we dialled.
fn prove(
    shared: &Shared,
    connection: &Connection,
    protocol: Protocol,
    side: Side<'_>,
) -> Result<NodeName, LinkError> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.as_ref().and_then(|chain| chain.first());
    let certificate = certificate.ok_or(TlsError::Nameless("there is none"))?;
    let subject = Subject::of_certificate(certificate)?;
    let ours = &shared.home.cluster;
    if subject.cluster() != &**ours {
        return Err(LinkError::OtherCluster { ours: ours.to_string(), theirs: subject });
    }
    let name = match (protocol, side, subject.role(), subject.name()) {
        (Protocol::Client, Side::Accepts, Role::Client, Some(name)) => return Ok(name.clone()),
        (Protocol::Client, Side::Accepts, ..) => return Err(LinkError::NotAClient(subject)),
        (_, _, Role::Node, Some(name)) => name.clone(),
        _ => return Err(LinkError::NotANode(subject)),
    };
    match side {
        Side::Dials { wanted: Some(dialled) } if *dialled != name => {
            Err(LinkError::OtherNode { dialled: dialled.clone(), reached: name })
        }
        _ if protocol == Protocol::Peer && name == shared.binding.name => {
            Err(LinkError::Namesake(name))
        }
        _ => Ok(name),
    }
}

/// A link, shared by its five tasks and whoever holds it.
pub(super) struct QuicLink {
    id: LinkId,
    protocol: Protocol,
    peer: NodeName,
    shared: Rc<Shared>,
    connection: Connection,
    control: Outbox,
    request: Outbox,
    /// Why we closed it, once we did.
    closing: RefCell<Option<String>>,
    /// Until `Closed` was reported.
    open: Cell<bool>,
}

impl QuicLink {
    /// Reports the link and starts its tasks.
    pub(super) fn start(shared: Rc<Shared>, established: Established, dial: Option<DialId>) {
        let Established { connection, protocol, peer, hello, control, request } = established;
        let outbox_bytes_max = if shared.serves(protocol) {
            // A peer's window is for transfers; there are many more clients than peers.
            connection.set_send_window(CLIENT_WINDOW_BYTES.into());
            connection.set_receive_window(CLIENT_WINDOW_BYTES.into());
            shared.settings.client_outbox_bytes_max
        } else {
            shared.settings.outbox_bytes_max
        };
        let link = Rc::new(Self {
            id: shared.next_link(),
            protocol,
            peer,
            connection,
            control: Outbox::new(Lane::Control, CONTROL_OUTBOX_BYTES_MAX),
            request: Outbox::new(Lane::Request, outbox_bytes_max),
            shared,
            closing: RefCell::new(None),
            open: Cell::new(true),
        });
        // Membership first, values after. It fails only on a stream that is closed already.
        let _ = control.0.set_priority(1);
        let shown: Rc<dyn Link> = link.clone();
        link.shared.emit(TransportEvent::Connected { link: shown, hello, dial });
        for (lane, (send, receive)) in [(Lane::Control, control), (Lane::Request, request)] {
            tokio::task::spawn_local(Rc::clone(&link).write(lane, send));
            tokio::task::spawn_local(Rc::clone(&link).read(lane, receive));
        }
        tokio::task::spawn_local(link.watch());
    }

    const fn outbox(&self, lane: Lane) -> &Outbox {
        match lane {
            Lane::Control => &self.control,
            Lane::Request => &self.request,
        }
    }

    /// The longest frame that may come in.
    fn frame_bytes_max(&self, lane: Lane) -> usize {
        let max = lane.frame_bytes_max();
        if self.shared.serves(self.protocol) { max.min(CLIENT_FRAME_BYTES_MAX) } else { max }
    }

    async fn write(self: Rc<Self>, lane: Lane, mut stream: SendStream) {
        if let Err(error) = self.outbox(lane).drain(&mut stream).await {
            self.fail(error);
        }
    }

    async fn read(self: Rc<Self>, lane: Lane, mut stream: RecvStream) {
        let deliver = |frames| {
            if self.open.get() {
                self.shared.emit(TransportEvent::Frames { link: self.id, lane, frames });
            }
        };
        let max = self.frame_bytes_max(lane);
        let error = lane::read_frames(&mut stream, lane, max, deliver).await;
        self.fail(error);
    }

    /// Waits for the end, whoever brings it, and reports it.
    async fn watch(self: Rc<Self>) {
        let error = match self.connection.accept_bi().await {
            Ok(_) => {
                self.end(VIOLATED, "the peer opened a stream that is no lane");
                self.connection.closed().await
            }
            Err(error) => error,
        };
        self.control.close();
        self.request.close();
        self.open.set(false);
        self.shared.dismiss(self.protocol);
        let ours = || self.closing.borrow().clone().or_else(|| self.shared.closing());
        let reason = explain(&error, ours);
        self.shared.emit(TransportEvent::Closed { link: self.id, reason });
    }

    fn fail(&self, error: LaneError) {
        // A lost connection is what `watch` reports.
        if let LinkError::Lane(error) = LinkError::from(error) {
            self.end(VIOLATED, &error.to_string());
        }
    }

    fn end(&self, code: u32, reason: &str) {
        let mut closing = self.closing.borrow_mut();
        if closing.is_none() {
            *closing = Some(reason.to_owned());
            self.control.close();
            self.request.close();
            self.connection.close(VarInt::from_u32(code), reason.as_bytes());
        }
    }
}

impl Link for QuicLink {
    fn id(&self) -> LinkId {
        self.id
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn peer(&self) -> &NodeName {
        &self.peer
    }

    fn send(&self, lane: Lane, frame: Frame) -> Result<(), SendError> {
        self.outbox(lane).push(&frame)
    }

    fn unsent(&self, lane: Lane) -> usize {
        self.outbox(lane).bytes()
    }

    fn close(&self, reason: &str) {
        self.end(CLOSED, reason);
    }
}

/// Why a connection ended, for people; `ours` is what we said if it was us.
pub(super) fn explain(error: &ConnectionError, ours: impl FnOnce() -> Option<String>) -> String {
    match error {
        ConnectionError::LocallyClosed => ours().unwrap_or_else(|| "closed here".to_owned()),
        ConnectionError::ApplicationClosed(close) => {
            let text = String::from_utf8_lossy(&close.reason);
            let shown = text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX);
            format!("the peer closed it: {}", shown.collect::<String>())
        }
        ConnectionError::TimedOut => "the peer was silent for too long".to_owned(),
        ConnectionError::Reset => "the peer restarted and knows nothing of it".to_owned(),
        other => other.to_string(),
    }
}
