//! The trees of digests over a shard's records: kept by its writes, built from its log.
//!
//! They are in memory only. When the log was opened, or a record was found damaged, the trees of
//! the partitions concerned are built anew, a bounded step at a time between the shard's other
//! messages; until then what is asked about them is refused. Building reads each payload once: a
//! log of 1 GB is read once more after each start.

mod scrub;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::atomic::Ordering,
};

use actix::{Context, Handler};
use bytes::Bytes;
use henge_kernel::{
    anti_entropy::{
        Place, Summary, Tree, TreeId, Trees,
        exchange::{KEYS_MAX, Listing},
    },
    causality::{Digest, Record},
    coordination::Failure,
    id::NodeId,
    key::{Key, PartitionCount, PartitionId, Token},
    time::Instant,
};
use tracing::debug;

pub use self::scrub::{SCRUB_EVERY, Scrubbed};
use self::scrub::{Scrub, replace};
use crate::{
    actor_ref::Told,
    commons::Commons,
    events::STORAGE,
    ledger_file::own_partitions,
    messages::coordinator::ReplyTo,
    storage::{Engine, KeyRange, Listed, Start, StorageError, Visited},
    storage_shard::StorageShard,
    view::ClusterView,
    wire::{PeerReply, TreeAnswer, TreeQuestion},
};

/// Records that one step of building reads at most.
const STEP_RECORDS: usize = 256;
/// Bytes of payloads after which a step or a listing ends.
const STEP_BYTES: usize = 1 << 20;
/// Damaged keys that are remembered, so that reading one again and again builds nothing again.
const DAMAGED_MAX: usize = 1024;

/// Answer a question about the trees.
#[derive(Debug)]
pub struct ExamineTrees {
    /// What is asked.
    pub question: TreeQuestion,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// Who waits.
    pub reply: ReplyTo,
}

/// To itself: build another stretch of the trees.
#[derive(Debug)]
pub struct BuildTrees;

/// A key, and the digest of its record before and after a write.
pub type DigestChange = (Option<Digest>, Option<Digest>);

/// The trees of one shard.
pub struct ReplicaTrees {
    node: NodeId,
    /// The partitions of the shard.
    own: Vec<PartitionId>,
    trees: Trees,
    scrub: Scrub,
    /// Partitions whose trees are not known; a write does not change what is not there.
    unbuilt: BTreeSet<PartitionId>,
    building: Option<Building>,
    /// Partitions in which a record was found damaged.
    suspect: BTreeSet<PartitionId>,
    damaged: BTreeSet<Key>,
}

/// The partition whose trees are being built, and how far they are.
struct Building {
    partition: PartitionId,
    through: Option<(Token, Key)>,
    trees: BTreeMap<u8, Tree>,
    /// Keys whose records do not hold.
    damaged: Vec<Key>,
    /// How many records were read.
    records: u64,
}

impl ReplicaTrees {
    /// No tree is known yet.
    pub fn new(commons: &Commons, shard: u16) -> Self {
        let cluster = commons.cluster.load();
        let own: Vec<_> =
            own_partitions(cluster.ring.partitions(), shard, commons.shards).collect();
        Self {
            node: commons.node,
            unbuilt: own.iter().copied().collect(),
            own,
            trees: Trees::default(),
            scrub: Scrub::default(),
            building: None,
            suspect: BTreeSet::new(),
            damaged: BTreeSet::new(),
        }
    }

    /// Notes that a record was written.
    pub fn note(&mut self, cluster: &ClusterView, key: &Key, token: Token, change: DigestChange) {
        self.damaged.remove(key);
        let partitions = cluster.ring.partitions();
        let partition = token.partition(partitions);
        let Some(n) = home_n(self.node, cluster, partition, key.bucket()) else { return };
        let (at, (old, new)) = ((token, Place::of(token, partitions)), change);
        if !self.unbuilt.contains(&partition) {
            self.trees.update(TreeId { partition, n }, at, old, new);
            self.scrub.note(TreeId { partition, n }, (token, key), at.1, change);
        } else if let Some(building) = &mut self.building
            && building.covers(partition, token, key)
        {
            building.trees.entry(n).or_default().update(at, old, new);
        }
    }

    /// A record turned out to be damaged: nobody knows what the tree holds in its place. Whether
    /// that was news.
    pub fn distrust(&mut self, cluster: &ClusterView, key: &Key) -> bool {
        if self.damaged.len() >= DAMAGED_MAX || !self.damaged.insert(key.clone()) {
            return false;
        }
        let partition = key.token().partition(cluster.ring.partitions());
        self.building.take_if(|building| building.partition == partition);
        self.scrub.forget(partition);
        self.suspect.insert(partition);
        self.unbuilt.insert(partition)
    }

    /// Whether the record of a key is known to be damaged.
    pub fn is_damaged(&self, key: &Key) -> bool {
        self.damaged.contains(key)
    }

    /// Takes the next step of building; if the trees of a partition are known now, and not all of
    /// its records hold or did hold, the keys whose records do not.
    fn build(&mut self, engine: &dyn Engine, cluster: &ClusterView) -> Option<Vec<Key>> {
        let next = *self.unbuilt.first()?;
        let mut building = self.building.take().unwrap_or_else(|| Building::new(next));
        if building.step(engine, cluster, self.node) == Visited::Stopped {
            self.building = Some(building);
            return None;
        }
        let Building { partition, trees, damaged, .. } = building;
        self.unbuilt.remove(&partition);
        replace(&mut self.trees, partition, trees);
        (self.suspect.remove(&partition) || !damaged.is_empty()).then_some(damaged)
    }

    /// Reads a stretch of the records again.
    pub fn scrub(&mut self, engine: &dyn Engine, cluster: &ClusterView) -> Scrubbed {
        let known = (&self.unbuilt, &mut self.trees);
        self.scrub.step(engine, (cluster, self.node), &self.own, known)
    }

    /// Answers; `None` if a tree that is asked about is not known yet.
    fn answer(
        &self,
        engine: &dyn Engine,
        cluster: &ClusterView,
        question: &TreeQuestion,
    ) -> Option<TreeAnswer> {
        if question.partitions().iter().any(|partition| self.unbuilt.contains(partition)) {
            return None;
        }
        Some(match question {
            TreeQuestion::Roots(trees) => {
                TreeAnswer::Roots(trees.iter().map(|tree| self.trees.root(*tree)).collect())
            }
            TreeQuestion::Compare(roots) => {
                let differs = |(tree, root): &&(TreeId, Summary)| self.trees.root(*tree) != *root;
                let differing = roots.iter().filter(differs);
                TreeAnswer::Differing(differing.map(|(tree, _)| *tree).collect())
            }
            TreeQuestion::Branches { tree, salt } => {
                let branches = self.trees.get(*tree).into_iter().flat_map(Tree::branches);
                let brief = |(at, summary): (u8, Summary)| (at, summary.brief(*salt));
                TreeAnswer::Branches(branches.map(brief).collect())
            }
            TreeQuestion::Leaves { tree, branches, salt } => {
                let tree = self.trees.get(*tree);
                let leaves = |tree| branches.iter().flat_map(move |at| Tree::leaves(tree, *at));
                let brief = |(at, summary): (Place, Summary)| (at, summary.brief(*salt));
                TreeAnswer::Leaves(tree.into_iter().flat_map(leaves).map(brief).collect())
            }
            TreeQuestion::Keys { tree, leaves, after } => {
                let listed = Lister::new(self.node, cluster, *tree);
                TreeAnswer::Keys(listed.list(engine, leaves, after.as_ref()))
            }
            TreeQuestion::Digests(keys) => {
                let digest = |key: &Key| digest_of(engine.get(key.token(), key).ok()?).ok()?;
                TreeAnswer::Digests(keys.iter().map(digest).collect())
            }
        })
    }
}

/// The digest of what an engine holds; an error if it is not understood.
pub fn digest_of(payload: Option<Bytes>) -> Result<Option<Digest>, ()> {
    let Some(payload) = payload else { return Ok(None) };
    let part = Record::replicated_part(&payload);
    part.and_then(|part| Record::digest_of_replicated(&part)).map_err(drop)
}

/// The `n` of a bucket, if `node` is a home of its keys in this partition.
fn home_n(node: NodeId, cluster: &ClusterView, at: PartitionId, bucket: &[u8]) -> Option<u8> {
    let n = cluster.buckets.properties(bucket).n;
    cluster.ring.homes(at, n).contains(&node).then_some(n)
}

impl Building {
    fn new(partition: PartitionId) -> Self {
        Self { partition, through: None, trees: BTreeMap::new(), damaged: Vec::new(), records: 0 }
    }

    /// Whether a key lies in what was read already.
    fn covers(&self, partition: PartitionId, token: Token, key: &Key) -> bool {
        let reached = |(last, last_key): &(Token, Key)| (token, key) <= (*last, last_key);
        self.partition == partition && self.through.as_ref().is_some_and(reached)
    }

    fn step(&mut self, engine: &dyn Engine, cluster: &ClusterView, node: NodeId) -> Visited {
        let (partition, partitions) = (self.partition, cluster.ring.partitions());
        let from = self.through.take();
        let start = from.as_ref().map_or_else(
            || Start::At(partition.first_token(partitions)),
            |(token, key)| Start::After(*token, key),
        );
        let range = KeyRange { start, through: partition.last_token(partitions) };
        let mut bytes = 0;
        engine.scan(range, STEP_RECORDS, &mut |found, payload| {
            bytes += payload.as_ref().map_or(0, Bytes::len);
            self.take(cluster, node, found, payload);
            if bytes < STEP_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    fn take(
        &mut self,
        cluster: &ClusterView,
        node: NodeId,
        found: Listed<'_>,
        payload: Result<Bytes, StorageError>,
    ) {
        let token = found.token;
        self.records += 1;
        let digest = payload.map_err(drop).and_then(|payload| digest_of(Some(payload)));
        let holds = digest.is_ok();
        if let (Ok(digest), Some(n)) = (digest, home_n(node, cluster, self.partition, found.bucket))
        {
            let place = Place::of(token, cluster.ring.partitions());
            self.trees.entry(n).or_default().update((token, place), None, digest);
        }
        if let Ok(key) = found.to_key() {
            if !holds && self.damaged.len() < DAMAGED_MAX {
                self.damaged.push(key.clone());
            }
            self.through = Some((token, key));
        }
    }
}

/// Lists the keys of one tree.
struct Lister<'a> {
    node: NodeId,
    cluster: &'a ClusterView,
    tree: TreeId,
    listing: Listing,
    bytes: usize,
}

impl<'a> Lister<'a> {
    fn new(node: NodeId, cluster: &'a ClusterView, tree: TreeId) -> Self {
        Self { node, cluster, tree, listing: Listing::default(), bytes: 0 }
    }

    fn list(mut self, engine: &dyn Engine, leaves: &[Place], after: Option<&Key>) -> Listing {
        let partitions = self.cluster.ring.partitions();
        let after = after.map(|key| (key.token(), key));
        for leaf in leaves {
            if !self.list_leaf(engine, *leaf, after, partitions) {
                self.listing.more = true;
                break;
            }
        }
        self.listing
    }

    /// Lists what lies in a leaf behind `after`; false if the listing is full before its end.
    fn list_leaf(
        &mut self,
        engine: &dyn Engine,
        leaf: Place,
        after: Option<(Token, &Key)>,
        partitions: PartitionCount,
    ) -> bool {
        let (first, through) = leaf.tokens(self.tree.partition, partitions);
        let start = match after {
            Some((token, _)) if token > through => return true,
            Some((token, key)) if token >= first => Start::After(token, key),
            _ => Start::At(first),
        };
        let range = KeyRange { start, through };
        let visited = engine.scan(range, usize::MAX, &mut |found, payload| {
            // The one that does not fit comes first in the next listing.
            if self.is_full() {
                return ControlFlow::Break(());
            }
            self.take(found, payload);
            ControlFlow::Continue(())
        });
        visited == Visited::All
    }

    fn is_full(&self) -> bool {
        let keys = self.listing.keys.len();
        keys >= KEYS_MAX || (keys > 0 && self.bytes >= STEP_BYTES)
    }

    fn take(&mut self, found: Listed<'_>, payload: Result<Bytes, StorageError>) {
        let n = home_n(self.node, self.cluster, self.tree.partition, found.bucket);
        if n != Some(self.tree.n) {
            return;
        }
        let Ok(payload) = payload else { return };
        self.bytes += payload.len();
        if let (Ok(key), Ok(Some(digest))) = (found.to_key(), digest_of(Some(payload))) {
            self.listing.keys.push((key, digest));
        }
    }
}

impl Handler<Told<ExamineTrees>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ExamineTrees>, _: &mut Context<Self>) {
        let (ExamineTrees { question, deadline, reply }, _handling) = self.me.open(told);
        if self.is_late(deadline) {
            return reply.forget();
        }
        self.write_batch();
        let cluster = self.shard.commons.cluster.load();
        let answer = self.trees.answer(self.engine.as_ref(), &cluster, &question);
        self.show_size(&question);
        reply.answer(answer.map_or(PeerReply::Failed(Failure::Refused), PeerReply::Trees));
    }
}

impl Handler<Told<BuildTrees>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<BuildTrees>, _: &mut Context<Self>) {
        let (BuildTrees, _handling) = self.me.open(told);
        self.write_batch();
        let cluster = self.shard.commons.cluster.load();
        if let Some(damaged) = self.trees.build(self.engine.as_ref(), &cluster) {
            for key in &damaged {
                if self.is_home(key) {
                    // What cannot be noted now is noted when something is written on top of it.
                    let _ = self.quarantine(key);
                } else {
                    self.lose(key);
                }
            }
            self.tell_ledger(true);
        }
        if self.trees.unbuilt.is_empty() {
            debug!(target: STORAGE, shard = self.shard.index, bytes = self.trees.trees.memory_bytes(), "trees built");
        } else {
            self.me.tell(BuildTrees);
        }
    }
}

impl StorageShard {
    /// Shows what the trees take, as often as their roots are compared.
    fn show_size(&self, question: &TreeQuestion) {
        let shown = self.shard.commons.tree_bytes.get(usize::from(self.shard.index));
        if let (TreeQuestion::Roots(_) | TreeQuestion::Compare(_), Some(shown)) = (question, shown)
        {
            shown.store(self.trees.trees.memory_bytes() as u64, Ordering::Relaxed);
        }
    }
}
