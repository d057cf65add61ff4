//! `Reaper`: drives the rounds that end deleted records and long histories; what a round is, and why
//! every member of the layout takes part, is told by the kernel's
//! [`reaping`](henge_kernel::reaping).
//!
//! Parent: `NodeSupervisor`; one a shard. The first home of a partition that is up drives its
//! rounds, one at a time. A restart forgets the round that was under way: what was promised to it is
//! promised to nobody else, and the next round has a later generation.
//!
//! It also asks each shard of a peer that is reached, once in the run of the node, how far that one
//! is: that is how a disk that was restored is found out before it has passed anything on.

mod asking;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Supervised};
use henge_kernel::{
    id::NodeId,
    key::PartitionId,
    machine::Machine as _,
    reaping::{
        Ask, KEYS_MAX, Purpose, Round,
        fence::Refusal,
        round::{Outcome, Reason, RoundEffect, RoundEvent},
    },
    time::Instant,
};
use tokio::sync::oneshot;
use tracing::{info, warn};

use self::asking::Waiting;
use crate::{
    actor_ref::{ActorRef, Told},
    events::ANTI_ENTROPY,
    links::PeerShard,
    messages::{
        reaper::{DueFetched, DueKeys, FenceAnswered, PeerShardReached, ReadReaping, ReapNow},
        storage_shard::FetchDue,
    },
    reap_reports::{Blocked, ShardReaping},
    shard::Shard,
};

/// How often deadlines and the members are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a partition rests after a round that was blocked; twice as long each time.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_mins(1);

/// The actor.
pub struct Reaper {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    round: Round,
    /// What the round under way is about.
    current: Option<Current>,
    waiting: BTreeMap<u64, Waiting>,
    tickets: u64,
    /// Peers that have yet to tell how far they are.
    unheard: BTreeSet<PeerShard>,
    /// Whether the storage looks for something that is due, and which partitions it leaves alone.
    fetching: bool,
    without: BTreeSet<PartitionId>,
    looked: Instant,
    /// Partitions whose rounds were blocked.
    pauses: BTreeMap<PartitionId, Pause>,
    /// Who waits for a run that was told to begin at once, and where that run was blocked.
    forced: Vec<oneshot::Sender<ShardReaping>>,
    tried: BTreeSet<PartitionId>,
    /// What blocks, as it was told: once each until something goes on.
    told: BTreeSet<(NodeId, &'static str)>,
    done: ShardReaping,
}

struct Current {
    partition: PartitionId,
    purpose: Purpose,
    keys: u64,
}

struct Pause {
    until: Instant,
    length: Duration,
    /// Whose absence is its reason.
    down: Option<NodeId>,
}

impl Reaper {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "Reaper";

    /// A reaper that knows of nothing to do.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>) -> Self {
        let now = shard.commons.environment.clock.now();
        Self {
            me,
            shard,
            round: Round::default(),
            current: None,
            waiting: BTreeMap::new(),
            tickets: 0,
            unheard: BTreeSet::new(),
            fetching: false,
            without: BTreeSet::new(),
            looked: now,
            pauses: BTreeMap::new(),
            forced: Vec::new(),
            tried: BTreeSet::new(),
            told: BTreeSet::new(),
            done: ShardReaping::default(),
        }
    }

    fn now(&self) -> Instant {
        self.shard.commons.environment.clock.now()
    }

    fn tick(&mut self) {
        let now = self.now();
        self.ask_unheard(now);
        if self.round.deadline().is_some_and(|deadline| now >= deadline) {
            self.step(Round::expire);
        }
        self.tell_of_down();
        self.wake();
        let due = now.since(self.looked) >= LOOK_EVERY && !self.shard.leisure().is_over();
        if due || !self.forced.is_empty() {
            self.look();
        }
    }

    /// The round hears who is down.
    fn tell_of_down(&mut self) {
        if self.round.is_idle() {
            return;
        }
        for (member, down) in self.members() {
            if down {
                self.feed(RoundEvent::MemberDown(member));
            }
        }
    }

    /// Ends the rests whose reason is gone.
    fn wake(&mut self) {
        let members = self.shard.commons.members.load();
        self.pauses.values_mut().for_each(|pause| {
            if pause.down.take_if(|member| members.is_up(*member)).is_some() {
                pause.until = Instant::default();
            }
        });
    }

    /// The members of the layout, and whether they are down.
    fn members(&self) -> Vec<(NodeId, bool)> {
        let commons = &self.shard.commons;
        let (cluster, members) = (commons.cluster.load(), commons.members.load());
        let down = |node: &NodeId| *node != commons.node && members.is_down(*node);
        cluster.nodes.keys().map(|node| (*node, down(node))).collect()
    }

    /// Has the storage look for something that is due.
    fn look(&mut self) {
        if self.fetching || !self.round.is_idle() {
            return;
        }
        let (now, forced) = (self.now(), !self.forced.is_empty());
        self.looked = now;
        self.fetching = true;
        let resting = self.pauses.iter().filter(|(_, pause)| pause.until > now);
        let resting = || resting.map(|(partition, _)| *partition).collect();
        let without = if forced { self.tried.clone() } else { resting() };
        let age_min = self.shard.commons.settings.storage.tombstone_min_age;
        self.without.clone_from(&without);
        self.shard.storage().tell(FetchDue { forced, age_min, without });
    }

    fn begin(&mut self, due: DueKeys) {
        let DueKeys { partition, purpose, epoch, stamp, keys } = due;
        let count = keys.len() as u64;
        self.current = Some(Current { partition, purpose, keys: count });
        let round = self.shard.commons.environment.entropy.draw("round");
        let (generation, finished) = Default::default();
        let ask = Ask { round, partition, purpose, generation, finished, epoch, stamp, keys };
        let members = self.members();
        self.step(|machine, now, effects| machine.start(now, ask, &members, effects));
    }

    fn step(&mut self, act: impl FnOnce(&mut Round, Instant, &mut Vec<RoundEffect>)) {
        let (now, mut effects) = (self.now(), Vec::new());
        act(&mut self.round, now, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn feed(&mut self, event: RoundEvent) {
        self.step(|round, now, effects| round.handle(now, event, effects));
    }

    fn finished(&mut self, outcome: Outcome) {
        let Some(current) = self.current.take() else { return };
        match outcome {
            Outcome::Finished { missed } => self.succeeded(&current, missed.len()),
            Outcome::Blocked { member, reason } => self.blocked(current.partition, member, &reason),
        }
        // There is more where this came from; else the fsyncs of the next round can wait.
        if !self.forced.is_empty() || current.keys >= KEYS_MAX as u64 {
            self.look();
        }
    }

    fn succeeded(&mut self, current: &Current, missed: usize) {
        let Current { partition, purpose, keys } = *current;
        self.pauses.remove(&partition);
        self.done.blocked.remove(&partition);
        self.told.clear();
        self.done.rounds += 1;
        match purpose {
            Purpose::Reap => self.done.reaped += keys,
            Purpose::Prune => self.done.pruned += keys,
        }
        info!(target: ANTI_ENTROPY, node = self.shard.commons.name(), partition = partition.0, ?purpose, keys, missed, "reaped");
    }

    fn blocked(&mut self, partition: PartitionId, member: NodeId, reason: &Reason) {
        let (now, code) = (self.now(), code_of(reason));
        let before = self.pauses.get(&partition).map(|pause| pause.length * 2);
        let length = before.unwrap_or(PAUSE_FIRST).min(PAUSE_LONGEST);
        let down = Some(member).filter(|_| *reason == Reason::Down);
        self.pauses.insert(partition, Pause { until: now.after(length), length, down });
        self.tried.insert(partition);
        let since = self.done.blocked.get(&partition).map_or(now, |blocked| blocked.since);
        self.done.blocked.insert(partition, Blocked { member, reason: code, since });
        if self.told.insert((member, code)) {
            let member = self.shard.commons.cluster.load().name_of(member);
            warn!(target: ANTI_ENTROPY, node = self.shard.commons.name(), partition = partition.0, member, reason = code, "reap_blocked");
        }
    }

    fn answer_forced(&mut self) {
        self.tried.clear();
        for outcome in self.forced.drain(..) {
            // Who has gone wants no answer.
            let _ = outcome.send(self.done.clone());
        }
    }
}

/// Why a round is blocked, in one word: a key is nobody's business.
fn code_of(reason: &Reason) -> &'static str {
    match reason {
        Reason::Down => "down",
        Reason::Silent => "silent",
        Reason::Refused(refusal) => match refusal {
            Refusal::Passed(_) => "passed",
            Refusal::Epoch(_) => "epoch",
            Refusal::BeingFilled => "being_filled",
            Refusal::Suspect => "suspect",
            Refusal::LeftBehind(_) => "left_behind",
            Refusal::Differs(_) => "differs",
            Refusal::Quarantined(_) => "quarantined",
            Refusal::Alive(_) => "alive",
            Refusal::TooMany(_) => "too_many",
        },
    }
}

impl Actor for Reaper {
    type Context = Context<Self>;

    /// Also after a restart.
    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(TICK, |reaper, _| reaper.tick());
        self.unheard.extend(self.shard.links.reached());
    }
}

impl Supervised for Reaper {
    fn restarting(&mut self, _: &mut Self::Context) {
        // An answer to a question from before the fall must meet no later one.
        let (tickets, done) = (self.tickets, std::mem::take(&mut self.done));
        *self = Self { tickets, done, ..Self::new(self.me.clone(), Rc::clone(&self.shard)) };
    }
}

impl Handler<Told<PeerShardReached>> for Reaper {
    type Result = ();

    fn handle(&mut self, told: Told<PeerShardReached>, _: &mut Self::Context) {
        let (PeerShardReached { peer }, _handling) = self.me.open(told);
        self.unheard.insert(peer);
        self.ask_unheard(self.now());
    }
}

impl Handler<Told<DueFetched>> for Reaper {
    type Result = ();

    fn handle(&mut self, told: Told<DueFetched>, _: &mut Self::Context) {
        let (DueFetched { due, walked, kept }, _handling) = self.me.open(told);
        self.fetching = false;
        self.done.kept = kept;
        match due {
            Some(due) if self.round.is_idle() => self.begin(due),
            None if walked => {
                // Where it has looked nothing is due any more: somebody else's round, or a write.
                self.done.blocked.retain(|partition, _| self.without.contains(partition));
                self.pauses.retain(|partition, _| self.without.contains(partition));
                self.answer_forced();
            }
            _ => {}
        }
    }
}

impl Handler<Told<FenceAnswered>> for Reaper {
    type Result = ();

    fn handle(&mut self, told: Told<FenceAnswered>, _: &mut Self::Context) {
        let (FenceAnswered { ticket, reply }, _handling) = self.me.open(told);
        if let Some(waiting) = self.waiting.remove(&ticket) {
            self.on_answer(waiting, reply);
        }
    }
}

impl Handler<Told<ReapNow>> for Reaper {
    type Result = ();

    fn handle(&mut self, told: Told<ReapNow>, _: &mut Self::Context) {
        let (ReapNow { outcome }, _handling) = self.me.open(told);
        self.forced.push(outcome);
        self.look();
    }
}

impl Handler<Told<ReadReaping>> for Reaper {
    type Result = ();

    fn handle(&mut self, told: Told<ReadReaping>, _: &mut Self::Context) {
        let (ReadReaping { outcome }, _handling) = self.me.open(told);
        let _ = outcome.send(self.done.clone());
    }
}
