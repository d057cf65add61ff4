//! Reading: what a client is shown of a record.

use std::collections::BTreeSet;

use super::{Context, Record, Version};
use crate::{
    planted::{Defect, planted},
    time::WallMillis,
};

/// What a client sees of a key at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The live values by dot; of several with one write id the one with the smallest dot.
    pub values: Vec<Version>,
    /// Whether a delete, or the end of a value's time, is among what was not overwritten. Beside
    /// values it is concurrent with them.
    pub concurrent_delete: bool,
    /// Everything that the record has seen: a write with it overwrites all that is shown.
    pub context: Context,
}

impl Reading {
    /// Whether there was a value, and is none any more.
    pub fn is_deleted(&self) -> bool {
        self.values.is_empty() && !self.context.is_empty()
    }

    /// Whether nothing was ever written here, as far as the record knows.
    pub fn is_nothing(&self) -> bool {
        self.context.is_empty()
    }
}

impl Record {
    /// What a client sees at `now`. This is the only place where expiry is judged: it depends on
    /// the node's own clock, so it must change nothing that is replicated.
    pub fn read(&self, now: WallMillis) -> Reading {
        let live = |version: &&Version| version.live_value(now).is_some();
        let values: Vec<Version> = self.versions.iter().filter(live).cloned().collect();
        let concurrent_delete = values.len() < self.versions.len();
        let context = Context::new(self.history.clone(), self.stamp());
        Reading { values: without_aliases(values), concurrent_delete, context }
    }
}

/// Two homes may have minted for one write; merge keeps both, the client sees one.
fn without_aliases(mut values: Vec<Version>) -> Vec<Version> {
    if values.len() > 1 && !planted(Defect::TwinShownTwice) {
        let mut shown = BTreeSet::new();
        values.retain(|version| shown.insert(version.write_id));
    }
    values
}
