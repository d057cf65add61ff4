//! Two stores that exchange. A record is a set of writes in 64 bits, so that merging is a union.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use henge_kernel::{
    anti_entropy::{
        Brief, Exchange, Place, Summary, Tree, TreeId, Trees,
        exchange::{
            BRANCHES_MAX, ExchangeEffect, ExchangeEvent, KEYS_MAX, LEAVES_MAX, Listing, ROOTS_MAX,
            Report, SWAP_MAX, SWAPS_MAX,
        },
    },
    causality::Digest,
    id::NodeId,
    key::{Key, PartitionCount, Token},
    machine::Machine,
    time::Instant,
};

pub fn key(index: usize) -> Key {
    Key::new("bucket", format!("key-{index}")).unwrap()
}

/// What one node holds.
pub struct Store {
    pub records: BTreeMap<(Token, Key), u64>,
    pub trees: Trees,
    pub partitions: PartitionCount,
}

impl Store {
    pub fn new(partitions: u32) -> Self {
        let partitions = PartitionCount::new(partitions).unwrap();
        Self { records: BTreeMap::new(), trees: Trees::default(), partitions }
    }

    fn tree(&self, token: Token) -> TreeId {
        TreeId { partition: token.partition(self.partitions), n: 3 }
    }

    /// Merges some writes into a key.
    pub fn merge(&mut self, key: &Key, writes: u64) {
        let token = key.token();
        let held = self.records.get(&(token, key.clone())).copied();
        let merged = held.unwrap_or(0) | writes;
        let digest = |writes: u64| Digest(writes.into());
        let at = (token, Place::of(token, self.partitions));
        self.trees.update(self.tree(token), at, held.map(digest), Some(digest(merged)));
        self.records.insert((token, key.clone()), merged);
    }

    pub fn get(&self, key: &Key) -> Option<u64> {
        self.records.get(&(key.token(), key.clone())).copied()
    }

    pub fn roots(&self) -> Vec<(TreeId, Summary)> {
        let ids = self.partitions.all().map(|partition| TreeId { partition, n: 3 });
        ids.map(|id| (id, self.trees.root(id))).collect()
    }

    fn branches(&self, tree: TreeId) -> Vec<(u8, Summary)> {
        self.trees.get(tree).into_iter().flat_map(Tree::branches).collect()
    }

    fn leaves(&self, tree: TreeId, branches: &[u8]) -> Vec<(Place, Summary)> {
        let tree = self.trees.get(tree).into_iter();
        tree.flat_map(|tree| branches.iter().flat_map(|branch| tree.leaves(*branch))).collect()
    }

    fn listing(&self, tree: TreeId, leaves: &[Place], after: Option<&Key>) -> Listing {
        let start = after.map_or(Unbounded, |key| Excluded((key.token(), key.clone())));
        let within = |token: &Token| {
            let place = Place::of(*token, self.partitions);
            self.tree(*token) == tree && leaves.binary_search(&place).is_ok()
        };
        let records = self.records.range((start, Unbounded));
        let mut found = records.filter(|((token, _), _)| within(token));
        let entry =
            |((_, key), writes): (&(Token, Key), &u64)| (key.clone(), Digest((*writes).into()));
        let keys = found.by_ref().take(KEYS_MAX).map(entry).collect();
        Listing { keys, more: found.next().is_some() }
    }

    fn digests(&self, keys: &[Key]) -> Vec<Option<Digest>> {
        keys.iter().map(|key| self.get(key).map(|writes| Digest(writes.into()))).collect()
    }
}

/// An exchange between two stores, and what it wants.
pub struct Pair {
    pub own: Store,
    pub peer: Store,
    pub machine: Exchange,
    pub now: Instant,
    /// What is under way.
    pub wanted: Vec<ExchangeEffect>,
    pub compared: Vec<TreeId>,
    pub reports: Vec<Report>,
    pub swapped: Vec<Key>,
    pub messages: usize,
    /// Listings that went on where another one ended.
    pub continued: usize,
    /// Of the next exchange's briefs.
    pub salt: u64,
    /// The bits of a brief that are compared; of fewer more are the same by chance.
    pub brief_bits: u32,
}

impl Pair {
    pub fn new(partitions: u32) -> Self {
        Self {
            own: Store::new(partitions),
            peer: Store::new(partitions),
            machine: Exchange::new(NodeId(2)),
            now: Instant::from_micros(1_000_000),
            wanted: Vec::new(),
            compared: Vec::new(),
            reports: Vec::new(),
            swapped: Vec::new(),
            messages: 0,
            continued: 0,
            salt: 0,
            brief_bits: u32::MAX,
        }
    }

    pub fn start(&mut self) {
        let mut effects = Vec::new();
        self.wanted.clear();
        let chosen = (self.own.partitions, self.salt);
        self.machine.start(self.now, chosen, self.own.roots(), &mut effects);
        self.take(effects);
    }

    pub fn handle(&mut self, event: ExchangeEvent) {
        let mut effects = Vec::new();
        self.machine.handle(self.now, event, &mut effects);
        self.take(effects);
    }

    /// Lets the time pass until the machine wants to be called.
    pub fn wait(&mut self) {
        let Some(deadline) = self.machine.deadline() else { return };
        self.now = self.now.max(deadline);
        let mut effects = Vec::new();
        self.machine.expire(self.now, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<ExchangeEffect>) {
        for effect in effects {
            match effect {
                ExchangeEffect::Compared(trees) => self.compared = trees,
                ExchangeEffect::Finish(report) => {
                    self.reports.push(report);
                    self.wanted.clear();
                }
                effect => {
                    check_bounds(&effect);
                    self.messages += 1;
                    self.wanted.push(effect);
                }
            }
        }
        assert!(self.wanted.len() <= SWAPS_MAX, "too much is under way");
    }

    /// The answer to something that is wanted comes in.
    pub fn answer(&mut self, index: usize) {
        if index >= self.wanted.len() {
            return;
        }
        let event = match self.wanted.remove(index) {
            ExchangeEffect::CompareRoots(roots) => {
                let differs = |(id, root): &(TreeId, Summary)| self.peer.trees.root(*id) != *root;
                let differing = roots.into_iter().filter(differs).map(|(id, _)| id).collect();
                ExchangeEvent::Roots { differing }
            }
            ExchangeEffect::GetBranches { tree, salt } => {
                let branches = |store: &Store| self.briefs(store.branches(tree), salt);
                let [own, peer] = [&self.own, &self.peer].map(branches);
                ExchangeEvent::Branches { own, peer }
            }
            ExchangeEffect::GetLeaves { tree, branches, salt } => {
                let leaves = |store: &Store| self.briefs(store.leaves(tree, &branches), salt);
                let [own, peer] = [&self.own, &self.peer].map(leaves);
                ExchangeEvent::Leaves { own, peer }
            }
            ExchangeEffect::GetKeys { tree, leaves, after } => {
                self.continued += usize::from(after.is_some());
                let listing = |store: &Store| store.listing(tree, &leaves, after.as_ref());
                let [own, peer] = [&self.own, &self.peer].map(listing);
                ExchangeEvent::Keys { own, peer }
            }
            ExchangeEffect::LookAgain(keys) => {
                let [own, peer] = [&self.own, &self.peer].map(|store| store.digests(&keys));
                ExchangeEvent::Looked { own, peer }
            }
            ExchangeEffect::Swap { batch, keys } => {
                self.swapped.extend(keys.iter().cloned());
                let bytes = keys.len() as u64;
                for key in &keys {
                    self.swap(key);
                }
                ExchangeEvent::Swapped { batch, bytes }
            }
            ExchangeEffect::Compared(_) | ExchangeEffect::Finish(_) => return,
        };
        self.handle(event);
    }

    fn briefs<I>(&self, summaries: Vec<(I, Summary)>, salt: u64) -> Vec<(I, Brief)> {
        let bits = self.brief_bits;
        let brief = |summary: Summary| Brief(summary.brief(salt).0 & bits);
        summaries.into_iter().map(|(at, summary)| (at, brief(summary))).collect()
    }

    fn swap(&mut self, key: &Key) {
        let writes = self.own.get(key).unwrap_or(0) | self.peer.get(key).unwrap_or(0);
        if writes != 0 {
            self.own.merge(key, writes);
            self.peer.merge(key, writes);
        }
    }

    /// One exchange from its start to its end, nothing fails.
    pub fn exchange(&mut self) -> Report {
        self.start();
        self.run()
    }

    /// What is under way, to its end.
    pub fn run(&mut self) -> Report {
        while !self.machine.is_idle() {
            if self.wanted.is_empty() {
                self.wait();
            } else {
                self.answer(0);
            }
        }
        self.reports.last().unwrap().clone()
    }
}

fn check_bounds(effect: &ExchangeEffect) {
    let (count, bound) = match effect {
        ExchangeEffect::CompareRoots(roots) => (roots.len(), ROOTS_MAX),
        ExchangeEffect::GetLeaves { branches, .. } => (branches.len(), BRANCHES_MAX),
        ExchangeEffect::GetKeys { leaves, .. } => (leaves.len(), LEAVES_MAX),
        ExchangeEffect::LookAgain(keys) => (keys.len(), KEYS_MAX),
        ExchangeEffect::Swap { keys, .. } => (keys.len(), SWAP_MAX),
        _ => (1, 1),
    };
    assert!((1..=bound).contains(&count), "{count} in a message of at most {bound}");
}
