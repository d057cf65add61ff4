//! One exchange with one peer: from roots to records.
//!
//! The roots of all shared trees go out in as few messages as possible. Where they differ the
//! branches are compared, then the leaves (unless the tree is so sparse that its keys are few
//! anyway), then the keys with their digests; what differs is looked
//! at again a second later, because most of it was a write on its way; what still does is swapped:
//! either side merges the other's records. Each message is bounded, one at a time is under way
//! (records: [`SWAPS_MAX`]), and a message that fails ends the exchange. That loses nothing: what
//! was swapped is mended, and the next exchange finds the rest.
//!
//! What the peer says is not trusted: what was not asked for is left out, and an answer that cannot
//! be true ends the exchange.

use core::{mem, time::Duration};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tree::{Brief, FANOUT, Place, Summary, TreeId};
use crate::{
    causality::Digest, id::NodeId, key::Key, key::PartitionCount, machine::Machine, time::Instant,
};

mod walk;

use walk::Walk;

/// Roots in one message.
pub const ROOTS_MAX: usize = 4096;
/// Branches whose leaves are asked for in one message.
pub const BRANCHES_MAX: usize = 16;
/// Leaves whose keys are asked for in one message: all of as many branches.
pub const LEAVES_MAX: usize = BRANCHES_MAX * FANOUT as usize;
/// Keys listed in one message, or looked at again in one.
pub const KEYS_MAX: usize = 1024;
/// Keys whose records are swapped in one message; the shell sends fewer if they are large.
pub const SWAP_MAX: usize = 64;
/// Messages with records that are under way at a time.
pub const SWAPS_MAX: usize = 4;
/// Keys that wait for their second look at a time.
pub const SUSPECTS_MAX: usize = 16_384;
/// When what differs is looked at again.
pub const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long a message may be without an answer.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What one side holds below some leaves of a tree, in the order of (token, key).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The keys, with the digests of their records; at most [`KEYS_MAX`].
    pub keys: Vec<(Key, Digest)>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// What happened to an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeEvent {
    /// The peer has compared the roots that it was sent.
    Roots {
        /// The trees whose roots are not the same.
        differing: Vec<TreeId>,
    },
    /// The branches of the tree that was asked for.
    Branches {
        /// Here.
        own: Vec<(u8, Brief)>,
        /// There.
        peer: Vec<(u8, Brief)>,
    },
    /// The leaves of the branches that were asked for.
    Leaves {
        /// Here.
        own: Vec<(Place, Brief)>,
        /// There.
        peer: Vec<(Place, Brief)>,
    },
    /// The keys in the leaves that were asked for.
    Keys {
        /// Here.
        own: Listing,
        /// There.
        peer: Listing,
    },
    /// The digests of the keys that were looked at again, in their order; `None` for no record.
    Looked {
        /// Here.
        own: Vec<Option<Digest>>,
        /// There.
        peer: Vec<Option<Digest>>,
    },
    /// Both sides have merged each other's records.
    Swapped {
        /// Which of the messages.
        batch: u64,
        /// Bytes that were moved.
        bytes: u64,
    },
    /// What was under way has failed: the link, the peer, or a shard.
    Failed,
    /// Clients come first for now.
    Paused,
    /// There is time for this again.
    Resumed,
}

/// What an exchange wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeEffect {
    /// Have the peer compare these roots with its own.
    CompareRoots(Vec<(TreeId, Summary)>),
    /// Say which trees differ. Comes once, when all roots are compared.
    Compared(Vec<TreeId>),
    /// Get the branches of a tree, the peer's and then the own.
    GetBranches {
        /// The tree.
        tree: TreeId,
        /// Of the briefs.
        salt: u64,
    },
    /// Get the leaves of some branches of a tree, the peer's and then the own.
    GetLeaves {
        /// The tree.
        tree: TreeId,
        /// The branches.
        branches: Vec<u8>,
        /// Of the briefs.
        salt: u64,
    },
    /// Get the keys in some leaves of a tree, the peer's and then the own.
    GetKeys {
        /// The tree.
        tree: TreeId,
        /// The leaves.
        leaves: Vec<Place>,
        /// Only keys behind this one, in the order of (token, key).
        after: Option<Key>,
    },
    /// Get the digests of these keys' records, the peer's and then the own.
    LookAgain(Vec<Key>),
    /// Send the records of these keys to the peer, which merges them and sends its own, to be
    /// merged here.
    Swap {
        /// To be named in [`ExchangeEvent::Swapped`].
        batch: u64,
        /// The keys.
        keys: Vec<Key>,
    },
    /// The machine is idle again. Always last.
    Finish(Report),
}

/// What came of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether it came to its end.
    pub complete: bool,
    /// Trees that differed.
    pub trees: u64,
    /// Keys that differed at the second look.
    pub keys: u64,
    /// Keys that differed at the first look only.
    pub passing: u64,
    /// Bytes of records that were moved.
    pub bytes: u64,
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing; the next step is due.
    Ready,
    /// The walk has asked for something.
    Walking,
    /// The second look is not due yet.
    Waiting,
    /// These keys are looked at again.
    Looking(Vec<Key>),
}

/// The machine of one exchange at a time; idle until [`Exchange::start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    peer: NodeId,
    walk: Option<Walk>,
    step: Step,
    paused: bool,
    suspects: BTreeSet<Key>,
    /// When the last suspect was found.
    found: Instant,
    /// Keys to be looked at again.
    again: VecDeque<Key>,
    /// Keys to be swapped.
    confirmed: VecDeque<Key>,
    swaps: BTreeMap<u64, usize>,
    batches: u64,
    /// When something was last asked or answered.
    heard: Instant,
    report: Report,
}

impl Exchange {
    /// An idle machine for exchanges with `peer`.
    pub fn new(peer: NodeId) -> Self {
        Self {
            peer,
            walk: None,
            step: Step::Ready,
            paused: false,
            suspects: BTreeSet::new(),
            found: Instant::default(),
            again: VecDeque::new(),
            confirmed: VecDeque::new(),
            swaps: BTreeMap::new(),
            batches: 0,
            heard: Instant::default(),
            report: Report::default(),
        }
    }

    /// With whom it exchanges.
    pub fn peer(&self) -> NodeId {
        self.peer
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.walk.is_none()
    }

    /// Begins with the roots of all trees that both nodes are homes of, those first that are to be
    /// mended first; below them summaries are compared in brief, with a `salt` that no exchange
    /// before had. What may be left of an earlier exchange is forgotten.
    pub fn start(
        &mut self,
        now: Instant,
        (partitions, salt): (PartitionCount, u64),
        roots: Vec<(TreeId, Summary)>,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        // Batches are counted on, so that a late answer to an earlier exchange is told from one to
        // this.
        let (paused, batches) = (self.paused, self.batches);
        *self = Self { paused, batches, ..Self::new(self.peer) };
        (self.walk, self.heard) = (Some(Walk::new((partitions, salt), roots)), now);
        self.proceed(now, effects);
    }

    /// Does the next thing, if nothing is under way.
    fn proceed(&mut self, now: Instant, effects: &mut Vec<ExchangeEffect>) {
        if self.paused || self.walk.is_none() {
            return;
        }
        if self.step == Step::Waiting && now >= self.found.after(SECOND_LOOK_AFTER) {
            self.again.extend(mem::take(&mut self.suspects));
            self.step = Step::Ready;
        }
        self.swap(now, effects);
        if self.step == Step::Ready && self.swaps.is_empty() {
            self.take_step(now, effects);
        }
    }

    fn take_step(&mut self, now: Instant, effects: &mut Vec<ExchangeEffect>) {
        if !self.again.is_empty() {
            let count = self.again.len().min(KEYS_MAX);
            let keys: Vec<_> = self.again.drain(..count).collect();
            self.step = Step::Looking(keys.clone());
            self.heard = now;
            effects.push(ExchangeEffect::LookAgain(keys));
            return;
        }
        let full = self.suspects.len() >= SUSPECTS_MAX;
        let next = self.walk.as_mut().filter(|_| !full).and_then(Walk::next);
        if let Some(effect) = next {
            if let ExchangeEffect::Compared(trees) = &effect {
                self.report.trees = trees.len() as u64;
                effects.push(effect);
                self.take_step(now, effects);
                return;
            }
            (self.step, self.heard) = (Step::Walking, now);
            effects.push(effect);
        } else if !self.suspects.is_empty() {
            self.step = Step::Waiting;
        } else {
            self.finish(true, effects);
        }
    }

    /// Sends what was confirmed, as long as not too much is under way.
    fn swap(&mut self, now: Instant, effects: &mut Vec<ExchangeEffect>) {
        while !self.confirmed.is_empty() && self.swaps.len() < SWAPS_MAX {
            let count = self.confirmed.len().min(SWAP_MAX);
            let keys: Vec<_> = self.confirmed.drain(..count).collect();
            self.batches = self.batches.wrapping_add(1);
            self.swaps.insert(self.batches, keys.len());
            self.heard = now;
            effects.push(ExchangeEffect::Swap { batch: self.batches, keys });
        }
    }

    fn finish(&mut self, complete: bool, effects: &mut Vec<ExchangeEffect>) {
        let report = Report { complete, ..mem::take(&mut self.report) };
        let (paused, batches) = (self.paused, self.batches);
        *self = Self { paused, batches, ..Self::new(self.peer) };
        effects.push(ExchangeEffect::Finish(report));
    }

    /// Takes an answer to the walk; false if it cannot be true.
    fn take_walk(&mut self, now: Instant, event: ExchangeEvent) -> bool {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.awaits(&event)) else {
            return true;
        };
        let Some(found) = walk.take(event) else { return false };
        if !found.is_empty() {
            self.found = now;
            self.suspects.extend(found);
        }
        self.step = Step::Ready;
        true
    }

    fn take_second_look(&mut self, own: &[Option<Digest>], peer: &[Option<Digest>]) -> bool {
        let Step::Looking(keys) = mem::replace(&mut self.step, Step::Ready) else { return false };
        if own.len() != keys.len() || peer.len() != keys.len() {
            return false;
        }
        let looked = keys.into_iter().zip(own.iter().zip(peer));
        for (key, (own, peer)) in looked {
            if own == peer {
                self.report.passing += 1;
            } else {
                self.report.keys += 1;
                self.confirmed.push_back(key);
            }
        }
        true
    }

    fn swapped(&mut self, batch: u64, bytes: u64) {
        if self.swaps.remove(&batch).is_some() {
            self.report.bytes = self.report.bytes.saturating_add(bytes);
        }
    }

    fn take(&mut self, now: Instant, event: ExchangeEvent) -> bool {
        match (event, &self.step) {
            (ExchangeEvent::Failed, _) => return false,
            (ExchangeEvent::Paused, _) => self.paused = true,
            (ExchangeEvent::Resumed, _) => self.paused = false,
            (ExchangeEvent::Swapped { batch, bytes }, _) => self.swapped(batch, bytes),
            (ExchangeEvent::Looked { own, peer }, Step::Looking(_)) => {
                return self.take_second_look(&own, &peer);
            }
            (event, Step::Walking) => return self.take_walk(now, event),
            _ => {}
        }
        true
    }

    /// Whether an answer is awaited.
    fn awaits(&self) -> bool {
        let asked = matches!(self.step, Step::Walking | Step::Looking(_));
        self.walk.is_some() && (asked || !self.swaps.is_empty())
    }
}

impl Machine for Exchange {
    type Event = ExchangeEvent;
    type Effect = ExchangeEffect;

    fn handle(&mut self, now: Instant, event: ExchangeEvent, effects: &mut Vec<ExchangeEffect>) {
        if self.walk.is_none() {
            self.paused = match event {
                ExchangeEvent::Paused => true,
                ExchangeEvent::Resumed => false,
                _ => self.paused,
            };
            return;
        }
        self.heard = now;
        if self.take(now, event) {
            self.proceed(now, effects);
        } else {
            self.finish(false, effects);
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<ExchangeEffect>) {
        if self.awaits() && now >= self.heard.after(SILENCE_MAX) {
            self.finish(false, effects);
        } else {
            self.proceed(now, effects);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let silent = self.awaits().then(|| self.heard.after(SILENCE_MAX));
        let waits = self.walk.is_some() && self.step == Step::Waiting && !self.paused;
        let look = waits.then(|| self.found.after(SECOND_LOOK_AFTER));
        silent.into_iter().chain(look).min()
    }
}
