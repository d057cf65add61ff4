//! The cluster of the demo: some nodes in this process, each as complete as one of its own.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::future::{join_all, select_all};
use henge_actors::{
    Ending,
    reports::Readiness,
    settings::{ClusterName, LayoutEntry, Settings, ShardCount, TlsSettings},
};
use henge_kernel::id::NodeName;
use tokio::time::{sleep, timeout};

use super::super::{
    data::{Data, NAMES},
    ports::{self, Site},
};
use crate::host::{Host, HostError};

/// How long the nodes may take to meet.
const MEET: Duration = Duration::from_secs(10);
/// Time between two looks at something that is waited for.
pub const LOOK: Duration = Duration::from_millis(10);

/// The nodes and where their data lies.
pub struct Cluster {
    nodes: Vec<Member>,
    data: Data,
}

/// One node.
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// UDP address of its shard 0.
    pub quic: SocketAddr,
    /// TCP address of its HTTP.
    pub http: SocketAddr,
    host: Host,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No room for the data, or no ports.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A name or number that a node does not take.
    #[error(transparent)]
    Word(#[from] henge_actors::settings::InvalidWord),
    /// A node's name that is none.
    #[error(transparent)]
    Name(#[from] henge_kernel::id::InvalidNodeName),
    /// A node did not start.
    #[error("node {name}: {source}")]
    Host {
        /// Which.
        name: &'static str,
        /// Why.
        source: HostError,
    },
    /// The nodes listen, but do not find each other.
    #[error("node {name} was not ready within {} s: {reason}", MEET.as_secs())]
    Apart {
        /// The first that was not.
        name: &'static str,
        /// What it waits for.
        reason: String,
    },
}

impl ClusterError {
    fn is_port_taken(&self) -> bool {
        matches!(self, Self::Host { source, .. } if source.is_port_taken())
    }
}

impl Cluster {
    /// Starts `nodes` nodes of `shards` shards and waits until each is ready.
    pub async fn start(nodes: u8, shards: u16, data: Data) -> Result<Self, ClusterError> {
        let no_ports = |source| ClusterError::Io { what: "no free ports on loopback", source };
        let mut sites = ports::choose(nodes, shards).map_err(no_ports)?;
        let mut members = host(&sites, shards, &data).await;
        if members.as_ref().is_err_and(ClusterError::is_port_taken) {
            // Somebody took a port after it was found free; a demo beside this one, perhaps.
            sites = ports::elsewhere(nodes, shards).map_err(no_ports)?;
            members = host(&sites, shards, &data).await;
        }
        let cluster = Self { nodes: members?, data };
        match cluster.meet().await {
            Ok(()) => Ok(cluster),
            Err(apart) => {
                cluster.stop().await;
                Err(apart)
            }
        }
    }

    async fn meet(&self) -> Result<(), ClusterError> {
        let met = async {
            while self.unready().is_some() {
                sleep(LOOK).await;
            }
        };
        if timeout(MEET, met).await.is_ok() {
            return Ok(());
        }
        self.unready().map_or(Ok(()), |(name, reason)| Err(ClusterError::Apart { name, reason }))
    }

    fn unready(&self) -> Option<(&'static str, String)> {
        self.nodes.iter().find_map(|member| match member.host.handle().readiness() {
            Readiness::Ready => None,
            Readiness::NotReady { reason } => Some((member.name, reason)),
        })
    }

    /// The nodes, by name.
    pub fn nodes(&self) -> &[Member] {
        &self.nodes
    }

    /// Where the data lies.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Resolves when a node cannot go on.
    pub async fn failed(&self) -> (&'static str, Ending) {
        let failures = self.nodes.iter().map(|member| Box::pin(member.host.failed()));
        let (ending, index, _) = select_all(failures).await;
        (self.nodes.get(index).map_or("", |member| member.name), ending)
    }

    /// Stops every node in order, all at once.
    pub async fn stop(self) {
        join_all(self.nodes.into_iter().map(|member| member.host.stop())).await;
    }
}

/// A node at each site, or none at all.
async fn host(sites: &[Site], shards: u16, data: &Data) -> Result<Vec<Member>, ClusterError> {
    let started = NAMES.iter().zip(sites).map(async |(name, site)| {
        let settings = settings(name, sites, shards, data)?;
        let host = Host::start(settings, site.http).await;
        let host = host.map_err(|source| ClusterError::Host { name, source })?;
        Ok(Member { name, quic: site.quic, http: host.http_address(), host })
    });
    let (mut members, mut failure) = (Vec::new(), None);
    for outcome in join_all(started).await {
        match outcome {
            Ok(member) => members.push(member),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let Some(failure) = failure else { return Ok(members) };
    join_all(members.into_iter().map(|member| member.host.stop())).await;
    Err(failure)
}

fn settings(
    name: &str,
    sites: &[Site],
    shards: u16,
    data: &Data,
) -> Result<Settings, ClusterError> {
    let layout = NAMES
        .iter()
        .zip(sites)
        .map(|(name, site)| Ok(LayoutEntry::new(NodeName::new(name)?, site.quic.into())));
    let layout: Result<Vec<_>, ClusterError> = layout.collect();
    let cluster = ClusterName::new("demo")?;
    let mut settings =
        Settings::member(cluster, layout?, NodeName::new(name)?, data.path().join(name));
    settings.node.shards = Some(ShardCount::new(shards.into())?);
    settings.tls = TlsSettings { dir: data.tls_dir(), generate: true };
    settings.allow_faults = true;
    Ok(settings)
}
