//! What a request needs before its machine starts: homes, quorum, deadlines. Snapshots are read
//! here and nowhere else on the way of a request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use henge_kernel::{
    bucket::RegisterVersion,
    causality::{Conflict, Content, Record, RecordLimits},
    coordination::{
        Home, Homes, PutOptions, ReadOptions, RequestError, get::GetRequest, hedge,
        list::ListRequest, options::WritePlan, put::PutRequest, quorum::QuorumSize,
    },
    key::{Key, PartitionId},
    time::{Instant, WallMillis},
};

use crate::{
    api::KeyRange,
    messages::coordinator::Wanted,
    shard::Shard,
    view::ClusterView,
    wire::{ForwardedWrite, ListedKeys},
};

/// How long a listing of one partition may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);

/// What the shell keeps of a get.
pub struct GetPlan {
    pub key: Key,
    pub properties: Option<RegisterVersion>,
    pub conflict: Conflict,
    pub deadline: Instant,
}

/// What the shell keeps of a put.
pub struct PutPlan {
    pub write: ForwardedWrite,
    pub conflict: Conflict,
    pub limits: RecordLimits,
    pub deadline: Instant,
    pub minted: Encoded,
    /// Whether the put was sent to another node as a whole: what comes back is its outcome.
    pub forwards: bool,
}

/// What the shell keeps of a listing.
pub struct ListPlan {
    pub partition: PartitionId,
    pub range: KeyRange,
    pub deadline: Instant,
    pub listed: ListedKeys,
}

/// A record and its encoding, so that it is encoded once for all replicas.
#[derive(Default)]
pub struct Encoded(Option<(Arc<Record>, Bytes)>);

impl Encoded {
    pub fn set(&mut self, record: &Arc<Record>, bytes: Bytes) {
        self.0 = Some((Arc::clone(record), bytes));
    }

    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub fn get_or_encode(&mut self, record: &Arc<Record>) -> Bytes {
        if let Some((held, bytes)) = &self.0
            && Arc::ptr_eq(held, record)
        {
            return bytes.clone();
        }
        let mut bytes = Vec::new();
        record.encode_replicated(&mut bytes);
        let bytes = Bytes::from(bytes);
        self.set(record, bytes.clone());
        bytes
    }
}

/// Plans a get.
pub fn plan_get(
    shard: &Shard,
    now: Instant,
    key: Key,
    options: &ReadOptions,
) -> Result<(GetPlan, GetRequest), RequestError> {
    let cluster = shard.commons.cluster.load();
    ready(&cluster, &key)?;
    let properties = cluster.buckets.properties(key.bucket());
    let read = options.resolve(properties)?;
    let deadline = now.after(read.timeout);
    let partition = partition_of_key(&cluster, &key);
    let request = GetRequest {
        homes: homes_of(shard, &cluster, partition, properties.n),
        fallbacks: fallbacks_of(shard, &cluster, partition, properties.n),
        sloppy: read.sloppy,
        node: shard.commons.node,
        quorum: read.quorum,
        conflict: properties.conflict,
        deadline,
        hedge: shard.hedging.borrow_mut().begin(read.timeout),
    };
    let plan = GetPlan {
        properties: version_of(&cluster, &key),
        conflict: properties.conflict,
        deadline,
        key,
    };
    Ok((plan, request))
}

/// Plans a put or delete of a client of this node.
pub fn plan_put(
    shard: &Shard,
    now: Instant,
    key: Key,
    wanted: Wanted,
) -> Result<(PutPlan, PutRequest), RequestError> {
    let cluster = shard.commons.cluster.load();
    ready(&cluster, &key)?;
    let bucket = cluster.buckets.properties(key.bucket());
    let (content, options, resolved) = match wanted {
        Wanted::Put(value, options) => {
            let max = u64::from(bucket.value_bytes_max);
            let size = value.bytes.len() as u64;
            if size > max {
                return Err(RequestError::TooLarge { size, max });
            }
            let resolved = options.resolve(bucket)?;
            (Content::Value(value), options, resolved)
        }
        Wanted::Delete(options) => {
            let resolved = options.resolve(bucket)?;
            let henge_kernel::coordination::DeleteOptions { context, write_id, .. } = options;
            let options = PutOptions { context, write_id, ..PutOptions::default() };
            (Content::Tombstone, options, resolved)
        }
    };
    let WritePlan { quorum, sloppy, timeout, durability, ttl } = resolved;
    let environment = &shard.commons.environment;
    let expires_at = ttl.map(|ttl| after_wall(environment.clock.wall(), ttl));
    let write = ForwardedWrite {
        content,
        context: options.context,
        write_id: options.write_id.unwrap_or_else(|| environment.entropy.draw_write_id()),
        expires_at,
        w: quorum.needed,
        pw: quorum.primary,
        sloppy,
        durability,
        return_body: options.return_body,
        generation: shard.fence(partition_of_key(&cluster, &key)).generation,
        properties: version_of(&cluster, &key),
        key,
    };
    let patience = hedge::late_delay(timeout);
    Ok(plan_write(shard, &cluster, write, (now.after(timeout), patience), false))
}

/// Plans a put that another node forwarded to this one: a home, or a fallback if no home answers.
pub fn plan_forwarded(
    shard: &Shard,
    now: Instant,
    write: ForwardedWrite,
    deadline: Instant,
) -> Result<(PutPlan, PutRequest), RequestError> {
    let cluster = shard.commons.cluster.load();
    ready(&cluster, &write.key)?;
    let n = cluster.buckets.properties(write.key.bucket()).n;
    if !(1..=n).contains(&write.w) || write.pw > write.w {
        let field = "w".into();
        let (value, limit) = (write.w.to_string(), format!("1 to {n} (n)"));
        return Err(RequestError::BadRequest { field, value, limit });
    }
    let patience = hedge::late_delay(deadline.since(now));
    Ok(plan_write(shard, &cluster, write, (deadline, patience), true))
}

fn plan_write(
    shard: &Shard,
    cluster: &ClusterView,
    write: ForwardedWrite,
    (deadline, patience): (Instant, Duration),
    forwarded: bool,
) -> (PutPlan, PutRequest) {
    let bucket = cluster.buckets.properties(write.key.bucket());
    let partition = partition_of_key(cluster, &write.key);
    let homes = homes_of(shard, cluster, partition, bucket.n);
    let may_mint = may_mint(shard, bucket.conflict, &homes);
    let request = PutRequest {
        homes,
        fallbacks: fallbacks_of(shard, cluster, partition, bucket.n),
        sloppy: write.sloppy,
        node: shard.commons.node,
        may_mint,
        forwarded,
        quorum: QuorumSize { needed: write.w, primary: write.pw },
        return_body: write.return_body,
        deadline,
        patience,
    };
    let plan = PutPlan {
        conflict: bucket.conflict,
        limits: RecordLimits::default(),
        deadline,
        minted: Encoded::default(),
        forwards: false,
        write,
    };
    (plan, request)
}

/// Plans a listing of one partition.
pub fn plan_list(
    shard: &Shard,
    now: Instant,
    partition: PartitionId,
    range: KeyRange,
) -> (ListPlan, ListRequest) {
    let cluster = shard.commons.cluster.load();
    let n = cluster.buckets.properties(&range.bucket).n;
    let homes = homes_of(shard, &cluster, partition, n);
    let deadline = now.after(LIST_TIMEOUT);
    let request = ListRequest { homes, deadline, patience: hedge::late_delay(LIST_TIMEOUT) };
    (ListPlan { partition, range, deadline, listed: ListedKeys::default() }, request)
}

/// The partition of a key.
pub fn partition_of_key(cluster: &ClusterView, key: &Key) -> PartitionId {
    key.token().partition(cluster.ring.partitions())
}

/// The homes, this node in front if it is one of them; the others in the order of the ring.
fn homes_of(shard: &Shard, cluster: &ClusterView, partition: PartitionId, n: u8) -> Homes {
    let members = shard.commons.members.load();
    let own = shard.commons.node;
    let homes = cluster.ring.homes(partition, n);
    let mut seats: Homes = homes
        .iter()
        .map(|node| Home { node: *node, down: *node != own && members.is_down(*node) })
        .collect();
    seats.sort_by_key(|home| home.node != own);
    seats
}

/// The first `n` nodes after the homes that are not known to be down, in the order of the ring, so
/// that whoever reads asks those whom somebody else may have written to.
fn fallbacks_of(shard: &Shard, cluster: &ClusterView, partition: PartitionId, n: u8) -> Homes {
    let members = shard.commons.members.load();
    let own = shard.commons.node;
    let list = cluster.ring.preference_list(partition);
    let others = list.iter().skip(cluster.ring.homes(partition, n).len());
    let up = others.filter(|node| **node == own || !members.is_down(**node));
    up.take(n.into()).map(|node| Home { node: *node, down: false }).collect()
}

/// A node whose clock is far off its peers' does not mint where stamps decide, as long as another
/// home may do so: one that is up, and whose clock is not as far off.
fn may_mint(shard: &Shard, conflict: Conflict, homes: &Homes) -> bool {
    let members = shard.commons.members.load();
    let own = shard.commons.node;
    let unfit = |home: &Home| home.down || home.node == own || members.is_skewed(home.node);
    conflict != Conflict::Lww || members.clock_skew().is_none() || homes.iter().all(unfit)
}

fn ready(cluster: &ClusterView, key: &Key) -> Result<(), RequestError> {
    if cluster.buckets.is_ready(key.bucket()) {
        return Ok(());
    }
    let reason = "the bucket's properties have not reached every member yet".into();
    Err(RequestError::NotReady { reason })
}

fn version_of(cluster: &ClusterView, key: &Key) -> Option<RegisterVersion> {
    cluster.buckets.get(key.bucket()).map(|register| register.version)
}

fn after_wall(wall: WallMillis, span: Duration) -> WallMillis {
    WallMillis(wall.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}
