//! The native client: a [`Store`] over QUIC.
//!
//! ```no_run
//! use henge::{Client, ClientTls, Key, PutOptions, ReadOptions, Store as _, Value};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = ClientTls::from_dir("data/tls")?;
//! let client = Client::connect(["10.0.0.1:7400", "10.0.0.2:7400"], tls).await?;
//! let key = Key::new("carts", "ada")?;
//! let got = client.get(&key, ReadOptions::default()).await?;
//! let options = PutOptions::default().context(got.context());
//! client.put(&key, Value::text("book"), options).await?;
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! It knows the ring and sends each request to a home of its key, at the port of the key's shard.
//! A node that is lost, refuses or is silent does not end a request: the next one is asked, and as
//! every write has a name (its write id) it is one write however often it arrives: as long as no
//! other write has replaced it, and for a while after that. One that arrives even later, from a
//! node that had stood still, may come back as a sibling, never as a loss. If the ring changes the client learns it from the next
//! answer.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`Client`], as its users see it |
//! | `error.rs` | [`ClientError`] |
//! | `worker.rs` | what works behind it, on a thread of its own or on its caller's |
//! | `request.rs` | one request over the nodes that can serve it |
//! | `routing.rs` | which these are |
//! | `pool.rs` | the links to them |

mod error;
mod pool;
mod request;
mod routing;
mod worker;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use henge_actors::{
    Answer, DeleteOptions, Got, Key, PutOptions, ReadOptions, RequestError, Store, Value, Written,
    api::{KeyPage, KeyQuery},
    client_protocol::{ClientReply, ClientRequest, ReportOf},
    environment::{Clock as _, Entropy as _, SystemClock, SystemEntropy},
    events::ActorReport,
    reports::{
        AntiEntropyReport, ClusterReport, HintsReport, PreferenceReport, ReplicaReport, RingReport,
    },
    transport::{
        PeerAddress,
        tls::{Directory, Identity},
    },
};
use henge_kernel::{
    bucket::{BucketChange, BucketRegister},
    causality::ContextKey,
    coordination::options::TIMEOUT_DEFAULT,
    id::ClusterId,
    key::check_bucket,
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use self::worker::{Ask, Command, Home};
pub use error::ClientError;

/// Who the client is, and whom it trusts: `client.pem`, `client.key` and `ca.pem` of a directory.
#[derive(Clone)]
pub struct ClientTls {
    identity: Arc<Identity>,
}

impl ClientTls {
    /// Reads the certificates in `dir` and checks them as the nodes will.
    pub fn from_dir(dir: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let now = SystemClock::start().wall();
        Ok(Directory::open(dir)?.load_client(now)?.into())
    }

    /// Name of the cluster that the certificates belong to.
    pub fn cluster(&self) -> &str {
        self.identity.subject().cluster()
    }

    fn cluster_id(&self) -> ClusterId {
        ClusterId::of(self.cluster())
    }

    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }
}

impl From<Identity> for ClientTls {
    fn from(identity: Identity) -> Self {
        Self { identity: Arc::new(identity) }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientTls").field(&self.identity.subject().to_string()).finish()
    }
}

/// How a client behaves where a request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// How long a get, put or delete waits for its answer. Default 2 s, at most a minute.
    pub timeout: Duration,
    /// How long everything else waits: listings, buckets, reports. Default 10 s, at most a minute.
    pub long_timeout: Duration,
    /// How long [`Client::connect`] tries. Default 5 s, at most a minute.
    pub connect_timeout: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT_DEFAULT,
            long_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// A store far away: the same verbs as [`NodeHandle`](crate::NodeHandle), over QUIC. Cheap to
/// clone, usable from any thread and any runtime.
///
/// A request that is dropped is given up; a write may have been applied then. One that nobody
/// answers ends a quarter of a second after its time at the latest.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    cluster: ClusterId,
    settings: ClientSettings,
}

impl Client {
    /// Connects to the cluster of which these are some nodes, each as `HOST:PORT` of its shard 0.
    /// One that answers is enough: the ring tells the others.
    pub async fn connect<A: AsRef<str>>(
        addresses: impl IntoIterator<Item = A>,
        tls: ClientTls,
    ) -> Result<Self, ClientError> {
        Self::connect_with(addresses, tls, ClientSettings::default()).await
    }

    /// [`Client::connect`] with settings of your own.
    pub async fn connect_with<A: AsRef<str>>(
        addresses: impl IntoIterator<Item = A>,
        tls: ClientTls,
        settings: ClientSettings,
    ) -> Result<Self, ClientError> {
        Self::start(Home::Thread, addresses, tls, settings).await
    }

    /// A client without a thread of its own: it lives in the tokio `LocalSet` that this is called
    /// in, for instance on an actix arbiter. Requests from that thread are answered sooner, as none
    /// changes threads on its way; they and the timeouts keep time only while the `LocalSet` runs.
    ///
    /// # Panics
    /// Outside of a `LocalSet`, as `tokio::task::spawn_local` does.
    pub async fn connect_local<A: AsRef<str>>(
        addresses: impl IntoIterator<Item = A>,
        tls: ClientTls,
        settings: ClientSettings,
    ) -> Result<Self, ClientError> {
        Self::start(Home::LocalSet, addresses, tls, settings).await
    }

    async fn start<A: AsRef<str>>(
        home: Home,
        addresses: impl IntoIterator<Item = A>,
        tls: ClientTls,
        settings: ClientSettings,
    ) -> Result<Self, ClientError> {
        let seeds: Vec<_> =
            addresses.into_iter().map(|one| seed(one.as_ref())).collect::<Result<_, _>>()?;
        if seeds.is_empty() {
            return Err(ClientError::BadAddress { address: String::new() });
        }
        let cluster = tls.cluster_id();
        let commands = worker::start(home, seeds, tls, settings).await?;
        Ok(Self { commands, cluster, settings })
    }

    /// The members with their liveness and self-health, as one node sees them: the first of the
    /// addresses given to [`Client::connect`] that answers.
    pub async fn cluster(&self) -> Result<ClusterReport, ClientError> {
        self.report(ReportOf::Cluster).await
    }

    /// The ring: epoch, digest, owners; as [`Client::cluster`].
    pub async fn ring(&self) -> Result<RingReport, ClientError> {
        self.report(ReportOf::Ring).await
    }

    /// The preference list of a key; as [`Client::cluster`].
    pub async fn preference_list(&self, key: &Key) -> Result<PreferenceReport, ClientError> {
        self.report(ReportOf::Preference(key.clone())).await
    }

    /// The record of a key as one node has it: no coordination, no repair. Which node, as for
    /// [`Client::cluster`].
    pub async fn replica(&self, key: &Key) -> Result<ReplicaReport, ClientError> {
        self.report(ReportOf::Replica(key.clone())).await
    }

    /// All actors of one node in numbers; as [`Client::cluster`].
    pub async fn actors(&self) -> Result<Vec<ActorReport>, ClientError> {
        self.report(ReportOf::Actors).await
    }

    /// What one node keeps for homes that are away; as [`Client::cluster`].
    pub async fn hints(&self) -> Result<HintsReport, ClientError> {
        self.report(ReportOf::Hints).await
    }

    /// How far the replicas of one node and those of its peers are the same; as [`Client::cluster`].
    pub async fn anti_entropy(&self) -> Result<AntiEntropyReport, ClientError> {
        self.report(ReportOf::AntiEntropy).await
    }

    /// Guards the context tokens of this cluster: for contexts that travel as text.
    pub fn context_key(&self) -> ContextKey {
        ContextKey::of(self.cluster)
    }

    /// Says goodbye to the nodes; resolves when it is sent. Requests under way end with
    /// [`ClientError::Closed`], as do later ones, of every clone. A client that is dropped with its
    /// clones says goodbye too, if the process lives long enough.
    pub async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            let _ = is_done.await;
        }
    }

    async fn ask(
        &self,
        request: ClientRequest,
        timeout: Duration,
    ) -> Result<ClientReply, ClientError> {
        let (outcome, answer) = oneshot::channel();
        let command = Command::Ask(Box::new(Ask { request, timeout, outcome }));
        self.commands.send(command).await.map_err(|_| ClientError::Closed)?;
        answer.await.unwrap_or(Err(ClientError::Closed))
    }

    async fn ask_long(&self, request: ClientRequest) -> Result<ClientReply, ClientError> {
        self.ask(request, self.settings.long_timeout).await
    }

    async fn report<R: DeserializeOwned>(&self, of: ReportOf) -> Result<R, ClientError> {
        match self.ask_long(ClientRequest::Report(of)).await? {
            ClientReply::Report(json) => serde_json::from_slice(&json).map_err(unexpected),
            other => Err(unexpected(kind(&other))),
        }
    }

    async fn register(&self, request: ClientRequest) -> Result<BucketRegister, ClientError> {
        match self.ask_long(request).await? {
            ClientReply::Buckets(mut registers) if registers.len() == 1 => {
                Ok(registers.swap_remove(0))
            }
            other => Err(unexpected(kind(&other))),
        }
    }

    async fn written(
        &self,
        request: ClientRequest,
        timeout: Duration,
    ) -> Result<Answer<Written>, ClientError> {
        match self.ask(request, timeout).await? {
            ClientReply::Written(answer) => Ok(answer),
            other => Err(unexpected(kind(&other))),
        }
    }
}

impl Store for Client {
    type Error = ClientError;

    async fn get(&self, key: &Key, options: ReadOptions) -> Result<Answer<Got>, ClientError> {
        let timeout = options.timeout.unwrap_or(self.settings.timeout);
        let options = ReadOptions { timeout: Some(timeout), ..options };
        match self.ask(ClientRequest::Get { key: key.clone(), options }, timeout).await? {
            ClientReply::Got(answer) => Ok(answer),
            other => Err(unexpected(kind(&other))),
        }
    }

    async fn put(
        &self,
        key: &Key,
        mut value: Value,
        mut options: PutOptions,
    ) -> Result<Answer<Written>, ClientError> {
        value.describe().map_err(RequestError::from)?;
        let timeout = *options.timeout.get_or_insert(self.settings.timeout);
        options.write_id.get_or_insert_with(|| SystemEntropy.draw_write_id());
        self.written(ClientRequest::Put { key: key.clone(), value, options }, timeout).await
    }

    async fn delete(
        &self,
        key: &Key,
        mut options: DeleteOptions,
    ) -> Result<Answer<Written>, ClientError> {
        let timeout = *options.timeout.get_or_insert(self.settings.timeout);
        options.write_id.get_or_insert_with(|| SystemEntropy.draw_write_id());
        self.written(ClientRequest::Delete { key: key.clone(), options }, timeout).await
    }

    async fn keys(&self, bucket: &Bytes, query: KeyQuery) -> Result<KeyPage, ClientError> {
        check_bucket(bucket)?;
        query.check()?;
        match self.ask_long(ClientRequest::Keys { bucket: bucket.clone(), query }).await? {
            ClientReply::Keys(page) => Ok(page),
            other => Err(unexpected(kind(&other))),
        }
    }

    async fn bucket(&self, bucket: &Bytes) -> Result<BucketRegister, ClientError> {
        check_bucket(bucket)?;
        self.register(ClientRequest::Bucket { bucket: bucket.clone() }).await
    }

    async fn set_bucket(
        &self,
        bucket: &Bytes,
        change: BucketChange,
    ) -> Result<BucketRegister, ClientError> {
        check_bucket(bucket)?;
        self.register(ClientRequest::SetBucket { bucket: bucket.clone(), change }).await
    }

    async fn buckets(&self) -> Result<Vec<BucketRegister>, ClientError> {
        match self.ask_long(ClientRequest::Buckets).await? {
            ClientReply::Buckets(registers) => Ok(registers),
            other => Err(unexpected(kind(&other))),
        }
    }
}

/// `HOST:PORT`, with brackets around an IPv6 address.
fn seed(address: &str) -> Result<PeerAddress, ClientError> {
    let bad = || ClientError::BadAddress { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
    if host.is_empty() || (bare.is_none() && host.contains(':')) {
        return Err(bad());
    }
    Ok(PeerAddress { name: None, host: host.to_owned(), port })
}

fn kind(reply: &ClientReply) -> String {
    let kind = match reply {
        ClientReply::Got(_) => "what was found",
        ClientReply::Written(_) => "what was written",
        ClientReply::Keys(_) => "keys",
        ClientReply::Buckets(_) => "buckets",
        ClientReply::Report(_) => "a report",
        ClientReply::Refused(_) => "a refusal",
    };
    format!("it answers with {kind}")
}

fn unexpected(reason: impl fmt::Display) -> ClientError {
    ClientError::Protocol { address: "a node".to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for (text, host) in [("a:1", "a"), ("10.0.0.1:1", "10.0.0.1"), ("[::1]:1", "::1")] {
            assert_eq!((seed(text).unwrap().host.as_str(), seed(text).unwrap().port), (host, 1));
        }
        for text in ["", "a", "a:", ":1", "a:0", "a:65536", "a:b", "::1:1"] {
            assert!(matches!(seed(text), Err(ClientError::BadAddress { .. })), "{text}");
        }
    }
}
