//! HTTP/1.1, on worker threads of its own.

use std::{io, net::SocketAddr};

use actix_web::{App, HttpResponse, dev::ServerHandle, web};
use henge_actors::NodeHandle;

/// Threads that serve requests: parsing is cheap beside what the shards do.
const WORKERS: usize = 2;

/// How long requests in flight may take to end when the server stops, in seconds.
const DRAIN_SECONDS: u64 = 5;

/// A listener and its workers.
pub struct HttpServer {
    address: SocketAddr,
    server: ServerHandle,
}

impl HttpServer {
    /// Binds at once (port 0 takes a free port) and serves `handle` from then on. Must be called
    /// inside an actix `System`.
    pub fn start(listen: SocketAddr, handle: NodeHandle) -> io::Result<Self> {
        let app = move || {
            App::new()
                .app_data(web::Data::new(handle.clone()))
                .route("/health", web::get().to(|| async { HttpResponse::Ok().finish() }))
        };
        let server = actix_web::HttpServer::new(app)
            .workers(WORKERS)
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
