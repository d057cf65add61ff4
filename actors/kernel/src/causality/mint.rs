//! The right to mint dots.

use super::{Actor, Dot, History};
use crate::{
    id::ShardUid,
    planted::{Defect, planted},
};

/// The mint of one run of a shard; hands out key epochs.
///
/// A shard makes one at every start, with a uid that it draws anew. So a record which was lost,
/// rolled back, restored from a backup or brought by replication has no right that is still good,
/// and cannot issue a dot twice: no lease, no marker of a clean end, no boot id has to be trusted.
#[derive(Debug)]
pub struct Minter {
    uid: ShardUid,
    next_epoch: u64,
}

impl Minter {
    /// The mint of the run that drew `uid`.
    pub fn new(uid: ShardUid) -> Self {
        Self { uid, next_epoch: 1 }
    }

    /// The uid of this run.
    pub fn uid(&self) -> ShardUid {
        self.uid
    }

    /// A right under an epoch that no other record of this run has. Epochs that `history` names
    /// already are passed over: there are none, unless this process was itself rolled back.
    pub(super) fn grant(&mut self, history: &History) -> MintRight {
        loop {
            let actor = Actor { uid: self.uid, epoch: self.next_epoch };
            if planted(Defect::EpochRepeated) {
                return MintRight { actor, next: 1 };
            }
            self.next_epoch = self.next_epoch.saturating_add(1);
            if history.greatest(actor) == 0 {
                return MintRight { actor, next: 1 };
            }
        }
    }
}

/// A record's right to mint: under which actor, and the counter of its next dot.
///
/// Local to the shard that holds the record, stored with it, never replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintRight {
    pub(super) actor: Actor,
    pub(super) next: u64,
}

impl MintRight {
    /// Under which name the record mints.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The counter of the next dot; from 1.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether `history` names a dot that this right has yet to mint: then the record has
    /// forgotten what it once wrote, and the right is void.
    pub(super) fn is_outrun_by(&self, history: &History) -> bool {
        history.greatest(self.actor) >= self.next
    }

    /// The next dot.
    pub(super) fn mint(&mut self) -> Dot {
        let dot = Dot { actor: self.actor, counter: self.next };
        self.next = self.next.saturating_add(1);
        dot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_was_ever_seen_is_not_granted() {
        let mut minter = Minter::new(ShardUid(7));
        let seen = [1, 2, 4].map(|epoch| Actor { uid: ShardUid(7), epoch });
        let history = seen.iter().map(|actor| Dot { actor: *actor, counter: 5 }).collect();
        let epochs = [(); 3].map(|()| minter.grant(&history).actor().epoch);
        assert_eq!(epochs, [3, 5, 6]);
    }
}
