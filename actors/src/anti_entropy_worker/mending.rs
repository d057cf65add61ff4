//! One key that is not the same here and there: both records are read, and each side is sent what
//! it lacks.

use std::time::Duration;

use actix::Handler;
use bytes::Bytes;
use henge_kernel::{
    anti_entropy::exchange::ExchangeEvent,
    causality::{Conflict, Record},
    coordination::{Failure, Generation},
    key::Key,
    planted::{Defect, planted},
    reaping::Fence,
};
use tracing::{error, warn};

use super::{AntiEntropyWorker, exchanging::Asked};
use crate::{
    actor_ref::Told,
    background::{self, NextTurn},
    events::ANTI_ENTROPY,
    failpoint::{self, Site},
    links::PeerShard,
    messages::{
        peer_link::SendRequest,
        storage_shard::{ReadRecord, StoreRecord},
    },
    wire::{FenceQuestion, PeerReply, PeerRequest},
};

/// How long a peer may take to hear that it is behind; it will be told again.
const TELL: Duration = Duration::from_secs(2);
/// The part of the places of a shard's clients that mending may take at a peer: an eighth.
const MENDS_PART: u64 = 8;

/// A key on its way to be the same on both sides.
pub(super) struct Mend {
    batch: u64,
    key: Key,
    bytes: u64,
    step: Step,
}

enum Step {
    /// The own record is being read.
    ReadOwn,
    /// The peer's is.
    ReadTheirs(Option<Held>),
    /// The peer's is being stored here; then the own may have to go there.
    StoreHere(Option<Held>),
    /// The own is being stored there.
    StoreThere,
}

/// A record as it was read.
#[derive(Clone)]
struct Held {
    bytes: Bytes,
    record: Box<Record>,
    generation: Generation,
}

/// What a mend has come to.
enum Read {
    Record(Option<Held>),
    Same,
    /// This key cannot be mended now; the others can.
    Unable,
    /// Nobody is there to ask.
    Lost,
}

impl AntiEntropyWorker {
    /// Mends further keys, as long as not too many are on their way and what is moved can be paid for.
    pub(super) fn mend_more(&mut self) {
        let places = u64::from(self.shard.commons.settings.limits.requests_in_flight_max);
        let most = self.leisure.share_of(places / MENDS_PART);
        while (self.under_way.len() as u64) < most
            && self.drivers.values().any(|driver| !driver.keys.is_empty())
        {
            if !self.may_move() {
                return self.wait_a_turn();
            }
            let Some((peer, batch, key)) = self.next_key() else { return };
            self.read_own(peer, Mend { batch, key, bytes: 0, step: Step::ReadOwn });
        }
    }

    /// Whether what was moved is paid for and so is the next key, but for its bytes: nobody knows
    /// them yet.
    fn may_move(&mut self) -> bool {
        let (now, background) = (self.now(), &self.shard.background);
        if self.debt > 0 && background.pays(now, self.debt) {
            self.debt = 0;
        }
        self.debt == 0 && background.may_move(now, 0)
    }

    fn wait_a_turn(&mut self) {
        if !std::mem::replace(&mut self.waits, true) {
            background::tell_next_turn(&self.me);
        }
    }

    fn next_key(&mut self) -> Option<(PeerShard, u64, Key)> {
        let under_way = &self.under_way;
        self.drivers.iter_mut().find_map(|(peer, driver)| {
            // What one peer is about to give, the next need not give as well.
            let (batch, key) = driver.keys.pop_front_if(|(_, key)| !under_way.contains(key))?;
            Some((*peer, batch, key))
        })
    }

    fn read_own(&mut self, peer: PeerShard, mend: Mend) {
        let key = mend.key.clone();
        let (deadline, reply) = self.ticket(peer, Asked::Mend(mend));
        self.shard.storage().tell(ReadRecord { key, known: None, deadline, reply });
    }

    /// A step of mending begins or ends; between two steps of a key nothing else begins.
    pub(super) fn track(&mut self, asked: &Asked, is_begun: bool) {
        if let Asked::Mend(mend) = asked {
            if is_begun {
                self.under_way.insert(mend.key.clone());
            } else {
                self.under_way.remove(&mend.key);
            }
        }
    }

    fn read_theirs(&mut self, peer: PeerShard, mend: Mend, own: Option<Held>) {
        let known = own.as_ref().map(|own| own.record.digest());
        let properties = self.properties(&mend.key);
        let request = PeerRequest::Read { key: mend.key.clone(), known, properties };
        self.ask(peer, request, Mend { step: Step::ReadTheirs(own), ..mend });
    }

    fn store_here(&mut self, peer: PeerShard, mend: Mend, theirs: Held, then: Option<Held>) {
        let Held { bytes: record, generation, .. } = theirs;
        let (key, conflict) = (mend.key.clone(), self.conflict(&mend.key));
        let asked = Asked::Mend(Mend { step: Step::StoreHere(then), ..mend });
        let (deadline, reply) = self.ticket(peer, asked);
        let (stands_in_for, durable) = (None, false);
        let store = StoreRecord {
            key,
            record,
            generation,
            stands_in_for,
            durable,
            conflict,
            deadline,
            reply,
        };
        self.shard.storage().tell(store);
    }

    fn store_there(&mut self, peer: PeerShard, mut mend: Mend, own: Held) {
        let Held { bytes: record, generation, .. } = own;
        self.moved(&mut mend, record.len());
        let (key, properties) = (mend.key.clone(), self.properties(&mend.key));
        let (stands_in_for, durable) = (None, false);
        let request =
            PeerRequest::Store { key, record, generation, stands_in_for, durable, properties };
        self.ask(peer, request, Mend { step: Step::StoreThere, ..mend });
    }

    fn ask(&mut self, peer: PeerShard, request: PeerRequest, mend: Mend) {
        self.ask_peer(peer, request, Asked::Mend(mend));
    }

    fn moved(&mut self, mend: &mut Mend, bytes: usize) {
        mend.bytes += bytes as u64;
        self.debt += bytes as u64;
    }

    pub(super) fn on_mend_answer(&mut self, peer: PeerShard, mut mend: Mend, reply: PeerReply) {
        let stored = matches!(reply, PeerReply::Stored);
        if let PeerReply::Outdated(fence) = reply {
            self.on_outdated(peer, &mend, fence);
        }
        let step = std::mem::replace(&mut mend.step, Step::ReadOwn);
        match (step, read(reply)) {
            (_, Read::Lost) => self.feed(peer, ExchangeEvent::Failed),
            (Step::ReadOwn, Read::Record(own)) => self.read_theirs(peer, mend, own),
            (Step::ReadTheirs(own), Read::Record(theirs)) => {
                let bytes = theirs.as_ref().map_or(0, |theirs| theirs.bytes.len());
                self.moved(&mut mend, bytes);
                self.swap(peer, mend, own, theirs);
            }
            (Step::StoreHere(Some(own)), _) if stored => self.store_there(peer, mend, own),
            (Step::StoreHere(None) | Step::StoreThere, _) if stored => {
                self.sync.mended += 1;
                self.past.entry(peer).or_default().mended += 1;
                self.mended(peer, &mend);
            }
            (Step::ReadTheirs(_), Read::Same) => self.mended(peer, &mend),
            _ => {
                warn!(target: ANTI_ENTROPY, node = self.shard.commons.name(), "a key was not mended: a side refused it");
                self.mended(peer, &mend);
            }
        }
        self.mend_more();
    }

    /// One side has promised what the other does not know of: that one is told, and this key comes
    /// with the next comparison.
    fn on_outdated(&mut self, peer: PeerShard, mend: &Mend, fence: Fence) {
        if !matches!(mend.step, Step::StoreHere(_)) {
            return self.shard.meet(&mend.key, fence);
        }
        let partition =
            mend.key.token().partition(self.shard.commons.cluster.load().ring.partitions());
        if let Some(link) = self.shard.links.peer(peer) {
            let request = PeerRequest::Fence(FenceQuestion::Meet { partition, fence });
            link.tell(SendRequest { request, deadline: self.now().after(TELL), reply: None });
        }
    }

    /// Sends each side what it lacks.
    fn swap(&mut self, peer: PeerShard, mend: Mend, own: Option<Held>, theirs: Option<Held>) {
        match (own, theirs) {
            _ if planted(Defect::NothingMended) => self.mended(peer, &mend),
            (None, None) => self.mended(peer, &mend),
            (None, Some(theirs)) => self.store_here(peer, mend, theirs, None),
            (Some(own), None) => self.store_there(peer, mend, own),
            (Some(own), Some(theirs)) => {
                let mut merged = own.record.clone();
                let outcome = merged.merge_once(&theirs.record, self.conflict(&mend.key));
                if outcome.clashes > 0 {
                    self.sync.clashes += u64::from(outcome.clashes);
                    error!(target: ANTI_ENTROPY, node = self.shard.commons.name(), clashes = outcome.clashes, "one dot names two values");
                }
                let lacks = merged.digest() != theirs.record.digest();
                let then = lacks.then(|| own.clone());
                match then {
                    Some(own) if !outcome.changed => self.store_there(peer, mend, own),
                    then => self.store_here(peer, mend, theirs, then),
                }
            }
        }
    }

    /// A key is done with; the machine hears of it with the last one of its batch.
    fn mended(&mut self, peer: PeerShard, mend: &Mend) {
        failpoint::pass(Site::AfterExchange);
        let Some(driver) = self.drivers.get_mut(&peer) else { return };
        let Some(batch) = driver.batches.get_mut(&mend.batch) else { return };
        batch.left -= 1;
        batch.bytes += mend.bytes;
        self.sync.bytes += mend.bytes;
        if batch.left == 0 {
            let bytes = batch.bytes;
            driver.batches.remove(&mend.batch);
            self.feed(peer, ExchangeEvent::Swapped { batch: mend.batch, bytes });
        }
    }

    fn conflict(&self, key: &Key) -> Conflict {
        self.shard.commons.cluster.load().buckets.properties(key.bucket()).conflict
    }

    fn properties(&self, key: &Key) -> Option<henge_kernel::bucket::RegisterVersion> {
        let cluster = self.shard.commons.cluster.load();
        cluster.buckets.get(key.bucket()).map(|register| register.version)
    }
}

impl Handler<Told<NextTurn>> for AntiEntropyWorker {
    type Result = ();

    fn handle(&mut self, told: Told<NextTurn>, _: &mut Self::Context) {
        let (NextTurn, _handling) = self.me.open(told);
        self.waits = false;
        self.mend_more();
    }
}

/// What an answer to a read says. A damaged record is as good as none: what the other side has is
/// stored in its place.
fn read(reply: PeerReply) -> Read {
    match reply {
        PeerReply::Found { record: bytes, generation, .. }
        | PeerReply::Quarantined { record: bytes, generation } => {
            let record = Record::decode_replicated(&bytes);
            record.map_or(Read::Unable, |record| {
                Read::Record(Some(Held { bytes, record: Box::new(record), generation }))
            })
        }
        PeerReply::Nothing { .. } | PeerReply::Failed(Failure::Corrupt) => Read::Record(None),
        PeerReply::Same { .. } => Read::Same,
        PeerReply::Failed(Failure::Lost | Failure::Unreachable) => Read::Lost,
        _ => Read::Unable,
    }
}
