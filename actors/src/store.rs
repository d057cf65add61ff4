//! [`Store`]: what a node and a remote client have in common, and [`Store::update`].

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketRegister},
    causality::{Context, Value},
    coordination::{DeleteOptions, Fate, PutOptions, ReadOptions, RequestError},
    key::Key,
};

use crate::{
    NodeHandle,
    api::{Answer, Got, KeyPage, KeyQuery, Written},
};

/// A store as its users see it: a [`NodeHandle`] in this process, or a client far from it.
///
/// Code that is written against the trait does not care which. All methods can be called from any
/// thread and from any runtime, and can be dropped at any time; a write that was dropped may have
/// been applied.
pub trait Store: Send + Sync {
    /// Why a request failed.
    type Error: StoreError;

    /// Reads a key.
    fn get(
        &self,
        key: &Key,
        options: ReadOptions,
    ) -> impl Future<Output = Result<Answer<Got>, Self::Error>> + Send;

    /// Writes a value in the place of all that the context of `options` covers.
    fn put(
        &self,
        key: &Key,
        value: Value,
        options: PutOptions,
    ) -> impl Future<Output = Result<Answer<Written>, Self::Error>> + Send;

    /// Deletes what the context of `options` covers.
    fn delete(
        &self,
        key: &Key,
        options: DeleteOptions,
    ) -> impl Future<Output = Result<Answer<Written>, Self::Error>> + Send;

    /// One page of the live keys of a bucket. Each partition is listed by one of its homes, so a
    /// key that is still in repair may be missing.
    fn keys(
        &self,
        bucket: &Bytes,
        query: KeyQuery,
    ) -> impl Future<Output = Result<KeyPage, Self::Error>> + Send;

    /// The properties of a bucket; the cluster's defaults if it has none of its own.
    fn bucket(
        &self,
        bucket: &Bytes,
    ) -> impl Future<Output = Result<BucketRegister, Self::Error>> + Send;

    /// Sets properties of a bucket, cluster-wide; answers with all that are in force then.
    fn set_bucket(
        &self,
        bucket: &Bytes,
        change: BucketChange,
    ) -> impl Future<Output = Result<BucketRegister, Self::Error>> + Send;

    /// The buckets that have properties of their own or hold keys on the node that answers.
    fn buckets(&self) -> impl Future<Output = Result<Vec<BucketRegister>, Self::Error>> + Send;

    /// Reads a key, lets `merge` make one value of what is there, and writes it with the context
    /// of the read. [`Store::update_with`] with the defaults.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use henge_actors::{Key, ReadOptions, Store, Value};
    /// # use henge_actors::{Environment, Node, NodeName, Settings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # actix_rt::System::new().block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let listen = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    /// # let settings = Settings::single(NodeName::new("solo")?, listen, directory.path().into());
    /// # let environment = Environment::production(&settings)?;
    /// # let node = Node::start(settings, environment).await?;
    /// # let handle = node.handle();
    /// /// Works in a node and through a client alike.
    /// async fn add<S: Store>(store: &S, cart: &Key, item: &str) -> Result<(), S::Error> {
    ///     store.update(cart, |carts| {
    ///         // The items of all siblings, each once, and the new one.
    ///         let texts = carts.iter().filter_map(Value::as_text);
    ///         let mut items: BTreeSet<_> = texts.flat_map(str::lines).collect();
    ///         items.insert(item);
    ///         Value::text(items.into_iter().collect::<Vec<_>>().join("\n"))
    ///     })
    ///     .await?;
    ///     Ok(())
    /// }
    ///
    /// let key = Key::new("carts", "ada")?;
    /// add(&handle, &key, "pen").await?;
    /// add(&handle, &key, "book").await?;
    /// let got = handle.get(&key, ReadOptions::default()).await?.body;
    /// assert_eq!(got.into_values()[0].as_text(), Some("book\npen"));
    /// # node.stop().await;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    fn update<C: Into<Change>>(
        &self,
        key: &Key,
        merge: impl FnMut(Vec<Value>) -> C + Send,
    ) -> impl Future<Output = Result<Updated, Self::Error>> + Send {
        self.update_with(key, UpdateOptions::default(), merge)
    }

    /// Reads a key, lets `merge` make one value of what is there, and writes it with the context
    /// of the read.
    ///
    /// `merge` gets the live values: none if the key is new, deleted or expired, several if they
    /// are siblings. It answers with a [`Value`], with an `Option` of one (`None` deletes), or
    /// with a [`Change`].
    ///
    /// **Conflicts.** A write that came between the read and the write is not lost: both become
    /// siblings. If the home that took our write shows such siblings, `merge` is called again with
    /// all of them, our own value included, and the outcome is written: at most
    /// [`UpdateOptions::writes_max`] times. What is still unmerged then, or has not reached that
    /// home yet, stays as siblings for the next update. So `merge` must bear being applied to its
    /// own outcome: put things with names into sets and maps, do not count up. In a bucket with
    /// `conflict = lww` there are no siblings, and the earlier of two concurrent updates is lost.
    ///
    /// **Errors** are those of the read and of the first write, with their fate. Once a write is
    /// acknowledged the update has succeeded: if merging it further fails, the answer only says
    /// that siblings are left.
    fn update_with<C: Into<Change>>(
        &self,
        key: &Key,
        options: UpdateOptions,
        mut merge: impl FnMut(Vec<Value>) -> C + Send,
    ) -> impl Future<Output = Result<Updated, Self::Error>> + Send {
        async move {
            let mut found = self.get(key, options.read()).await?.body;
            let mut updated = Updated::nothing_yet(&found);
            loop {
                let context = found.context();
                let (value, written) = match merge(found.into_values()).into() {
                    Change::Put(value) => {
                        let written = self.put(key, value.clone(), options.put(context)).await;
                        (Some(value), written)
                    }
                    Change::Delete if !context.is_empty() => {
                        (None, self.delete(key, options.delete(context)).await)
                    }
                    Change::Delete | Change::Keep => return Ok(updated),
                };
                let Written { context, got, .. } = match written {
                    Ok(answer) => answer.body,
                    Err(error) if updated.writes == 0 => return Err(error),
                    Err(_) => return Ok(updated),
                };
                let conflict = got.filter(Got::is_conflict);
                let (writes, siblings_left) = (updated.writes + 1, conflict.is_some());
                updated = Updated { value, context, writes, siblings_left };
                match conflict {
                    Some(siblings) if writes < options.writes_max => found = siblings,
                    _ => return Ok(updated),
                }
            }
        }
    }
}

/// An error of a [`Store`]. Every one says what became of the write.
pub trait StoreError: std::error::Error + Send + Sync + 'static {
    /// Whether the write was surely not applied, or may have been.
    fn fate(&self) -> Fate;

    /// The error's name, the same on every surface.
    fn code(&self) -> &'static str;
}

impl StoreError for RequestError {
    fn fate(&self) -> Fate {
        self.fate()
    }

    fn code(&self) -> &'static str {
        self.code()
    }
}

/// What an update wants done to its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Write this in the place of what was read.
    Put(Value),
    /// Delete what was read; nothing is done if there was nothing.
    Delete,
    /// Leave the key as it is.
    Keep,
}

impl From<Value> for Change {
    fn from(value: Value) -> Self {
        Self::Put(value)
    }
}

impl From<Option<Value>> for Change {
    fn from(value: Option<Value>) -> Self {
        value.map_or(Self::Delete, Self::Put)
    }
}

/// What an update came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Updated {
    /// The value that was written last; `None` if the key was deleted or kept.
    pub value: Option<Value>,
    /// Covers what was read and written: pass it to the next put or delete.
    pub context: Context,
    /// How many writes were acknowledged; 0 if `merge` kept the key.
    pub writes: u8,
    /// Whether siblings were there when the last write was taken. They are for the next update.
    pub siblings_left: bool,
}

impl Updated {
    fn nothing_yet(found: &Got) -> Self {
        let (context, siblings_left) = (found.context(), found.is_conflict());
        Self { value: None, context, writes: 0, siblings_left }
    }
}

/// Choices of an update; what is `None` is the bucket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateOptions {
    /// Replicas that must answer the read.
    pub r: Option<u8>,
    /// Replicas that must acknowledge each write.
    pub w: Option<u8>,
    /// How long each read and each write may take; two seconds if not said.
    pub timeout: Option<Duration>,
    /// How often to write at most, the first time included. Default 4; 0 counts as 1.
    pub writes_max: u8,
}

impl Default for UpdateOptions {
    fn default() -> Self {
        Self { r: None, w: None, timeout: None, writes_max: 4 }
    }
}

impl UpdateOptions {
    /// Sets how many replicas must answer the read.
    #[must_use]
    pub fn r(self, r: u8) -> Self {
        Self { r: Some(r), ..self }
    }

    /// Sets how many replicas must acknowledge each write.
    #[must_use]
    pub fn w(self, w: u8) -> Self {
        Self { w: Some(w), ..self }
    }

    /// Sets how long each read and each write may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Sets how often to write at most.
    #[must_use]
    pub fn writes_max(self, writes_max: u8) -> Self {
        Self { writes_max, ..self }
    }

    fn read(self) -> ReadOptions {
        ReadOptions { r: self.r, timeout: self.timeout, ..ReadOptions::default() }
    }

    /// The record comes back with the answer: that is how a conflict is seen.
    fn put(self, context: Context) -> PutOptions {
        let Self { w, timeout, .. } = self;
        PutOptions { context, w, timeout, return_body: true, ..PutOptions::default() }
    }

    fn delete(self, context: Context) -> DeleteOptions {
        let Self { w, timeout, .. } = self;
        DeleteOptions { context, w, timeout, ..DeleteOptions::default() }
    }
}

impl Store for NodeHandle {
    type Error = RequestError;

    async fn get(&self, key: &Key, options: ReadOptions) -> Result<Answer<Got>, RequestError> {
        self.get(key, options).await
    }

    async fn put(
        &self,
        key: &Key,
        value: Value,
        options: PutOptions,
    ) -> Result<Answer<Written>, RequestError> {
        self.put(key, value, options).await
    }

    async fn delete(
        &self,
        key: &Key,
        options: DeleteOptions,
    ) -> Result<Answer<Written>, RequestError> {
        self.delete(key, options).await
    }

    async fn keys(&self, bucket: &Bytes, query: KeyQuery) -> Result<KeyPage, RequestError> {
        self.keys(bucket, query).await
    }

    async fn bucket(&self, bucket: &Bytes) -> Result<BucketRegister, RequestError> {
        self.bucket(bucket)
    }

    async fn set_bucket(
        &self,
        bucket: &Bytes,
        change: BucketChange,
    ) -> Result<BucketRegister, RequestError> {
        self.set_bucket(bucket, change).await
    }

    async fn buckets(&self) -> Result<Vec<BucketRegister>, RequestError> {
        self.buckets().await
    }
}
