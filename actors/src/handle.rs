//! `NodeHandle`: the door of a node for the rest of its process. Surfaces know nothing else.

use std::{collections::BTreeSet, sync::Arc};

use actix::{Handler, Message, Recipient};
use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketRegister, RegisterVersion},
    causality::{ContextKey, Value},
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    key::{Key, check_bucket},
    time::{Instant, WallMillis},
};
use tokio::sync::oneshot;

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
    request_event::{Op, Watch},
    settings::Settings,
    way::{ThroughFront, Way},
};

/// The door to a node: cheap to clone, usable from any thread and any runtime.
///
/// # Contexts and siblings
///
/// A get answers with a context: what its reader has seen of the key. A put with that context
/// replaces exactly this. It is of that key alone: with another's a write is refused. Puts that have not seen each other become siblings, which the next get
/// shows side by side; a put with the context of that get resolves them. [`Store::update`] does
/// all three steps.
///
/// # Errors
///
/// Every [`RequestError`] has a [`fate`](RequestError::fate) and numbers as fields:
///
/// ```
/// use henge_actors::{Fate, Key, PutOptions, RequestError, Value};
/// # use henge_actors::{Environment, Node, NodeName, Settings};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # actix_rt::System::new().block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
/// # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
/// # let environment = Environment::production(&settings)?;
/// # let node = Node::start(settings, environment).await?;
/// # let handle = node.handle();
/// let key = Key::new("carts", "ada")?;
/// let impossible = PutOptions::default().w(9); // of one replica
/// match handle.put(&key, Value::text("book"), impossible).await {
///     Ok(_) => unreachable!(),
///     // A refusal says which field, with the value and the limit.
///     Err(RequestError::BadRequest { field, value, limit }) => {
///         assert_eq!((&*field, &*value, &*limit), ("w", "9", "1 to 1 (n)"));
///     }
///     Err(error) => match error.fate() {
///         // Nothing was written, here or anywhere: trying again is safe.
///         Fate::NotApplied => println!("{}: {error}", error.code()),
///         // It may have been written, and may yet become visible.
///         Fate::Unknown => println!("read again before you decide: {error}"),
///     },
/// }
/// # node.stop().await;
/// # Ok(())
/// # })
/// # }
/// ```
///
/// To try again without doubt, give the write a name of its own
/// ([`PutOptions::write_id`](PutOptions#structfield.write_id)): however often it arrives, it is one
/// write.
///
/// [`Store::update`]: crate::Store::update
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) commons: Arc<Commons>,
}

impl NodeHandle {
    pub(crate) fn new(commons: Arc<Commons>) -> Self {
        Self { commons }
    }

    /// Reads a key: asks `r` of its homes and answers with what they hold together.
    ///
    /// ```
    /// use henge_actors::{Got, Key, PutOptions, ReadOptions, Value};
    /// # use henge_actors::{Environment, Node, NodeName, Settings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # actix_rt::System::new().block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    /// # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
    /// # let environment = Environment::production(&settings)?;
    /// # let node = Node::start(settings, environment).await?;
    /// # let handle = node.handle();
    /// let key = Key::new("carts", "ada")?;
    /// // Two writers that know nothing of each other.
    /// handle.put(&key, Value::text("book"), PutOptions::default()).await?;
    /// handle.put(&key, Value::text("pen"), PutOptions::default()).await?;
    ///
    /// let answer = handle.get(&key, ReadOptions::default().r(1)).await?;
    /// assert_eq!(answer.replicas.acks, 1); // who stood for it
    /// let context = answer.context();
    /// let Got::Siblings { versions, .. } = answer.body else { unreachable!() };
    /// assert_eq!(versions.len(), 2);
    ///
    /// // A put with the context resolves them.
    /// handle.put(&key, Value::text("book, pen"), PutOptions::default().context(context)).await?;
    /// let got = handle.get(&key, ReadOptions::default()).await?.body;
    /// assert_eq!(got.into_values()[0].as_text(), Some("book, pen"));
    /// # node.stop().await;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn get(&self, key: &Key, options: ReadOptions) -> Result<Answer<Got>, RequestError> {
        self.get_by(&ThroughFront, key, options).await
    }

    pub(crate) async fn get_by(
        &self,
        way: &impl Way,
        key: &Key,
        options: ReadOptions,
    ) -> Result<Answer<Got>, RequestError> {
        let watch = Watch::begin(&self.commons, Op::Get { r: options.r }, key.bucket());
        let answer = self.read(way, key, options).await;
        watch.end(&answer);
        answer
    }

    async fn read(
        &self,
        way: &impl Way,
        key: &Key,
        options: ReadOptions,
    ) -> Result<Answer<Got>, RequestError> {
        let seal = self.commons.context_key.seal(key);
        let (shard, permit) = self.enter(key, 0)?;
        let (outcome, answer) = oneshot::channel();
        let key = key.clone();
        way.begin(self, shard, BeginGet { key, options, outcome, permit })?;
        let answer = answer.await.unwrap_or(Err(RequestError::Interrupted))?;
        Ok(answer.map(|got| got.sealed(seal)))
    }

    /// Writes a value in the place of all that the context of `options` covers. Without one it
    /// replaces nothing: what was there becomes its sibling.
    ///
    /// ```
    /// use std::time::Duration;
    /// use henge_actors::{Key, PutOptions, Value};
    /// # use henge_actors::{Environment, Node, NodeName, Settings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # actix_rt::System::new().block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    /// # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
    /// # let environment = Environment::production(&settings)?;
    /// # let node = Node::start(settings, environment).await?;
    /// # let handle = node.handle();
    /// let key = Key::new("sessions", "ada")?;
    /// let options = PutOptions::default()
    ///     .w(1) // nodes that must have it in their log
    ///     .ttl(Duration::from_secs(3600)) // then it reads as deleted
    ///     .timeout(Duration::from_millis(500));
    /// let first = handle.put(&key, Value::text("one"), options).await?.body;
    ///
    /// // The context of a put covers what this writer has seen, and its own write.
    /// let again = PutOptions::default().context(first.context).return_body(true);
    /// let second = handle.put(&key, Value::text("two"), again).await?.body;
    /// let held = second.got.ok_or("asked for")?;
    /// assert_eq!(held.into_values()[0].as_text(), Some("two"));
    /// # node.stop().await;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn put(
        &self,
        key: &Key,
        value: Value,
        options: PutOptions,
    ) -> Result<Answer<Written>, RequestError> {
        self.put_by(&ThroughFront, key, value, options).await
    }

    pub(crate) async fn put_by(
        &self,
        way: &impl Way,
        key: &Key,
        value: Value,
        options: PutOptions,
    ) -> Result<Answer<Written>, RequestError> {
        let watch = Watch::begin(&self.commons, Op::Put { w: options.w }, key.bucket());
        let bytes = value.size();
        let answer = self.write(way, key, Wanted::Put(value, options), bytes).await;
        watch.end(&answer);
        answer
    }

    /// Deletes what the context of `options` covers: writes a tombstone. A put that the context
    /// does not cover outlives it.
    ///
    /// ```
    /// use henge_actors::{DeleteOptions, Got, Key, PutOptions, ReadOptions, RequestError, Value};
    /// # use henge_actors::{Environment, Node, NodeName, Settings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # actix_rt::System::new().block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    /// # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
    /// # let environment = Environment::production(&settings)?;
    /// # let node = Node::start(settings, environment).await?;
    /// # let handle = node.handle();
    /// let key = Key::new("carts", "ada")?;
    /// handle.put(&key, Value::text("book"), PutOptions::default()).await?;
    ///
    /// let refused = handle.delete(&key, DeleteOptions::default()).await;
    /// assert_eq!(refused, Err(RequestError::ContextRequired));
    ///
    /// let context = handle.get(&key, ReadOptions::default()).await?.context();
    /// handle.delete(&key, DeleteOptions::default().context(context)).await?;
    /// let got = handle.get(&key, ReadOptions::default()).await?.body;
    /// assert!(matches!(got, Got::Deleted { .. }));
    /// # node.stop().await;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn delete(
        &self,
        key: &Key,
        options: DeleteOptions,
    ) -> Result<Answer<Written>, RequestError> {
        self.delete_by(&ThroughFront, key, options).await
    }

    pub(crate) async fn delete_by(
        &self,
        way: &impl Way,
        key: &Key,
        options: DeleteOptions,
    ) -> Result<Answer<Written>, RequestError> {
        let watch = Watch::begin(&self.commons, Op::Delete { w: options.w }, key.bucket());
        let answer = self.write(way, key, Wanted::Delete(options), 0).await;
        watch.end(&answer);
        answer
    }

    async fn write(
        &self,
        way: &impl Way,
        key: &Key,
        mut wanted: Wanted,
        bytes: usize,
    ) -> Result<Answer<Written>, RequestError> {
        let seal = self.commons.context_key.seal(key);
        wanted.check(seal)?;
        let (shard, permit) = self.enter(key, bytes)?;
        let (outcome, answer) = oneshot::channel();
        let key = key.clone();
        way.begin(self, shard, BeginPut { key, wanted, outcome, permit })?;
        let answer = answer.await.unwrap_or(Err(RequestError::Interrupted))?;
        Ok(answer.map(|written| written.sealed(seal)))
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
        let watch = Watch::begin(&self.commons, Op::SetBucket, bucket);
        let answer = self.change_bucket(bucket, change).await;
        watch.end(&answer);
        answer
    }

    async fn change_bucket(
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

    /// The node's front actor, as other actors see it: it answers [`Get`], [`Put`] and [`Delete`],
    /// from any thread, as the methods of this handle do, and can be handed to actors that shall
    /// know nothing else of the node. The message takes one hop between threads more.
    ///
    /// ```
    /// use actix::Recipient;
    /// use henge_actors::{Get, Got, Key, ReadOptions};
    /// # use henge_actors::{Environment, Node, NodeName, Settings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # actix_rt::System::new().block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    /// # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
    /// # let environment = Environment::production(&settings)?;
    /// # let node = Node::start(settings, environment).await?;
    /// # let handle = node.handle();
    /// let get: Recipient<Get> = handle.recipient();
    /// let key = Key::new("carts", "ada")?;
    /// let got = get.send(Get { key, options: ReadOptions::default() }).await??;
    /// assert_eq!(got.body, Got::NotFound);
    /// # node.stop().await;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// [`Get`]: crate::Get
    /// [`Put`]: crate::Put
    /// [`Delete`]: crate::Delete
    pub fn recipient<M>(&self) -> Recipient<M>
    where
        M: Message<Result: Send> + Send + 'static,
        Front: Handler<M>,
    {
        let fronts = self.commons.fronts.get();
        let front = fronts.and_then(|fronts| fronts.first());
        front.unwrap_or_else(|| unreachable!("a started node has a front")).recipient()
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
            Phase::Serving if self.commons.cluster.load().learned => Ok(()),
            Phase::Serving => Err(RequestError::NotReady { reason: UNLEARNED.into() }),
            Phase::Starting => Err(not_started()),
            Phase::Stopping => Err(RequestError::NotReady { reason: "the node stops".into() }),
        }
    }

    pub(crate) fn front(&self, shard: u16) -> Result<&ActorRef<Front>, RequestError> {
        let fronts = self.commons.fronts.get().ok_or_else(not_started)?;
        fronts.get(usize::from(shard)).ok_or_else(not_started)
    }
}

/// Why a node with an empty disk does not serve yet.
const UNLEARNED: &str = "the node has not yet heard from its peers which buckets there are";

fn not_started() -> RequestError {
    RequestError::NotReady { reason: "the node is starting".into() }
}
