//! Real QUIC over a network in memory, on paused time: seeded delay and loss, the same every time.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use henge_actors::transport::{
    Frame, Lane,
    faults::{Cut, Faults},
    quic::{Quic, QuicSettings, Sockets},
};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::{task::LocalSet, time::Instant};

use super::support::{Cluster, Host, link, name};

/// When, from, to, bytes.
type Datagram = (u128, SocketAddr, SocketAddr, usize);
type Inbox = Arc<Mutex<(VecDeque<(SocketAddr, Vec<u8>)>, Option<Waker>)>>;

#[derive(Debug)]
struct Network {
    begun: Instant,
    random: fastrand::Rng,
    loss_percent: u8,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    trace: Vec<Datagram>,
}

#[derive(Clone, Debug)]
struct MemorySockets(Arc<Mutex<Network>>);

impl MemorySockets {
    fn new(seed: u64, loss_percent: u8) -> Self {
        Self(Arc::new(Mutex::new(Network {
            begun: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            loss_percent,
            inboxes: BTreeMap::new(),
            trace: Vec::new(),
        })))
    }
}

impl Sockets for MemorySockets {
    fn open(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inbox = Inbox::default();
        self.0.lock().unwrap().inboxes.insert(address, Arc::clone(&inbox));
        Ok(Arc::new(MemorySocket { address, network: self.clone(), inbox }))
    }
}

#[derive(Debug)]
struct MemorySocket {
    address: SocketAddr,
    network: MemorySockets,
    inbox: Inbox,
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for MemorySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut network = self.network.0.lock().unwrap();
        let (from, to) = (self.address, transmit.destination);
        let at = network.begun.elapsed().as_micros();
        network.trace.push((at, from, to, transmit.contents.len()));
        let delay = Duration::from_micros(network.random.u64(1000..3000));
        let lost = network.random.u8(0..100) < network.loss_percent;
        if let (Some(inbox), false) = (network.inboxes.get(&to).cloned(), lost) {
            let contents = transmit.contents.to_vec();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let mut inbox = inbox.lock().unwrap();
                inbox.0.push_back((from, contents));
                if let Some(waker) = inbox.1.take() {
                    waker.wake();
                }
            });
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().unwrap();
        let Some((addr, contents)) = inbox.0.pop_front() else {
            inbox.1 = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let len = contents.len();
        buffers[0][..len].copy_from_slice(&contents);
        metas[0] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

fn run_paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

fn host(cluster: &Cluster, sockets: &MemorySockets, node: &str, number: u8) -> (Host, Arc<Faults>) {
    let identity = cluster.certificates.load_node(&name(node), super::support::now()).unwrap();
    let faults = Arc::new(Faults::new());
    let quic = Quic::new(identity, QuicSettings::default())
        .over(Arc::new(sockets.clone()), number.into())
        .with_faults(Arc::clone(&faults));
    (Host::bind(&quic, node, ([10, 0, 0, number], 7400).into()).unwrap(), faults)
}

fn certified(nodes: &[&str]) -> Cluster {
    let cluster = Cluster::new("stones");
    for node in nodes {
        cluster.identity(node);
    }
    cluster
}

/// 300 exchanges of 1 KiB under loss; what crossed the network.
fn exchanges(cluster: &Cluster, seed: u64) -> Vec<Datagram> {
    let mut trace = Vec::new();
    run_paused(async {
        let sockets = MemorySockets::new(seed, 1);
        let (a, _) = host(cluster, &sockets, "a", 1);
        let (b, _) = host(cluster, &sockets, "b", 2);
        let (near, far) = link(&a, &b).await;
        for number in 0..300_u16 {
            let body = vec![number.to_le_bytes()[0]; 1024];
            near.send(Lane::Request, Frame::new(body.clone())).unwrap();
            assert_eq!(b.frames(Lane::Request, 1).await.0[0], body);
            far.send(Lane::Request, Frame::new(body.clone())).unwrap();
            assert_eq!(a.frames(Lane::Request, 1).await.0[0], body);
        }
        trace = std::mem::take(&mut sockets.0.lock().unwrap().trace);
    });
    trace
}

#[test]
fn the_same_seed_sends_the_same_datagrams_at_the_same_times() {
    let cluster = certified(&["a", "b"]);
    let first = exchanges(&cluster, 7);
    assert!(first.len() > 600);
    assert!(first == exchanges(&cluster, 7));
    assert!(first != exchanges(&cluster, 8));
}

#[test]
fn four_mebibytes_survive_five_percent_loss() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let sockets = MemorySockets::new(3, 5);
        let (a, _) = host(&cluster, &sockets, "a", 1);
        let (b, _) = host(&cluster, &sockets, "b", 2);
        let (near, _far) = link(&a, &b).await;
        let body: Vec<u8> = (0..=255).cycle().take(4 << 20).collect();
        near.send(Lane::Request, Frame::with_tail(vec![], body.clone().into())).unwrap();
        assert!(b.frames(Lane::Request, 1).await.0[0] == body);
    });
}

#[test]
fn a_cut_ends_a_link_by_silence_after_five_seconds_and_a_heal_lets_it_come_back() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let sockets = MemorySockets::new(5, 0);
        let (a, faults) = host(&cluster, &sockets, "a", 1);
        let (b, _) = host(&cluster, &sockets, "b", 2);
        let (near, far) = link(&a, &b).await;
        let begun = Instant::now();
        faults.cut(name("b"), vec![b.address()], Cut::Both);
        near.send(Lane::Request, Frame::new(b"into the void".to_vec())).unwrap();
        assert_eq!(a.closed(near.id()).await, "the peer was silent for too long");
        assert_eq!(b.closed(far.id()).await, "the peer was silent for too long");
        let silence = begun.elapsed();
        assert!((4..=8).contains(&silence.as_secs()), "{silence:?}");
        let dial = b.endpoint.dial(&a.peer());
        assert_eq!(b.dial_failed(dial).await, "no link within 1s");
        faults.heal();
        link(&b, &a).await;
    });
}

#[test]
fn an_idle_link_stays() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let sockets = MemorySockets::new(5, 2);
        let (a, _) = host(&cluster, &sockets, "a", 1);
        let (b, _) = host(&cluster, &sockets, "b", 2);
        let (near, _far) = link(&a, &b).await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        near.send(Lane::Control, Frame::new(b"still here".to_vec())).unwrap();
        assert_eq!(b.frames(Lane::Control, 1).await.0[0], "still here");
    });
}
