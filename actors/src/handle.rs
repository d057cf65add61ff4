//! `NodeHandle`: the door of a node for the rest of its process. Surfaces know nothing else.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketRegister, RegisterVersion},
    causality::{ContextKey, Value},
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    id::{NodeId, NodeName},
    key::{Key, check_bucket},
    time::{Instant, WallMillis},
};
use tokio::{net::lookup_host, sync::oneshot};

use crate::{
    actor_ref::ActorRef,
    admission::Permit,
    api::{Answer, Got, Written},
    commons::{Commons, Phase},
    front::Front,
    messages::{
        coordinator::{BeginGet, BeginPut, Wanted},
        ring_manager::SetBucket,
        storage_shard::{CountBuckets, InspectRecord},
    },
    meter::ActorReport,
    reports::{ClusterReport, PreferenceReport, Readiness, ReplicaReport, RingReport},
    settings::{Settings, ShardCount},
    transport::faults::{Cut, Faults},
};

/// The door to a node: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) commons: Arc<Commons>,
}

impl NodeHandle {
    pub(crate) fn new(commons: Arc<Commons>) -> Self {
        Self { commons }
    }

    /// Reads a key.
    pub async fn get(&self, key: &Key, options: ReadOptions) -> Result<Answer<Got>, RequestError> {
        let (shard, permit) = self.enter(key, 0)?;
        let (outcome, answer) = oneshot::channel();
        let key = key.clone();
        self.front(shard)?.tell(BeginGet { key, options, outcome, permit });
        answer.await.unwrap_or(Err(RequestError::Interrupted))
    }

    /// Writes a value.
    pub async fn put(
        &self,
        key: &Key,
        value: Value,
        options: PutOptions,
    ) -> Result<Answer<Written>, RequestError> {
        let bytes = value.size();
        self.write(key, Wanted::Put(value, options), bytes).await
    }

    /// Deletes what the context of `options` covers: writes a tombstone.
    pub async fn delete(
        &self,
        key: &Key,
        options: DeleteOptions,
    ) -> Result<Answer<Written>, RequestError> {
        self.write(key, Wanted::Delete(options), 0).await
    }

    async fn write(
        &self,
        key: &Key,
        wanted: Wanted,
        bytes: usize,
    ) -> Result<Answer<Written>, RequestError> {
        let (shard, permit) = self.enter(key, bytes)?;
        let (outcome, answer) = oneshot::channel();
        let key = key.clone();
        self.front(shard)?.tell(BeginPut { key, wanted, outcome, permit });
        answer.await.unwrap_or(Err(RequestError::Interrupted))
    }

    /// The properties of a bucket; the cluster's defaults if it has none of its own.
    pub fn bucket(&self, bucket: &Bytes) -> Result<BucketRegister, RequestError> {
        check_bucket(bucket)?;
        let buckets = Arc::clone(&self.commons.cluster.load().buckets);
        Ok(buckets.get(bucket).cloned().unwrap_or_else(|| BucketRegister {
            name: bucket.clone(),
            version: RegisterVersion { counter: 0, setter: self.commons.node },
            properties: buckets.defaults().clone(),
            established: true,
        }))
    }

    /// Sets properties of a bucket, cluster-wide.
    pub async fn set_bucket(
        &self,
        bucket: &Bytes,
        change: BucketChange,
    ) -> Result<BucketRegister, RequestError> {
        self.serving()?;
        let manager = self.commons.ring_manager.get().ok_or_else(not_started)?;
        let (outcome, answer) = oneshot::channel();
        manager.tell(SetBucket { bucket: bucket.clone(), change, outcome });
        answer.await.unwrap_or(Err(RequestError::Interrupted))
    }

    /// Every bucket that has properties of its own or holds keys on this node, by name.
    pub async fn buckets(&self) -> Result<Vec<BucketRegister>, RequestError> {
        let mut names = BTreeSet::new();
        for storage in self.commons.storages.get().into_iter().flatten() {
            let (outcome, counted) = oneshot::channel();
            storage.tell(CountBuckets { outcome });
            let counted = counted.await.map_err(|_| RequestError::Interrupted)?;
            names.extend(counted.into_iter().map(|(name, _)| name));
        }
        let buckets = Arc::clone(&self.commons.cluster.load().buckets);
        names.extend(buckets.iter().map(|register| register.name.clone()));
        names.iter().map(|name| self.bucket(name)).collect()
    }

    /// The members with their liveness and self-health.
    pub fn cluster(&self) -> ClusterReport {
        ClusterReport::of(&self.commons)
    }

    /// The ring: epoch, digest, owners.
    pub fn ring(&self) -> RingReport {
        RingReport::of(&self.commons)
    }

    /// The preference list of a key.
    pub fn preference_list(&self, key: &Key) -> PreferenceReport {
        PreferenceReport::of(&self.commons, key)
    }

    /// The record of a key as this node has it: no coordination, no repair.
    pub async fn replica(&self, key: &Key) -> Result<ReplicaReport, RequestError> {
        let shard = self.shard_of(key);
        let storages = self.commons.storages.get().ok_or_else(not_started)?;
        let (outcome, report) = oneshot::channel();
        storages[usize::from(shard)].tell(InspectRecord { key: key.clone(), outcome });
        report.await.unwrap_or(Err(RequestError::Interrupted))
    }

    /// All actors of the node in numbers.
    pub fn actors(&self) -> Vec<ActorReport> {
        self.commons.roster.reports()
    }

    /// Cuts this node off from `peers`, as far as this node's socket goes: what it sends, and what
    /// it hears unless `one_way`. Refused unless faults were allowed at the start.
    pub async fn cut(&self, peers: &[NodeName], one_way: bool) -> Result<(), RequestError> {
        let faults = self.faults()?;
        let view = self.commons.cluster.load();
        let mut cuts = Vec::new();
        for peer in peers {
            let found = view.nodes.iter().find(|(_, site)| site.name == *peer);
            let other = found.filter(|(node, _)| **node != self.commons.node);
            let (node, site) = other.ok_or_else(|| RequestError::BadRequest {
                field: "cut".into(),
                value: peer.to_string(),
                limit: "the name of another node of the layout".to_owned(),
            })?;
            let resolved = lookup_host((site.host.as_str(), site.port)).await;
            let addresses: Vec<SocketAddr> = resolved
                .map_err(|error| RequestError::BadRequest {
                    field: "cut".into(),
                    value: peer.to_string(),
                    limit: format!("a node whose address resolves ({error})"),
                })?
                .flat_map(|first| self.ports_of_shards(*node, first))
                .collect();
            cuts.push((peer.clone(), addresses));
        }
        // All or none: only now is every name known to be one of a peer.
        let cut = if one_way { Cut::Outgoing } else { Cut::Both };
        for (peer, addresses) in cuts {
            faults.cut(peer, addresses, cut);
        }
        Ok(())
    }

    /// Ends all cuts made by [`NodeHandle::cut`].
    pub fn heal(&self) -> Result<(), RequestError> {
        self.faults()?.heal();
        Ok(())
    }

    /// A peer that was never met may have as many shards as any node can.
    fn ports_of_shards(
        &self,
        node: NodeId,
        first: SocketAddr,
    ) -> impl Iterator<Item = SocketAddr> + use<> {
        let known = self.commons.peer_shards.get(&node).map(|shards| *shards);
        let shards = known.unwrap_or(ShardCount::MAX.get());
        (0..shards).filter_map(move |shard| {
            let port = first.port().checked_add(shard)?;
            Some(SocketAddr::new(first.ip(), port))
        })
    }

    fn faults(&self) -> Result<&Faults, RequestError> {
        let allowed = self.commons.settings.allow_faults;
        let faults = self.commons.environment.faults.as_deref().filter(|_| allowed);
        faults.ok_or_else(|| RequestError::Forbidden {
            action: "faults are injected only into a node started with --allow-faults".into(),
        })
    }

    /// Whether the node serves: logs open, ring known, every peer reached or known as down.
    pub fn readiness(&self) -> Readiness {
        Readiness::of(&self.commons)
    }

    /// What the node was told.
    pub fn settings(&self) -> &Settings {
        &self.commons.settings
    }

    /// Guards the context tokens of this cluster.
    pub fn context_key(&self) -> &ContextKey {
        &self.commons.context_key
    }

    /// The greatest value that any bucket here may hold, in bytes.
    pub fn value_bytes_max(&self) -> u64 {
        self.commons.settings.limits.value_bytes_max
    }

    /// The monotone clock of the node.
    pub fn now(&self) -> Instant {
        self.commons.environment.clock.now()
    }

    /// The wall clock of the node.
    pub fn wall(&self) -> WallMillis {
        self.commons.environment.clock.wall()
    }

    /// 64 fresh random bits, for identifiers of requests.
    pub fn draw(&self) -> u64 {
        self.commons.environment.entropy.draw("request id")
    }

    fn shard_of(&self, key: &Key) -> u16 {
        let partitions = self.commons.cluster.load().ring.partitions();
        key.token().partition(partitions).shard(self.commons.shards)
    }

    fn enter(&self, key: &Key, bytes: usize) -> Result<(u16, Permit), RequestError> {
        let shard = self.shard_of(key);
        Ok((shard, self.permit(shard, bytes)?))
    }

    pub(crate) fn permit(&self, shard: u16, bytes: usize) -> Result<Permit, RequestError> {
        self.serving()?;
        let entered = self.commons.doors[usize::from(shard)].enter(bytes);
        if let (Err(_), Ok(front)) = (&entered, self.front(shard)) {
            front.meter().rejected();
        }
        entered
    }

    fn serving(&self) -> Result<(), RequestError> {
        match self.commons.phase() {
            Phase::Serving => Ok(()),
            Phase::Starting => Err(not_started()),
            Phase::Stopping => Err(RequestError::NotReady { reason: "the node stops".into() }),
        }
    }

    pub(crate) fn front(&self, shard: u16) -> Result<&ActorRef<Front>, RequestError> {
        let fronts = self.commons.fronts.get().ok_or_else(not_started)?;
        fronts.get(usize::from(shard)).ok_or_else(not_started)
    }
}

fn not_started() -> RequestError {
    RequestError::NotReady { reason: "the node is starting".into() }
}
