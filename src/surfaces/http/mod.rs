//! HTTP/1.1, on worker threads of its own.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`HttpServer`]: listens, bounds connections, stops in order |
//! | `routes.rs` | one request from its raw path to its answer |
//! | `objects.rs` | `/v1/kv/{bucket}/{key}`: put, get, delete |
//! | `answers.rs`, `siblings.rs` | what a get found, as an answer |
//! | `buckets.rs` | lists keys; properties of buckets |
//! | `cluster.rs` | members, the ring, health, readiness |
//! | `admin.rs` | this node's replica of a key, its actors, faults on purpose |
//! | `problem.rs` | errors as RFC 9457 problems; the table from errors to status codes |
//! | `body.rs`, `headers.rs`, `query.rs`, `text.rs`, `date.rs`, `host.rs` | reading requests, strictly |
//!
//! # Reading requests
//!
//! Buckets and keys are segments of the raw path, decoded once: `%2F` is a slash inside a name, `+`
//! is a plus. In queries, as in forms, `+` is a space. Parameters that are unknown or repeated are
//! refused, and so are headers of ours that are repeated. Of preconditions a write knows
//! `If-None-Match: *` alone, which is advice: another put can come between its read and its write.
//! `If-Match` and `If-Unmodified-Since` are refused, because the context does what they are for.
//!
//! A value has at most 32 `Henge-Meta-*` headers with 4,096 bytes together, names without their
//! prefix included, and a `Content-Type` of at most 255 bytes. A page of keys has 1,000 keys
//! unless `limit` says less.
//!
//! # Answers beside values
//!
//! `GET /v1/buckets/{bucket}` answers with the properties in the form in which `PUT` takes them
//! (any part of them; those in force after it are its answer); `GET /v1/buckets` with
//! `{"buckets": [{"bucket", "established", …properties}]}`. `POST /v1/admin/faults` answers 204.
//! A refused set of properties names the first broken rule in `field`, `value` and `limit`, and
//! all of them in `violations`.
//!
//! # What actix-web does
//!
//! actix-web parses HTTP and schedules; its router, its extractors and its normalisation of paths
//! are not used, because keys are bytes and every error is a problem. What cannot be parsed as
//! HTTP at all is answered by actix itself with a bare 400, 408 or 431.

mod admin;
mod answers;
mod body;
mod buckets;
mod cluster;
pub(crate) mod date;
mod headers;
mod host;
mod objects;
mod problem;
mod query;
mod routes;
pub(crate) mod siblings;
pub(crate) mod text;

use std::{any::Any, cell::Cell, io, net::SocketAddr, sync::Arc, time::Duration};

use actix_rt::net::TcpStream;
use actix_web::{App, dev::ServerHandle, http::KeepAlive, web};
use henge_actors::{NodeHandle, admission::Admission};
use socket2::SockRef;

/// Threads that serve requests: parsing is cheap beside what the shards do.
const WORKERS: u16 = 2;
/// How long requests in flight may take to end when the server stops, in seconds.
const DRAIN_SECONDS: u64 = 5;
/// How long a client may take to send the head of its first request.
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
        let app = move || {
            let door = Door::new(handle.clone(), Arc::clone(&bodies), loopback);
            App::new().app_data(web::Data::new(door)).default_service(web::to(routes::serve))
        };
        let per_worker = limits.connections_max.div_ceil(WORKERS.into());
        let server = actix_web::HttpServer::new(app)
            .workers(WORKERS.into())
            .max_connections(usize::try_from(per_worker).unwrap_or(usize::MAX))
            .keep_alive(KeepAlive::Timeout(IDLE_TIME_MAX))
            .client_request_timeout(HEAD_TIME_MAX)
            .client_disconnect_timeout(CLOSE_TIME_MAX)
            .on_connect(|stream, _| bound_unread_answers(stream))
            .tcp_nodelay(true)
            .disable_signals()
            .shutdown_timeout(DRAIN_SECONDS)
            .bind(listen)?;
        let address = server.addrs().first().copied().unwrap_or(listen);
        let running = server.run();
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

/// Nothing in actix ends a connection whose client does not read, so the kernel does.
fn bound_unread_answers(stream: &dyn Any) {
    if let Some(stream) = stream.downcast_ref::<TcpStream>() {
        // A kernel that refuses still bounds the number of such connections.
        let _ = SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_TIME_MAX));
    }
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
