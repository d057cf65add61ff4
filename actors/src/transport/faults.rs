//! Cuts between nodes, made on purpose: a table of peers, obeyed at the UDP socket.
//!
//! A cut is what a pulled cable is: datagrams vanish, nothing reports an error, and both sides learn
//! of it by silence only. Peers dial from the socket that they listen on, so that the listen
//! addresses of a peer's shards say which datagrams are to and from it.

use std::{
    collections::BTreeMap,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use henge_kernel::id::NodeName;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// Which datagrams a cut takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Those in both directions.
    Both,
    /// Those that we send; what the peer sends still arrives.
    Outgoing,
}

/// The cuts in force, shared by all shards of a node.
#[derive(Debug, Default)]
pub struct Faults {
    peers: Mutex<BTreeMap<NodeName, (Vec<SocketAddr>, Cut)>>,
    /// The same by address, for the sockets.
    table: ArcSwap<BTreeMap<SocketAddr, Cut>>,
}

impl Faults {
    /// Nothing is cut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts `peer` off, whose shards listen at `addresses`; replaces an earlier cut of that peer.
    pub fn cut(&self, peer: NodeName, addresses: Vec<SocketAddr>, cut: Cut) {
        self.change(|peers| {
            peers.insert(peer, (addresses, cut));
        });
    }

    /// Ends every cut.
    pub fn heal(&self) {
        self.change(BTreeMap::clear);
    }

    /// Who is cut off, and how.
    pub fn cuts(&self) -> Vec<(NodeName, Cut)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|(name, (_, cut))| (name.clone(), *cut)).collect()
    }

    /// `socket` with the cuts applied.
    pub(super) fn apply(
        self: Arc<Self>,
        socket: Arc<dyn AsyncUdpSocket>,
    ) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(FaultySocket { socket, faults: self })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<NodeName, (Vec<SocketAddr>, Cut)>)) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut peers);
        let table = peers
            .values()
            .flat_map(|(addresses, cut)| addresses.iter().map(|at| (canonical(*at), *cut)))
            .collect();
        self.table.store(Arc::new(table));
    }

    fn of(&self, address: SocketAddr) -> Option<Cut> {
        let table = self.table.load();
        if table.is_empty() { None } else { table.get(&canonical(address)).copied() }
    }
}

/// An IPv4 address is one, also when a socket of both families shows it as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[derive(Debug)]
struct FaultySocket {
    socket: Arc<dyn AsyncUdpSocket>,
    faults: Arc<Faults>,
}

impl AsyncUdpSocket for FaultySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.faults.of(transmit.destination) {
            Some(Cut::Both | Cut::Outgoing) => Ok(()),
            None => self.socket.try_send(transmit),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(cx, buffers, metas);
        if let Poll::Ready(Ok(count)) = received {
            for meta in metas.iter_mut().take(count) {
                if self.faults.of(meta.addr) == Some(Cut::Both) {
                    // QUIC sees nothing in a datagram of no bytes.
                    meta.len = 0;
                }
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
