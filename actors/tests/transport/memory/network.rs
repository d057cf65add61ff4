//! UDP in memory on paused time: datagrams are late, lost, repeated, overtaken, throttled and cut
//! off, and a seed decides which.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use henge_actors::transport::quic::Sockets;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::time::{Instant, sleep_until};
use xxhash_rust::xxh3::Xxh3;

/// What happens to the datagrams of a path.
#[derive(Clone, Debug)]
pub struct Weather {
    pub loss_percent: u8,
    pub delay_ms: Range<u64>,
    /// These are held back for as long again, and longer: later ones overtake them.
    pub late_percent: u8,
    pub repeated_percent: u8,
    /// How much passes; what would wait for longer than [`QUEUE_MAX`] is lost.
    pub bytes_per_second: Option<u64>,
}

/// The longest queue before a throttled path.
const QUEUE_MAX: Duration = Duration::from_millis(200);

impl Weather {
    pub fn fair() -> Self {
        Self {
            loss_percent: 0,
            delay_ms: 1..3,
            late_percent: 0,
            repeated_percent: 0,
            bytes_per_second: None,
        }
    }

    /// A tenth of what is sent is lost, and the rest comes as it likes.
    pub fn rough() -> Self {
        Self {
            loss_percent: 10,
            delay_ms: 1..20,
            late_percent: 5,
            repeated_percent: 5,
            bytes_per_second: None,
        }
    }
}

/// From one host to another.
type Path = (IpAddr, IpAddr);

/// What waits to be read at a socket, and who reads.
#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

struct State {
    begun: Instant,
    random: fastrand::Rng,
    weather: Weather,
    throttled: BTreeMap<Path, u64>,
    busy_until: BTreeMap<Path, Instant>,
    cuts: BTreeSet<Path>,
    inboxes: BTreeMap<SocketAddr, Arc<Mutex<Inbox>>>,
    trace: Xxh3,
    sent: u64,
}

/// The network; clones are the same one.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

impl Network {
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self(Arc::new(Mutex::new(State {
            begun: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            weather,
            throttled: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            cuts: BTreeSet::new(),
            inboxes: BTreeMap::new(),
            trace: Xxh3::new(),
            sent: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// So many bytes a second pass from one host to another.
    pub fn throttle(&self, from: IpAddr, to: IpAddr, bytes_per_second: u64) {
        self.state().throttled.insert((from, to), bytes_per_second);
    }

    /// Nothing passes from one host to another; what the other sends does.
    pub fn cut_one_way(&self, from: IpAddr, to: IpAddr) {
        self.state().cuts.insert((from, to));
    }

    pub fn cut(&self, one: IpAddr, other: IpAddr) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    pub fn heal(&self) {
        self.state().cuts.clear();
    }

    /// The process behind a socket is gone: it sends no more, not even a farewell.
    pub fn kill(&self, address: SocketAddr) {
        self.state().inboxes.remove(&address);
    }

    /// Of time, sender, receiver and size of every datagram, and how many there were. Contents are
    /// not in it: keys are drawn by the system.
    pub fn trace(&self) -> (u64, u64) {
        let state = self.state();
        (state.trace.digest(), state.sent)
    }

    fn send(&self, from: &Socket, to: SocketAddr, contents: &[u8]) {
        let mut state = self.state();
        let is_alive = state.inboxes.get(&from.address).is_some_and(|inbox| from.owns(inbox));
        if !is_alive {
            return;
        }
        state.note(from.address, to, contents.len());
        for at in state.arrivals((from.address.ip(), to.ip()), contents.len()) {
            let (network, sender, contents) = (self.clone(), from.address, contents.to_vec());
            tokio::spawn(async move {
                sleep_until(at).await;
                network.arrive(sender, to, contents);
            });
        }
    }

    fn arrive(&self, from: SocketAddr, to: SocketAddr, contents: Vec<u8>) {
        let state = self.state();
        if state.cuts.contains(&(from.ip(), to.ip())) {
            return;
        }
        if let Some(inbox) = state.inboxes.get(&to) {
            let mut inbox = inbox.lock().unwrap();
            inbox.datagrams.push_back((from, contents));
            if let Some(reader) = inbox.reader.take() {
                reader.wake();
            }
        }
    }
}

impl State {
    fn note(&mut self, from: SocketAddr, to: SocketAddr, length: usize) {
        self.sent += 1;
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap();
        self.trace.update(&micros.to_le_bytes());
        self.trace.update(format!("{from} {to} {length}\n").as_bytes());
    }

    /// When a datagram arrives: not at all, once or twice.
    fn arrivals(&mut self, path: Path, length: usize) -> Vec<Instant> {
        let Weather { loss_percent, delay_ms, late_percent, repeated_percent, bytes_per_second } =
            self.weather.clone();
        let rate = self.throttled.get(&path).copied().or(bytes_per_second);
        let now = Instant::now();
        let mut through = now;
        if let Some(rate) = rate {
            let busy_until = self.busy_until.entry(path).or_insert(now);
            let begins = (*busy_until).max(now);
            if begins - now > QUEUE_MAX {
                return Vec::new();
            }
            through = begins + Duration::from_micros(length as u64 * 1_000_000 / rate);
            *busy_until = through;
        }
        let random = &mut self.random;
        let mut percent = |chance| random.u8(0..100) < chance;
        let (lost, late, repeated) =
            (percent(loss_percent), percent(late_percent), percent(repeated_percent));
        if lost || self.cuts.contains(&path) {
            return Vec::new();
        }
        let mut delay = || {
            let millis = self.random.u64(delay_ms.clone());
            Duration::from_millis(if late { millis + 3 * delay_ms.end } else { millis })
        };
        let mut arrivals = vec![through + delay()];
        if repeated {
            arrivals.push(through + delay());
        }
        arrivals
    }
}

impl Sockets for Network {
    fn open(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inbox = Arc::<Mutex<Inbox>>::default();
        self.state().inboxes.insert(address, Arc::clone(&inbox));
        Ok(Arc::new(Socket { address, network: self.clone(), inbox }))
    }
}

struct Socket {
    address: SocketAddr,
    network: Network,
    inbox: Arc<Mutex<Inbox>>,
}

impl Socket {
    fn owns(&self, inbox: &Arc<Mutex<Inbox>>) -> bool {
        Arc::ptr_eq(&self.inbox, inbox)
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.address)
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.network.send(self, transmit.destination, transmit.contents);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().unwrap();
        let Some((addr, contents)) = inbox.datagrams.pop_front() else {
            inbox.reader = Some(cx.waker().clone());
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
