//! HTTP/1.1, on worker threads of its own.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`HttpServer`]: listens, bounds connections, stops in order |
//! | `gate` | judges each head before actix-http does |
//! | `routes.rs` | one request from its raw path to its answer |
//! | `objects.rs` | `/v1/kv/{bucket}/{key}`: put, get, delete |
//! | `answers.rs`, `siblings.rs` | what a get found, as an answer |
//! | `buckets.rs` | lists keys; properties of buckets |
//! | `documents.rs` | lists in JSON, shared with the command line |
//! | `cluster.rs` | members, the ring, health, readiness |
//! | `admin.rs` | this node's replica of a key, its actors and hints, anti-entropy, reaping, faults on purpose |
//! | `problem.rs` | errors as RFC 9457 problems; the table from errors to status codes |
//! | `body.rs`, `headers.rs`, `query.rs`, `text.rs`, `date.rs`, `host.rs` | reading requests, strictly |
//!
//! # Reading requests
//!
//! Buckets and keys are segments of the raw path, decoded once: `%2F` is a slash inside a name, `+`
//! is a plus. In queries, as in forms, `+` is a space. Parameters that are unknown or repeated are
//! refused, and so are headers of ours that are repeated. Of preconditions a write knows
//! `If-None-Match: *` alone, which is advice: another put can come between its read and its write.
//! `If-Match` and `If-Unmodified-Since` are refused, by reads as by writes, because the context does
//! what they are for.
//!
//! A value has at most 32 `Henge-Meta-*` headers with 4,096 bytes together, names without their
//! prefix included, and a `Content-Type` of at most 255 bytes. A page of keys has 1,000 keys
//! unless `limit` says less.
//!
//! # Answers beside values
//!
//! `GET /v1/buckets/{bucket}` answers with the properties in the form in which `PUT` takes them
//! (any part of them; those in force after it are its answer); `GET /v1/buckets` with
//! `{"buckets": [{"bucket", "established", …properties}]}`. `POST /v1/admin/faults` and
//! `POST /v1/admin/handoff` answer 204; `POST /v1/admin/reap` with the report of `GET`, when its rounds
//! are over, or after 20 s.
//! A property that the body names twice is refused. A refused set of properties names the first
//! broken rule in `field`, `value` and `limit`, and all of them in `violations`.
//!
//! # Errors
//!
//! Every error is a problem (RFC 9457) with a `Henge-Request-Id`, also of what is no HTTP: a head
//! that is malformed or cut off (400), longer than 128 KiB or of more than 96 headers (431), slower
//! than five seconds (408), or of another version (505). A target that holds `#`, a space, or what
//! is not ASCII is refused, never shortened. Of a head that is too long because of its bucket or key
//! these are refused (400): `value` says how long the name is at least. A body may take as long as the request's `timeout` to
//! arrive (408); after that the replicas have as long to answer (504). A chunked value that is too
//! large says in `size` how much was read, and `size_is_at_least`. After an error the connection
//! goes on if the rest of the request is known and short; else the answer says `Connection: close`.
//!
//! `Henge-Replicas` is on every answer for which replicas were asked and of which something is
//! known: `acks`, `fallbacks` and `homes` with what was found or written (404 included), `acks`
//! alone with `quorum_not_met` and `timed_out`. What is refused before any replica is asked, or by
//! the rule of one of them (409, 507), has none.
//!
//! # What actix-web does
//!
//! actix-web parses HTTP and schedules; its router, its extractors and its normalisation of paths
//! are not used, because keys are bytes and every error is a problem. `gate` stands before it.

mod admin;
mod answers;
mod body;
mod buckets;
mod cluster;
pub(crate) mod date;
pub(crate) mod documents;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod gate;
mod headers;
mod host;
mod objects;
mod problem;
mod query;
mod routes;
pub(crate) mod siblings;
pub(crate) mod text;

use std::{
    cell::Cell,
    future::ready,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Protocol, ServiceConfig, error::DispatchError};
use actix_rt::net::TcpStream;
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::{
    App,
    dev::{AppConfig, Server, ServerHandle},
    web,
};
use henge_actors::{NodeHandle, admission::Admission};
use socket2::SockRef;

use self::gate::Gate;

/// Threads that serve requests: parsing is cheap beside what the shards do.
const WORKERS: u16 = 2;
/// How long requests in flight may take to end when the server stops, in seconds.
const DRAIN_SECONDS: u64 = 5;
/// How long a client may take to send a head; the first one counts from its connection.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be idle between two requests.
const IDLE_TIME_MAX: Duration = Duration::from_mins(1);
/// How long a client may take to read, and to close, before its connection is dropped.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a client may leave an answer unread.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(30);

/// A listener and its workers.
pub struct HttpServer {
    address: SocketAddr,
    server: ServerHandle,
}

impl HttpServer {
    /// Binds at once (port 0 takes a free port) and serves `handle` from then on. Must be called
    /// inside an actix `System`.
    pub fn start(listen: SocketAddr, handle: NodeHandle) -> io::Result<Self> {
        let limits = handle.settings().limits;
        let connections = u64::from(limits.connections_max);
        let bodies = Admission::new(connections, limits.request_bytes_in_flight_max);
        let loopback = listen.ip().is_loopback();
        let per_worker = limits.connections_max.div_ceil(WORKERS.into());
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let server = Server::build()
            .workers(WORKERS.into())
            .max_concurrent_connections(usize::try_from(per_worker).unwrap_or(usize::MAX))
            .disable_signals()
            .shutdown_timeout(DRAIN_SECONDS);
        let stopping = server.graceful_shutdown_signal();
        let worker = move || {
            let door = Door::new(handle.clone(), Arc::clone(&bodies), loopback);
            let stopping = stopping.clone();
            let stopping = move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            };
            connections_of(door, stopping)
        };
        let running = server.listen("http", listener, worker)?.run();
        let server = running.handle();
        actix_rt::spawn(running);
        Ok(Self { address, server })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and waits for the requests in flight, at most five seconds.
    pub async fn stop(self) {
        self.server.stop(true).await;
    }
}

/// Serves the connections of one worker, as `actix_web::HttpServer` would, behind gates.
fn connections_of<F: Future<Output = ()> + 'static>(
    door: Door,
    stopping: impl Fn() -> F + 'static,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
{
    let app = App::new()
        .app_data(web::Data::new(door))
        .default_service(web::to(routes::serve))
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    let http = HttpService::build()
        .graceful_shutdown_signal(stopping)
        .keep_alive(KeepAlive::Timeout(IDLE_TIME_MAX))
        // The gate waits for heads.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(CLOSE_TIME_MAX)
        .on_connect_ext(|gate: &Gate, data| {
            data.insert(gate.notes());
        })
        .finish(map_config(app, |()| AppConfig::default()));
    let config = ServiceConfig::default();
    fn_service(move |stream: TcpStream| {
        // A system that refuses either serves all the same, only slower.
        let _ = stream.set_nodelay(true);
        bound_unread_answers(&stream);
        let peer = stream.peer_addr().ok();
        ready(Ok((Gate::new(stream, config.clone()), Protocol::Http1, peer)))
    })
    .and_then(http)
}

/// Nothing in actix ends a connection whose client does not read, so the kernel does.
fn bound_unread_answers(stream: &TcpStream) {
    // A kernel that refuses still bounds the number of such connections.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_TIME_MAX));
}

/// What one worker's requests need.
pub(crate) struct Door {
    /// The node.
    handle: NodeHandle,
    /// Bounds the bytes of all bodies that are being read, on all workers.
    bodies: Arc<Admission>,
    /// Whether only this machine is served.
    loopback: bool,
    /// With a count, names each request of this worker.
    id: u64,
    requests: Cell<u64>,
}

impl Door {
    fn new(handle: NodeHandle, bodies: Arc<Admission>, loopback: bool) -> Self {
        let id = handle.draw();
        Self { handle, bodies, loopback, id, requests: Cell::new(0) }
    }

    /// A name that no other request has.
    fn request_id(&self) -> String {
        let count = self.requests.get();
        self.requests.set(count + 1);
        format!("{:016x}-{count}", self.id)
    }
}
