//! `StorageShard`: the records of this shard's partitions, behind one log.
//!
//! Parent: `NodeSupervisor`. A restart reopens the log and draws a new uid, so no right to mint
//! outlives a fall; what had not been written is lost, and nobody had been told of it.
//!
//! Writes gather while the mailbox is drained and go out in one write(2); only then are their
//! answers sent, so that no dot leaves the shard before its record is written.

mod aside;
mod batch;
mod durable;
mod fences;
mod graves;
mod hints;
mod minting;
mod reaping;
mod standing;

use std::rc::Rc;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Supervised};
use bytes::Bytes;
use henge_kernel::{
    anti_entropy::Trust,
    causality::{Conflict, Minter, Record},
    coordination::Failure,
    handoff::HintIndex,
    id::{NodeId, ShardUid},
    key::{Key, Token},
    planted::{Defect, planted},
    reaping::Fence,
    time::Instant,
};
use tracing::{error, warn};

pub use self::fences::OpenedFences;
use self::{
    batch::{Answer, Batch, Encoded, Waiting, refusal, stored_digest},
    durable::Awaited,
    fences::Fencing,
    graves::{Graves, WalkGraves},
    standing::Standing,
};
use crate::{
    actor_ref::{ActorRef, Told},
    events::STORAGE,
    failpoint::{self, Site},
    fence_file::Kept,
    gossip_membership::SAMPLE,
    ledger_file::OpenedLedger,
    messages::storage_shard::{CloseShard, MintRecord, ReadRecord, StoreRecord},
    replica_trees::{BuildTrees, ReplicaTrees, SCRUB_EVERY},
    shard::Shard,
    storage::{Change, Engine, Sequence, StorageError, memory::MemoryEngine},
    wire::PeerReply,
};

/// Opens the shard's engine, at the start and after a fall. Entries of the ledger are numbered
/// behind the number that it is given.
pub type OpenEngine = Box<dyn Fn(u64) -> Result<Opened, StorageError>>;

/// An engine that was opened.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// What may be missing in it.
    pub ledger: OpenedLedger,
    /// How far its partitions have been reaped.
    pub fences: OpenedFences,
}

/// A batch is written when it holds this many bytes, even if the mailbox is not empty.
const BATCH_BYTES: usize = 1 << 20;

/// The actor.
pub struct StorageShard {
    pub(crate) me: ActorRef<Self>,
    pub(crate) shard: Rc<Shard>,
    open: OpenEngine,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) trees: ReplicaTrees,
    /// What may be missing here: writes count, answers to reads do not, until the other homes have
    /// been asked.
    standing: Standing,
    fencing: Fencing,
    graves: Graves,
    minter: Minter,
    /// What is kept for homes that are away: a mirror of the marks in the log.
    hints: HintIndex,
    batch: Batch,
    /// Answers that go out when what they speak of is synced.
    awaited: Vec<Awaited>,
    /// Whether they are about to ask for a sync.
    gathers: bool,
    syncing: bool,
    /// The node stops: what were written now might never be synced.
    closed: bool,
}

/// A record, and how it was stored.
struct Loaded {
    record: Record,
    payload: Option<Bytes>,
}

/// To itself: the mailbox has been drained, write the batch.
#[derive(Message)]
#[rtype(result = "()")]
struct WriteBatch;

/// To itself: the log is synced.
pub struct Synced(Result<Sequence, StorageError>);

/// Names this run of a shard, and no other.
fn draw_uid(shard: &Shard) -> ShardUid {
    if planted(Defect::UidKept) {
        return ShardUid(shard.commons.node.0);
    }
    ShardUid(shard.commons.environment.entropy.draw("shard uid"))
}

impl StorageShard {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "StorageShard";

    /// Draws this run's uid.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>, open: OpenEngine, opened: Opened) -> Self {
        let Opened { engine, ledger, fences } = opened;
        let minter = Minter::new(draw_uid(&shard));
        let hints = hints::rebuild(&shard, engine.as_ref());
        let trees = ReplicaTrees::new(&shard.commons, shard.index);
        let graves = Graves::new(&shard.commons, shard.index);
        Self {
            me,
            shard,
            open,
            engine,
            trees,
            standing: Standing::new(ledger),
            fencing: Fencing::new(fences),
            graves,
            minter,
            hints,
            batch: Batch::default(),
            awaited: Vec::new(),
            gathers: false,
            syncing: false,
            closed: false,
        }
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    /// Work whose time is over is dropped: its asker has moved on.
    pub(crate) fn is_late(&self, deadline: Instant) -> bool {
        self.now() > deadline
    }

    /// The record of a key as this run of the shard may use it; what waits to be written counts.
    pub(crate) fn load(&mut self, token: Token, key: &Key) -> Result<Record, StorageError> {
        Ok(self.load_to_write(token, key)?.record)
    }

    fn load_to_write(&mut self, token: Token, key: &Key) -> Result<Loaded, StorageError> {
        self.write_if_waiting(token);
        let payload = self.engine.get(token, key)?;
        let record = payload.as_ref().map(|payload| self.decode(key, payload)).transpose()?;
        Ok(Loaded { record: record.unwrap_or_default(), payload })
    }

    fn decode(&self, key: &Key, payload: &Bytes) -> Result<Record, StorageError> {
        Record::decode_stored(payload, self.minter.uid()).map_err(|error| {
            // The checksum held, so this is a bug or a format of the future: never "not found".
            error!(target: STORAGE, shard = self.shard.index, %error, "a record does not decode");
            StorageError::Corrupt { key: key.clone(), detail: "it does not decode" }
        })
    }

    /// The record into which another home's is merged. One that does not hold is replaced: its
    /// bytes are lost anyway; the marks are known without it. One that holds, but is not understood,
    /// is not.
    fn load_to_merge(&mut self, token: Token, key: &Key) -> Result<Loaded, StorageError> {
        self.write_if_waiting(token);
        match self.engine.get(token, key) {
            Ok(Some(payload)) => {
                Ok(Loaded { record: self.decode(key, &payload)?, payload: Some(payload) })
            }
            Err(StorageError::Corrupt { .. }) => {
                // What comes now is not all that was here.
                self.distrust(key)?;
                Ok(Loaded { record: self.marked_as_known(key), payload: None })
            }
            Ok(None) => Ok(Loaded { record: self.marked_as_known(key), payload: None }),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, request: &ReadRecord) -> Result<PeerReply, StorageError> {
        let token = request.key.token();
        let trust = self.trust(token, &request.key);
        let complete = trust == Trust::Whole;
        self.write_if_waiting(token);
        let Kept { fence: Fence { generation, .. }, clearing, .. } =
            self.fencing.kept(self.partition_of(token));
        if clearing {
            return Ok(PeerReply::Failed(Failure::Refused));
        }
        let Some(payload) = self.engine.get(token, &request.key)? else {
            return Ok(PeerReply::Nothing { complete });
        };
        let corrupt =
            |_| StorageError::Corrupt { key: request.key.clone(), detail: "it does not decode" };
        let record = Record::replicated_part(&payload).map_err(corrupt)?;
        if trust == Trust::Quarantined {
            return Ok(PeerReply::Quarantined { record, generation });
        }
        if request.known.is_some()
            && Record::digest_of_replicated(&record).map_err(corrupt)? == request.known
        {
            return Ok(PeerReply::Same { complete });
        }
        Ok(PeerReply::Found { record, generation, complete })
    }

    fn store(&mut self, request: StoreRecord) {
        if self.closed {
            return request.reply.answer(PeerReply::Failed(Failure::Refused));
        }
        let token = request.key.token();
        if let Some(barred) = self.bar(self.partition_of(token), request.generation) {
            return request.reply.answer(barred);
        }
        let incoming = match Record::decode_replicated(&request.record) {
            Ok(incoming) => incoming,
            Err(error) => {
                warn!(target: STORAGE, shard = self.shard.index, %error, "a peer sent a damaged record");
                return request.reply.answer(PeerReply::Failed(Failure::Refused));
            }
        };
        let loaded = match self.load_to_merge(token, &request.key) {
            Ok(loaded) => loaded,
            Err(error) => return request.reply.answer(refusal(&error)),
        };
        let StoreRecord { key, conflict, durable, reply, .. } = request;
        let stands_in_for = match self.take_duty(&key, request.stands_in_for) {
            Ok(mark) => mark,
            Err(error) => return reply.answer(refusal(&error)),
        };
        let says = PeerReply::Stored;
        match self.merged(loaded, &incoming, conflict, stands_in_for) {
            None => self.acknowledge(Answer { to: reply, says, durable }),
            Some(((payload, _), _))
                if self.is_full_of_hints(stands_in_for, &key, payload.len()) =>
            {
                reply.answer(PeerReply::Failed(Failure::Refused));
            }
            Some((written, record)) => {
                let waiting = Waiting::record(key, &record, written);
                if planted(Defect::StoredBeforeWrite) {
                    reply.answer(says);
                    return self.enqueue(waiting, None);
                }
                self.enqueue(waiting, Some(Answer { to: reply, says, durable }));
            }
        }
    }

    /// The stored form of the merged record, and the record; `None` if it was all known.
    fn merged(
        &self,
        Loaded { mut record, payload: before }: Loaded,
        incoming: &Record,
        conflict: Conflict,
        stands_in_for: Option<NodeId>,
    ) -> Option<(Encoded, Record)> {
        let merged = record.merge_once(incoming, conflict);
        let kept_for = stands_in_for.filter(|_| !planted(Defect::HintForgotten));
        let marked = kept_for.is_some_and(|home| record.mark(home));
        if merged.amnesia {
            warn!(target: STORAGE, shard = self.shard.index, "amnesia: a peer knows more of a right than this shard");
        }
        if merged.clashes > 0 {
            error!(target: STORAGE, shard = self.shard.index, clashes = merged.clashes, "one dot names two values");
        }
        (merged.changed || merged.amnesia || marked).then(|| {
            let mut payload = Vec::new();
            let digest = record.encode_stored(&mut payload);
            let after = (!record.is_nothing()).then_some(digest);
            ((payload, (stored_digest(before), after)), record)
        })
    }

    fn enqueue(&mut self, waiting: Waiting, answer: Option<Answer>) {
        self.batch.bytes += waiting.bytes();
        self.batch.hint_bytes += waiting.hint_bytes();
        self.batch.writes.push(waiting);
        self.batch.answers.extend(answer);
        if self.batch.bytes >= BATCH_BYTES {
            self.write_batch();
        }
    }

    fn write_if_waiting(&mut self, token: Token) {
        if self.batch.writes.iter().any(|waiting| waiting.token == token) {
            self.write_batch();
        }
    }

    pub(crate) fn write_batch(&mut self) {
        let Batch { writes, answers, .. } = std::mem::take(&mut self.batch);
        if writes.is_empty() {
            return;
        }
        let payloads: Vec<Option<[&[u8]; 1]>> =
            writes.iter().map(|waiting| waiting.payload.as_deref().map(|bytes| [bytes])).collect();
        let changes: Vec<Change<'_>> = writes
            .iter()
            .zip(&payloads)
            .map(|(Waiting { token, key, .. }, payload)| match payload {
                Some(payload) => Change::Record { token: *token, key, payload },
                None => Change::Removal { token: *token, key },
            })
            .collect();
        failpoint::pass(Site::BeforeWrite);
        match self.engine.append(&changes) {
            Ok(_) => {
                failpoint::pass(Site::AfterWrite);
                let cluster = self.shard.commons.cluster.load();
                for Waiting { token, key, digests, due, .. } in &writes {
                    self.trees.note(&cluster, key, *token, *digests);
                    self.graves.note(token.partition(cluster.ring.partitions()), key, *due);
                }
                self.index_hints(writes);
                for answer in answers {
                    self.acknowledge(answer);
                }
            }
            Err(error) => {
                error!(target: STORAGE, shard = self.shard.index, %error, "a batch was not written");
                // What a failed write left on the disk is unknown; what was refused whole is not.
                let answer = match refusal(&error) {
                    PeerReply::Failed(_) => PeerReply::Failed(Failure::Lost),
                    refused => refused,
                };
                for told in answers {
                    told.to.answer(answer.clone());
                }
                self.tell_unreleased(&writes);
                self.judge();
            }
        }
    }
}

impl Actor for StorageShard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let interval = self.shard.commons.settings.storage.sync_interval;
        context.run_interval(interval, |shard, _| {
            shard.request_sync();
            shard.settle(false);
            shard.tell_doubts();
        });
        context.run_interval(SCRUB_EVERY, |shard, _| shard.scrub());
        context.run_interval(SAMPLE, |shard, _| shard.tell_sample());
        self.settle(false);
        self.judge();
        self.publish_fences();
        self.clear_again();
        self.me.tell(BuildTrees);
        self.me.tell(WalkGraves);
    }
}

impl Supervised for StorageShard {
    #[expect(clippy::panic, reason = "a log that does not open again is one more fall")]
    fn restarting(&mut self, _: &mut Self::Context) {
        // A log that failed to write or sync stays as it is: opened again it would not know, and
        // the kernel reports a lost page once.
        if self.engine.poisoned().is_none() {
            // The old engine holds the lock of its directory: it goes before the new one comes.
            self.engine = Box::new(MemoryEngine::new());
            match (self.open)(self.standing.ledger.number()) {
                Ok(Opened { engine, ledger, .. }) => {
                    (self.engine, self.standing) = (engine, Standing::new(ledger));
                }
                Err(error) => panic!("the log does not open again: {error}"),
            }
        }
        self.minter = Minter::new(draw_uid(&self.shard));
        self.hints = hints::rebuild(&self.shard, self.engine.as_ref());
        self.batch = Batch::default();
        self.awaited.clear();
        self.trees = ReplicaTrees::new(&self.shard.commons, self.shard.index);
        self.graves = Graves::new(&self.shard.commons, self.shard.index);
        self.fencing.reopen();
        self.syncing = false;
        self.tell_hinted();
        self.tell_ledger(true);
    }
}

impl Handler<Told<ReadRecord>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<ReadRecord>, _: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        if self.is_late(request.deadline) {
            return request.reply.forget();
        }
        let answer = self.read(&request).unwrap_or_else(|error| {
            warn!(target: STORAGE, shard = self.shard.index, %error, "a read failed");
            // What cannot be noted is found again at the next read.
            if matches!(error, StorageError::Corrupt { .. }) {
                let _ = self.distrust(&request.key);
            }
            self.judge();
            refusal(&error)
        });
        request.reply.answer(answer);
    }
}

impl Handler<Told<MintRecord>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<MintRecord>, context: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        if self.is_late(request.deadline) {
            return request.reply.forget();
        }
        let first = self.batch.writes.is_empty();
        self.mint(request);
        if first {
            context.notify(WriteBatch);
        }
    }
}

impl Handler<Told<StoreRecord>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<StoreRecord>, context: &mut Self::Context) {
        let (request, _handling) = self.me.open(told);
        if self.is_late(request.deadline) {
            return request.reply.forget();
        }
        let first = self.batch.writes.is_empty();
        self.store(request);
        if first {
            context.notify(WriteBatch);
        }
    }
}

impl Handler<WriteBatch> for StorageShard {
    type Result = ();

    fn handle(&mut self, _: WriteBatch, _: &mut Self::Context) {
        self.write_batch();
    }
}

impl Handler<Told<CloseShard>> for StorageShard {
    type Result = ();

    fn handle(&mut self, told: Told<CloseShard>, _: &mut Self::Context) {
        let (CloseShard { outcome }, _handling) = self.me.open(told);
        self.write_batch();
        self.closed = true;
        let close = self.standing.closing();
        self.engine.request_sync(Box::new(move |synced| {
            let _ = outcome.send(synced.and_then(close));
        }));
    }
}
