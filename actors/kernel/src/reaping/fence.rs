//! One member's side of the promise, for one partition.

use super::{Ask, KEYS_MAX, Purpose};
use crate::{
    causality::{Digest, Stamp},
    coordination::Generation,
    key::Key,
    planted::{Defect, planted},
};

/// What a member remembers of a partition, in a file of its own: written and synced before anything
/// that follows from it is said or done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// What was read under a lower one is refused.
    pub generation: Generation,
    /// The greatest generation that every member is known to have promised.
    pub finished: Generation,
    /// The greatest stamp that was ever dropped: what is written later has a greater one.
    pub reaped: Stamp,
}

/// What was read under a lower generation: the sender reads again, and sends that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read under generation {}, the partition is at {}", .read.0, .generation.0)]
pub struct Outdated {
    /// Under which it was read.
    pub read: Generation,
    /// At which the member is.
    pub generation: Generation,
}

/// This member was restored, or comes back from a removal: every other one has promised a later
/// generation than it knows of. What it holds of the partition is set aside, and it is filled anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("generation {} is finished, this member is at {}", .finished.0, .generation.0)]
pub struct LeftBehind {
    /// What every member has promised.
    pub finished: Generation,
    /// At which this one is.
    pub generation: Generation,
}

/// What a member is when it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The epoch of its ring.
    pub epoch: u64,
    /// Whether the partition is being filled.
    pub being_filled: bool,
    /// Whether it suspects its own log.
    pub suspect: bool,
}

/// What a member holds of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whether it is a home of the key in the ring of its epoch.
    pub is_home: bool,
    /// What it holds.
    pub copy: Copy,
}

/// A member's copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// None.
    Nothing,
    /// A damaged one, or one that is set aside: nobody knows what it would say.
    Quarantined,
    /// A record.
    Record {
        /// Its digest.
        digest: Digest,
        /// Whether it is dead by this member's own clock: [`super::is_dead`].
        dead: bool,
    },
}

/// Why a member does not promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is at this generation or a later one: another round was there first.
    #[error("the partition is at generation {} already", .0.0)]
    Passed(Generation),
    /// Its ring is of another epoch.
    #[error("the ring is of epoch {0}")]
    Epoch(u64),
    /// The partition is being filled.
    #[error("the partition is being filled")]
    BeingFilled,
    /// It suspects its own log.
    #[error("the shard suspects its log")]
    Suspect,
    /// It was restored, or comes back from a removal.
    #[error(transparent)]
    LeftBehind(#[from] LeftBehind),
    /// It holds something else of this key, or, a home, nothing.
    #[error("{0:?} is another record here")]
    Differs(Key),
    /// Its copy of this key is damaged.
    #[error("{0:?} is quarantined here")]
    Quarantined(Key),
    /// By its own clock this key has not expired.
    #[error("{0:?} is alive here")]
    Alive(Key),
    /// It was asked about more keys than a round may have.
    #[error("{0} keys, more than {KEYS_MAX}")]
    TooMany(usize),
}

impl Fence {
    /// Whether content that was read under `read` may be taken, stored or minted upon.
    pub fn admit(&self, read: Generation) -> Result<(), Outdated> {
        let generation = self.generation;
        let outdated = read < generation && !planted(Defect::NoGenerationCheck);
        if outdated { Err(Outdated { read, generation }) } else { Ok(()) }
    }

    /// Takes in that a generation is finished, as far as anybody says so.
    pub fn meet(&mut self, finished: Generation) -> Result<(), LeftBehind> {
        if finished > self.generation && !planted(Defect::LeftBehindUnnoticed) {
            return Err(LeftBehind { finished, generation: self.generation });
        }
        self.finished = self.finished.max(finished);
        Ok(())
    }

    /// Takes in how far another member is. If that is further, this one has missed a promise, and
    /// follows once it has heard from every member since it was opened: had one of them finished
    /// more, it would have said so. Until then it says which generation it may not follow yet: it
    /// mints nothing there, for others would not take it.
    pub fn follow(
        &mut self,
        theirs: &Self,
        has_heard_all: bool,
    ) -> Result<Option<Generation>, LeftBehind> {
        self.meet(theirs.finished)?;
        self.reaped = self.reaped.max(theirs.reaped);
        if has_heard_all {
            self.generation = self.generation.max(theirs.generation);
        }
        Ok(Some(theirs.generation).filter(|ahead| *ahead > self.generation))
    }

    /// The fence of a member that was left behind and begins anew: it has nothing to lose any more.
    #[must_use]
    pub fn anew(&self, finished: Generation, reaped: Stamp) -> Self {
        Self { generation: finished, finished, reaped: self.reaped.max(reaped) }
    }

    /// Promises what is asked, or says why not. The fence that is returned in `self` is durable
    /// before the promise is given, in one step with the look at the records: the shard takes in
    /// nothing between the two. For a round that prunes, the shard also takes from these records
    /// the rights to mint that no live version names: [`crate::causality::Record::void_idle_right`].
    pub fn promise(
        &mut self,
        ask: &Ask,
        standing: Standing,
        held: impl Fn(&Key) -> Held,
    ) -> Result<(), Refusal> {
        self.meet(ask.finished)?;
        if self.generation >= ask.generation {
            return Err(Refusal::Passed(self.generation));
        }
        if standing.epoch != ask.epoch {
            return Err(Refusal::Epoch(standing.epoch));
        }
        if standing.being_filled {
            return Err(Refusal::BeingFilled);
        }
        if standing.suspect {
            return Err(Refusal::Suspect);
        }
        if ask.keys.len() > KEYS_MAX {
            return Err(Refusal::TooMany(ask.keys.len()));
        }
        ask.keys
            .iter()
            .try_for_each(|(key, digest)| agrees(ask.purpose, *digest, held(key), key))?;
        self.generation = ask.generation;
        Ok(())
    }

    /// Every member has promised: which of these keys go here, or are pruned. Those that have
    /// changed since stay. The fence that is returned in `self` is durable before they go.
    pub fn finish(
        &mut self,
        ask: &Ask,
        held: impl Fn(&Key) -> Held,
    ) -> Result<Vec<Key>, LeftBehind> {
        self.meet(ask.generation)?;
        if ask.purpose == Purpose::Reap {
            self.reaped = self.reaped.max(ask.stamp);
        }
        let same = |key: &Key, promised: Digest| matches!(held(key).copy, Copy::Record { digest, .. } if digest == promised);
        let keys = ask.keys.iter().take(KEYS_MAX);
        let agreed = keys.filter(|(key, digest)| same(key, *digest));
        Ok(agreed.map(|(key, _)| key.clone()).collect())
    }
}

/// Whether a member holds just what the others do.
fn agrees(purpose: Purpose, digest: Digest, held: Held, key: &Key) -> Result<(), Refusal> {
    match held.copy {
        Copy::Nothing if !held.is_home => Ok(()),
        Copy::Quarantined => Err(Refusal::Quarantined(key.clone())),
        Copy::Record { digest: own, dead, .. } if own == digest => {
            let alive = purpose == Purpose::Reap && !dead;
            if alive { Err(Refusal::Alive(key.clone())) } else { Ok(()) }
        }
        Copy::Nothing | Copy::Record { .. } => Err(Refusal::Differs(key.clone())),
    }
}
