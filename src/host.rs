//! One node with everything around it: certificates, the environment of production, HTTP.
//!
//! `serve` hosts one, `demo` several in the same process. Must be used inside an actix `System`.

use std::{io, net::SocketAddr, time::Duration};

use henge_actors::{
    Ending, Environment, Node, NodeHandle, Settings, StartError,
    storage::StorageError,
    transport::{TransportError, tls::TlsError},
};

use crate::surfaces::http::HttpServer;

/// How long answers that are being written may take once the node has stopped.
const HTTP_CLOSE: Duration = Duration::from_secs(1);

/// A running node and its HTTP surface.
pub struct Host {
    node: Node,
    http: HttpServer,
}

impl Host {
    /// Reads (or makes, if the settings say so) the node's certificate, starts the node, then HTTP
    /// at `http`. Resolves when both listen; whatever was begun is undone if it fails.
    pub async fn start(settings: Settings, http: SocketAddr) -> Result<Self, HostError> {
        let environment = Environment::production(&settings)?;
        let node = Node::start(settings, environment).await?;
        match HttpServer::start(http, node.handle()) {
            Ok(http) => Ok(Self { node, http }),
            Err(source) => {
                node.stop().await;
                Err(HostError::Http { address: http, source })
            }
        }
    }

    /// The door to the node.
    pub fn handle(&self) -> NodeHandle {
        self.node.handle()
    }

    /// Where HTTP listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http.local_address()
    }

    /// Resolves when the node cannot go on, with the reason; [`Host::stop`] it then.
    pub async fn failed(&self) -> Ending {
        self.node.failed().await
    }

    /// Stops in order: `/ready` says no and requests are refused at once, those in flight end, peers
    /// are told, logs are synced; HTTP closes last, so that every answer still gets out.
    pub async fn stop(self) {
        self.node.stop().await;
        if tokio::time::timeout(HTTP_CLOSE, self.http.stop()).await.is_err() {
            tracing::warn!("some clients had not read their answers when HTTP closed");
        }
    }
}

/// Why a node is not hosted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The node itself.
    #[error(transparent)]
    Start(#[from] StartError),
    /// HTTP.
    #[error("cannot listen on tcp {address}: {source}")]
    Http {
        /// Where it should listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl HostError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Tls(error) | Self::Start(StartError::Transport(TransportError::Tls(error))) => {
                tls_remedy(error)
            }
            Self::Start(error) => start_remedy(error),
            Self::Http { .. } => {
                "end whoever holds that port, or choose another by http.listen".to_owned()
            }
        }
    }

    /// Whether somebody else has a port that the node wants.
    pub fn is_port_taken(&self) -> bool {
        let (Self::Http { source, .. }
        | Self::Start(StartError::Transport(TransportError::Listen { source, .. }))) = self
        else {
            return false;
        };
        source.kind() == io::ErrorKind::AddrInUse
    }

    /// Whether other settings are the way out, rather than another state of the machine.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Tls(
                TlsError::Missing { .. }
                    | TlsError::OtherCluster { .. }
                    | TlsError::OtherSubject { .. }
                    | TlsError::Unfit { .. }
            ) | Self::Start(
                StartError::Fact { .. }
                    | StartError::Settings(_)
                    | StartError::Layout(_)
                    | StartError::Ports { .. }
            )
        )
    }
}

fn tls_remedy(error: &TlsError) -> String {
    match error {
        TlsError::Missing { remedy, .. } => {
            format!("{remedy}, or tls.generate = true if every listener is on loopback")
        }
        TlsError::OtherCluster { found, .. } => {
            format!("set cluster.name = {found:?}, or another tls.dir")
        }
        TlsError::OtherSubject { .. } => "set another node.name or tls.dir".to_owned(),
        TlsError::Unfit { .. } => "choose another node.name".to_owned(),
        _ => "look at the files in tls.dir; `henge tls issue` replaces a certificate".to_owned(),
    }
}

fn start_remedy(error: &StartError) -> String {
    match error {
        StartError::Storage(StorageError::Locked { .. }) => {
            "end the other process, or choose another directory by node.data_dir".to_owned()
        }
        StartError::Storage(_) => "make room, or mend the directory named by node.data_dir; \
             nothing in it was changed"
            .to_owned(),
        StartError::Transport(TransportError::Listen { .. }) => {
            "end whoever holds that port, or choose another by node.listen".to_owned()
        }
        StartError::Transport(_) => "see `henge check-config`".to_owned(),
        StartError::Fact { field, stored, .. } => {
            format!(
                "set {field} back to {stored:?}: it never changes; a new cluster needs a new node.data_dir"
            )
        }
        StartError::Settings(_) => "correct the configuration; see `henge check-config`".to_owned(),
        StartError::Layout(_) => "correct [[cluster.nodes]]".to_owned(),
        StartError::Ports { .. } => "choose a lower port by node.listen".to_owned(),
        StartError::ShardEnded { .. } => "see the log lines above; this is a bug".to_owned(),
    }
}
