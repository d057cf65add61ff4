//! The scrub: reads every record again, though nobody asks for it, and makes up the trees from what
//! it finds.
//!
//! Rot on the disk shows as a checksum that fails, and while the other homes still have the record.
//! A tree that does not match its records, through whatever fault, would hide a difference from
//! anti-entropy for ever; it is put right and told loudly.
//!
//! It goes round and round the partitions of the shard, [`STEP_RECORDS`] records or [`STEP_BYTES`]
//! at a time, once in [`SCRUB_EVERY`] and never while clients take most of the shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use henge_kernel::{
    anti_entropy::{Place, Tree, TreeId, Trees},
    id::NodeId,
    key::{Key, PartitionId, Token},
};

use super::{Building, DigestChange};
use crate::{
    storage::{Engine, Visited},
    view::ClusterView,
};

/// The time from one step to the next.
pub const SCRUB_EVERY: Duration = Duration::from_secs(1);
/// Partitions that one step looks at, at most: most of a small shard are empty.
const STEP_PARTITIONS: usize = 16;

/// How far the scrub is.
#[derive(Default)]
pub struct Scrub {
    /// The partition that is being read.
    reading: Option<Building>,
    /// The last partition that was read to its end.
    last: Option<PartitionId>,
}

/// What a step came upon.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Records that were read.
    pub records: u64,
    /// Keys whose records do not hold.
    pub damaged: Vec<Key>,
    /// Partitions whose trees did not match their records, and do now.
    pub mismatched: Vec<PartitionId>,
}

impl Scrub {
    /// What was read of a partition is of no use any more.
    pub fn forget(&mut self, partition: PartitionId) {
        self.reading.take_if(|reading| reading.partition == partition);
    }

    /// Notes that a record was written.
    pub fn note(
        &mut self,
        tree: TreeId,
        (token, key): (Token, &Key),
        place: Place,
        (old, new): DigestChange,
    ) {
        if let Some(reading) = &mut self.reading
            && reading.covers(tree.partition, token, key)
        {
            reading.trees.entry(tree.n).or_default().update((token, place), old, new);
        }
    }

    /// Takes the next step through `own` partitions, but for those whose trees are being built.
    pub fn step(
        &mut self,
        engine: &dyn Engine,
        (cluster, node): (&ClusterView, NodeId),
        own: &[PartitionId],
        (unbuilt, trees): (&BTreeSet<PartitionId>, &mut Trees),
    ) -> Scrubbed {
        let mut scrubbed = Scrubbed::default();
        for _ in 0..STEP_PARTITIONS.min(own.len()) {
            let next = || own.iter().find(|at| self.last.is_none_or(|last| **at > last));
            let partition = next().or(own.first()).copied();
            let Some(partition) = partition else { break };
            let mut reading = self.reading.take().unwrap_or_else(|| Building::new(partition));
            if unbuilt.contains(&reading.partition) {
                self.last = Some(reading.partition);
                continue;
            }
            let before = reading.records;
            let visited = reading.step(engine, cluster, node);
            scrubbed.records += reading.records - before;
            if visited == Visited::Stopped {
                self.reading = Some(reading);
                break;
            }
            self.last = Some(reading.partition);
            scrubbed.take(reading, trees);
        }
        scrubbed
    }
}

impl Scrubbed {
    /// Compares what was read of a partition with its trees.
    fn take(&mut self, reading: Building, trees: &mut Trees) {
        let Building { partition, trees: read, damaged, .. } = reading;
        if damaged.is_empty() {
            let mismatched = replace(trees, partition, read);
            self.mismatched.extend(mismatched.then_some(partition));
        }
        self.damaged.extend(damaged);
    }
}

/// Puts other trees in the place of a partition's; whether any was another.
pub fn replace(trees: &mut Trees, partition: PartitionId, mut by: BTreeMap<u8, Tree>) -> bool {
    let held = trees.iter().map(|(id, _)| id).filter(|id| id.partition == partition);
    for id in held.collect::<Vec<_>>() {
        by.entry(id.n).or_default();
    }
    let mut other = false;
    for (n, tree) in by {
        other |= trees.replace(TreeId { partition, n }, tree);
    }
    other
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use henge_kernel::{
        anti_entropy::Summary,
        bucket::{BucketProperties, BucketTable},
        causality::{
            Conflict, Content, Context, Digest, Minter, Record, RecordLimits, Stamp, Value, Write,
        },
        id::{ClusterId, NodeName, ShardUid, WriteId},
        key::PartitionCount,
        ring::{Layout, LayoutNode, Ring, Weight, Zone},
        time::WallMillis,
    };

    use super::*;
    use crate::storage::{Change, memory::MemoryEngine};

    const CLUSTER: &str = "stones";

    fn view() -> ClusterView {
        let layout = Layout::first(
            ClusterId::of(CLUSTER),
            [LayoutNode {
                name: NodeName::new("a").unwrap(),
                zone: Zone::new("z").unwrap(),
                weight: Weight::new(1).unwrap(),
            }],
        );
        let partitions = PartitionCount::new(8).unwrap();
        ClusterView {
            ring: Arc::new(Ring::first(partitions, &layout.unwrap())),
            buckets: Arc::new(BucketTable::new(BucketProperties::default())),
            examined: Arc::default(),
            nodes: Arc::default(),
            learned: true,
        }
    }

    fn store(engine: &mut MemoryEngine, key: &Key, text: &str) -> Digest {
        let mut record = Record::default();
        let write = Write {
            context: Context::default(),
            content: Content::Value(Value::plain(text.to_owned())),
            write_id: WriteId(1),
            expires_at: None,
            wall: WallMillis(1),
            reaped_stamp: Stamp::default(),
            conflict: Conflict::Siblings,
            limits: RecordLimits::default(),
        };
        record.write(&mut Minter::new(ShardUid(1)), write).unwrap();
        let mut payload = Vec::new();
        record.encode_stored(&mut payload);
        let change = Change::Record { token: key.token(), key, payload: &[&payload] };
        engine.append(&[change]).unwrap();
        record.digest()
    }

    #[test]
    fn a_tree_that_does_not_match_its_records_is_put_right() {
        let (view, mut engine) = (view(), MemoryEngine::new());
        let node = NodeId::of(ClusterId::of(CLUSTER), &NodeName::new("a").unwrap());
        let partitions = view.ring.partitions();
        let own: Vec<_> = partitions.all().collect();
        let (mut scrub, mut trees) = (Scrub::default(), Trees::default());
        let n = BucketProperties::default().n;
        let keys: Vec<Key> =
            (0..100).map(|at| Key::new("bucket", format!("k{at}")).unwrap()).collect();
        for key in &keys {
            let (token, new) = (key.token(), Some(store(&mut engine, key, "v")));
            let partition = token.partition(partitions);
            let at = (token, Place::of(token, partitions));
            trees.update(TreeId { partition, n }, at, None, new);
        }
        let mut step =
            |trees: &mut Trees| scrub.step(&engine, (&view, node), &own, (&BTreeSet::new(), trees));
        let all = Scrubbed { records: 100, ..Scrubbed::default() };
        assert_eq!(step(&mut trees), all, "all of it, and all is well");
        let partition = keys[0].token().partition(partitions);
        let id = TreeId { partition, n };
        let right = trees.root(id);
        trees.replace(id, Tree::default());
        assert_eq!(trees.root(id), Summary::NOTHING);
        let mismatched = vec![partition];
        assert_eq!(step(&mut trees), Scrubbed { mismatched, ..Scrubbed { records: 100, ..all } });
        assert_eq!(trees.root(id), right);
        assert_eq!(step(&mut trees).mismatched, []);
    }
}
