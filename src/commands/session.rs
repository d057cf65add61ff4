//! A command's way to the cluster: where it is, a client of it, and the end of that.

use std::{path::PathBuf, time::Duration};

use tokio::task::LocalSet;

use super::{
    failure::{Asked, Failure, UNREACHABLE},
    words::{CommandLine, shell_word},
};
use crate::{
    Client, ClientError, ClientSettings, ClientTls,
    cli::{Cli, ConnectArgs},
};

const NODE_DEFAULT: &str = "127.0.0.1:7400";
const TLS_DIR_DEFAULT: &str = "./data/tls";

/// A connected client.
pub struct Session {
    /// The client.
    pub client: Client,
    /// Options that a further command needs to reach the same cluster.
    options: String,
}

/// Where the cluster is, from the options of a command, those before it, the environment, or the
/// defaults, whichever is found first.
struct Place {
    nodes: Vec<String>,
    tls_dir: PathBuf,
    timeout: Option<Duration>,
    options: String,
}

impl Session {
    /// Connects, does the work, says goodbye.
    pub fn run<T>(
        cli: &Cli,
        own: &ConnectArgs,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = Place::of(own, &cli.connect);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unconnected(&error.into(), &place.nodes))?;
        LocalSet::new().block_on(&runtime, async {
            let client = place.connect().await;
            let client = client.map_err(|error| unconnected(&error, &place.nodes))?;
            let session = Self { client, options: place.options };
            let outcome = work(&session).await;
            session.client.close().await;
            outcome
        })
    }

    /// The beginning of a line that asks the same cluster.
    pub fn line(&self, command: &str) -> CommandLine {
        let line = CommandLine::of(command);
        if self.options.is_empty() { line } else { line.words(&self.options) }
    }
}

impl Place {
    fn of(own: &ConnectArgs, before: &ConnectArgs) -> Self {
        let given = if own.nodes.is_empty() { &before.nodes } else { &own.nodes };
        let tls_dir = own.tls_dir.as_ref().or(before.tls_dir.as_ref());
        let mut options: Vec<String> =
            given.iter().map(|node| format!("--node {}", shell_word(node.as_bytes()))).collect();
        options
            .extend(tls_dir.map(|dir| {
                format!("--tls-dir {}", shell_word(dir.as_os_str().as_encoded_bytes()))
            }));
        Self {
            nodes: if given.is_empty() { nodes_by_default() } else { given.clone() },
            tls_dir: tls_dir.cloned().unwrap_or_else(tls_dir_by_default),
            timeout: own.timeout.or(before.timeout),
            options: options.join(" "),
        }
    }

    async fn connect(&self) -> Result<Client, ClientError> {
        let tls = ClientTls::from_dir(&self.tls_dir)?;
        let mut settings = ClientSettings::default();
        if let Some(timeout) = self.timeout {
            settings = ClientSettings { timeout, long_timeout: timeout, connect_timeout: timeout };
        }
        Client::connect_local(&self.nodes, tls, settings).await
    }
}

fn nodes_by_default() -> Vec<String> {
    let listed = std::env::var("HENGE_NODES").unwrap_or_else(|_| NODE_DEFAULT.to_owned());
    listed.split(',').map(|node| node.trim().to_owned()).collect()
}

fn tls_dir_by_default() -> PathBuf {
    std::env::var_os("HENGE_TLS_DIR").map_or_else(|| TLS_DIR_DEFAULT.into(), PathBuf::from)
}

fn unconnected(error: &ClientError, tried: &[String]) -> Failure {
    let failure =
        Asked { object: "the cluster", done: "reached", ..Asked::default() }.failed(error);
    match error {
        ClientError::NoAnswer { .. } => {
            let why = format!("{error} from {}", tried.join(", "));
            Failure { why, remedy: UNREACHABLE.to_owned(), ..failure }
        }
        _ => failure,
    }
}
