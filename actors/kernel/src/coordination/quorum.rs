//! Who counts towards a quorum, and whether enough still can.

use smallvec::SmallVec;

use crate::{
    id::NodeId,
    planted::{Defect, planted},
};

/// How many replicas must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumSize {
    /// Distinct nodes that must count: `r` or `w`.
    pub needed: u8,
    /// How many of them must be primaries, that is homes: `pr` or `pw`; at most `needed`.
    pub primary: u8,
}

/// Who has counted so far.
///
/// Only what counts is put in: distinct nodes, no answer of a replica that is being filled or is
/// suspect, no "nothing" of a fallback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    needed: usize,
    primary: usize,
    nodes: SmallVec<[NodeId; 7]>,
    primaries: usize,
}

impl Quorum {
    /// Nobody has counted yet.
    pub fn new(size: QuorumSize) -> Self {
        let short = usize::from(planted(Defect::AckBelowW) && size.needed > 1);
        let primary = if planted(Defect::PrimariesIgnored) { 0 } else { size.primary };
        Self {
            needed: usize::from(size.needed) - short,
            primary: primary.into(),
            nodes: SmallVec::new(),
            primaries: 0,
        }
    }

    /// Counts a home; a node counts once.
    pub fn count_home(&mut self, node: NodeId) {
        self.primaries += usize::from(self.count(node));
    }

    /// Counts a fallback, which stands in for a home but is no primary; a node counts once.
    pub fn count_fallback(&mut self, node: NodeId) {
        if !self.count(node) && planted(Defect::FallbackCountedTwice) {
            self.nodes.push(node);
        }
    }

    fn count(&mut self, node: NodeId) -> bool {
        let new = !self.has(node);
        if new {
            self.nodes.push(node);
        }
        new
    }

    /// Whether a node has counted.
    pub fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// Whether enough have counted.
    pub fn is_met(&self) -> bool {
        self.can_be_met(0, 0)
    }

    /// Whether enough can count, if all of `homes` and `fallbacks` further nodes do.
    pub fn can_be_met(&self, homes: usize, fallbacks: usize) -> bool {
        let primaries = self.primaries + homes;
        self.nodes.len() + homes + fallbacks >= self.needed && primaries >= self.primary
    }

    /// How many must count.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// How many have counted.
    pub fn got(&self) -> usize {
        self.nodes.len()
    }

    /// How many of them are homes.
    pub fn primaries(&self) -> usize {
        self.primaries
    }

    /// How many of them are no homes.
    pub fn fallbacks(&self) -> usize {
        self.nodes.len() - self.primaries
    }
}
