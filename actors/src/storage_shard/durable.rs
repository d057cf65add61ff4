//! Syncs, and the answers that wait for them: those to a node which forgets its own copy when it
//! hears them.

use std::time::Duration;

use actix::{Handler, Message};
use henge_kernel::planted::{Defect, planted};
use tracing::error;

use super::{Answer, StorageShard, Synced};
use crate::{
    actor_ref::Told,
    background,
    events::STORAGE,
    failpoint::{self, Site},
    messages::coordinator::ReplyTo,
    storage::Sequence,
    wire::PeerReply,
};

/// Those who wait for a sync have one together: what came within this time. Each sync holds up the
/// writes of clients meanwhile.
const GATHER: Duration = Duration::from_millis(25);

/// To itself: what has gathered is to be synced.
#[derive(Message)]
#[rtype(result = "()")]
struct SyncGathered;

/// An answer, and through which change the log must be synced before it goes. Dropped, it says that
/// it was lost.
pub(super) struct Awaited {
    through: Sequence,
    to: ReplyTo,
    says: PeerReply,
}

impl StorageShard {
    /// Answers what is written: at once, or when it is synced, which is asked for.
    pub(super) fn acknowledge(&mut self, Answer { to, says, durable }: Answer) {
        if !durable || planted(Defect::DurableUnsynced) {
            return to.answer(says);
        }
        // What was known already may not be synced either.
        let through = self.engine.counts().last;
        self.awaited.push(Awaited { through, to, says });
        self.sync_soon();
    }

    fn sync_soon(&mut self) {
        if !std::mem::replace(&mut self.gathers, true) {
            background::tell_after(GATHER, &self.me, SyncGathered);
        }
    }

    /// Answers those whose changes are synced.
    fn tell_synced(&mut self) {
        let synced = self.engine.counts().synced;
        for Awaited { to, says, .. } in
            self.awaited.extract_if(.., |awaited| awaited.through <= synced)
        {
            to.answer(says);
        }
        self.end_clearing();
    }

    pub(super) fn request_sync(&mut self) {
        self.tell_synced();
        if self.syncing || self.engine.counts().unsynced_bytes == 0 {
            return;
        }
        self.syncing = true;
        failpoint::pass(Site::BeforeSync);
        let me = self.me.clone();
        self.engine.request_sync(Box::new(move |outcome| me.tell(Synced(outcome))));
    }
}

impl Handler<Told<SyncGathered>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<SyncGathered>, _: &mut Self::Context) {
        let (SyncGathered, _handling) = self.me.open(told);
        self.gathers = false;
        self.request_sync();
    }
}

impl Handler<Told<Synced>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<Synced>, _: &mut Self::Context) {
        let (Synced(outcome), _handling) = self.me.open(told);
        self.syncing = false;
        failpoint::pass(Site::AfterSync);
        if let Err(error) = outcome {
            error!(target: STORAGE, shard = self.shard.index, %error, "a sync failed");
            // It may have been asked for before a fall, of the same files.
            self.engine.poison(&error);
            self.awaited.clear();
            self.judge();
        } else if self.fencing.cleared.is_empty() {
            self.tell_synced();
            // What came while it was under way is not in it.
            if !self.awaited.is_empty() {
                self.sync_soon();
            }
        } else {
            self.request_sync();
        }
    }
}
