//! What a shard knows to be missing: here, or at a node that was away.
//!
//! A home that lost records, or may have, must not speak as if it had all of them: its "nothing"
//! would be taken for "not found". So it is in doubt about a **partition** until it was found equal
//! with every other home of it that is up, and with one at least; those that are in doubt
//! themselves are among them, so that the doubts of all end when all have lost their power. A
//! **record** whose bytes are damaged is quarantined: what others write to it later is only a part
//! of what it held, so it does not speak for the key before it was found equal with *every* other
//! home, whoever is down.
//!
//! And a partition is **owed** to a node: a copy that was kept for it was given up to this home
//! instead, which compares the partition with that node as soon as it is back.
//!
//! Each entry has a number. An exchange settles only entries whose numbers were known when it began:
//! what was compared before the damage proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::NodeId,
    key::{Key, PartitionId},
};

/// Keys that are quarantined at a time. Beyond that their whole partitions are in doubt.
pub const QUARANTINED_MAX: usize = 1024;

/// How far an answer of this shard can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It holds all that it ever acknowledged.
    Whole,
    /// It may lack any record of the partition.
    Incomplete,
    /// It has lost what it held of the key.
    Quarantined,
}

/// What this shard lacks and what it owes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    partitions: BTreeMap<PartitionId, Doubt>,
    keys: BTreeMap<Key, (PartitionId, Doubt)>,
    owed: BTreeMap<(NodeId, PartitionId), u64>,
    number: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Doubt {
    number: u64,
    /// With whom the partition was found equal since.
    equal: BTreeSet<NodeId>,
}

/// What is no longer in doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// How many partitions.
    pub partitions: usize,
    /// How many keys.
    pub keys: usize,
    /// Those of the keys that have other homes, all of which were asked: a record that is still
    /// damaged is lost, for nobody else has it. Where nobody could be asked it stays unreadable.
    pub asked: Vec<Key>,
}

impl Settled {
    /// Whether all is as it was.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Ledger {
    /// An empty ledger that counts on behind `number`.
    pub fn behind(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Whether nothing is in doubt here.
    pub fn is_clear(&self) -> bool {
        self.partitions.is_empty() && self.keys.is_empty()
    }

    /// The number of the latest entry.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The partitions of which any record may be missing.
    pub fn incomplete(&self) -> impl Iterator<Item = PartitionId> {
        self.partitions.keys().copied()
    }

    /// The keys whose records were damaged, with their partitions.
    pub fn quarantined(&self) -> impl Iterator<Item = (PartitionId, &Key)> {
        self.keys.iter().map(|(key, (partition, _))| (*partition, key))
    }

    /// Which nodes are to be compared with in which partitions as soon as they are back.
    pub fn owed(&self) -> impl Iterator<Item = (NodeId, PartitionId)> {
        self.owed.keys().copied()
    }

    /// The partitions that are to be compared with their other homes.
    pub fn doubted(&self) -> BTreeSet<PartitionId> {
        let of_keys = self.keys.values().map(|(partition, _)| *partition);
        self.incomplete().chain(of_keys).collect()
    }

    /// How far this shard is to be trusted about a key of a partition.
    pub fn trust(&self, partition: PartitionId, key: &Key) -> Trust {
        if self.keys.contains_key(key) {
            Trust::Quarantined
        } else if self.is_incomplete(partition) {
            Trust::Incomplete
        } else {
            Trust::Whole
        }
    }

    /// Whether any record of the partition may be missing.
    pub fn is_incomplete(&self, partition: PartitionId) -> bool {
        self.partitions.contains_key(&partition)
    }

    /// Any record of the partition may be missing from now on.
    pub fn doubt(&mut self, partition: PartitionId) {
        let doubt = self.next();
        self.partitions.insert(partition, doubt);
    }

    /// The record of the key has been found damaged, or damaged again.
    pub fn quarantine(&mut self, partition: PartitionId, key: Key) {
        if self.keys.len() >= QUARANTINED_MAX && !self.keys.contains_key(&key) {
            return self.doubt(partition);
        }
        let doubt = self.next();
        self.keys.insert(key, (partition, doubt));
    }

    /// What was kept for `node`, which is away, is with this home now. Whether that is news.
    pub fn owe(&mut self, node: NodeId, partition: PartitionId) -> bool {
        let news = !self.owed.contains_key(&(node, partition));
        let number = self.next().number;
        self.owed.insert((node, partition), number);
        news
    }

    fn next(&mut self) -> Doubt {
        self.number += 1;
        Doubt { number: self.number, equal: BTreeSet::new() }
    }

    /// These partitions are the same here and at `peer`, as an exchange found that began when the
    /// entries through the number `through` were known. Whether that changes what is owed.
    pub fn found_equal(&mut self, peer: NodeId, partitions: &[PartitionId], through: u64) -> bool {
        let mut paid = false;
        for partition in partitions {
            if let Some(doubt) = self.partitions.get_mut(partition) {
                doubt.note(peer, through);
            }
            let entry = (peer, *partition);
            if self.owed.get(&entry).is_some_and(|number| *number <= through) {
                self.owed.remove(&entry);
                paid = true;
            }
        }
        let concerned = self.keys.values_mut().filter(|(at, _)| partitions.contains(at));
        concerned.for_each(|(_, doubt)| doubt.note(peer, through));
        paid
    }

    /// Ends the doubts that have no reason any more. `others` says which nodes beside this one are
    /// homes in a partition: of a key, or of any key at all; none if this node is no home itself.
    pub fn settle(
        &mut self,
        others: impl Fn(PartitionId, Option<&Key>) -> Vec<NodeId>,
        is_down: impl Fn(NodeId) -> bool,
    ) -> Settled {
        let before = (self.partitions.len(), self.keys.len());
        self.partitions.retain(|partition, doubt| {
            let others = others(*partition, None);
            let asked = |node: &NodeId| doubt.equal.contains(node);
            let lone = !others.is_empty() && !others.iter().any(asked);
            lone || !others.iter().all(|node| asked(node) || is_down(*node))
        });
        let mut asked = Vec::new();
        self.keys.retain(|key, (partition, doubt)| {
            let others = others(*partition, Some(key));
            let over = others.iter().all(|node| doubt.equal.contains(node));
            if over && !others.is_empty() {
                asked.push(key.clone());
            }
            !over
        });
        let (partitions, keys) = (before.0 - self.partitions.len(), before.1 - self.keys.len());
        Settled { partitions, keys, asked }
    }
}

impl Doubt {
    fn note(&mut self, peer: NodeId, through: u64) {
        if self.number <= through {
            self.equal.insert(peer);
        }
    }
}
