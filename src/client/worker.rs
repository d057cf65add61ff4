//! What works behind a client: it hosts the endpoint and the links, which belong to one thread, and
//! keeps the time, so that callers may be on any thread and in any runtime. It has a thread of its
//! own, or lives on that of its first caller.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::{Rc, Weak},
    sync::Arc,
    thread,
    time::Duration,
};

use henge_actors::{
    client_protocol::{ClientHello, ClientReply, ClientRequest, ReportOf},
    reports::RoutingReport,
    transport::{
        Binding, Endpoint, PeerAddress, Transport as _, TransportError, TransportEvent,
        quic::{Quic, QuicSettings},
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    task::LocalSet,
};

use super::{
    ClientSettings, ClientTls,
    error::ClientError,
    pool::{Connection, Pool},
    routing::Routes,
};

/// Bytes that may wait for a slow node.
const OUTBOX_BYTES_MAX: usize = 16 << 20;
/// Requests that may wait to be taken up.
pub(super) const COMMANDS_MAX: usize = 1024;

/// What callers tell the worker.
pub(super) enum Command {
    /// Carry a request out.
    Ask(Box<Ask>),
    /// Say goodbye and end.
    Close { done: oneshot::Sender<()> },
}

/// A request and who waits for its answer.
pub(super) struct Ask {
    pub(super) request: ClientRequest,
    pub(super) timeout: Duration,
    pub(super) outcome: oneshot::Sender<Result<ClientReply, ClientError>>,
}

/// What the requests of a client share.
pub(super) struct Worker {
    pub(super) pool: Rc<Pool>,
    pub(super) routes: Rc<RefCell<Routes>>,
    pub(super) seeds: Vec<PeerAddress>,
    refreshing: Cell<bool>,
    me: Weak<Self>,
}

/// Where a worker lives.
#[derive(Clone, Copy)]
pub(super) enum Home {
    /// On a thread of its own.
    Thread,
    /// In the `LocalSet` that the caller is in.
    LocalSet,
}

/// Starts the worker. Resolves when the ring is known.
pub(super) async fn start(
    home: Home,
    seeds: Vec<PeerAddress>,
    tls: ClientTls,
    settings: ClientSettings,
) -> Result<mpsc::Sender<Command>, ClientError> {
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let (started, is_started) = oneshot::channel();
    let life = move || live(seeds, tls, settings, started, inbox);
    match home {
        Home::Thread => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new()
                .name("henge-client".to_owned())
                .spawn(move || LocalSet::new().block_on(&runtime, life()))?;
        }
        Home::LocalSet => drop(tokio::task::spawn_local(life())),
    }
    is_started.await.unwrap_or(Err(ClientError::Closed))?;
    Ok(commands)
}

async fn live(
    seeds: Vec<PeerAddress>,
    tls: ClientTls,
    settings: ClientSettings,
    started: oneshot::Sender<Result<(), ClientError>>,
    mut inbox: mpsc::Receiver<Command>,
) {
    let worker = match Worker::open(seeds, &tls) {
        Ok(worker) => worker,
        Err(error) => return drop(started.send(Err(error))),
    };
    let met = worker.meet(settings.connect_timeout).await;
    let is_met = met.is_ok();
    let mut done = None;
    if started.send(met).is_ok() && is_met {
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Ask(ask) => {
                    tokio::task::spawn_local(Rc::clone(&worker).serve(*ask));
                }
                Command::Close { done: tell } => {
                    done = Some(tell);
                    break;
                }
            }
        }
    }
    inbox.close();
    worker.pool.close().await;
    if let Some(done) = done {
        let _ = done.send(());
    }
}

impl Worker {
    fn open(seeds: Vec<PeerAddress>, tls: &ClientTls) -> Result<Rc<Self>, ClientError> {
        let hello = ClientHello::of(tls.cluster_id());
        let (pool, routes) = (Rc::new(Pool::new(hello)), Rc::new(RefCell::new(Routes::default())));
        let events: Rc<dyn Fn(TransportEvent)> = {
            let (pool, routes) = (Rc::downgrade(&pool), Rc::clone(&routes));
            Rc::new(move |event: TransportEvent| {
                let met = pool.upgrade().and_then(|pool| pool.on_event(event));
                if let Some(hello) = met {
                    routes.borrow_mut().learn_shards(hello.name.as_str(), hello.shards, true);
                }
            })
        };
        let endpoint = open_endpoint(&seeds, tls, &hello, &events)?;
        pool.open(endpoint);
        Ok(Rc::new_cyclic(|me| Self {
            pool,
            routes,
            seeds,
            refreshing: Cell::new(false),
            me: me.clone(),
        }))
    }

    /// Learns the ring from the first node that answers.
    async fn meet(&self, within: Duration) -> Result<(), ClientError> {
        self.request(ClientRequest::Report(ReportOf::Routing), within).await.map(drop)
    }

    /// Carries a request out for a caller, as long as the caller waits.
    async fn serve(self: Rc<Self>, ask: Ask) {
        let Ask { request, timeout, mut outcome } = ask;
        let reply = tokio::select! {
            biased;
            reply = self.request(request, timeout) => reply,
            () = outcome.closed() => return,
        };
        let _ = outcome.send(reply);
    }

    /// Asks the node at the other end of `connection` for its ring, in the background.
    pub(super) fn refresh(&self, connection: &Rc<Connection>) {
        if self.refreshing.replace(true) {
            return;
        }
        let question = connection.ask(&ClientRequest::Report(ReportOf::Routing));
        let (Ok(question), Some(worker)) = (question, self.me.upgrade()) else {
            return self.refreshing.set(false);
        };
        tokio::task::spawn_local(async move {
            if let Ok(answer) = question.answer().await {
                worker.learn(&answer.reply);
            }
            worker.refreshing.set(false);
        });
    }

    pub(super) fn learn(&self, reply: &ClientReply) {
        if let ClientReply::Report(json) = reply
            && let Ok(report) = serde_json::from_slice::<RoutingReport>(json)
        {
            self.routes.borrow_mut().learn(report);
        }
    }
}

fn open_endpoint(
    seeds: &[PeerAddress],
    tls: &ClientTls,
    hello: &ClientHello,
    events: &Rc<dyn Fn(TransportEvent)>,
) -> Result<Rc<dyn Endpoint>, ClientError> {
    let identity = tls.identity();
    let refused = |why: String| ClientError::Transport(TransportError::Refused(why));
    let name = identity.subject().name().cloned();
    let name = name.ok_or_else(|| refused("the certificate names nobody".to_owned()))?;
    let hello = hello.encode().map_err(|error| refused(error.to_string()))?;
    let settings = QuicSettings { outbox_bytes_max: OUTBOX_BYTES_MAX, ..QuicSettings::default() };
    let quic = Quic::new(Arc::clone(identity), settings);
    let mut opened = Err(refused("no address to dial from".to_owned()));
    for address in dial_from(seeds) {
        let listen = SocketAddr::new(address, 0);
        let binding = Binding { name: name.clone(), listen, shard: 0, hello: hello.clone() };
        opened = quic.bind(binding, Rc::clone(events)).map_err(ClientError::from);
        if opened.is_ok() {
            break;
        }
    }
    opened
}

/// Addresses to dial from, best first. On loopback datagrams can be larger, so a client of nodes
/// that are all there does without the rest of the world.
fn dial_from(seeds: &[PeerAddress]) -> [IpAddr; 2] {
    let is_in = |world: fn(&IpAddr) -> bool| {
        seeds.iter().all(|seed| seed.host.parse().is_ok_and(|address| world(&address)))
    };
    if is_in(|address| address.is_ipv4() && address.is_loopback()) {
        [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()]
    } else {
        [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
    }
}
